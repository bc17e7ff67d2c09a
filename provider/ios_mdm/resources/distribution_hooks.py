"""The hooks of the resource ``ProfileDistribution``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pulumi.dynamic import CheckResult, ReadResult

from ios_mdm import wiring
from ios_mdm.app.delivery import DeliveryRequest, ProfileContent, is_recorded, next_revision
from ios_mdm.app.devices import devices_digest
from ios_mdm.app.reenrollment import to_reenrol
from ios_mdm.app.switch_request import made_switch_request
from ios_mdm.core.pair.decision import Phase, Severity
from ios_mdm.errors import IosMdmError
from ios_mdm.resources.engine import progress, tell, warning
from ios_mdm.resources.hooks import refusal
from ios_mdm.resources.plain import known
from ios_mdm.resources.profile_distribution import ProfileDistributionProvider
from ios_mdm.resources.wire import switch_of
from ios_mdm.settings import AwsSettings, DistributionSettings, PromotionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.resources.plain import Wire

__all__ = ["check", "create", "delete", "read", "update"]


def check(olds: Wire, news: Wire) -> CheckResult:
    """Read the list of devices, and decide whether there is another profile to send; send nothing."""
    inputs = {key: value for key, value in news.items() if key != "phase"}
    if not known(inputs["pems"]) and olds and olds["trusted"] == inputs["trusted"]:
        # While the pair is updated its PEMs are unknown, but certificates of the same numbers are the same.
        inputs["pems"] = olds["pems"]
    here, settings = wiring.here(), _settings(inputs)
    try:
        devices = here.devices(settings)
        inputs |= {"deviceCount": len(devices), "devicesSha256": devices_digest(devices)}
        if news.get("phase") == Phase.CONNECTION_LOST:
            notice = to_reenrol(str(inputs["server"]), devices, base=here.base)
            tell(str(inputs["server"]), notice.severity, notice.message)
        content = _content(inputs)
        before = _content(olds) if olds else None
        revision = int(cast("int", olds["revision"])) if olds else 0
        ledger = None if settings.ledger is None else here.ledger(settings.ledger)
        inputs["revision"] = next_revision(before, revision, content, ledger)
        if content.chains is not None:
            content.profile()  # a profile that cannot be made is refused before anything is written
        inputs["repairs"] = _repairs(olds, inputs, content)
    except IosMdmError as error:
        return CheckResult(inputs, [refusal(error)])
    return CheckResult(inputs, [])


def create(inputs: Wire) -> tuple[str, Wire]:
    """Queue the profile for every device."""
    return f"{inputs['server']}-profile", _delivered(inputs)


def update(_olds: Wire, news: Wire) -> Wire:
    """Queue another profile for every device, or the same one for those that it was not queued for."""
    return _delivered(news)


def read(id_: str, outputs: Wire) -> ReadResult:
    """Report what was sent. What devices have changes daily and is in the ledger, not in state."""
    return ReadResult(id_, outputs)


def delete(_id: str, outputs: Wire) -> None:
    """Leave the profile on the devices: a certificate that a server still serves must stay trusted (R32)."""
    message = f"the profile {_settings(outputs).profile.identifier} stays on the devices"
    tell(str(outputs["server"]), Severity.NOTICE, message)


def _repairs(olds: Wire, inputs: Wire, content: ProfileContent) -> int:
    """Return the counter that makes a lost record a change: without one, no reserve of this profile is armed."""
    repairs = int(cast("int", olds.get("repairs", 0)))
    if not olds or not ProfileDistributionProvider.same(olds, {**inputs, "repairs": repairs}):
        return repairs
    here = wiring.here()
    store = here.store(AwsSettings.model_validate(inputs["aws"]).region)
    if is_recorded(store, str(inputs["secret"]), content.trusted, here.clock().now()):
        return repairs
    message = "the record of what devices were sent was lost: `up` sends the profile to those without it and records it"
    tell(str(inputs["server"]), Severity.WARNING, message)
    return repairs + 1


def _settings(inputs: Wire) -> DistributionSettings:
    return DistributionSettings.model_validate(inputs["distribution"])


def _content(inputs: Wire) -> ProfileContent:
    pems = cast("Mapping[str, object]", inputs["pems"]) if known(inputs["pems"]) else None
    return ProfileContent(
        server=str(inputs["server"]),
        host=str(inputs["host"]),
        settings=_settings(inputs).profile,
        trusted=tuple(cast("Sequence[int]", inputs["trusted"])) if known(inputs["trusted"]) else None,
        chains=None if pems is None else {int(ordinal): str(pem) for ordinal, pem in pems.items()},
    )


def _switch_request(inputs: Wire) -> SwitchRequest:
    return made_switch_request(
        PromotionSettings.model_validate(inputs["promotion"]),
        server=str(inputs["server"]),
        secret=str(inputs["secret"]),
        secret_arn=str(inputs["secretArn"]),
        switch=switch_of(cast("Wire", inputs["switch"])),
        distributed=True,
    )


def _delivered(inputs: Wire) -> Wire:
    here, settings = wiring.here(), _settings(inputs)
    region = AwsSettings.model_validate(inputs["aws"]).region
    server = str(inputs["server"])
    reconciler = here.reconciler(region, report=progress(server), warn=warning(server), distribution=settings)
    delivery = reconciler.deliver(
        DeliveryRequest(
            content=_content(inputs),
            revision=int(cast("int", inputs["revision"])),
            secret=str(inputs["secret"]),
            enrollment_ids=here.devices(settings),
        ),
        _switch_request(inputs),
    )
    return {**inputs, "profile": delivery.profile.decode(), "profileSha256": delivery.digest}
