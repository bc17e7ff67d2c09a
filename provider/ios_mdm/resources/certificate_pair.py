"""The resource ``CertificatePair``: one server's main and reserve certificate in Secrets Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pulumi.dynamic import CheckResult, CreateResult, ReadResult, Resource, UpdateResult

from ios_mdm.app.wording import told
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.steps import described
from ios_mdm.errors import DefinitionError, IosMdmError
from ios_mdm.resources import looking
from ios_mdm.resources.engine import tell
from ios_mdm.resources.hooks import InputsProvider, refusal
from ios_mdm.resources.wire import certificate_block, desired_block, name_of, plain, switch_block, text
from ios_mdm.settings import AwsSettings, parse_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi
    from pulumi.dynamic import CheckFailure

    from ios_mdm.app.pair.service import PairResult, PairView
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.resources.wire import Wire

__all__ = ["CertificatePair", "CertificatePairProvider"]


class CertificatePairProvider(InputsProvider):
    """Translates between the engine and :class:`ios_mdm.app.pair.service.PairService`."""

    inputs = ("server", "secret", "owner", "aws", "definition", "distributed", "bundles", "desired", "repairs")

    def check(self, _olds: Mapping[str, object], news: Mapping[str, object]) -> CheckResult:
        """Compute what the pair should be, so that the engine can show it; look, but write nothing."""
        olds, inputs = cast("Wire", plain(_olds)), cast("Wire", plain(news))
        failures = _unchangeable(olds, inputs)
        if not failures:
            try:
                # For messages only: kept, every new device would be a change of the pair.
                devices = cast("int | None", inputs.pop("devices", None))
                offers, view = looking.looked(olds, inputs, looking.service_of(inputs), devices)
                if view.observed is None and olds:
                    raise _gone(inputs)
                inputs["bundles"] = looking.with_known_roots(olds, inputs, view)
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
        observed = looking.service_of(outputs).observe(id_)
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
        deleted = looking.service_of(outputs).delete(
            _id, str(outputs["owner"]), recovery_window_days=aws.recovery_window_days
        )
        if deleted:
            message = (
                f"secret {_id} is scheduled for deletion in {aws.recovery_window_days} days; until then `pulumi up` "
                "restores the same pair"
            )
        else:
            message = f"secret {_id} is left alone: it is gone, scheduled for deletion, or another stack's"
        tell(server, Severity.NOTICE, message)

    def _applied(self, inputs: Wire, *, known: bool) -> Wire:
        result = looking.service_of(inputs).apply(looking.request_of(inputs, known=known))
        # The block is what check promised; what is there now may be further, if the clock passed a moment since.
        return {**inputs, "desired": desired_block(result.view.desired), **_outputs(result, inputs)}


class CertificatePair(Resource, module="ios-mdm", name="CertificatePair"):
    """One server's pair of certificates.

    Args:
        name: of the resource: the server's.
        inputs: ``server``, ``secret``, ``owner``, ``aws`` and ``definition``, as ``ios_mdm.settings`` describes them,
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
