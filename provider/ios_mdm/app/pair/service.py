"""Where the core meets the ports: brings a pair to what it should be, one verified effect after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from ios_mdm.app.pair.effects import Effects
from ios_mdm.app.pair.values import PairRequest, PairResult, PairView, PublicCertificate
from ios_mdm.core.pair.layout import HIGHEST_TAG, OWNER_TAG, observed_pair
from ios_mdm.core.pair.lifecycle import desired
from ios_mdm.core.pair.schedule import Kind, names, plans
from ios_mdm.core.pair.steps import next_step
from ios_mdm.core.pair.switch import switch
from ios_mdm.errors import DefinitionError, LabelMovedError, OwnershipError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ios_mdm.core.pair.decision import Desired
    from ios_mdm.core.pair.observed import ObservedPair, Served
    from ios_mdm.core.pair.steps import Step
    from ios_mdm.ports import Clock, Probe, Scheduler, SecretStore

__all__ = ["PairRequest", "PairResult", "PairService", "PairView", "PublicCertificate"]

MAX_STEPS = 60
"""A pair is at most some twenty effects away from what it should be; more means that somebody undoes them."""
MAX_SKEW = timedelta(minutes=5)
SETTLE_SECONDS = 20.0
"""How long AWS may take to show what was just written."""


class PairService:
    """Looks at pairs and brings them to what they should be.

    Args:
        store: where pairs are kept.
        clock: tells the moment; read once for each call, so that one call has one ``now``.
        scheduler: holds the schedule that promotes; None where nothing is scheduled.
        probe: looks at what servers present; None where nobody looks.
        report: takes a line of progress.
        rehearsal: True where the clock is set by hand and cannot be held against AWS's.
    """

    def __init__(
        self,
        store: SecretStore,
        clock: Clock,
        *,
        scheduler: Scheduler | None = None,
        probe: Probe | None = None,
        report: Callable[[str], None] = lambda _line: None,
        rehearsal: bool = False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._probe = probe
        self._report = report
        self._rehearsal = rehearsal
        self._effects = Effects(store, clock, report=report)

    def now(self) -> datetime:
        """Return the moment, aware UTC, whole seconds."""
        return self._clock.now()

    def observe(self, secret: str) -> ObservedPair | None:
        """Return the pair in *secret*, None where AWS says that there is no such secret. Needs no GetSecretValue."""
        description = self._store.describe(secret)
        if description is None:
            return None
        # Only where the tag is lost: a caller without ListSecretVersionIds can preview an intact pair.
        lost = HIGHEST_TAG not in description.tags and bool(description.labels)
        return observed_pair(secret, description, self._store.version_ids(secret) if lost else ())

    def look(self, request: PairRequest) -> PairView:
        """Return the pair as it is and as it should be; writes nothing.

        Raises:
            OwnershipError: The secret belongs to somebody else.
            DefinitionError: The definition asks for what must not be done to this pair.
            StoreError: AWS did not answer.
        """
        observed = self.observe(request.secret)
        _check_ours(request, observed)
        if observed is not None:
            observed = replace(observed, served=self.served(observed, request.definition.host, request.endpoints))
        now = self._clock.now()
        wanted = desired(request.definition, observed, now)
        step = next_step(wanted, observed, request.setting)
        return PairView(observed=observed, desired=wanted, step=step, now=now)

    def apply(self, request: PairRequest) -> PairResult:
        """Bring the pair to what it should be, and return it.

        A call that dies between two effects is continued by the next one. Raises as :meth:`look`, and:

        Raises:
            StoreError: A version does not hold what its facts say, or AWS and this machine disagree about the time.
        """
        now = self._clock.now()
        served: tuple[Served, ...] | None = None
        begins = True
        for _ in range(MAX_STEPS):
            observed = self.observe(request.secret)
            _check_ours(request, observed)
            if observed is not None and served is None:
                served = self.served(observed, request.definition.host, request.endpoints)
            seen = None if observed is None else replace(observed, served=served or ())
            wanted = desired(request.definition, seen, now)
            step = next_step(wanted, seen, request.setting)
            if begins:
                self._take_back(request, wanted, observed)
            if step is None:
                view = PairView(observed=seen, desired=wanted, step=None, now=now)
                return self._result(request, view)
            if begins:
                self._check_clock()
            begins = False
            try:
                self._effects.perform(request, observed, step)
            except LabelMovedError:
                # Another run, or the schedule, was quicker. What it did is where this one goes on.
                self._report(f"{request.secret} was changed by somebody else meanwhile; looking again")
            self._settle(request.secret, observed, step)
        raise StoreError(
            f"secret {request.secret}: after {MAX_STEPS} effects the pair is not what it should be: something else "
            "changes it at the same time. Look for another run or a rotation of this secret, then run again"
        )

    def served(self, observed: ObservedPair, host: str, endpoints: Sequence[str]) -> tuple[Served, ...]:
        """Look at what the server presents, where there is a main that it could present."""
        if self._probe is None or not endpoints or observed.deleted:
            return ()
        if observed.main is None or observed.main.facts is None:
            return ()
        return self._probe.served(host, endpoints)

    def _take_back(self, request: PairRequest, wanted: Desired, observed: ObservedPair | None) -> None:
        """Delete a schedule that would promote what must not be promoted, or earlier than it should be.

        Before anything else: a run that dies on the way must not leave a promotion of a reserve that is about to go,
        and `promotion.hold` works even where the MDM server is down. What should be scheduled, is so at the end.
        """
        if self._scheduler is None or observed is None:
            return
        name = names(request.definition.name, request.secret)[Kind.PROMOTE]
        found = self._scheduler.get(name)
        if found is None:
            return
        promote = switch(request.definition, wanted, observed).promote
        if promote is None or not plans(found, promote, observed.arn):
            self._report(f"the promotion that was scheduled for {found.at:%Y-%m-%d %H:%M} UTC is taken back")
            self._scheduler.delete(name)

    def _result(self, request: PairRequest, view: PairView) -> PairResult:
        assert view.observed is not None  # noqa: S101 - a pair that is what it should be exists
        return PairResult(
            view=view,
            certificates=self._certificates(request.secret, view),
            switch=switch(request.definition, view.desired, view.observed),
        )

    def delete(self, secret: str, owner: str, *, recovery_window_days: int) -> bool:
        """Schedule the secret's deletion; False where it is left alone because it is gone, or another stack's now."""
        observed = self.observe(secret)
        if observed is None or observed.deleted or observed.owner not in {None, owner}:
            return False
        self._store.delete(secret, recovery_window_days=recovery_window_days)
        return True

    def _check_clock(self) -> None:
        """Hold the clock against AWS's before an effect: a certificate with wrong dates is no use to anybody."""
        if self._rehearsal:
            return
        skew = self._clock.now() - self._store.time()
        if abs(skew) > MAX_SKEW:
            raise StoreError(
                f"this machine's clock is {abs(skew)} {'ahead of' if skew > timedelta() else 'behind'} AWS's: "
                "set it right (NTP), then run again"
            )

    def _settle(self, secret: str, before: ObservedPair | None, step: Step) -> None:
        """Wait until AWS shows the effect: reads after writes may be stale, and the next step is decided from one."""
        try:
            Retrying(
                retry=retry_if_result(lambda after: after == before),
                wait=wait_exponential(multiplier=0.1, max=2),
                stop=stop_after_delay(SETTLE_SECONDS),
            )(self.observe, secret)
        except RetryError:
            raise StoreError(
                f"secret {secret}: AWS does not show the effect of {type(step).__name__} after {SETTLE_SECONDS:.0f} "
                "seconds: run again"
            ) from None

    def _certificates(self, secret: str, view: PairView) -> Mapping[int, PublicCertificate]:
        assert view.observed is not None  # noqa: S101 - a pair that is what it should be exists
        versions = [view.observed.numbered(ordinal) for ordinal in view.desired.trusted]
        return {
            version.facts.ordinal: self._effects.verify(secret, version)
            for version in versions
            if version is not None and version.facts is not None
        }


def _check_ours(request: PairRequest, observed: ObservedPair | None) -> None:
    """Refuse to touch a secret of somebody else, and to change the address of a pair."""
    if observed is None:
        return
    ours = observed.owner == request.owner or request.take_over
    if not ours and observed.owner is None:
        # The owner tag was lost; that the pair is ours, Pulumi's state tells.
        ours = request.known and (observed.main is None or observed.main.ordinal is not None)
    if not ours:
        holder = f"belongs to the stack {observed.owner}" if observed.owner else f"exists and has no tag {OWNER_TAG}"
        raise OwnershipError(
            f"secret {request.secret} {holder}, and this is {request.owner}: give the server another name or the stack "
            "another aws.secretPrefix, or set takeOver: true to adopt the pair"
        )
    if observed.host is not None and observed.host != request.definition.host:
        raise DefinitionError(
            f"address: the pair is for {observed.host}, and its certificates name it; a changed address "
            f"({request.definition.host}) needs a new server of another name. Set it back to {observed.host}"
        )
