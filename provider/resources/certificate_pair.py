"""The resource ``CertificatePair``: one server's main and reserve certificate in Secrets Manager."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pulumi.dynamic import CheckResult, CreateResult, ReadResult, Resource, UpdateResult

from provider.core.decision import Severity
from provider.core.model import Role, Source
from provider.core.steps import described
from provider.errors import DefinitionError, IosMdmError
from provider.resources.engine import progress, tell
from provider.resources.hooks import InputsProvider, refusal
from provider.resources.wire import (
    certificate_block,
    desired_block,
    name_of,
    offered_of,
    plain,
    switch_block,
    text,
    with_roots,
)
from provider.settings import AwsSettings, parse_server
from provider.wording import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi
    from pulumi.dynamic import CheckFailure

    from provider.bundles import BundleReader
    from provider.core.model import CertificateFacts, Credential, ObservedPair
    from provider.resources.offers import Offers
    from provider.resources.wire import Wire
    from provider.service import PairRequest, PairResult, PairService, PairView

__all__ = ["CertificatePair", "CertificatePairProvider"]


class CertificatePairProvider(InputsProvider):
    """Translates between the engine and :class:`provider.service.PairService`."""

    inputs = ("server", "secret", "owner", "aws", "definition", "distributed", "bundles", "desired", "repairs")

    def check(self, _olds: Mapping[str, object], news: Mapping[str, object]) -> CheckResult:
        """Compute what the pair should be, so that the engine can show it; look, but write nothing."""
        olds, inputs = cast("Wire", plain(_olds)), cast("Wire", plain(news))
        failures = _unchangeable(olds, inputs)
        if not failures:
            try:
                # For messages only: kept, every new device would be a change of the pair.
                devices = cast("int | None", inputs.pop("devices", None))
                offers, view = _looked(olds, inputs, _service(inputs), devices)
                if view.observed is None and olds:
                    raise _gone(inputs)
                inputs["bundles"] = _with_roots(olds, inputs, view)
                failures = [] if offers is None else [refusal(one) for one in offers.refused(view)]
            except IosMdmError as error:
                failures = [refusal(error)]
            else:
                if offers is not None:
                    for severity, message in offers.told(view):
                        tell(str(inputs["server"]), severity, message)
                for notice in view.desired.notices:
                    tell(str(inputs["server"]), notice.severity, told(notice, view.now))
                inputs |= _desired(olds, inputs, view)
        return CheckResult(inputs, failures)

    def create(self, props: Mapping[str, object]) -> CreateResult:
        """Issue what is missing, or adopt what an interrupted or destroyed stack left."""
        inputs = cast("Wire", plain(props))
        return CreateResult(str(inputs["secret"]), self._applied(inputs, known=False))

    def update(self, _id: str, _olds: Mapping[str, object], _news: Mapping[str, object]) -> UpdateResult:
        """Bring the pair to what it should be by now."""
        return UpdateResult(self._applied(cast("Wire", plain(_news)), known=True))

    def read(self, id_: str, props: Mapping[str, object]) -> ReadResult:
        """Tell what is there, from public facts alone: a refresh needs no GetSecretValue."""
        outputs = cast("Wire", plain(props))
        observed = _service(outputs).observe(id_)
        if observed is None:
            return ReadResult(None, {})
        block = _observed_block(outputs, observed)
        if block is not None:
            outputs["desired"] = block
        return ReadResult(id_, dict(outputs), {key: outputs[key] for key in self.inputs})

    def delete(self, _id: str, _props: Mapping[str, object]) -> None:
        """Schedule the deletion of the secret; until the recovery window ends, ``up`` brings the same pair back."""
        outputs = cast("Wire", plain(_props))
        aws = AwsSettings.model_validate(outputs["aws"])
        server = str(outputs["server"])
        deleted = _service(outputs).delete(_id, str(outputs["owner"]), recovery_window_days=aws.recovery_window_days)
        if deleted:
            message = (
                f"secret {_id} is scheduled for deletion in {aws.recovery_window_days} days; until then `pulumi up` "
                "restores the same pair"
            )
        else:
            message = f"secret {_id} is left alone: it is gone, scheduled for deletion, or another stack's"
        tell(server, Severity.NOTICE, message)

    def _applied(self, inputs: Wire, *, known: bool) -> Wire:
        result = _service(inputs).apply(_request(inputs, known=known))
        # The block is what check promised; what is there now may be further, if the clock passed a moment since.
        return {**inputs, "desired": desired_block(result.view.desired), **_outputs(result, inputs)}


class CertificatePair(Resource, module="ios-mdm", name="CertificatePair"):
    """One server's pair of certificates.

    Args:
        name: of the resource: the server's.
        inputs: ``server``, ``secret``, ``owner``, ``aws`` and ``definition``, as ``provider.settings`` describes them,
            ``distributed`` (whether devices get the certificates in a profile), and ``devices``: how many, where that
            is known; it is told of and not kept.

    Attributes:
        desired: the state the pair is in, known in previews: phase, main, reserve, trusted, reason.
        certificates: public details and PEM by ``certificate N``.
        applyAt: when the reserve becomes main, RFC 3339, UTC.
        secretArn: of the pair's secret.
        switch: what should happen to it by itself, for the resource ``Promotion``.
    """

    if TYPE_CHECKING:  # at run time Pulumi would hold every nested value against its own idea of these types
        desired: pulumi.Output[dict[str, object]]
        certificates: pulumi.Output[dict[str, dict[str, object]]]
        applyAt: pulumi.Output[str | None]  # noqa: N815 - outputs are camelCase, as Pulumi's are
        secretArn: pulumi.Output[str]  # noqa: N815 - the same
        switch: pulumi.Output[dict[str, object]]

    def __init__(self, name: str, inputs: Mapping[str, object], opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = dict.fromkeys(("desired", "certificates", "applyAt", "secretArn", "switch"))
        super().__init__(CertificatePairProvider(), name, {**inputs, **outputs}, opts)


def _service(inputs: Wire) -> PairService:
    from provider.adapters.clock import VARIABLE, clock_from_environment  # noqa: PLC0415 - not in the program's process
    from provider.adapters.scheduler import EventBridgeScheduler  # noqa: PLC0415 - the same
    from provider.adapters.secrets_manager import SecretsManager  # noqa: PLC0415 - the same
    from provider.adapters.tls_probe import TlsProbe  # noqa: PLC0415 - the same
    from provider.service import PairService  # noqa: PLC0415 - the same

    region = AwsSettings.model_validate(inputs["aws"]).region
    return PairService(
        SecretsManager(region=region),
        clock_from_environment(os.environ),
        scheduler=EventBridgeScheduler(region=region),
        probe=TlsProbe(),
        report=progress(str(inputs["server"])),
        rehearsal=bool(os.environ.get(VARIABLE)),
    )


def _request(inputs: Wire, *, known: bool, devices: int | None = None) -> PairRequest:
    from provider.service import PairRequest  # noqa: PLC0415 - not in the program's process

    server = parse_server(inputs["definition"], str(inputs["server"]))
    aws = AwsSettings.model_validate(inputs["aws"])
    recorded = offered_of(cast("Wire", inputs.get("bundles") or {}))
    definition = server.definition(main=recorded.get(Role.MAIN), reserve=recorded.get(Role.RESERVE))
    return PairRequest(
        definition=replace(definition, distributed=bool(inputs.get("distributed")), devices=devices),
        secret=str(inputs["secret"]),
        owner=str(inputs["owner"]),
        take_over=server.take_over,
        known=known,
        tags=aws.tags,
        kms_key=aws.kms_key,
        endpoints=server.looked_at,
        offered={role: partial(_credential, inputs, role) for role in recorded},
    )


def _looked(olds: Wire, inputs: Wire, service: PairService, devices: int | None) -> tuple[Offers | None, PairView]:
    """Return the custom certificates that the definition offers, None where it offers none, and the pair with them.

    What a run makes main is known when the definition has been decided on, and for that the files must be read: where
    main changes, the reserve is judged once more, by the main that it will follow.
    """
    server = parse_server(inputs["definition"], str(inputs["server"]))
    request = partial(_request, inputs, known=bool(olds), devices=devices)
    inputs["bundles"] = {}
    if server.main.install is None and (server.reserve is None or server.reserve.install is None):
        return None, service.look(request())
    from provider.resources.offers import Offers  # noqa: PLC0415 - cryptography only where needed

    current = _main(service.observe(str(inputs["secret"])))
    read = partial(
        Offers.read, server, cast("Wire", olds.get("bundles") or {}), _bundles(inputs), service.now(), current=current
    )
    offers = read(main=current)
    inputs["bundles"] = offers.recorded
    view = service.look(request())
    if view.main != current:
        offers = read(main=view.main)
        inputs["bundles"] = offers.recorded
        view = service.look(request())
    return offers, view


def _main(observed: ObservedPair | None) -> CertificateFacts | None:
    return None if observed is None or observed.main is None else observed.main.facts


def _bundles(inputs: Wire) -> BundleReader:
    from provider.adapters.secrets_manager import SecretsManager  # noqa: PLC0415 - not in the program's process
    from provider.bundles import BundleReader  # noqa: PLC0415 - the same

    secrets = SecretsManager(region=AwsSettings.model_validate(inputs["aws"]).region)
    return BundleReader(base=Path.cwd(), environ=os.environ, secrets=secrets)


def _credential(inputs: Wire, role: Role) -> Credential:
    """Return a custom certificate with its key, read and judged once more where it is stored (R29, R32)."""
    from provider.resources.offers import Offers  # noqa: PLC0415 - cryptography only where needed

    server = parse_server(inputs["definition"], str(inputs["server"]))
    view = _service(inputs).look(replace(_request(inputs, known=True), endpoints=()))
    offers = Offers.read(
        server,
        cast("Wire", inputs["bundles"]),
        _bundles(inputs),
        view.now,
        current=_main(view.observed),
        main=view.main,
    )
    return offers.credential(role)


def _with_roots(olds: Wire, inputs: Wire, view: PairView) -> Wire:
    """Keep the roots of main and reserve: what is issued under them later may come without (R22, R24)."""
    waits = None if view.observed is None else view.observed.numbered(view.desired.reserve or 0)
    slots = (view.main, None if waits is None else waits.facts)
    used = {facts.root for facts in slots if facts is not None and facts.source is Source.INSTALLED}
    return with_roots(cast("Wire", inputs["bundles"]), cast("Wire", olds.get("bundles") or {}), used)


def _unchangeable(olds: Wire, news: Wire) -> list[CheckFailure]:
    """Refuse what would need another secret: the pair stays where its consumers read it."""
    if not olds or olds.get("secret") == news.get("secret"):
        return []
    reason = (
        f"the pair of {news['server']} is in the secret {olds['secret']}, and its consumers read it there: set "
        "aws.secretPrefix back. To move it, declare a server of another name and let devices trust both first"
    )
    return [refusal(reason)]


def _gone(inputs: Wire) -> IosMdmError:
    return DefinitionError(
        f"secret {inputs['secret']} is gone, not just scheduled for deletion, and with it the private keys of main and "
        "reserve. If they can be restored, restore them. If not, `pulumi refresh` and `pulumi up` make a new pair, "
        "which no device trusts yet: every device must then get its management profile reinstalled (R13)"
    )


def _desired(olds: Wire, inputs: Wire, view: PairView) -> Wire:
    """Return the computed inputs: the desired state, and the counter that makes a repair a change."""
    repairs = olds.get("repairs", 0)
    block: Wire = {"desired": desired_block(view.desired), "repairs": repairs}
    same = CertificatePairProvider.same(olds, {**inputs, **block})
    if olds and same and view.step is not None:
        tell(
            str(inputs["server"]),
            Severity.WARNING,
            f"the secret {inputs['secret']} was changed from outside; `up` repairs it, first: {described(view.step)}",
        )
        block["repairs"] = int(cast("int", repairs)) + 1
    return block


def _outputs(result: PairResult, inputs: Wire) -> Wire:
    observed = result.view.observed
    alarms = parse_server(inputs["definition"], str(inputs["server"])).promotion.alarm_arn is not None
    return {
        "certificates": {name_of(number): certificate_block(one) for number, one in result.certificates.items()},
        "applyAt": text(result.view.desired.apply_at),
        "secretArn": "" if observed is None else observed.arn,
        "switch": switch_block(result.switch, alarms=alarms),
    }


def _observed_block(outputs: Wire, observed: ObservedPair) -> Wire | None:
    """Return the state block as observed, for a refresh to show drift; None where it is as the state has it."""
    before = cast("Wire", outputs["desired"])
    main, reserve = observed.main, observed.reserve
    slots = {
        "main": "secret scheduled for deletion" if observed.deleted else name_of(main.ordinal if main else None),
        "reserve": name_of(reserve.ordinal if reserve else None),
    }
    known: Sequence[object] = [*cast("Wire", outputs["certificates"]), "none", "secret scheduled for deletion"]
    if all(before[key] == value for key, value in slots.items()) or any(value not in known for value in slots.values()):
        return None  # a certificate that the state has never seen: the next `up` reads it
    return {**before, **slots, "reason": "observed by refresh; the next up decides"}
