"""The hooks of the resource ``Promotion``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pulumi.dynamic import CheckResult, ReadResult

from ios_mdm import wiring
from ios_mdm.app.switching import SwitchRequest
from ios_mdm.core.pair.decision import Severity
from ios_mdm.errors import IosMdmError
from ios_mdm.resources.engine import progress, tell
from ios_mdm.resources.hooks import refusal
from ios_mdm.resources.plain import known
from ios_mdm.resources.promotion import PromotionProvider
from ios_mdm.resources.wire import switch_of
from ios_mdm.settings import PromotionSettings

if TYPE_CHECKING:
    from ios_mdm.app.switching import SwitchService
    from ios_mdm.resources.plain import Wire

__all__ = ["check", "create", "delete", "read", "update"]


def check(olds: Wire, news: Wire) -> CheckResult:
    """Decide whether the schedules are what they should be; read, but write nothing."""
    inputs = {key: value for key, value in news.items() if key != "after"}
    if olds and all(olds.get(key) == inputs[key] for key in ("wish", "slots", "promotion")):
        # While the pair is updated its outputs are unknown, but of the same certificates they stay the same.
        inputs |= {key: olds[key] for key in ("switch", "secretArn") if not known(inputs[key])}
    inputs["switch"] = _needed(inputs["switch"], _settings(inputs))
    inputs["repairs"] = olds.get("repairs", 0)
    if olds and PromotionProvider.same(olds, inputs):
        try:
            changed = _service(inputs).drift(_request(inputs))
        except IosMdmError as error:
            return CheckResult(inputs, [refusal(error)])
        if changed:
            message = f"not as it should be, and made so by `up`: the schedule {', '.join(changed)}"
            tell(str(inputs["server"]), Severity.WARNING, message)
            inputs["repairs"] = int(cast("int", inputs["repairs"])) + 1
    return CheckResult(inputs, [])


def create(inputs: Wire) -> tuple[str, Wire]:
    """Make the schedules, after their role and queue."""
    return f"{inputs['server']}-promotion", _armed(inputs)


def update(olds: Wire, news: Wire) -> Wire:
    """Make the schedules what they should be; a role or queue of the user's own replaces one of ours."""
    outputs = _armed(news)
    before, now = _settings(olds), _settings(news)
    service, names = _service(news), (str(news["server"]), str(news["secret"]))
    if before.role_arn is None and now.role_arn is not None:
        service.delete_role(*names)
    if before.dead_letter_arn is None and now.dead_letter_arn is not None:
        service.delete_queue(*names)
    return outputs


def read(id_: str, outputs: Wire) -> ReadResult:
    """Report what was scheduled. A schedule that is gone has fired, or `up` notices it."""
    return ReadResult(id_, outputs)


def delete(_id: str, outputs: Wire) -> None:
    """Delete the schedules: a stack that is gone promotes nothing."""
    settings = _settings(outputs)
    _service(outputs).disarm(
        str(outputs["server"]),
        str(outputs["secret"]),
        role_made=settings.role_arn is None,
        queue_made=settings.dead_letter_arn is None,
    )


def _settings(inputs: Wire) -> PromotionSettings:
    return PromotionSettings.model_validate(inputs["promotion"])


def _needed(switch: object, settings: PromotionSettings) -> object:
    """Return a switch without the alarms that go nowhere: each value here is handed on a dozen times a run."""
    if settings.alarm_arn is not None or not isinstance(switch, dict):
        return switch
    return {key: value for key, value in switch.items() if key == "promote"}


def _armed(inputs: Wire) -> Wire:
    armed = _service(inputs).arm(_request(inputs))
    return {**inputs, "roleArn": armed.role, "deadLetterArn": armed.dead_letter}


def _service(inputs: Wire) -> SwitchService:
    region = cast("str | None", inputs.get("region"))
    return wiring.here().switches(region, report=progress(str(inputs["server"])))


def _request(inputs: Wire) -> SwitchRequest:
    settings = _settings(inputs)
    return SwitchRequest(
        server=str(inputs["server"]),
        secret=str(inputs["secret"]),
        secret_arn=str(inputs["secretArn"]),
        switch=switch_of(cast("Wire", inputs["switch"])),
        role_arn=settings.role_arn,
        boundary_arn=settings.permissions_boundary_arn,
        dead_letter_arn=settings.dead_letter_arn,
        alarm_arn=settings.alarm_arn,
    )
