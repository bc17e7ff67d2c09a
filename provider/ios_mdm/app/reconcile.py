"""Reconciles one server: withdraw ► pair ► deliver ► arm.

This module alone fixes the order. Each stage is decided from what is observed and recorded, so a run that dies anywhere
is continued by the next one, and Pulumi's hooks may call the stages one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.app.delivery import DeliveryRequest, ProfileContent, next_revision
from ios_mdm.app.switching import SwitchRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.app.delivery import Delivery, DeliveryService
    from ios_mdm.app.pair.service import PairService
    from ios_mdm.app.pair.values import PairRequest, PairResult, PairView
    from ios_mdm.app.switching import Armed, SwitchService
    from ios_mdm.ports import Ledger
    from ios_mdm.settings import PromotionSettings
    from ios_mdm.settings.distribution import ProfileSettings

__all__ = ["ORDER", "Distribution", "Progress", "ReconcileRequest", "Reconciler", "Stage", "switch_request"]


class Stage(StrEnum):
    """A stage of a run."""

    WITHDRAW = "withdraw"
    PAIR = "pair"
    DELIVER = "deliver"
    ARM = "arm"


ORDER = (Stage.WITHDRAW, Stage.PAIR, Stage.DELIVER, Stage.ARM)
"""A stale schedule is withdrawn before any other effect. One is armed after devices were sent what it switches to."""


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
            DeliveryError: The MDM server did not take the profile. The pair is stored, and nothing was armed.
            StoreError: AWS did not answer, refused, or the pair was changed concurrently.
        """
        done = Progress()
        for stage in ORDER:
            done = self._perform(stage, request, done)
        return done

    def secure(self, request: PairRequest) -> PairResult:
        """Run the stages up to the pair: withdraw, then pair. Raises as :meth:`reconcile`."""
        return self._pairs.apply(request, self.withdraw(request))

    def withdraw(self, request: PairRequest) -> PairView:
        """Withdraw the schedule of a promotion that must not happen; return the pair that this was decided from."""
        view = self._pairs.look(request)
        self._switches.withdraw(request, view)
        return view

    def deliver(self, request: DeliveryRequest) -> Delivery:
        """Send the profile to devices that were not sent it, and record that. Raises as :meth:`reconcile`."""
        if self._deliveries is None:
            raise ValueError("there is no distribution")
        return self._deliveries.deliver(request)

    def arm(self, request: SwitchRequest) -> Armed:
        """Create, replace or delete the schedules, after the role and queue that they need."""
        return self._switches.arm(request)

    def delete(self, secret: str, owner: str, *, recovery_window_days: int) -> bool:
        """Schedule the secret's deletion; False if it is left alone: it is gone, or belongs to another stack."""
        return self._pairs.delete(secret, owner, recovery_window_days=recovery_window_days)

    def _perform(self, stage: Stage, request: ReconcileRequest, done: Progress) -> Progress:
        match stage:
            case Stage.WITHDRAW:
                return replace(done, view=self.withdraw(request.pair))
            case Stage.PAIR:
                return replace(done, pair=self._pairs.apply(request.pair, done.view))
            case Stage.DELIVER:
                assert done.pair is not None  # noqa: S101 - ORDER
                if request.distribution is None:
                    return done
                delivery = _delivery_request(request.pair, request.distribution, done.pair)
                return replace(done, delivery=self.deliver(delivery))
            case Stage.ARM:
                assert done.pair is not None  # noqa: S101 - ORDER
                return replace(done, armed=self.arm(switch_request(request.pair, request.promotion, done.pair)))


def _delivery_request(pair: PairRequest, wanted: Distribution, result: PairResult) -> DeliveryRequest:
    content = ProfileContent(
        server=pair.definition.name,
        host=pair.definition.host,
        settings=wanted.settings,
        trusted=result.view.desired.trusted,
        chains={ordinal: one.pem for ordinal, one in result.certificates.items()},
    )
    return DeliveryRequest(
        content=content,
        revision=next_revision(wanted.before, wanted.revision, content, wanted.ledger),
        secret=pair.secret,
        enrollment_ids=wanted.enrollment_ids,
    )


def switch_request(pair: PairRequest, promotion: PromotionSettings, result: PairResult) -> SwitchRequest:
    """Return the request for the switch of a pair that is what it should be."""
    assert result.view.observed is not None  # noqa: S101 - such a pair exists
    return SwitchRequest(
        server=pair.definition.name,
        secret=pair.secret,
        secret_arn=result.view.observed.arn,
        switch=result.switch,
        role_arn=promotion.role_arn,
        boundary_arn=promotion.permissions_boundary_arn,
        dead_letter_arn=promotion.dead_letter_arn,
        alarm_arn=promotion.alarm_arn,
    )
