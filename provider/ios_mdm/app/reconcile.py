"""Reconciles one server: withdraw ► pair ► arm ► claim ► deliver ► promote or arm.

This module alone fixes the order. Each stage is decided from what is observed and recorded, so a run that dies anywhere
is continued by the next one, and Pulumi's hooks may run the two parts one by one: the pair with its switch, which never
contacts the MDM server, and the delivery. After the delivery, a certificate that is due and was sent becomes main. The
switch of a certificate that is due later is armed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.app.delivery import DeliveryRequest, ProfileContent, next_revision
from ios_mdm.app.pair.identity import check_ours
from ios_mdm.app.switch_request import switch_request
from ios_mdm.core.pair.home import Home, profile_identifier
from ios_mdm.errors import OwnershipError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.app.delivery import Delivery, DeliveryService
    from ios_mdm.app.pair.service import PairService
    from ios_mdm.app.pair.values import PairRequest, PairResult, PairView
    from ios_mdm.app.switch_request import SwitchRequest
    from ios_mdm.app.switching import Armed, SwitchService
    from ios_mdm.ports import Ledger
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
earlier run sent, and ARM_AGAIN for one that this run sent. ARM_AGAIN also promotes a certificate that is due already: a
reserve that was sent late, or the next main.

A new resource claims its pair when the pair is complete. Until then, the next run continues a creation that died.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The profile of a server, and the devices that get it.

    Args:
        settings: how the profile presents itself.
        enrollment_ids: of the devices, without duplicates.
        before: content of the profile that was sent last; None if none was.
        revision: number of that profile.
        ledger: None if none is kept.
    """

    settings: ProfileSettings
    enrollment_ids: Sequence[str]
    before: ProfileContent | None = None
    revision: int = 0
    ledger: Ledger | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRequest:
    """One server.

    Args:
        pair: the request for its pair.
        promotion: how the switch is made.
        distribution: the profile for its devices; None if none is distributed.
    """

    pair: PairRequest
    promotion: PromotionSettings
    distribution: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a run has done so far.

    Args:
        view: the pair before the run's first effect; None before it was observed.
        pair: the pair that is what it should be; None before that.
        delivery: the profile that was sent; None before that, or if none is distributed.
        armed: what the switch acts by; None before it is armed.
    """

    view: PairView | None = None
    pair: PairResult | None = None
    delivery: Delivery | None = None
    armed: Armed | None = None


class Reconciler:
    """Brings one server to what its definition asks for.

    Args:
        pairs: the pair.
        switches: its switch.
        deliveries: its profile; None if none is distributed.
    """

    def __init__(self, pairs: PairService, switches: SwitchService, deliveries: DeliveryService | None = None) -> None:
        self._pairs = pairs
        self._switches = switches
        self._deliveries = deliveries

    def reconcile(self, request: ReconcileRequest) -> Progress:
        """Run all stages.

        Raises:
            DefinitionError: The definition asks for what must not be done.
            OwnershipError: The pair's secret belongs to another stack, or to none.
            DeliveryError: The MDM server did not take the profile. The pair is stored, and no reserve that devices were
                not sent is armed.
            StoreError: AWS did not answer, refused, or the pair was changed concurrently.
        """
        return self._run(ORDER, request)

    def secure(self, pair: PairRequest, promotion: PromotionSettings) -> Progress:
        """Run the stages before the delivery: the MDM server is not contacted. Raises as :meth:`reconcile`."""
        return self._run(ORDER[: ORDER.index(Stage.DELIVER)], ReconcileRequest(pair=pair, promotion=promotion))

    def deliver(self, request: DeliveryRequest, switch: SwitchRequest | None) -> Delivery:
        """Run the stages from the delivery on: send the profile, then promote or arm. Raises as :meth:`reconcile`.

        Args:
            request: the profile.
            switch: of the pair; None if it was decided from another definition, and is left as it is.
        """
        delivery = self._sent(request, switch)
        if switch is not None:
            self._promoted_or_armed(switch)
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
        """Delete the schedules and the secret of a pair, the latter with a recovery window.

        Args:
            request: the pair.
            is_scheduled: whether role, queue or schedules may exist.
            role_made: whether the role was made here.
            queue_made: whether the queue was made here.
            recovery_window_days: for how long the secret can be restored.

        Returns:
            False if nothing was deleted: there is no such secret, or it belongs to another resource.

        Raises:
            IdentityError: The credentials are for another account or region, or the secret is another one.
            StoreError: AWS does not answer or refuses, or shows the pair as it was before it was taken over.
        """
        observed = self._pairs.observe(request.secret)
        self._pairs.check_home(request, observed)
        if observed is None:
            return False
        try:
            check_ours(request, observed)
        except OwnershipError:
            return False
        # The secret first: a switch that is gone beside a secret that AWS keeps would be a switch that is lost (R36).
        self._pairs.delete(request.secret, recovery_window_days=recovery_window_days)
        if is_scheduled or observed.armed is not None:
            self._switches.disarm(
                request.definition.name,
                request.secret,
                region=Home.of_arn(observed.arn).region,
                role_made=role_made,
                queue_made=queue_made,
                armed=observed.armed,
            )
        return True

    def _run(self, stages: Sequence[Stage], request: ReconcileRequest) -> Progress:
        done = Progress()
        for stage in stages:
            done = self.perform(stage, request, done)
        return done

    def perform(self, stage: Stage, request: ReconcileRequest, done: Progress) -> Progress:
        """Run one stage, after those before it; return what the run has done then. Raises as :meth:`reconcile`."""
        match stage:
            case Stage.WITHDRAW:
                view = done.view or self._pairs.look(request.pair)
                if self._switches.withdraw(request.pair, view):
                    view = self._pairs.observed_again(request.pair, view)
                return replace(done, view=view)
            case Stage.PAIR:
                return replace(done, pair=self._brought(request.pair, done.view))
            case Stage.CLAIM:
                self._pairs.claim(request.pair)
                return done
            case Stage.DELIVER:
                if request.distribution is None or done.pair is None:
                    return done
                delivery = _delivery_request(request.pair, request.distribution, done.pair)
                switch = switch_request(request.pair, request.promotion, done.pair.view)
                return replace(done, delivery=self._sent(delivery, switch))
            case Stage.ARM | Stage.ARM_AGAIN:
                assert done.pair is not None  # noqa: S101 - ORDER
                switch = switch_request(request.pair, request.promotion, done.pair.view)
                is_last = stage is Stage.ARM_AGAIN
                armed = self._promoted_or_armed(switch) if is_last else self._switches.arm(switch)
                return replace(done, armed=armed or done.armed)

    def _brought(self, request: PairRequest, view: PairView | None) -> PairResult:
        """Bring the pair to what it should be. A secret that was restored may have a record that is withdrawn now."""
        result = self._pairs.apply(request, view)
        if view is None or view.observed is None or not view.observed.deleted:
            return result
        if not self._switches.withdraw(request, result.view):
            return result
        return self._pairs.apply(request, self._pairs.observed_again(request, result.view))

    def _promoted_or_armed(self, switch: SwitchRequest) -> Armed | None:
        """Promote a certificate that is due and was sent, then arm the switch that follows; return what it acts by.

        After a next main, the waiting reserve is armed again: its schedule takes the label from the new main. Its time
        stays until the next run decides it. After a reserve nothing is armed, and the next run decides what follows, as
        after a promotion by a schedule.
        """
        due = self._switches.prepare_due(switch)
        if due is None:
            return self._switches.arm(switch)
        if not self._pairs.promote(switch.secret, due) or due.to is None:
            return None
        following = switch.following(due.to.version_id)
        return None if following is None else self._switches.arm(following)

    def _sent(self, request: DeliveryRequest, switch: SwitchRequest | None) -> Delivery:
        if self._deliveries is None:
            raise ValueError("there is no distribution")
        if switch is None:
            return self._deliveries.deliver(request)

        def disarm() -> None:
            self._switches.arm(switch)  # which deletes a schedule for what is not recorded as sent

        return self._deliveries.deliver(request, disarm)


def _delivery_request(pair: PairRequest, wanted: Distribution, result: PairResult) -> DeliveryRequest:
    observed = result.view.observed
    assert observed is not None  # noqa: S101 - a pair that is what it should be exists
    identity = observed.identity
    content = ProfileContent(
        server=pair.definition.name,
        host=pair.definition.host,
        identifier=profile_identifier(wanted.settings.identifier, None if identity is None else identity.pair_id),
        organization=wanted.settings.organization,
        trusted=result.view.desired.trusted,
        chains={ordinal: one.pem for ordinal, one in result.certificates.items()},
    )
    return DeliveryRequest(
        content=content,
        revision=next_revision(wanted.before, wanted.revision, content, wanted.ledger),
        secret=pair.secret,
        secret_arn=observed.arn,
        resource_id=pair.new_resource_id if pair.known is None else pair.known.resource_id,
        enrollment_ids=wanted.enrollment_ids,
        former_identifier=None if wanted.before is None else wanted.before.identifier,
    )
