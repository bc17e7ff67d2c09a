"""Reads and checks the custom certificates that a definition offers to a pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.app.bundles import Circumstances, bundle_problem
from ios_mdm.app.recorded_offers import RecordedOffer, RecordedOffers
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.decision import InstallRequest, Severity
from ios_mdm.core.pair.definition import AfterDays, AtTime, Slot
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.times import shifted_time
from ios_mdm.errors import DefinitionError, IosMdmError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from ios_mdm.app.bundles import BundleReader, CheckedBundle
    from ios_mdm.app.pair.values import PairView
    from ios_mdm.core.pair.definition import ApplyTime
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.rules import Violation
    from ios_mdm.core.x509.values import Credential
    from ios_mdm.ports import Clock
    from ios_mdm.settings import ServerSettings

__all__ = ["OfferedCertificates", "Offers"]

_UNFIT = {"chain-incomplete", "issuer-mismatch", "key-mismatch"}
"""Codes of the rules whose violation can be the reason why no pair can hold a certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """The custom certificates that a definition offers.

    Args:
        found: certificates that were read, by slot.
        problems: messages for the files that could not be read, by slot.
        recorded: records for the state, by slot. If a file cannot be read, its former record is kept.
        is_adopting: whether violations of main are only warnings (``adopt``).
        is_too_late: whether the definition sets ``adopt``, but the pair has another main already.
        is_first: whether the pair has no main yet.
    """

    found: Mapping[Slot, CheckedBundle]
    problems: Mapping[Slot, str]
    recorded: Mapping[Slot, RecordedOffer]
    is_adopting: bool
    is_too_late: bool = False
    is_first: bool = False

    @classmethod
    def read(
        cls,
        server: ServerSettings,
        recorded: RecordedOffers,
        reader: BundleReader,
        now: datetime,
        *,
        current: CertificateFacts | None,
        main: CertificateFacts | None,
    ) -> Offers:
        """Read and check the custom certificates that the definition of *server* offers.

        Args:
            server: settings of the server.
            recorded: records of custom certificates in the state.
            reader: reads files and secrets.
            now: time of the check, aware UTC.
            current: facts of the current main; None if there is none.
            main: facts of the main after the run. A reserve must outlive this main (R21) and share its root (R24). None
                if unknown.

        Raises:
            DefinitionError: A file cannot be read and the state has no record of it. The message has one line for each
                such file.
        """
        found: dict[Slot, CheckedBundle] = {}
        problems: dict[Slot, str] = {}
        kept: dict[Slot, RecordedOffer] = {}
        installs = {Slot.MAIN: server.main.install, Slot.RESERVE: server.reserve.install if server.reserve else None}
        for slot in Slot:
            install = installs[slot]
            if install is None:
                continue
            by = Circumstances(host=server.host, now=now, slot=slot)
            if slot is Slot.RESERVE:
                by = _reserve_circumstances(by, server, main, recorded, found.get(Slot.MAIN))
            try:
                found[slot] = reader.read(install, by)
            except IosMdmError as error:
                problems[slot] = bundle_problem(error, slot)
                if slot in recorded.offers:
                    kept[slot] = recorded.offers[slot]
            else:
                kept[slot] = RecordedOffer(offered=found[slot].offered_certificate, root=found[slot].root)
        unknown = [text for slot, text in problems.items() if slot not in kept]
        if unknown:
            raise DefinitionError("\n".join(unknown))
        asked = server.main.install is not None and server.main.install.adopt
        other = asked and _has_another_main(current, found.get(Slot.MAIN))
        return cls(
            found=found,
            problems=problems,
            recorded=kept,
            is_adopting=asked and not other,
            is_too_late=other,
            is_first=current is None,
        )

    def refusals(self, view: PairView) -> tuple[str, ...]:
        """Return why the certificates that this run is to install must not be installed: one text per violation."""
        return tuple(text for slot in self._installed_now(view) for text in self.slot_refusals(slot))

    def slot_refusals(self, slot: Slot) -> Iterator[str]:
        """Yield why the certificate that is offered for a slot cannot be installed."""
        if slot in self.problems:
            yield self.problems[slot]
        elif not (slot is Slot.MAIN and self.is_adopting):
            yield from _bundle_notices(slot, self.found[slot].report.violations)
            if slot is Slot.MAIN and self.is_too_late and self.found[slot].report.violations:
                yield (
                    "main.install.adopt applies only to the first main of a pair: a certificate that replaces main "
                    "must fulfill the rules"
                )
            elif slot is Slot.MAIN and self.is_first and self._is_adoptable():
                yield (
                    "main.install: if the server already uses this certificate, set main.install.adopt: true to "
                    "accept it with these violations"
                )
        elif (unfit := self.found[slot].problem) is not None:
            # No server can use the key of another certificate, and devices can trust no chain without a root.
            yield from _bundle_notices(slot, (one for one in self.found[slot].report.violations if one.code in _UNFIT))
            yield f"main.install.adopt cannot accept this certificate: {unfit}"

    def _is_adoptable(self) -> bool:
        """Return whether main breaks rules, but ``adopt`` can accept it."""
        read = self.found[Slot.MAIN]
        return bool(read.report.violations) and read.problem is None

    def notices(self, view: PairView) -> Iterator[tuple[Severity, str]]:
        """Yield the notices about the files, each with its severity."""
        now = self._installed_now(view)
        for slot, text in self.problems.items():
            if slot not in now:
                yield Severity.WARNING, f"{text}. This run does not need the file: the pair keeps its certificate"
        for slot in now:
            read = self.found.get(slot)
            if read is None:
                continue
            for notice in read.report.notices:
                yield Severity.NOTICE, f"{slot}.install: {notice}"
            if slot is Slot.MAIN and self.is_adopting and read.report.violations and read.problem is None:
                yield from ((Severity.WARNING, text) for text in _bundle_notices(slot, read.report.violations))
                yield (
                    Severity.WARNING,
                    (
                        "main.install.adopt accepts the certificate with these violations. To replace it, install a "
                        "reserve that fulfills the rules, and let it become main"
                    ),
                )
            main = None if view.observed is None or view.observed.main is None else view.observed.main.facts
            if slot is Slot.RESERVE and main is not None and main.source is Source.ISSUED:
                text = "main is an issued certificate, so devices do not know the reserve's root yet"
                yield Severity.NOTICE, f"reserve.install: {text}. The profile with this root is sent to them first"

    def _installed_now(self, view: PairView) -> tuple[Slot, ...]:
        return tuple(request.slot for request in view.desired.requests if isinstance(request, InstallRequest))

    def credential(self, slot: Slot) -> Credential:
        """Return the certificate of a slot with its key.

        Raises:
            DefinitionError: The certificate can no longer be read, or breaks a rule.
        """
        if slot in self.problems:
            raise DefinitionError(self.problems[slot])
        read = self.found[slot]
        if read.report.violations and not (slot is Slot.MAIN and self.is_adopting):
            raise DefinitionError("\n".join(f"{slot}.install: {one.message}" for one in read.report.violations))
        return read.credential()


