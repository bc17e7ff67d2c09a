"""The forecast of a new pair's life: every event with its time, as if `pulumi up` ran whenever a change is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.decision import IssueRequest, Phase, Severity
from ios_mdm.core.pair.definition import IssueReserve, Slot
from ios_mdm.core.pair.lifecycle import desired_state, foreseen_facts
from ios_mdm.core.pair.observed import ObservedPair, RecordedGate, Role, ServedCertificate, StoredVersion
from ios_mdm.core.pair.policies import reinstallation_notice
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.windows import critical_time, reserve_time
from ios_mdm.core.times import shifted_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ios_mdm.core.pair.decision import DesiredState, Request
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.facts import CertificateFacts

__all__ = ["Alert", "Event", "EventName", "ForeseenCertificate", "Life", "forecast", "foreseen_life"]

_SECOND = timedelta(seconds=1)


class EventName(StrEnum):
    """Name of an event, as ``ios-mdm forecast`` shows it."""

    ISSUE_MAIN = "issue-main"
    ISSUE_RESERVE = "issue-reserve"
    DISTRIBUTE = "distribute"
    APPLY_RESERVE = "apply-reserve"
    WARNING = "warning"
    CRITICAL = "critical"
    CONNECTION_LOST = "connection-lost"


_ALERTS = {Severity.CRITICAL: EventName.CRITICAL, Severity.WARNING: EventName.WARNING}
"""Event of each severity that causes one, in descending order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A future event of a pair.

    Args:
        at: time of the event, aware UTC; for ``APPLY_RESERVE`` the apply time, which includes the lead.
        event: name of the event.
        reason: reason of the event, for the user.
        certificates: ordinals of the certificates that are issued, applied or distributed; otherwise of main.
    """

    at: datetime
    event: EventName
    reason: str
    certificates: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeseenCertificate:
    """A certificate that will be issued or installed.

    Args:
        ordinal: number of the certificate in its pair.
        stored_at: time of issue or installation, aware UTC.
        not_before: start of validity, aware UTC.
        not_after: end of validity, inclusive, aware UTC.
        main_from: time at which the certificate becomes main, aware UTC; None if that is after the end of the forecast.
        main_until: time at which another certificate replaces this main, aware UTC; None if that does not happen before
            the end of the forecast.
    """

    ordinal: int
    stored_at: datetime
    not_before: datetime
    not_after: datetime
    main_from: datetime | None = None
    main_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A period with a warning, a critical notice or a lost connection.

    Args:
        event: ``WARNING``, ``CRITICAL`` or ``CONNECTION_LOST``: the most severe that applies.
        start: start of the period, aware UTC.
        until: end of the period, aware UTC; at most the end of the forecast.
    """

    event: EventName
    start: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Forecast of the life of a new pair.

    Args:
        start: time of the first run, aware UTC.
        end: end of the forecast, aware UTC.
        events: all events, in order of time.
        certificates: all certificates that are issued or installed, by ordinal.
        alerts: all alerts, in order of time; they do not overlap.
    """

    start: datetime
    end: datetime
    events: tuple[Event, ...]
    certificates: tuple[ForeseenCertificate, ...]
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One simulated run: its time, the pair before the run, the desired state, and the pair after the run."""

    at: datetime
    before: ObservedPair | None
    wanted: DesiredState
    after: ObservedPair


def forecast(definition: PairDefinition, *, start: datetime, days: int) -> tuple[Event, ...]:
    """Return the events of a new pair in the *days* after *start*, in order of time.

    Raises:
        DefinitionError: A run refuses the definition; the message says why.
    """
    return foreseen_life(definition, start=start, days=days).events


def foreseen_life(definition: PairDefinition, *, start: datetime, days: int, interval: timedelta | None = None) -> Life:
    """Return the life of a new pair in the *days* after *start*.

    Args:
        definition: definition of the pair.
        start: time of the first run, aware UTC, whole seconds.
        days: length of the forecast, in days.
        interval: time between two runs; None for a run whenever a change is due.

    Raises:
        DefinitionError: A run refuses the definition; the message says why.
    """
    end = shifted_time(start, timedelta(days=days))
    runs = tuple(_runs(definition, start, end, interval))
    return Life(
        start=start,
        end=end,
        events=tuple(
            _without_repeated_alerts(event for run in runs for event in _events(run.before, run.wanted, run.at))
        ),
        certificates=_certificates(runs),
        alerts=_alerts(runs, end),
    )


