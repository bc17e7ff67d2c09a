"""The hooks of the resource ``ProfileDistribution``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pulumi.dynamic import CheckResult, ReadResult
from pulumi.output import Unknown

from ios_mdm import wiring
from ios_mdm.app.delivery.content import ProfileContent, next_revision
from ios_mdm.app.delivery.due import DueCounts, due_counts
from ios_mdm.app.delivery.secret_record import check_owner, is_recorded
from ios_mdm.app.delivery.service import DeliveryRequest
from ios_mdm.app.device_ids import enrollment_id_notices
from ios_mdm.app.devices import devices_digest, devices_file, no_devices_advice
from ios_mdm.app.pair.chains import chain_sha256, stored_chains
from ios_mdm.app.reenrollment import reenrollment_notice
from ios_mdm.app.switch_request import made_switch_request
from ios_mdm.core.pair.decision import Phase, Severity
from ios_mdm.core.pair.home import profile_identifier
from ios_mdm.core.pair.layout import observed_pair
from ios_mdm.errors import DefinitionError, DeliveryError, IosMdmError, TakenOverError
from ios_mdm.resources.engine import progress, show_message, warning
from ios_mdm.resources.file_hooks import is_file_drift, show_unconfirmed
from ios_mdm.resources.hooks import refusal
from ios_mdm.resources.plain import is_known
from ios_mdm.resources.profile_distribution import ProfileDistributionProvider
from ios_mdm.resources.read_ahead import INPUTS, reads_of
from ios_mdm.resources.wire import switch_of
from ios_mdm.settings import AwsSettings, DistributionSettings, PromotionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.ports import Ledger
    from ios_mdm.resources.plain import Wire
    from ios_mdm.wiring import Wiring

__all__ = ["check", "create", "delete", "read", "update"]

_ECHOED_INPUTS = frozenset({"switch", "secretArn", "promotion", "pairId", "resourceId", "isDecided"})
"""Inputs with values of the pair. They are not outputs."""

_UNREAD_DEVICES = {"deviceCount": 0, "devicesSha256": "unknown"}
"""Inputs if the devices cannot be read. They differ from the inputs of every list, so an update is planned."""


def check(olds: Wire, news: Wire) -> CheckResult:
    """Read the list of devices, and decide whether another profile must be sent; send nothing."""
    inputs = {key: value for key, value in news.items() if key not in {"phase", "pems", *INPUTS}}
    pems = news["pems"]
    chains = {int(number): str(pem) for number, pem in cast("Wire", pems).items()} if is_known(pems) else None
    inputs["chains"] = pems if chains is None else {str(key): chain_sha256(chain) for key, chain in chains.items()}
    here, settings = wiring.process_wiring(), _settings(inputs)
    try:
        is_lost = _is_lost(olds, news)
        if chains is None and olds and not is_lost and olds["trusted"] == inputs["trusted"]:
            # PEMs are unknown in previews of an update of the pair, but equal numbers mean equal certificates.
            inputs["chains"] = olds["chains"]
        devices = _devices(inputs, settings)
        if devices is not None:
            inputs |= {"deviceCount": len(devices), "devicesSha256": devices_digest(devices)}
        if devices and news.get("phase") == Phase.CONNECTION_LOST:
            notice = reenrollment_notice(
                str(inputs["server"]), devices, base=here.base, device_file=devices_file(settings)
            )
            show_message(str(inputs["server"]), notice.severity, notice.message)
        inputs["identifier"] = _identifier({} if is_lost else olds, inputs, settings)
        content = _content(inputs, chains)
        before = replace(_content(olds, None), sha256=_digest(olds)) if olds else None
        revision = int(cast("int", olds["revision"])) if olds else 0
        inputs["revision"] = next_revision(before, revision, content)
        due = DueCounts()
        try:
            if settings.ledger is not None:
                ledger = here.ledger(settings.ledger, _region(inputs))
                _show_id_notices(inputs, settings, ledger, devices or ())
                due = _due_counts(olds, news, settings, ledger, devices or ())
        except DeliveryError as error:
            _warn_unread_devices(inputs, error)
            inputs |= {**_UNREAD_DEVICES, "revision": revision + 1}
        # Computing the digest refuses an invalid profile before any effect. In a preview that cannot compute it, the
        # input is Unknown and not left out: a saved plan allows any value of an unknown input, but no new input.
        is_made = content.chains is not None and is_known(inputs["pairId"])
        inputs["profileSha256"] = content.digest if is_made else Unknown()  # type: ignore[no-untyped-call]
        inputs["repairs"] = _repair_count(olds, news, inputs, content, due=due, devices=devices or ())
        if devices and not (olds and ProfileDistributionProvider.is_same(olds, inputs)):
            _warn_refused_channel(inputs, settings, here)
        show_unconfirmed(str(inputs["server"]), settings.channel.files, inputs["profileSha256"])
        if before is not None and before.identifier != content.identifier:
            message = (
                f"devices keep the profile {before.identifier}, and get {content.identifier} in addition: no profile "
                "is removed from devices"
            )
            show_message(str(inputs["server"]), Severity.NOTICE, message)
    except TakenOverError as error:
        show_message(str(inputs["server"]), Severity.WARNING, str(error))
        return CheckResult(olds or {**inputs, **_UNREAD_DEVICES, "repairs": 0}, [])
    except IosMdmError as error:
        return CheckResult(inputs, [refusal(error)])
    return CheckResult(inputs, [])


def create(inputs: Wire) -> tuple[str, Wire]:
    """Queue the profile for every device. If the pair was taken over, create the resource and send nothing.

    An error would make the run fail, and then the server could not be removed from the stack.
    """
    id_ = f"{inputs['server']}-profile"
    try:
        return id_, _deliver(inputs)
    except TakenOverError as error:
        show_message(str(inputs["server"]), Severity.WARNING, str(error))
        return id_, _outputs({**inputs, **_UNREAD_DEVICES})


def update(olds: Wire, news: Wire) -> Wire:
    """Queue another profile for every device, or the same profile for the devices that it was not queued for."""
    try:
        is_channel_same = all(olds.get(key) == news.get(key) for key in ("distribution", "repairs"))
        return _deliver(news, former_identifier=str(olds["identifier"]), is_channel_same=is_channel_same)
    except TakenOverError as error:
        show_message(str(news["server"]), Severity.WARNING, str(error))
        return olds


def read(id_: str, outputs: Wire) -> ReadResult:
    """Return the outputs unchanged. The state has no answers of devices, which change daily: they are in the ledger."""
    return ReadResult(id_, outputs)


def delete(_id: str, outputs: Wire) -> None:
    """Leave the profile on the devices: a certificate that a server still serves must stay trusted (R32)."""
    message = f"the profile {outputs['identifier']} stays on the devices"
    show_message(str(outputs["server"]), Severity.NOTICE, message)


def _region(inputs: Wire) -> str | None:
    return AwsSettings.model_validate(inputs["aws"]).region


def _is_lost(olds: Wire, news: Wire) -> bool:
    """Return whether the run replaces a lost pair: the state has a distribution, but the secret does not exist."""
    if not olds or is_known(news["pairId"]):
        return False
    store = reads_of(news, "distribution").store(AwsSettings.model_validate(news["aws"]).region)
    return store.describe(str(news["secret"])) is None


def _due_counts(
    olds: Wire, news: Wire, settings: DistributionSettings, ledger: Ledger, devices: Sequence[str]
) -> DueCounts:
    """Return the numbers of devices that `up` sends something to, although the profile has not changed."""
    due = due_counts(
        ledger,
        str(news["server"]),
        _digest(olds or {}),
        devices,
        rules=settings.ledger_rules,
        now=wiring.process_wiring().clock().now(),
    )
    # A profile without a valid certificate helps no device that has lost its connection.
    return DueCounts(unsent=due.unsent) if news.get("phase") == Phase.CONNECTION_LOST else due


def _repair_count(
    olds: Wire, news: Wire, inputs: Wire, content: ProfileContent, *, due: DueCounts, devices: Sequence[str]
) -> int:
    """Return the counter of repairs, which plans an update.

    A lost record, a device that is due, or another decision of the gate raises it.

    Without a record of the sent profile, no reserve in it is armed.
    """
    repairs = int(cast("int", olds.get("repairs", 0)))
    store = reads_of(news, "distribution").store(AwsSettings.model_validate(inputs["aws"]).region)
    found = store.describe(str(inputs["secret"]))
    if found is None:
        return repairs  # the check of the pair reports the missing secret
    # Before the record is checked, because no profile is recorded for the pair of another resource.
    check_owner(str(inputs["secret"]), found.arn, _resource_id(inputs), found)
    if not olds or not ProfileDistributionProvider.is_same(olds, {**inputs, "repairs": repairs}):
        return repairs
    files = _settings(inputs).channel.files
    if files is not None:
        return repairs + int(is_file_drift(inputs, files, content, found))
    if not inputs["deviceCount"]:
        return repairs  # nothing is sent, so nothing is recorded
    if is_recorded(str(inputs["secret"]), found, content.trusted, wiring.process_wiring().clock().now()):
        messages = [_due_message(due, len(devices)), _gate_message(inputs, found, devices)]
        message = "; ".join(filter(None, messages))
        if not message:
            return repairs
        severity = Severity.NOTICE
    else:
        severity = Severity.WARNING
        message = (
            "the record of the sent profile is missing: `up` sends the profile to the devices that were not sent it, "
            "and records it"
        )
    show_message(str(inputs["server"]), severity, message)
    return repairs + 1


def _gate_message(inputs: Wire, found: SecretDescription, devices: Sequence[str]) -> str:
    """Return the decision of the gate if the secret has another one; otherwise an empty text (R46)."""
    settings, promotion = _settings(inputs), PromotionSettings.model_validate(inputs["promotion"])
    gates = wiring.process_wiring().gates(settings, promotion, AwsSettings.model_validate(inputs["aws"]).region)
    request = _switch_request(inputs) if gates is not None and is_known(inputs["switch"]) else None
    if gates is None or request is None:
        return ""
    observed = observed_pair(request.secret, found)
    decision = gates.decision(request, observed, None if settings.is_for_all else devices)
    return "" if decision is None or decision.is_recorded else f"{decision.text}: `up` moves the switch"


def _due_message(due: DueCounts, count: int) -> str:
    parts = {
        "enrolled again, or were not sent the profile: `up` sends it to them": due.unsent,
        "failed or did not answer: `up` sends them the profile again": due.resent,
        "did not report their certificates: `up` asks them again": due.asked,
    }
    return "; ".join(f"{number} of {count} devices {text}" for text, number in parts.items() if number)


def _devices(inputs: Wire, settings: DistributionSettings) -> Sequence[str] | None:
    """Return the devices, or None after a warning if they cannot be read.

    A list that cannot be read does not stop the run of the pair. The update that sends the profile fails.
    """
    try:
        devices = wiring.process_wiring().devices(settings, _region(inputs))
    except IosMdmError as error:
        _warn_unread_devices(inputs, error)
        inputs |= _UNREAD_DEVICES
        return None
    if not devices and settings.channel.files is None:
        message = (
            f"{no_devices_advice(settings)}. Without a device, the MDM server is not contacted and nothing is recorded "
            "as sent: a reserve is scheduled only if it was sent to devices before"
        )
        show_message(str(inputs["server"]), Severity.WARNING, message)
    return devices


def _show_id_notices(inputs: Wire, settings: DistributionSettings, ledger: Ledger, devices: Sequence[str]) -> None:
    """Report listed ids that cannot be those of devices, or that the ledger does not know."""
    if settings.is_for_all:
        return
    server = str(inputs["server"])
    for notice in enrollment_id_notices(server, devices, ledger, listed=devices_file(settings)):
        show_message(server, notice.severity, notice.message)


def _warn_unread_devices(inputs: Wire, error: IosMdmError) -> None:
    message = f"{error}. Until this is corrected, no profile is sent; the pair is not affected"
    show_message(str(inputs["server"]), Severity.WARNING, message)


def _warn_refused_channel(inputs: Wire, settings: DistributionSettings, here: Wiring) -> None:
    """Warn if the API key cannot be used for the channel's URL. Then the update that sends the profile fails."""
    try:
        here.check_channel(settings, AwsSettings.model_validate(inputs["aws"]).region)
    except DefinitionError as error:
        _warn_unread_devices(inputs, error)
    except IosMdmError as error:
        show_message(str(inputs["server"]), Severity.NOTICE, f"the use of the API key could not be checked: {error}")


