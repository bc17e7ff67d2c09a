"""Reconciles one server: withdraw ► pair ► arm ► claim ► deliver ► promote or arm.

Only this module defines the order. Each stage decides from observed and recorded state, so the next run continues an
interrupted one. Pulumi's hooks can also run the two parts separately: the pair with its switch, which never contacts
the MDM server, and the delivery. After the delivery, a certificate that is due and was sent becomes main. For a
certificate that is due later, the switch is armed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.app.delivery.content import ProfileContent
from ios_mdm.app.delivery.service import DeliveryRequest
from ios_mdm.app.pair.identity import check_pair_owner
from ios_mdm.app.switch_request import switch_request
from ios_mdm.core.pair.home import Home, profile_identifier
from ios_mdm.errors import OwnershipError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.app.delivery.distributor import Delivery
    from ios_mdm.app.delivery.files import FileDeliveryService
    from ios_mdm.app.delivery.service import DeliveryService
    from ios_mdm.app.gate import GateService
    from ios_mdm.app.pair.service import PairService
    from ios_mdm.app.pair.values import PairRequest, PairResult, PairView
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.app.switching import ArmedSwitch, SwitchService
    from ios_mdm.settings import PromotionSettings
    from ios_mdm.settings.distribution import ProfileSettings

__all__ = ["ORDER", "Distribution", "Progress", "ReconcileRequest", "Reconciler", "Stage"]


class Stage(StrEnum):
    """A stage of a run."""

    WITHDRAW = "withdraw"
    PAIR = "pair"
    DELIVER = "deliver"
    ARM = "arm"
    CLAIM = "claim"
    ARM_AGAIN = "arm again"


ORDER = (Stage.WITHDRAW, Stage.PAIR, Stage.ARM, Stage.CLAIM, Stage.DELIVER, Stage.ARM_AGAIN)
"""A stale schedule is withdrawn before any other effect.

A promotion is armed only if the secret records that devices were sent the reserve. So ARM is for a reserve that an
earlier run sent, and ARM_AGAIN for a reserve that this run sent. ARM_AGAIN also promotes a certificate that is already
due: a reserve that was sent late, or the next main.

A new resource claims its pair when the pair is complete. Before that, the next run continues an interrupted creation.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The profile of a server, and the devices that get it.

    Args:
        settings: identifier and organization of the profile.
        enrollment_ids: enrollment ids of the devices, without duplicates.
        before: content of the profile that was sent last; None if none was sent.
    """

    settings: ProfileSettings
    enrollment_ids: Sequence[str]
    before: ProfileContent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRequest:
    """The request to reconcile one server.

    Args:
        pair: request for the pair.
        promotion: settings of the switch.
        distribution: profile and devices; None if no profile is distributed.
    """

    pair: PairRequest
    promotion: PromotionSettings
    distribution: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The results of a run so far.

    Args:
        view: the pair before the first effect of the run; None until it is observed.
        pair: the pair in its desired state; None until then.
        delivery: the profile that was sent; None until then, or if no profile is distributed.
        armed: role and queue of the armed switch; None until it is armed.
    """

    view: PairView | None = None
    pair: PairResult | None = None
    delivery: Delivery | None = None
    armed: ArmedSwitch | None = None


