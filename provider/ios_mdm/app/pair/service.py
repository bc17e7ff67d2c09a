"""Brings a pair to its desired state with one verified effect after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.app.confirm import read_until
from ios_mdm.app.pair.effects import Effects
from ios_mdm.app.pair.reader import PairReader, pair_view
from ios_mdm.app.pair.values import PairResult, PublicCertificate
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG
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
"""Maximum number of effects of a run. About twenty are enough; more mean that another process undoes them."""
MAX_SKEW = timedelta(minutes=5)
SETTLE_SECONDS = 20.0
"""Seconds that AWS may take until reads show a write."""


class PairService(PairReader):
    """Observes pairs and brings them to their desired state.

    Args:
        store: stores the pairs.
        clock: read once for each call, so that a call has one ``now``.
        probe: reports the certificates that endpoints present; None to check no endpoint.
        custom: reads the custom certificates that the definition offers; None if it offers none.
        report: receives each line of progress.
        rehearsal: whether the clock is simulated, so that it cannot be compared with the clock of AWS.
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
        """Bring the pair to its desired state, and return it.

        The next call continues a call that was interrupted between two effects.

        Args:
            request: request for the pair.
            view: result of :meth:`look` for the same request, which has the first effect; None to call :meth:`look`.

        Raises:
            IosMdmError: An error of :meth:`look`.
            StoreError: The certificate of a version does not match its facts tag, the clocks of AWS and of this machine
                differ, or another process changes the pair.
        """
        view = view or self.view(request)
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
                # Another run or the schedule has moved the label. This run continues from the new state.
                self._report(f"{request.secret} was changed concurrently; reading it again")
            observed = self._wait_until_settled(request.secret, view)
            self.check(request, observed)
            if observed is not None:
                if served is None:
                    served = self.served_certificates(observed, request.definition.host, request.endpoints)
                observed = replace(observed, served=served)
            view = pair_view(request, observed, view.now, home=view.home)
        raise StoreError(
            f"secret {request.secret}: after {MAX_STEPS} effects the pair is not in its desired state, because another "
            "process changes it at the same time. Stop the other run or the rotation of this secret, then run again"
        )

    def _result(self, request: PairRequest, view: PairView, effects: Effects) -> PairResult:
        assert view.observed is not None  # noqa: S101 - a pair in its desired state exists
        return PairResult(
            view=view,
            certificates=_certificates(request.secret, view, effects),
            switch=switch(request.definition, view.desired, view.observed),
        )

    def claim(self, request: PairRequest) -> None:
        """Record which resource owns the pair. This is the last effect of its creation (R34)."""
        if request.new_resource_id is not None:
            self._store.tag(request.secret, {RESOURCE_ID_TAG: request.new_resource_id})

    def promote(self, secret: str, step: MoveLabel) -> bool:
        """Make a certificate main that devices were sent, after comparing its value with its facts tag.

        Returns:
            False if the pair was changed concurrently: this call changed nothing, and the next run continues.

        Raises:
            StoreError: The certificate of a version does not match its facts tag, or the clocks of AWS and of this
                machine differ.
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
        if observed is None or observed.is_deleted:
            return
        if observed.resource_id is None:
            self._store.delete(secret, recovery_window_days=recovery_window_days)
            return
        # Before the deletion, because the tags of a secret that is scheduled for deletion cannot change.
        self._store.untag(secret, (RESOURCE_ID_TAG,))
        try:
            self._store.delete(secret, recovery_window_days=recovery_window_days)
        except StoreError:
            self._store.tag(secret, {RESOURCE_ID_TAG: observed.resource_id})
            raise

    def _effects(self) -> Effects:
        return Effects(self._store, self._clock, custom=self._custom, report=self._report)

    def _check_clock(self) -> None:
        """Compare the clock with the clock of AWS before an effect, because a wrong clock leads to wrong dates."""
        if self._rehearsal:
            return
        skew = self._clock.now() - self._store.time()
        if abs(skew) > MAX_SKEW:
            raise StoreError(
                f"this machine's clock is {abs(skew)} {'ahead of' if skew > timedelta() else 'behind'} AWS's clock: "
                "correct it (NTP), then run again"
            )

    def _wait_until_settled(self, secret: str, view: PairView) -> ObservedPair | None:
        """Wait until reads show the effect, and return the pair. A stale read leads to a wrong next step.

        The read that shows the effect is used, because another read can be stale again.
        """
        before = None if view.observed is None else replace(view.observed, served=())
        # Issue and Install write a tag before the version. Reads may show the tag before they show the version.
        ordinal = view.step.request.ordinal if isinstance(view.step, Issue | Install) else 0

        def is_shown(after: ObservedPair | None) -> bool:
            return after != before and (after is None or after.highest_ordinal >= ordinal)

        after = read_until(lambda: self.observe(secret), is_shown, seconds=SETTLE_SECONDS)
        if after == before:
            raise StoreError(
                f"secret {secret}: AWS does not show the effect of {type(view.step).__name__} after "
                f"{SETTLE_SECONDS:.0f} "
                "seconds: run again"
            )
        return after


def _certificates(secret: str, view: PairView, effects: Effects) -> Mapping[int, PublicCertificate]:
    assert view.observed is not None  # noqa: S101 - a pair in its desired state exists
    versions = [view.observed.version_of(ordinal) for ordinal in view.desired.trusted_ordinals]
    found: dict[int, PublicCertificate] = {}
    gone: list[CertificateFacts] = []
    for version in versions:
        if version is None or version.facts is None:
            continue
        certificate = effects.verified_certificate(secret, version)
        if certificate is None and (version.labels or view.now < expiry(version.facts)):
            gone.append(version.facts)
        elif certificate is not None:  # AWS may delete an expired former main, which has no label. Devices reject it.
            found[version.facts.ordinal] = certificate
    if gone:
        names = ", ".join(f"certificate {facts.ordinal} ({facts.sha256})" for facts in gone)
        raise StoreError(
            f"secret {secret}: certificates that devices must trust no longer exist: {names}. No profile is created, "
            "because devices stop trusting certificates that their profile lacks. If no server presents these "
            "certificates, add their fingerprints to `distrust` of the server, and run again"
        )
    return found
