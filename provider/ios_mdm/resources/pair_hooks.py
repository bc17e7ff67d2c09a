"""The hooks of the resource ``CertificatePair``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pulumi.dynamic import CheckResult, ReadResult

from ios_mdm import wiring
from ios_mdm.app.devices import devices_file
from ios_mdm.app.pair.identity import REPLACES_LOST
from ios_mdm.app.pair.preview import preview
from ios_mdm.app.pair.settings import PairSettings
from ios_mdm.app.pair.values import KnownPair, random_id
from ios_mdm.app.reenrollment import cut_off_notice
from ios_mdm.app.switch_request import made_switch_request, switch_request
from ios_mdm.app.wording import notice_text
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.policies import DISTRUSTS_PRESENTED, REPLACED_UNSENT
from ios_mdm.core.pair.schedule import queue_arn, queue_name, role_arn, role_name
from ios_mdm.core.pair.steps import step_description
from ios_mdm.errors import IosMdmError, LostPairError, TakenOverError
from ios_mdm.resources.certificate_pair import CertificatePairProvider
from ios_mdm.resources.engine import progress, show_message, warning
from ios_mdm.resources.given import warn_missing
from ios_mdm.resources.hooks import refusal
from ios_mdm.resources.plain import certificates_digest
from ios_mdm.resources.read_ahead import INPUTS, forget, reads_of
from ios_mdm.resources.wire import (
    certificate_block,
    desired_block,
    home_block,
    home_of,
    name_of,
    number_of,
    recorded_block,
    recorded_of,
    switch_block,
    switch_of,
    time_text,
)
from ios_mdm.settings import AwsSettings, DistributionSettings, parse_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pulumi.dynamic import CheckFailure

    from ios_mdm.app.pair.preview import Preview
    from ios_mdm.app.pair.values import PairResult, PairView
    from ios_mdm.app.reconcile import Progress
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.app.switching import SwitchService
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.resources.plain import Wire
    from ios_mdm.wiring import Wiring

__all__ = ["check", "create", "delete", "read", "update"]

_created: dict[str, str] = {}
"""Ids of the resources that this process created, by secret.

