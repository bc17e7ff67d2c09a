"""Previews the changes of a run to a pair, including its custom certificates. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ios_mdm.app.given_arns import check_given_arns
from ios_mdm.app.pair.reader import pair_view
from ios_mdm.app.recorded_offers import RecordedOffers
from ios_mdm.core.pair.facts import Source

if TYPE_CHECKING:
    from ios_mdm.app.offers import Offers
    from ios_mdm.app.pair.reader import PairReader
    from ios_mdm.app.pair.settings import PairSettings
    from ios_mdm.app.pair.values import PairRequest, PairView
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair

__all__ = ["Preview", "ReadOffers", "preview"]


class ReadOffers(Protocol):
    """Reads and checks the custom certificates that a definition offers."""

    def __call__(self, *, current: CertificateFacts | None, main: CertificateFacts | None) -> Offers:
        """Return the offers; *current* is main before the run, *main* is main after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Observed and desired state of a pair, with its custom certificates.

    Args:
        view: observed and desired state of the pair.
        offers: the custom certificates that the definition offers; None if it offers none.
        recorded: records for the state: the custom certificates, and the roots in use.
    """

    view: PairView
    offers: Offers | None
    recorded: RecordedOffers


def preview(settings: PairSettings, before: RecordedOffers, pairs: PairReader, read: ReadOffers) -> Preview:
    """Return the decision that a run makes about the pair.

    The decision needs the facts of the files, and the check of a reserve needs the main of the decision. So if main
    changes, the reserve is checked again with the new main.

    Args:
        settings: settings of the pair.
        before: records of custom certificates in the state.
        pairs: observes the pair.
        read: reads the offers; called only if the definition offers a custom certificate.

    Raises:
        IosMdmError: An error of :meth:`PairReader.view`; or a file without a record in the state cannot be read; or
            schedules cannot use a role, a queue or a topic that the definition names.
    """
    offers, recorded = None, RecordedOffers()
    if settings.server.has_custom_certificate:
        current = _main(pairs.observe(settings.secret))
        offers = read(current=current, main=current)
        view = pairs.view(settings.request(RecordedOffers(offers=offers.recorded)))
        if view.main != current:
            offers = read(current=current, main=view.main)
            view = pairs.view(settings.request(RecordedOffers(offers=offers.recorded)))
        recorded = RecordedOffers(offers=offers.recorded)
    else:
        view = pairs.view(settings.request(recorded))
    if view.home is not None:
        check_given_arns(settings.server.promotion, view.home)
    view = _after_withdrawal(
        settings.request(RecordedOffers() if offers is None else RecordedOffers(offers=offers.recorded)), view
    )
    return Preview(view=view, offers=offers, recorded=recorded.with_roots(before, _used_roots(view)))


def _after_withdrawal(request: PairRequest, view: PairView) -> PairView:
    """Return the decision that a run makes after its first stage, the withdrawal.

    The record of an armed promotion keeps its certificate in the profile. If this certificate is neither main nor the
    reserve, a run first deletes the schedule and the record. If it cannot, the run fails.
    """
    armed = None if view.observed is None else view.observed.armed
    if view.observed is None or armed is None or armed.certificate in {view.desired.main, view.desired.reserve}:
        return view
    planned = pair_view(request, replace(view.observed, armed=None), view.now)
    return replace(view, desired=planned.desired, step=planned.step)


def _main(observed: ObservedPair | None) -> CertificateFacts | None:
    return None if observed is None or observed.main is None else observed.main.facts


def _used_roots(view: PairView) -> set[str]:
    """Return the digests of the roots of main and reserve. The file of a later certificate may lack them (R22, R24)."""
    versions = () if view.observed is None else view.observed.versions
    used = [one.facts for one in versions if one.ordinal in {view.desired.main, view.desired.reserve}]
    slots = (view.main, *used)
    return {facts.root for facts in slots if facts is not None and facts.source is Source.INSTALLED}