def _settings(inputs: Wire) -> DistributionSettings:
    return DistributionSettings.model_validate(inputs["distribution"])


def _digest(olds: Wire) -> str | None:
    """Return the digest of the last profile, or None if the check of that profile did not know it."""
    found = olds.get("profileSha256")
    return found if isinstance(found, str) else None


def _content(inputs: Wire, chains: Mapping[int, str] | None) -> ProfileContent:
    return ProfileContent(
        server=str(inputs["server"]),
        host=str(inputs["host"]),
        identifier=str(inputs["identifier"]),
        organization=_settings(inputs).profile.organization,
        trusted=tuple(cast("Sequence[int]", inputs["trusted"])) if is_known(inputs["trusted"]) else None,
        chains=chains,
    )


def _switch_request(inputs: Wire) -> SwitchRequest | None:
    """Return the request for the pair's switch, or None if this run leaves out the pair and its definition changed."""
    if inputs.get("isDecided") is False:
        return None
    return made_switch_request(
        PromotionSettings.model_validate(inputs["promotion"]),
        server=str(inputs["server"]),
        secret=str(inputs["secret"]),
        secret_arn=str(inputs["secretArn"]),
        switch=switch_of(cast("Wire", inputs["switch"])),
        distributed=True,
    )


def _identifier(olds: Wire, inputs: Wire, settings: DistributionSettings) -> str:
    """Return the identifier of the profile, or a placeholder in previews if the pair is not created yet.

    The id of a pair that lost its tags is unknown in previews. Then the suffix is taken from the last profile.
    """
    if not is_known(inputs["pairId"]):
        suffix = str(olds["identifier"]).rpartition(".")[2] if olds else "<made by up>"
        return f"{settings.profile.identifier}.{suffix}"
    return profile_identifier(settings.profile.identifier, str(inputs["pairId"]))