def _runs(definition: PairDefinition, start: datetime, end: datetime, interval: timedelta | None) -> Iterator[_Run]:
    """Yield every run. The simulated server presents the new main right after a switch."""
    observed: ObservedPair | None = None
    now: datetime | None = start
    while now is not None and now <= end:
        wanted = desired_state(definition, observed, now)
        run = _Run(at=now, before=observed, wanted=wanted, after=_pair_after_run(observed, wanted, now))
        yield run
        observed = run.after
        due = [moment for moment in _due_times(definition, run) if moment > now]
        if interval is not None and interval > end - now:
            return
        now = now + interval if interval is not None else min(due, default=None)


def _certificates(runs: Sequence[_Run]) -> tuple[ForeseenCertificate, ...]:
    """Return every certificate, with the period in which it is main."""
    found: dict[int, ForeseenCertificate] = {}
    for run in runs:
        for request in run.wanted.requests:
            facts = _facts(run.after, request.ordinal)
            found[request.ordinal] = ForeseenCertificate(
                ordinal=request.ordinal, stored_at=run.at, not_before=facts.not_before, not_after=facts.not_after
            )
        main = run.wanted.main
        if found[main].main_from is None:
            found[main] = replace(found[main], main_from=run.at)
        former = None if run.before is None or run.before.main is None else run.before.main.ordinal
        if former is not None and former != main:
            found[former] = replace(found[former], main_until=run.at)
    return tuple(found.values())


def _alerts(runs: Sequence[_Run], end: datetime) -> tuple[Alert, ...]:
    """Return the alerts. The notices of a run apply until the next run."""
    found: list[Alert] = []
    for number, run in enumerate(runs):
        until = runs[number + 1].at if number + 1 < len(runs) else end
        event = _worst(run.wanted)
        if event is None or until == run.at:
            continue
        if found and found[-1].event == event and found[-1].until == run.at:
            found[-1] = replace(found[-1], until=until)
        else:
            found.append(Alert(event=event, start=run.at, until=until))
    return tuple(found)


def _worst(wanted: DesiredState) -> EventName | None:
    """Return the event of the most severe notice; None if no notice causes an event."""
    if wanted.phase is Phase.CONNECTION_LOST:
        return EventName.CONNECTION_LOST
    reported = {notice.severity for notice in wanted.notices}
    return next((event for severity, event in _ALERTS.items() if severity in reported), None)


