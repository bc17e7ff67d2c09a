"""Plays a pair's life forward: every event with its moment, as if an `up` ran whenever something is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from provider.core.decision import Phase, Severity
from provider.core.definition import IssueReserve
from provider.core.lifecycle import desired, foreseen
from provider.core.model import Label, ObservedPair, Role, StoredVersion
from provider.core.moments import expires

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider.core.decision import Desired
    from provider.core.definition import PairDefinition
    from provider.core.model import CertificateFacts

__all__ = ["Event", "forecast"]

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that will happen to a pair.

    Args:
        at: the moment, aware UTC; for ``apply-reserve`` that of the switch, lead included.
        event: ``issue-main``, ``issue-reserve``, ``distribute``, ``apply-reserve``, ``warning``, ``critical`` or
            ``connection-lost``.
        reason: why, for a person.
    """

    at: datetime
    event: str
    reason: str


def forecast(definition: PairDefinition, *, start: datetime, days: int) -> tuple[Event, ...]:
    """Return what happens to a new pair from *start* on for this number of *days*, in order.

    Raises:
        DefinitionError: At some moment the definition asks for what must not be done; the message says what.
    """
    events: list[Event] = []
    observed: ObservedPair | None = None
    now, end = start, start + timedelta(days=days)
    told: set[tuple[int, Severity]] = set()
    while now <= end:
        wanted = desired(definition, observed, now)
        events += _events(observed, wanted, now, told)
        observed = _carried_out(observed, wanted, now)
        moments = [moment for moment in _due(definition, observed, wanted) if moment > now]
        if not moments:
            break
        now = min(moments)
    return tuple(events)


def _events(
    before: ObservedPair | None, wanted: Desired, now: datetime, told: set[tuple[int, Severity]]
) -> Iterator[Event]:
    """Yield what a run at *now* does and says; *told* keeps what was said of a main before."""
    promoted = before is not None and before.main is not None and before.main.ordinal != wanted.main
    new = {request.ordinal for request in wanted.requests}
    if promoted and wanted.main not in new:
        yield Event(at=now, event="apply-reserve", reason=f"certificate {wanted.main} becomes main")
    for request in wanted.requests:
        event = "issue-main" if request.role is Role.MAIN else "issue-reserve"
        yield Event(
            at=now, event=event, reason=f"certificate {request.ordinal}, {request.validity_days} days: {wanted.reason}"
        )
    known = () if before is None else tuple(version.ordinal for version in before.versions)
    if wanted.trusted != known:
        names = ", ".join(str(ordinal) for ordinal in wanted.trusted)
        yield Event(at=now, event="distribute", reason=f"devices get the profile with the certificates {names}")
    if wanted.phase is Phase.CONNECTION_LOST:
        yield Event(at=now, event="connection-lost", reason=wanted.notices[-1].message)
        return
    for notice in wanted.notices:
        if notice.severity is not Severity.NOTICE and (wanted.main, notice.severity) not in told:
            told.add((wanted.main, notice.severity))
            yield Event(at=now, event=str(notice.severity), reason=notice.message)


def _carried_out(before: ObservedPair | None, wanted: Desired, now: datetime) -> ObservedPair:
    """Return the pair as a run at *now* leaves it."""
    versions = {version.ordinal: version for version in (before.versions if before is not None else ())}
    for request in wanted.requests:
        versions[request.ordinal] = StoredVersion(
            version_id=str(request.ordinal),
            ordinal=request.ordinal,
            labels=frozenset(),
            facts=foreseen(request, now),
            role=request.role,
        )
    kept = []
    for ordinal in wanted.trusted:
        is_main, is_reserve = ordinal == wanted.main, ordinal == wanted.reserve
        label = Label.MAIN if is_main else Label.RESERVE if is_reserve else Label.FORMER
        role = Role.RESERVE if is_reserve else Role.MAIN
        kept.append(replace(versions[ordinal], labels=frozenset({label}), role=role))
    highest = max([before.highest_ordinal if before is not None else 0, *wanted.trusted])
    return ObservedPair(
        owner="forecast",
        highest_ordinal=highest,
        recorded_ordinal=highest,
        main_generation=1 if before is None else before.main_generation,
        versions=tuple(kept),
    )


def _due(definition: PairDefinition, observed: ObservedPair, wanted: Desired) -> Iterator[datetime]:
    """Yield the moments at which the next run may decide otherwise."""
    if wanted.apply_at is None and wanted.reserve is not None:
        # The reserve has just been issued, and its dates are known only now: look again at once.
        yield _facts(observed, wanted.reserve).not_before + timedelta(minutes=5) + _SECOND
    if wanted.apply_at is not None:
        yield wanted.apply_at
    main = _facts(observed, wanted.main)
    reserve = definition.reserve or IssueReserve()
    if isinstance(reserve, IssueReserve):
        yield expires(main) - timedelta(days=reserve.before_days)
    yield expires(main) - timedelta(days=definition.warn_days)
    for version in observed.versions:
        if version.facts is not None:
            yield expires(version.facts)


def _facts(observed: ObservedPair, ordinal: int) -> CertificateFacts:
    version = observed.numbered(ordinal)
    assert version is not None  # noqa: S101 - it was carried out just before
    assert version.facts is not None  # noqa: S101 - the same
    return version.facts
