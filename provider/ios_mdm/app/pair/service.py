"""Brings a pair to what it should be, one verified effect after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.app.confirm import confirmed
from ios_mdm.app.pair.effects import Effects
from ios_mdm.app.pair.reader import PairReader, pair_view
from ios_mdm.app.pair.values import PairResult, PublicCertificate
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG
from ios_mdm.core.pair.moments import expires
from ios_mdm.core.pair.steps import Install, Issue
from ios_mdm.core.pair.switch import switch
from ios_mdm.errors import LabelMovedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ios_mdm.app.pair.values import PairRequest, PairView
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.steps import MoveLabel
    from ios_mdm.ports import Clock, CustomCertificates, Probe, SecretStore

__all__ = ["PairService"]

MAX_STEPS = 60
"""A pair is at most some twenty effects away from what it should be; more means that another process undoes them."""
MAX_SKEW = timedelta(minutes=5)
SETTLE_SECONDS = 20.0
"""How long AWS may take to show what was just written."""


class PairService(PairReader):
    """Observes pairs and brings them to what they should be.

    Args:
        store: where pairs are kept.
        clock: read once for each call, so that one call has one ``now``.
        probe: reports the certificates that endpoints present; None to check no endpoint.
        custom: the custom certificates that the definition offers; None if it offers none.
        report: receives each line of progress.
        rehearsal: True if the clock is set by hand and cannot be compared with AWS's.
    """

    def __init__(
        self,
        store: SecretStore,
        clock: Clock,
        *,
        probe: Probe | None = None,
        custom: CustomCertificates | None = None,
        report: Callable[[str], None] = lambda _line: None,
        rehearsal: bool = False,
    ) -> None:
        super().__init__(store, clock, probe=probe)
        self._report = report
        self._rehearsal = rehearsal
        self._custom = custom

    def apply(self, request: PairRequest, view: PairView | None = None) -> PairResult:
        """Bring the pair to what it should be, and return it.

        A call that dies between two effects is continued by the next one. Raises as :meth:`look`, and:

        Args:
            request: the pair.
            view: of :meth:`look` for the same request, to decide the first effect from; None to look now.

        Raises:
            StoreError: A version does not hold what its facts say, or AWS and this machine disagree about the time.
        """
        view = view or self.look(request)
        effects = self._effects()
        served = None if view.observed is None else view.observed.served
        for number in range(MAX_STEPS):
            if view.step is None:
                return self._result(request, view, effects)
            if number == 0:
                self._check_clock()
            try:
                effects.perform(request, view)
            except LabelMovedError:
                # Another run, or the schedule, was quicker. This run continues from what it did.
                self._report(f"{request.secret} was changed concurrently; reading it again")
            observed = self._settled(request.secret, view)
            self.check(request, observed)
            if observed is not None:
                if served is None:
                    served = self.served(observed, request.definition.host, request.endpoints)
                observed = replace(observed, served=served)
            view = pair_view(request, observed, view.now, home=view.home)
        raise StoreError(
            f"secret {request.secret}: after {MAX_STEPS} effects the pair is not what it should be: something else "
            "changes it at the same time. Look for another run or a rotation of this secret, then run again"
        )

    def _result(self, request: PairRequest, view: PairView, effects: Effects) -> PairResult:
        assert view.observed is not None  # noqa: S101 - a pair that is what it should be exists
        return PairResult(
            view=view,
            certificates=_certificates(request.secret, view, effects),
            switch=switch(request.definition, view.desired, view.observed),
        )

    def claim(self, request: PairRequest) -> None:
        """Record which resource owns the pair. This is the last effect of its creation (R34)."""
        if request.new_resource_id is None:
            return
        self._store.tag(request.secret, {RESOURCE_ID_TAG: request.new_resource_id})
        if request.take_over is not None:  # the former id would stop the delivery that follows
            confirmed(lambda: self.observe(request.secret), lambda pair: _is_owned(pair, request.new_resource_id))

    def promote(self, secret: str, step: MoveLabel) -> bool:
        """Make a certificate main that devices were sent, after comparing its value with its facts.

        Returns:
            False if the pair was changed concurrently: nothing was done, and the next run continues.

        Raises:
            StoreError: A version does not hold what its facts say, or AWS and this machine disagree about the time.
        """
        self._check_clock()
        try:
            self._effects().move_label(secret, step)
        except LabelMovedError:
            self._report(f"{secret} was changed concurrently; the next run continues")
            return False
        self._report("run `pulumi up` again to show the new main and to schedule the next switch")
        return True

    def delete(self, secret: str, *, recovery_window_days: int) -> None:
        """Release a secret, so that a stack of the same name may restore it (R34), then schedule its deletion."""
        observed = self.observe(secret)
        if observed is None or observed.deleted:
            return
        if observed.resource_id is None:
            self._store.delete(secret, recovery_window_days=recovery_window_days)
            return
        # Before: a secret that is scheduled for deletion takes no tags.
        self._store.untag(secret, (RESOURCE_ID_TAG,))
        try:
            self._store.delete(secret, recovery_window_days=recovery_window_days)
        except StoreError:
            self._store.tag(secret, {RESOURCE_ID_TAG: observed.resource_id})
            raise

    def _effects(self) -> Effects:
        return Effects(self._store, self._clock, custom=self._custom, report=self._report)

    def _check_clock(self) -> None:
        """Compare the clock with AWS's before an effect: a certificate with wrong dates is of no use."""
        if self._rehearsal:
            return
        skew = self._clock.now() - self._store.time()
        if abs(skew) > MAX_SKEW:
            raise StoreError(
                f"this machine's clock is {abs(skew)} {'ahead of' if skew > timedelta() else 'behind'} AWS's: "
                "set it right (NTP), then run again"
            )

    def _settled(self, secret: str, view: PairView) -> ObservedPair | None:
        """Wait until AWS shows the effect, and return the pair: a stale read would lead to a wrong next step.

        A second read would not be safer, because it may be stale, too.
        """
        before = None if view.observed is None else replace(view.observed, served=())
        # Issue and Install write a tag first. Reads may show the tag before they show the version.
        ordinal = view.step.request.ordinal if isinstance(view.step, Issue | Install) else 0

        def is_shown(after: ObservedPair | None) -> bool:
            return after != before and (after is None or after.highest_ordinal >= ordinal)

        after = confirmed(lambda: self.observe(secret), is_shown, seconds=SETTLE_SECONDS)
        if after == before:
            raise StoreError(
                f"secret {secret}: AWS does not show the effect of {type(view.step).__name__} after "
                f"{SETTLE_SECONDS:.0f} "
                "seconds: run again"
            )
        return after


def _is_owned(pair: ObservedPair | None, resource_id: str | None) -> bool:
    return pair is not None and pair.resource_id == resource_id


def _certificates(secret: str, view: PairView, effects: Effects) -> Mapping[int, PublicCertificate]:
    assert view.observed is not None  # noqa: S101 - a pair that is what it should be exists
    versions = [view.observed.numbered(ordinal) for ordinal in view.desired.trusted]
    found: dict[int, PublicCertificate] = {}
    gone: list[CertificateFacts] = []
    for version in versions:
        if version is None or version.facts is None:
            continue
        certificate = effects.verified(secret, version)
        if certificate is None and (version.labels or view.now < expires(version.facts)):
            gone.append(version.facts)
        elif certificate is not None:  # AWS may delete an expired former main, which has no label. Devices reject it.
            found[version.facts.ordinal] = certificate
    if gone:
        names = ", ".join(f"certificate {facts.ordinal} ({facts.sha256})" for facts in gone)
        raise StoreError(
            f"secret {secret}: certificates that devices must trust no longer exist: {names}. No profile is made, "
            "because without them devices would stop trusting them. If no server presents them any more, add their "
            "fingerprints to `distrust` of the server, and run again"
        )
    return found