def _without_repeated_alerts(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events, but each kind of alert only once for each main."""
    given: set[tuple[EventName, tuple[int, ...]]] = set()
    for event in events:
        key = (event.event, event.certificates)
        if key in given and event.event in {*_ALERTS.values(), EventName.CONNECTION_LOST}:
            continue
        given.add(key)
        yield event


def _events(before: ObservedPair | None, wanted: DesiredState, now: datetime) -> Iterator[Event]:
    """Yield the events of a run at *now*: its effects and its alerts."""
    main = (wanted.main,)
    promoted = before is not None and before.main is not None and before.main.ordinal != wanted.main
    new = {request.ordinal for request in wanted.requests}
    if promoted and wanted.main not in new:
        reason = f"certificate {wanted.main} becomes main"
        yield Event(at=now, event=EventName.APPLY_RESERVE, reason=reason, certificates=main)
    for request in wanted.requests:
        event = EventName.ISSUE_MAIN if request.slot is Slot.MAIN else EventName.ISSUE_RESERVE
        if isinstance(request, IssueRequest):
            description = f"{request.validity_days} days"
        else:
            description = f"custom, valid to {request.offered.not_after:%Y-%m-%d}"
        reason = f"certificate {request.ordinal}, {description}: {wanted.reason}"
        yield Event(at=now, event=event, reason=reason, certificates=(request.ordinal,))
    known = () if before is None else tuple(version.ordinal for version in before.versions)
    if wanted.trusted_ordinals != known:
        names = ", ".join(str(ordinal) for ordinal in wanted.trusted_ordinals)
        reason = f"devices get the profile with the certificates {names}"
        yield Event(at=now, event=EventName.DISTRIBUTE, reason=reason, certificates=wanted.trusted_ordinals)
    if wanted.phase is Phase.CONNECTION_LOST:
        says = [(EventName.CONNECTION_LOST, reinstallation_notice().message)]
    else:
        says = [(_ALERTS[one.severity], one.message) for one in wanted.notices if one.severity in _ALERTS]
    for event, reason in says:
        yield Event(at=now, event=event, reason=reason, certificates=main)


def _pair_after_run(before: ObservedPair | None, wanted: DesiredState, now: datetime) -> ObservedPair:
    """Return the pair after a run at *now*."""
    versions = {version.ordinal: version for version in (before.versions if before is not None else ())}
    for request in wanted.requests:
        versions[request.ordinal] = StoredVersion(
            version_id=str(request.ordinal),
            ordinal=request.ordinal,
            labels=frozenset(),
            facts=_foreseen_facts(request, now),
            role=Role(request.slot),
        )
    kept = []
    for ordinal in wanted.trusted_ordinals:
        is_main, is_reserve = ordinal == wanted.main, ordinal == wanted.reserve
        label = Label.MAIN if is_main else Label.RESERVE if is_reserve else Label.FORMER
        role = Role.RESERVE if is_reserve else Role.MAIN
        kept.append(replace(versions[ordinal], labels=frozenset({label}), role=role))
    asked = (request.generation for request in wanted.requests if request.slot is Slot.MAIN)
    main = versions[wanted.main].facts
    assert main is not None  # noqa: S101 - every certificate of a forecast has facts
    came = wanted.reserve in {request.ordinal for request in wanted.requests}
    highest = max([before.highest_ordinal if before is not None else 0, *wanted.trusted_ordinals])
    return ObservedPair(
        owner="forecast",
        highest_ordinal=highest,
        recorded_ordinal=highest,
        main_generation=next(asked, None if before is None else before.main_generation),
        # Devices are assumed to get each reserve in time.
        gate=None if wanted.reserve is None else RecordedGate(certificate=wanted.reserve, is_open=True, since=now),
        reserve_since=now if came else None if before is None else before.reserve_since,
        versions=tuple(kept),
        served=(ServedCertificate(endpoint="", sha256=main.sha256),),
    )


def _foreseen_facts(request: Request, now: datetime) -> CertificateFacts:
    """Return the facts of a certificate that is issued or installed at *now*, with a unique digest.

    The digest identifies the certificate that the simulated server presents.
    """
    facts = foreseen_facts(request, now)
    return facts if facts.sha256 else replace(facts, sha256=f"{request.ordinal:064x}")


def _due_times(definition: PairDefinition, run: _Run) -> Iterator[datetime]:
    """Yield the times at which the next run might decide differently."""
    observed, wanted = run.after, run.wanted
    if wanted.apply_at is None and wanted.reserve is not None:
        # The reserve was issued in this run, and its apply time is decided in the next run.
        yield shifted_time(run.at, _SECOND)
    if wanted.apply_at is not None:
        yield wanted.apply_at
    main = _facts(observed, wanted.main)
    reserve = definition.reserve or IssueReserve()
    if isinstance(reserve, IssueReserve):
        yield reserve_time(reserve, main)
    yield critical_time(definition, main)
    for version in observed.versions:
        if version.facts is not None:
            yield version.facts.not_before
            yield expiry(version.facts)


def _facts(observed: ObservedPair, ordinal: int) -> CertificateFacts:
    version = observed.version_of(ordinal)
    assert version is not None  # noqa: S101 - the run before stored the version
    assert version.facts is not None  # noqa: S101 - every certificate of a forecast has facts
    return version.facts
