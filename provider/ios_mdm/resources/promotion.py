"""The resource ``Promotion``: the schedules by which a pair's switch happens with nobody running anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from pulumi.dynamic import CheckResult, CreateResult, ReadResult, Resource, UpdateResult

from ios_mdm.core.pair.decision import Severity
from ios_mdm.errors import IosMdmError
from ios_mdm.resources.engine import progress, tell
from ios_mdm.resources.hooks import InputsProvider, refusal
from ios_mdm.resources.wire import known, plain, switch_of
from ios_mdm.settings import PromotionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from ios_mdm.app.switching import SwitchRequest, SwitchService
    from ios_mdm.resources.wire import Wire

__all__ = ["Promotion", "PromotionProvider"]


class PromotionProvider(InputsProvider):
    """Translates between the engine and :class:`ios_mdm.app.switching.SwitchService`."""

    inputs = ("server", "secret", "secretArn", "region", "promotion", "wish", "slots", "switch", "repairs")

    def check(self, _olds: Mapping[str, object], news: Mapping[str, object]) -> CheckResult:
        """Tell whether the schedules are what they should be; look, but write nothing."""
        olds, inputs = cast("Wire", plain(_olds)), cast("Wire", plain(news))
        inputs.pop("after", None)
        if olds and all(olds.get(key) == inputs[key] for key in ("wish", "slots", "promotion")):
            # While the pair is updated its outputs are unknown, but of the same certificates they stay the same.
            inputs |= {key: olds[key] for key in ("switch", "secretArn") if not known(inputs[key])}
        inputs["switch"] = _needed(inputs["switch"], _settings(inputs))
        inputs["repairs"] = olds.get("repairs", 0)
        if olds and self.same(olds, inputs):
            try:
                changed = _service(inputs).drift(_request(inputs))
            except IosMdmError as error:
                return CheckResult(inputs, [refusal(error)])
            if changed:
                message = f"not as it should be, and made so by `up`: the schedule {', '.join(changed)}"
                tell(str(inputs["server"]), Severity.WARNING, message)
                inputs["repairs"] = int(cast("int", inputs["repairs"])) + 1
        return CheckResult(inputs, [])

    def create(self, props: Mapping[str, object]) -> CreateResult:
        """Make the schedules, after their role and queue."""
        inputs = cast("Wire", plain(props))
        return CreateResult(f"{inputs['server']}-promotion", _armed(inputs))

    def update(self, _id: str, _olds: Mapping[str, object], _news: Mapping[str, object]) -> UpdateResult:
        """Make the schedules what they should be; a role or queue of the user's own replaces one of ours."""
        olds, news = cast("Wire", plain(_olds)), cast("Wire", plain(_news))
        outputs = _armed(news)
        before, now = _settings(olds), _settings(news)
        service, names = _service(news), (str(news["server"]), str(news["secret"]))
        if before.role_arn is None and now.role_arn is not None:
            service.delete_role(*names)
        if before.dead_letter_arn is None and now.dead_letter_arn is not None:
            service.delete_queue(*names)
        return UpdateResult(outputs)

    def read(self, id_: str, props: Mapping[str, object]) -> ReadResult:
        """Tell what was scheduled. A schedule that is gone has fired, or `up` notices it."""
        return ReadResult(id_, dict(cast("Wire", plain(props))))

    def delete(self, _id: str, _props: Mapping[str, object]) -> None:
        """Delete the schedules: a stack that is gone promotes nothing."""
        outputs = cast("Wire", plain(_props))
        settings = _settings(outputs)
        _service(outputs).disarm(
            str(outputs["server"]),
            str(outputs["secret"]),
            role_made=settings.role_arn is None,
            queue_made=settings.dead_letter_arn is None,
        )


class Promotion(Resource, module="ios-mdm", name="Promotion"):
    """What happens to one server's pair by itself: the promotion at its moment, and alarms when the machinery stops.

    Args:
        name: of the resource: the server's.
        inputs: ``server``, ``secret``, ``secretArn``, ``region``, ``promotion``, ``wish`` (a digest of what the
            definition says of the pair), ``slots`` (main and reserve by name), ``switch`` (an output of the pair), and
            ``after``: what must have happened before, the distribution's outputs for example.

    Attributes:
        roleArn: of the role that the schedules act by; None where nothing is scheduled.
        deadLetterArn: of the queue for what a schedule could not do; None as above.
    """

    if TYPE_CHECKING:  # as in CertificatePair
        roleArn: pulumi.Output[str | None]  # noqa: N815 - outputs are camelCase, as Pulumi's are
        deadLetterArn: pulumi.Output[str | None]  # noqa: N815 - the same

    def __init__(self, name: str, inputs: Mapping[str, object], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"roleArn": None, "deadLetterArn": None}
        super().__init__(PromotionProvider(), name, {**inputs, **outputs}, opts)


def _settings(inputs: Wire) -> PromotionSettings:
    return PromotionSettings.model_validate(inputs["promotion"])


def _region(inputs: Wire) -> str | None:
    # What an earlier version left in state has all settings for AWS, and is still to be deleted, or updated from.
    block = cast("Wire", inputs.get("aws", inputs))
    return cast("str | None", block.get("region"))


def _needed(switch: object, settings: PromotionSettings) -> object:
    """Return a switch without the alarms that nobody is told of: each value here is handed on a dozen times a run."""
    if settings.alarm_arn is not None or not isinstance(switch, dict):
        return switch
    return {key: value for key, value in switch.items() if key == "promote"}


def _armed(inputs: Wire) -> Wire:
    armed = _service(inputs).arm(_request(inputs))
    return {**inputs, "roleArn": armed.role, "deadLetterArn": armed.dead_letter}


def _service(inputs: Wire) -> SwitchService:
    from ios_mdm.adapters.clock import clock_from_environment  # noqa: PLC0415 - not in the program's process
    from ios_mdm.adapters.prerequisites import AwsPrerequisites  # noqa: PLC0415 - the same
    from ios_mdm.adapters.scheduler import EventBridgeScheduler  # noqa: PLC0415 - the same
    from ios_mdm.adapters.secrets_manager import SecretsManager  # noqa: PLC0415 - the same
    from ios_mdm.app.switching import SwitchService  # noqa: PLC0415 - the same

    region = _region(inputs)
    return SwitchService(
        EventBridgeScheduler(region=region),
        AwsPrerequisites(region=region),
        SecretsManager(region=region),
        clock_from_environment(os.environ),
        report=progress(str(inputs["server"])),
    )


def _request(inputs: Wire) -> SwitchRequest:
    from ios_mdm.app.switching import SwitchRequest  # noqa: PLC0415 - not in the program's process

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