class Reconciler:
    """Brings one server to the state that its definition requests.

    Args:
        pairs: changes the pair.
        switches: changes the switch.
        deliveries: sends the profile; None if no profile is distributed.
        gates: evaluates the gate after the delivery; None if the definition has no gate.
    """

    def __init__(
        self,
        pairs: PairService,
        switches: SwitchService,
        deliveries: DeliveryService | FileDeliveryService | None = None,
        gates: GateService | None = None,
    ) -> None:
        self._pairs = pairs
        self._switches = switches
        self._deliveries = deliveries
        self._gates = gates

    def reconcile(self, request: ReconcileRequest) -> Progress:
        """Run all stages.

        Raises:
            DefinitionError: The definition requests a change that this pair does not allow.
            OwnershipError: The pair's secret belongs to another stack, or to none.
            DeliveryError: The MDM server did not accept the profile. The pair is stored, and only a reserve that was
                sent before is armed.
            StoreError: AWS did not answer or refused, or the pair was changed concurrently.
        """
        return self._run(ORDER, request)

    def secure(self, pair: PairRequest, promotion: PromotionSettings) -> Progress:
        """Run the stages before the delivery, without the MDM server. Raises the errors of :meth:`reconcile`."""
        return self._run(ORDER[: ORDER.index(Stage.DELIVER)], ReconcileRequest(pair=pair, promotion=promotion))

    def deliver(self, request: DeliveryRequest, switch: SwitchRequest | None) -> Delivery:
        """Send the profile, then promote or arm. Raises the errors of :meth:`reconcile`.

        Args:
            request: request for the profile.
            switch: request for the switch; None if the switch was decided from another definition and must not change.
        """
        delivery = self._send(request, switch)
        if switch is not None:
            self._promote_or_arm(self._switch_after_gate(switch, request))
        return delivery

    def delete(
        self,
        request: PairRequest,
        *,
        is_scheduled: bool,
        role_made: bool,
        queue_made: bool,
        recovery_window_days: int,
    ) -> bool:
        """Delete the secret of a pair, with a recovery window, and its schedules.

        Args:
            request: request for the pair.
            is_scheduled: whether role, queue or schedules may exist.
            role_made: whether the provider created the role.
            queue_made: whether the provider created the queue.
            recovery_window_days: days in which the secret can be restored.

        Returns:
            False if nothing was deleted, because the secret does not exist or belongs to another resource.

        Raises:
            IdentityError: The credentials are for another account or region, or the secret has another ARN.
            StoreError: AWS did not answer or refused, or a stale read shows the pair before a take-over.
        """
        observed = self._pairs.observe(request.secret)
        self._pairs.check_home(request, observed)
        if observed is None:
            return False
        try:
            check_pair_owner(request, observed)
        except OwnershipError:
            return False
        # The secret is deleted first: if AWS refuses that, the pair keeps its switch (R36).
        self._pairs.delete(request.secret, recovery_window_days=recovery_window_days)
        if is_scheduled or observed.armed is not None:
            self._switches.disarm(
                request.definition.name,
                request.secret,
                region=Home.of_arn(observed.arn).region,
                is_role_made=role_made,
                is_queue_made=queue_made,
                armed=observed.armed,
            )
        return True

    def _run(self, stages: Sequence[Stage], request: ReconcileRequest) -> Progress:
        done = Progress()
        for stage in stages:
            done = self.perform(stage, request, done)
        return done

    def perform(self, stage: Stage, request: ReconcileRequest, progress: Progress) -> Progress:
        """Run one stage, after the stages before it; return the results so far.

        Raises the errors of :meth:`reconcile`.
        """
        match stage:
            case Stage.WITHDRAW:
                view = progress.view or self._pairs.view(request.pair)
                if self._switches.withdraw(request.pair, view):
                    view = self._pairs.observe_again(request.pair, view)
                return replace(progress, view=view)
            case Stage.PAIR:
                return replace(progress, pair=self._apply_pair(request.pair, progress.view))
            case Stage.CLAIM:
                self._pairs.claim(request.pair)
                return progress
            case Stage.DELIVER:
                if request.distribution is None or progress.pair is None:
                    return progress
                delivery = _delivery_request(request.pair, request.distribution, progress.pair)
                switch = switch_request(request.pair, request.promotion, progress.pair.view)
                return replace(progress, delivery=self._send(delivery, switch))
            case Stage.ARM | Stage.ARM_AGAIN:
                assert progress.pair is not None  # noqa: S101 - ORDER
                switch = switch_request(request.pair, request.promotion, progress.pair.view)
                is_last = stage is Stage.ARM_AGAIN
                if is_last and progress.delivery is not None:
                    switch = self._switch_after_gate(switch, progress.delivery)
                armed = self._promote_or_arm(switch) if is_last else self._switches.arm(switch)
                return replace(progress, armed=armed or progress.armed)

    def _apply_pair(self, request: PairRequest, view: PairView | None) -> PairResult:
        """Bring the pair to its desired state.

        If this restores a deleted secret, a stale schedule that the secret records is withdrawn. Then the steps on the
        pair run again.
        """
        result = self._pairs.apply(request, view)
        if view is None or view.observed is None or not view.observed.is_deleted:
            return result
        if not self._switches.withdraw(request, result.view):
            return result
        return self._pairs.apply(request, self._pairs.observe_again(request, result.view))

    def _promote_or_arm(self, switch: SwitchRequest) -> ArmedSwitch | None:
        """Promote a certificate that is due and was sent, then arm the next switch; return its role and queue.

        After the promotion of a next main, the reserve is armed again, because its schedule must take the label from
        the new main. The apply time stays the same until the next run decides it. After the promotion of a reserve, no
        switch is armed: the next run decides it, as after a promotion by a schedule.
        """
        due = self._switches.prepare_due(switch)
        if due is None:
            return self._switches.arm(switch)
        if not self._pairs.promote(switch.secret, due) or due.to is None:
            return None
        following = switch.next_request(due.to.version_id)
        return None if following is None else self._switches.arm(following)

    def _switch_after_gate(self, switch: SwitchRequest, sent: DeliveryRequest | Delivery) -> SwitchRequest:
        """Return the request for the switch after the decision of its gate, which is recorded.

        If the devices are those of the ledger, a device that requests an enrollment counts, although it is sent the
        profile only after it has enrolled. Previews and the collector count it, too.
        """
        if self._gates is None:
            return switch
        return self._gates.record_decision(switch, None if sent.is_for_all else sent.enrollment_ids)

    def _send(self, request: DeliveryRequest, switch: SwitchRequest | None) -> Delivery:
        if self._deliveries is None:
            raise ValueError("there is no distribution")
        if switch is None:
            return self._deliveries.deliver(request)

        def disarm() -> None:
            self._switches.arm(switch)  # deletes the schedule of a certificate that is not recorded as sent

        return self._deliveries.deliver(request, disarm)


def _delivery_request(pair: PairRequest, wanted: Distribution, result: PairResult) -> DeliveryRequest:
    observed = result.view.observed
    assert observed is not None  # noqa: S101 - a pair in its desired state exists
    identity = observed.identity
    content = ProfileContent(
        server=pair.definition.name,
        host=pair.definition.host,
        identifier=profile_identifier(wanted.settings.identifier, None if identity is None else identity.pair_id),
        organization=wanted.settings.organization,
        trusted=result.view.desired.trusted_ordinals,
        chains={ordinal: one.pem for ordinal, one in result.certificates.items()},
    )
    return DeliveryRequest(
        content=content,
        secret=pair.secret,
        secret_arn=observed.arn,
        resource_id=pair.new_resource_id if pair.known is None else pair.known.resource_id,
        enrollment_ids=wanted.enrollment_ids,
        former_identifier=None if wanted.before is None else wanted.before.identifier,
    )