def _resource_id(inputs: Wire) -> str | None:
    return str(inputs["resourceId"]) if is_known(inputs["resourceId"]) else None


def _deliver(inputs: Wire, *, former_identifier: str | None = None, is_channel_same: bool = False) -> Wire:
    here, settings = wiring.process_wiring(), _settings(inputs)
    region = AwsSettings.model_validate(inputs["aws"]).region
    server = str(inputs["server"])
    # Before the chains are read, because without a secret of this name every chain seems to be missing.
    described = here.store(region).describe(str(inputs["secret"]))
    check_owner(str(inputs["secret"]), str(inputs["secretArn"]), _resource_id(inputs), described)
    devices = _recipients(inputs, settings)
    reconciler = here.reconciler(
        region,
        report=progress(server),
        warn=warning(server),
        distribution=settings,
        promotion=PromotionSettings.model_validate(inputs["promotion"]),
    )
    digests = cast("Wire", inputs["chains"]) if is_known(inputs["chains"]) else {}
    chains = stored_chains(
        here.store(region), str(inputs["secret"]), {int(number): str(digest) for number, digest in digests.items()}
    )
    delivery = reconciler.deliver(
        DeliveryRequest(
            content=_content(inputs, chains),
            secret=str(inputs["secret"]),
            secret_arn=str(inputs["secretArn"]),
            resource_id=_resource_id(inputs),
            enrollment_ids=devices,
            former_identifier=former_identifier,
            listed=devices_file(settings),
            is_channel_same=is_channel_same,
            channel=settings.channel.chosen.destination,
            is_for_all=settings.is_for_all,
        ),
        _switch_request(inputs),
    )
    return {**_outputs(inputs), "profileSha256": delivery.digest}


def _recipients(inputs: Wire, settings: DistributionSettings) -> Sequence[str]:
    """Return the devices.

    Raises:
        IosMdmError: The devices cannot be read. `check` has warned about this.
    """
    here = wiring.process_wiring()
    devices = here.devices(settings, _region(inputs))
    if inputs["devicesSha256"] == _UNREAD_DEVICES["devicesSha256"]:
        if settings.ledger is not None:
            here.ledger(settings.ledger, _region(inputs)).publication(str(inputs["server"]))
        raise DeliveryError("the devices could not be read when this run was checked: run again")
    return devices


def _outputs(inputs: Wire) -> Wire:
    return {key: value for key, value in inputs.items() if key not in _ECHOED_INPUTS}