In a replacement, the engine deletes the former resource after it created the new one. That delete must not delete the
pair of the new resource."""

_TAKEN_OVER_FROM = "takenOverFrom"
"""Input with the id of the resource that the pair is taken over from, until a check reads the new id."""

_GONE = "secret does not exist"
_SCHEDULED_FOR_DELETION = "secret scheduled for deletion"

_same = CertificatePairProvider.is_same


def check(olds: Wire, news: Wire) -> CheckResult:
    """Compute the desired state of the pair, so that the engine can show it."""
    inputs = {key: value for key, value in news.items() if key not in {"fleet", *INPUTS}}
    if olds and olds.get("secret") != inputs.get("secret"):
        return CheckResult(inputs, [_secret_change_refusal(olds, inputs)])
    try:
        here = reads_of(news, "pair")
        settings = _checked_settings(olds, inputs, here, news.get("fleet"))
        before = recorded_of(olds.get("bundles"))
        found = preview(settings, before, here.pairs(settings.aws.region), here.read_offers(settings, before))
    except TakenOverError as error:
        # Unchanged inputs, so that `protect: false` and the removal of the server work without a change of the pair.
        show_message(str(inputs["server"]), Severity.WARNING, str(error))
        return CheckResult(olds, [])
    except IosMdmError as error:
        return CheckResult(inputs, [refusal(error)])
    inputs |= {
        "home": home_block(found.view.home),
        "observed": certificates_digest(_fingerprints(found.view)),
    }
    if recorded := recorded_block(found.recorded):
        inputs["bundles"] = recorded
    inputs |= _ids(found.view.observed, is_owner=bool(olds))
    if former := _taken_over_from(olds, inputs, settings, found.view.observed):
        inputs[_TAKEN_OVER_FROM] = former
    inputs["mainSha256"] = _main_sha256(found.view)
    for severity, message in _notices(found):
        show_message(str(inputs["server"]), severity, message)
    promotion, region = parse_server(inputs["definition"], str(inputs["server"])).promotion, _aws(inputs).region
    _warn_cut_off(str(inputs["server"]), found, news.get("fleet"), region)
    run = str(news.get("run") or "")
    warn_missing(
        str(inputs["server"]), promotion, wiring.process_wiring().given_resources(region), region=region, run=run
    )
    refused = () if found.offers is None else found.offers.refusals(found.view)
    desired = _desired_inputs(olds, inputs, found, settings, here)
    return CheckResult({**inputs, **desired}, [refusal(one) for one in refused])


def create(inputs: Wire) -> tuple[str, Wire]:
    """Create the pair, or adopt the pair of an interrupted or destroyed stack."""
    secret = str(inputs["secret"])
    resource_id = random_id()
    outputs, is_armed = _apply(inputs, known=None, resource_id=resource_id)
    _created[secret] = resource_id
    settings = _settings(inputs, known=None)
    if settings.server.take_over is None:
        return secret, outputs
    return secret, {**outputs, **_left_by_former_state(settings, str(outputs["secretArn"]), is_armed=is_armed)}


def _left_by_former_state(settings: PairSettings, secret_arn: str, *, is_armed: bool) -> Wire:
    """Delete the unused parts of the switch that the former state of a pair has created before the take-over.

    The outputs of that state are unknown, but the names follow from the server and the secret.

    Returns:
        Outputs with the parts that could not be deleted, for the next update and `destroy`.
    """
    promotion, name, secret = settings.server.promotion, settings.server.name, settings.secret
    region = Home.of_arn(secret_arn).region
    role, queue = role_arn(secret_arn, role_name(name, secret, region)), queue_arn(secret_arn, queue_name(name, secret))
    switches = _switches(wiring.process_wiring(), settings.aws.region, name)
    if not promotion.schedule:
        is_dismantled = switches.dismantle(name, secret, region=region, is_role_made=True, is_queue_made=True)
        return {} if is_dismantled else {"roleArn": role, "deadLetterArn": queue}
    is_other_role = promotion.role_arn not in {None, role}
    is_other_queue = promotion.dead_letter_arn not in {None, queue}
    if not is_armed:  # a schedule may still name them
        left = {"roleArn": (role, is_other_role), "deadLetterArn": (queue, is_other_queue)}
        return {key: arn for key, (arn, is_other) in left.items() if is_other}
    switches.delete_former(name, secret, region=region, role_made=is_other_role, queue_made=is_other_queue)
    return {}


def update(olds: Wire, news: Wire) -> Wire:
    """Bring the pair to its desired state. A role or queue that the definition names replaces the created one."""
    known = _known_pair(olds)
    try:
        outputs, is_armed = _apply(news, known=known, resource_id=known.resource_id)
    except TakenOverError as error:
        show_message(str(news["server"]), Severity.WARNING, str(error))
        return olds
    before, now = _settings(olds, known=known), _settings(news, known=known)
    switches = _switches(wiring.process_wiring(), now.aws.region, now.server.name)
    # The engine leaves out keys that are null. They are null if Scheduler never answered, and then nothing was created.
    left = {**outputs, **{key: olds.get(key) for key in ("roleArn", "deadLetterArn")}}
    if not now.server.promotion.schedule:
        is_dismantled = not (before.server.promotion.schedule or _is_scheduled(olds)) or switches.dismantle(
            now.server.name,
            now.secret,
            region=known.home.region,
            is_role_made=_is_role_made(olds, before),
            is_queue_made=_is_queue_made(olds, before),
        )
        # Parts that could not be deleted stay in the outputs, for the next update and `destroy`.
        return outputs if is_dismantled else left
    if not is_armed:
        return left  # a schedule might still name the created role and queue
    if now.server.promotion.role_arn is not None and _is_role_made(olds, before):
        switches.delete_role(now.server.name, now.secret, known.home.region)
    if now.server.promotion.dead_letter_arn is not None and _is_queue_made(olds, before):
        switches.delete_queue(now.server.name, now.secret)
    return outputs


def _is_role_made(outputs: Wire, settings: PairSettings) -> bool:
    """Return whether the last update left a created role, even if the definition named another role."""
    known = settings.known
    made = role_name(settings.server.name, settings.secret, "" if known is None else known.home.region)
    return settings.server.promotion.role_arn is None or str(outputs.get("roleArn")).endswith(f"/{made}")


def _is_queue_made(outputs: Wire, settings: PairSettings) -> bool:
    """Return whether the last update left a created queue, even if the definition named another queue."""
    made = queue_name(settings.server.name, settings.secret)
    return settings.server.promotion.dead_letter_arn is None or str(outputs.get("deadLetterArn")).endswith(f":{made}")


def read(id_: str, outputs: Wire) -> ReadResult:
    """Return the observed pair. The read uses only public facts, so a refresh needs no GetSecretValue.

    A lost pair stays in the state (R33), because otherwise the next run would create another pair. Its block `desired`
    shows that the secret does not exist.
    """
    settings, pairs = (
        _settings(outputs, known=_known_pair(outputs)),
        wiring.process_wiring().pairs(_aws(outputs).region),
    )
    request = settings.request(recorded_of(outputs.get("bundles")))
    observed = pairs.observe(id_)
    try:
        pairs.check(request, observed)
    except IosMdmError as error:
        severity = Severity.WARNING if isinstance(error, TakenOverError) else Severity.CRITICAL
        show_message(settings.server.name, severity, str(error))
        is_lost = isinstance(error, LostPairError)
        found = {**outputs, "desired": _refreshed_block(outputs, _GONE, _GONE)} if is_lost else outputs
        return ReadResult(id_, found, _inputs(found))
    if observed is not None:
        _warn_drift_of_switch(outputs, observed)
    block = None if observed is None else _observed_slots(outputs, observed)
    found = outputs if block is None else {**outputs, "desired": block}
    return ReadResult(id_, found, _inputs(found))


def delete(id_: str, outputs: Wire) -> None:
    """Delete the switch, and schedule the deletion of the secret. Until then, ``up`` restores the same pair."""
    settings, server = _settings(outputs, known=_known_pair(outputs)), str(outputs["server"])
    days = settings.aws.recovery_window_days
    is_replaced = _created.get(id_, outputs["resourceId"]) != outputs["resourceId"]
    deleted = not is_replaced and (
        wiring.process_wiring()
        .reconciler(settings.aws.region, report=progress(server), warn=warning(server))
        .delete(
            settings.request(recorded_of(outputs.get("bundles"))),
            is_scheduled=settings.server.promotion.schedule or _is_scheduled(outputs),
            role_made=_is_role_made(outputs, settings),
            queue_made=_is_queue_made(outputs, settings),
            recovery_window_days=days,
        )
    )
    if deleted:
        message = (
            f"secret {id_} is scheduled for deletion in {days} days; until then `pulumi up` restores the same pair"
        )
    else:
        message = (
            f"secret {id_} in {settings.known.home if settings.known else 'AWS'} and its switch are not changed: the "
            "secret does not exist, or it belongs to another resource"
        )
    show_message(server, Severity.NOTICE, message)


def _checked_settings(olds: Wire, inputs: Wire, here: Wiring, fleet: object) -> PairSettings:
    """Return the settings of a check.

    Args:
        olds: inputs of the last run; empty for a new resource.
        inputs: inputs of this run.
        here: counts the devices.
        fleet: settings of the distribution if messages need the number of devices, else None.
    """
    devices = (
        None if fleet is None else here.known_devices(DistributionSettings.model_validate(fleet), _aws(inputs).region)
    )
    return _settings(inputs, known=_known_before(olds) if olds else None, devices=devices)


def _apply(inputs: Wire, *, known: KnownPair | None, resource_id: str | None) -> tuple[Wire, bool]:
    """Bring the pair to its desired state; return the outputs, and whether its switch is complete."""
    forget(str(inputs["secret"]))
    here, recorded = wiring.process_wiring(), recorded_of(inputs.get("bundles"))
    settings = _settings(inputs, known=known, new_resource_id=resource_id if known is None else None)
    reconciler = here.reconciler(
        settings.aws.region,
        report=progress(settings.server.name),
        warn=warning(settings.server.name),
        custom=here.custom_certificates(settings, recorded),
    )
    done = reconciler.secure(settings.request(recorded), settings.server.promotion)
    assert done.pair is not None  # noqa: S101 - secure sets it
    # The result can differ from the block that check returned, if a time of the definition has passed since.
    outputs = {
        **inputs,
        "desired": desired_block(done.pair.view.desired),
        **_outputs(done, done.pair, settings),
        "resourceId": resource_id,
    }
    return outputs, done.armed is None or done.armed.is_complete


def _settings(
    inputs: Wire, *, known: KnownPair | None, devices: int | None = None, new_resource_id: str | None = None
) -> PairSettings:
    return PairSettings(
        server=parse_server(inputs["definition"], str(inputs["server"])),
        aws=_aws(inputs),
        secret=str(inputs["secret"]),
        owner=str(inputs["owner"]),
        known=known,
        new_resource_id=new_resource_id,
        distributed=bool(inputs.get("distributed")),
        devices=devices,
    )


def _aws(inputs: Wire) -> AwsSettings:
    return AwsSettings.model_validate(inputs["aws"])


def _secret_change_refusal(olds: Wire, news: Wire) -> CheckFailure:
    """Return the failure for a definition that names another secret: consumers read the pair in the former one."""
    return refusal(
        f"the secret of server {olds['server']} cannot change (was {olds['secret']}, now {news['secret']}): consumers "
        "read the pair in the former secret. Restore the server's name and aws.secretPrefix. For a pair with another "
        "name, declare another server, and let devices trust both pairs first"
    )


def _known_pair(outputs: Wire) -> KnownPair:
    """Return the facts of a pair in the state, from the outputs of its last run.

    If the secret does not exist or is scheduled for deletion, a refresh writes this in place of the name of main. The
    fingerprint of main stays.
    """
    certificates = cast("dict[str, Wire]", outputs["certificates"])
    main = certificates.get(str(cast("Wire", outputs["desired"])["main"]))
    sha256 = outputs.get("mainSha256") if main is None else main["sha256"]
    main = next((one for one in certificates.values() if one["sha256"] == sha256), None)
    return KnownPair(
        home=home_of(outputs["home"]),
        arn=str(outputs["secretArn"]),
        main=None if sha256 is None else str(sha256),
        number=None if main is None else int(cast("int", main["number"])),
        owner=str(outputs["owner"]),
        pair_id=str(outputs["pairId"]),
        resource_id=str(outputs["resourceId"]),
        former_resource_id=cast("str | None", outputs.get(_TAKEN_OVER_FROM)),
        certificates={str(one["sha256"]): str(one["pem"]) for one in certificates.values()},
    )


def _inputs(outputs: Wire) -> Wire:
    """Return the inputs that are part of the outputs."""
    keys = (*CertificatePairProvider.inputs, "observed", *CertificatePairProvider.ids)
    return {**{key: outputs[key] for key in keys if key in outputs}, "mainSha256": _known_pair(outputs).main}


def _fingerprints(view: PairView) -> Mapping[str, str]:
    """Return the fingerprints by name of the existing certificates that devices should trust."""
    versions = () if view.observed is None else view.observed.versions
    facts = (version.facts for version in versions if version.ordinal in view.desired.trusted_ordinals)
    return {name_of(one.ordinal): one.sha256 for one in facts if one is not None}


def _main_sha256(view: PairView) -> str | None:
    """Return the fingerprint of the certificate that is main after the run, or None if the run issues it."""
    version = None if view.observed is None else view.observed.version_of(view.desired.main)
    return None if version is None or version.facts is None else version.facts.sha256


def _ids(observed: ObservedPair | None, *, is_owner: bool) -> Wire:
    """Return the ids of an observed pair that a preview shows. The resource id is only for the owner of the pair."""
    if observed is None:
        return {}
    ids: Wire = {"secretArn": observed.arn}
    if observed.identity is not None:
        ids["pairId"] = observed.identity.pair_id
    if is_owner and observed.resource_id is not None:
        ids["resourceId"] = observed.resource_id
    return ids


def _taken_over_from(olds: Wire, inputs: Wire, settings: PairSettings, observed: ObservedPair | None) -> str | None:
    """Return the id of the resource that the pair is taken over from. A later read that returns this id is stale.

    None if no pair is taken over, or a check has read the new id.
    """
    if not olds:
        return None if settings.server.take_over is None or observed is None else observed.resource_id
    former = olds.get(_TAKEN_OVER_FROM)
    return str(former) if former and "resourceId" not in inputs else None


def _known_before(inputs: Wire) -> KnownPair:
    """Return the facts of a pair in the state, from the inputs of its last run, because check gets no outputs.

    The inputs of the first run lack the ids that the run created. An update compares these ids.
    """
    ids = cast("dict[str, str | None]", inputs)
    return KnownPair(
        home=home_of(inputs["home"]),
        arn=ids.get("secretArn"),
        main=ids.get("mainSha256"),
        number=number_of(cast("Wire", inputs.get("desired") or {}).get("main")),
        owner=str(inputs["owner"]),
        pair_id=ids.get("pairId"),
        resource_id=ids.get("resourceId"),
        former_resource_id=ids.get(_TAKEN_OVER_FROM),
    )


def _notices(found: Preview) -> Sequence[tuple[Severity, str]]:
    offered = () if found.offers is None else found.offers.notices(found.view)
    return (*offered, *((one.severity, notice_text(one, found.view.now)) for one in found.view.desired.notices))


def _warn_cut_off(server: str, found: Preview, fleet: object, region: str | None) -> None:
    """Show a message with the devices that lose their connection.

    They lose it if main is replaced by a certificate that was not sent, if a lost pair is replaced, or if a server
    presents a certificate that the definition distrusts.
    """
    reasons = {one.reason for one in found.view.desired.notices}
    if fleet is None or reasons.isdisjoint({REPLACED_UNSENT, REPLACES_LOST, DISTRUSTS_PRESENTED}):
        return
    here, settings = wiring.process_wiring(), DistributionSettings.model_validate(fleet)
    try:
        devices = here.devices(settings, region)
    except IosMdmError:
        return  # the check of the distribution reports the fault of the list
    if not devices:
        return
    until = "the server presents a certificate of the next profile"
    if not reasons.isdisjoint({REPLACED_UNSENT, REPLACES_LOST}):
        until = "they get the next profile"
    notice = cut_off_notice(server, devices, base=here.base, device_file=devices_file(settings), until=until)
    show_message(server, notice.severity, notice.message)


def _desired_inputs(olds: Wire, inputs: Wire, found: Preview, settings: PairSettings, here: Wiring) -> Wire:
    """Return the computed inputs: the desired state, and the counter of repairs, whose increase plans an update."""
    repairs = int(cast("int", olds.get("repairs", 0)))
    block: Wire = {"desired": desired_block(found.view.desired), "repairs": repairs}
    if not olds:
        return block
    after = {**inputs, **block}
    # The last run might have reached this decision although its check computed another one. Then diff finds no change.
    may_be_reached = found.view.step is None and _same(olds, {**after, "desired": olds["desired"]})
    if (_same(olds, after) or may_be_reached) and (drift := _drift(inputs, found, settings, here)) is not None:
        show_message(str(inputs["server"]), Severity.WARNING, drift)
        block["repairs"] = repairs + 1
    return block


def _drift(inputs: Wire, found: Preview, settings: PairSettings, here: Wiring) -> str | None:
    """Return the warning about a change outside of Pulumi, or None if there is no such change."""
    if found.view.step is not None:
        return (
            f"the secret {inputs['secret']} was changed outside of Pulumi; `up` repairs it. First step: "
            f"{step_description(found.view.step)}"
        )
    if found.view.observed is None:
        return None
    settings = replace(settings, known=_known_before(inputs), devices=None)
    request = switch_request(settings.request(found.recorded), settings.server.promotion, found.view)
    return _drift_of_switch(request, found.view.observed, _switches(here, settings.aws.region, request.server))


def _drift_of_switch(request: SwitchRequest, observed: ObservedPair, switches: SwitchService) -> str | None:
    """Return the warning about missing or different parts of a switch, or None; show what could not be checked."""
    found = switches.findings(request, observed)
    if found.unchecked:
        message = f"some parts of the switch could not be checked: {' '.join(found.unchecked)}"
        show_message(request.server, Severity.NOTICE, message)
    if not found.problems:
        return None
    return f"the switch differs from its definition; `up` repairs it: {', '.join(found.problems)}"


def _warn_drift_of_switch(outputs: Wire, observed: ObservedPair) -> None:
    """Warn during a refresh if the switch differs from the switch of the last update. A refresh cannot repair it."""
    settings = _settings(outputs, known=_known_pair(outputs))
    if observed.is_deleted:
        return
    request = made_switch_request(
        settings.server.promotion,
        server=settings.server.name,
        secret=settings.secret,
        secret_arn=observed.arn,
        switch=switch_of(cast("Wire", outputs["switch"])),
        distributed=settings.distributed,
    )
    region = settings.aws.region
    warn_missing(
        request.server,
        settings.server.promotion,
        wiring.process_wiring().given_resources(region),
        region=region,
        run="",
    )
    drift = _drift_of_switch(request, observed, _switches(wiring.process_wiring(), region, request.server))
    if drift is not None:
        show_message(request.server, Severity.WARNING, drift)


def _switches(here: Wiring, region: str | None, server: str) -> SwitchService:
    return here.switches(region, report=progress(server), warn=warning(server))


def _is_scheduled(outputs: Wire) -> bool:
    """Return whether the last update left schedules, a role or a queue."""
    return bool(outputs.get("roleArn") or outputs.get("deadLetterArn"))


def _outputs(run_progress: Progress, result: PairResult, settings: PairSettings) -> Wire:
    observed = result.view.observed
    alarms = settings.server.promotion.alarm_arn is not None
    return {
        "certificates": {name_of(number): certificate_block(one) for number, one in result.certificates.items()},
        "applyAt": time_text(result.view.desired.apply_at),
        "secretArn": "" if observed is None else observed.arn,
        "mainSha256": _main_sha256(result.view),
        "pairId": None if observed is None or observed.identity is None else observed.identity.pair_id,
        "switch": switch_block(result.switch, alarms=alarms),
        "roleArn": None if run_progress.armed is None else run_progress.armed.role,
        "deadLetterArn": None if run_progress.armed is None else run_progress.armed.dead_letter,
    }


def _observed_slots(outputs: Wire, observed: ObservedPair) -> Wire | None:
    """Return the observed block `desired` with which a refresh shows drift, or None if there is no drift."""
    before = cast("Wire", outputs["desired"])
    main, reserve = observed.main, observed.reserve
    slots = (
        _SCHEDULED_FOR_DELETION if observed.is_deleted else name_of(main.ordinal if main else None),
        name_of(reserve.ordinal if reserve else None),
    )
    known: Sequence[object] = [*cast("Wire", outputs["certificates"]), "none", _SCHEDULED_FOR_DELETION]
    if slots == (before["main"], before["reserve"]) or any(value not in known for value in slots):
        return None  # the state does not have this certificate yet: the next `up` reads it
    return _refreshed_block(outputs, *slots)


def _refreshed_block(outputs: Wire, main: str, reserve: str) -> Wire:
    """Return the block `desired` with the main and the reserve that a refresh observed."""
    kept = {key: value for key, value in cast("Wire", outputs["desired"]).items() if key != "nextMain"}
    return {**kept, "main": main, "reserve": reserve, "reason": "observed by refresh; the next up decides"}