def _has_another_main(facts: CertificateFacts | None, read: CheckedBundle | None) -> bool:
    return facts is not None and read is not None and facts.sha256 != read.offered_certificate.sha256


def _bundle_notices(slot: Slot, violations: Iterable[Violation]) -> Iterator[str]:
    return (f"{slot}.install: {one.code}: {one.message}" for one in violations)


def _reserve_circumstances(
    by: Circumstances,
    server: ServerSettings,
    facts: CertificateFacts | None,
    recorded: RecordedOffers,
    main_read: CheckedBundle | None,
) -> Circumstances:
    """Return *by* with the inputs that only a reserve has: the root and the expiry of its main, and its apply time."""
    end, root = _main_bounds(facts, main_read)
    apply = (
        None if server.reserve is None or server.reserve.install is None else server.reserve.install.apply.apply_time()
    )
    times = [time for time in (end, _apply_time(apply, by.now)) if time is not None]
    known = _known_root(root, recorded, main_read)
    return replace(by, outlives=max(times) if times else None, root=root, known_root=known)


def _known_root(root: str | None, recorded: RecordedOffers, main_read: CheckedBundle | None) -> str | None:
    """Return the PEM of main's root from main's file or from the state; None if neither has it."""
    if main_read is not None and main_read.offered_certificate.root == root:
        return main_read.root or None
    return None if root is None else recorded.known_roots.get(root)


def _main_bounds(facts: CertificateFacts | None, read: CheckedBundle | None) -> tuple[datetime | None, str | None]:
    """Return main's expiry, and the digest of its root if a reserve must have the same root (R24)."""
    if facts is not None:
        return expiry(facts), facts.root if facts.source is Source.INSTALLED else None
    return (None, None) if read is None else (read.offered_certificate.not_after, read.offered_certificate.root)


def _apply_time(apply: ApplyTime | None, now: datetime) -> datetime | None:
    match apply:
        case AfterDays(days=days):
            return shifted_time(now, timedelta(days=days))
        case AtTime(time=moment):
            return moment
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedCertificates:
    """Implements the port ``CustomCertificates`` with the files and secrets that a definition names.

    Args:
        server: settings of the server.
        recorded: records of custom certificates in the state.
        reader: reads files and secrets.
        clock: returns the time of the check.
    """

    server: ServerSettings
    recorded: RecordedOffers
    reader: BundleReader
    clock: Clock

    def credential(self, slot: Slot, *, current: CertificateFacts | None, main: CertificateFacts | None) -> Credential:
        """Read and check the certificate for a slot again, and return it with its key.

        Raises:
            DefinitionError: The certificate can no longer be read, or breaks a rule.
        """
        offers = Offers.read(self.server, self.recorded, self.reader, self.clock.now(), current=current, main=main)
        return offers.credential(slot)
