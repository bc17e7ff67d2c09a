"""Decides the reasons of the verdict about a switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.app.readiness.values import Presented, Reason
from ios_mdm.app.status.overview import Level
from ios_mdm.core.connection.certificates import certificate_findings
from ios_mdm.core.connection.demands import Demand
from ios_mdm.core.connection.readiness import Verdict as Connection
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.x509.pem import CertificateError
from ios_mdm.core.x509.pem import chain as certificates_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ios_mdm.app.readiness.values import DeviceReport, EndpointReport
    from ios_mdm.app.status.overview import Overview
    from ios_mdm.app.status.prospect import SwitchProspect

__all__ = ["report_reasons"]

_OBSTACLES: Final = frozenset({"not-scheduled", "elsewhere", "missing", "reserve-expired"})
"""Codes of notices about something without which the switch, or a connection after it, fails."""
_UNCHECKED: Final = frozenset({"unchecked", "schedule-unknown", "unreadable"})
"""Codes of notices about something that could not be checked."""
_REPLACED: Final = frozenset(
    {
        *("coverage", "lost-devices", "no-ledger", "no-reserve", "no-distribution", "not-seen"),
        *("serves-another", "serves-former"),
        *map(str, Demand),
    }
)
"""Codes of notices that the report replaces by more exact reasons."""
_LEVELS: Final = {Severity.CRITICAL: Level.CRITICAL, Severity.WARNING: Level.WARNING}


def report_reasons(
    overview: Overview, devices: DeviceReport | None, problem: str, endpoints: Sequence[EndpointReport]
) -> tuple[Reason, ...]:
    """Return the reasons of the verdict, worst first.

    Args:
        overview: status of the server.
        devices: the devices; None if they are unknown.
        problem: why the devices are unknown; otherwise empty.
        endpoints: the endpoints that were checked.
    """
    prospect = overview.prospect
    if overview.problem is not None or prospect is None:
        return (_unknown("unread", overview.problem or "the status of the pair is incomplete"),)
    found = [*_pair_reasons(overview, prospect), *_switch_reasons(overview, prospect)]
    found += _unknown_devices(problem) if devices is None else _device_reasons(devices)
    found += _endpoint_reasons(endpoints)
    found += _notice_reasons(overview)
    return tuple(sorted(found, key=lambda reason: -reason.level))


def _pair_reasons(overview: Overview, prospect: SwitchProspect) -> Iterator[Reason]:
    """Yield reasons about the reserve."""
    if overview.reserve is None and prospect.plan is None:
        yield _obstacle("no-reserve", f"there is nothing to switch to: the pair has no reserve. Next: {overview.due}")
        return
    if prospect.plan is None:
        yield _unknown("reserve-unread", "the reserve, or its apply time, cannot be read: run `ios-mdm status`")
        return
    try:
        leaf = certificates_of(prospect.plan.chain)[0]
    except CertificateError as error:
        yield _unknown("reserve-unread", f"the reserve cannot be read: {error}")
        return
    at = max(overview.now, prospect.plan.at)
    for one in certificate_findings(leaf.public_bytes(Encoding.DER), host=prospect.settings.host, now=at):
        yield _obstacle(str(one.demand), one.message(f"servers that present certificate {prospect.plan.certificate}"))


def _switch_reasons(overview: Overview, prospect: SwitchProspect) -> Iterator[Reason]:
    """Yield reasons about the execution of the switch. A schedule with problems has a notice."""
    plan, promotion = prospect.plan, prospect.settings.promotion
    if plan is None or overview.now >= plan.at:
        return  # a passed apply time has a notice
    if promotion.hold:
        yield _warning("hold", "promotion.hold is set: the switch does not happen until it is removed")
    elif not promotion.schedule:
        yield _warning(
            "no-schedule",
            f"promotion.schedule is false: only a run of `pulumi up` after {plan.at:%Y-%m-%d %H:%M} "
            "UTC makes the reserve main",
        )
    elif overview.scheduled is None:
        yield _unknown("schedule-unchecked", f"the schedule of the switch was not checked. Next: {overview.due}")


def _device_reasons(devices: DeviceReport) -> Iterator[Reason]:
    fleet = devices.fleet
    if not fleet.size:
        yield _unknown("no-devices", "no device is known: check distribution.devices and the collector")
    if not devices.has_reserve:
        return
    accepted = ""
    level = Level.CRITICAL
    if devices.is_gate_met and devices.coverage is not None:
        level = Level.WARNING
        accepted = (
            f". promotion.minimumCoverage accepts this: {devices.coverage.text}, {devices.minimum} % are required"
        )
    if devices.lost_count:
        yield Reason(
            level=level,
            code="lost-devices",
            message=f"{devices.lost_count} of {fleet.size} devices cannot connect after the switch, because "
            f"{'no proof and ' if devices.is_proof_configured else ''}no acknowledgment of the reserve's root is known"
            f"{accepted}",
        )
    if devices.unproved_count:
        advice = "run `ios-mdm verify`" if devices.is_proof_configured else "distribution.proof is not configured"
        yield Reason(
            level=level if devices.is_proof_configured else Level.WARNING,
            code="not-proved",
            message=f"{devices.unproved_count} of {fleet.size} devices acknowledged the profile and did not prove that "
            f"they have the reserve's root: {advice}{accepted if devices.is_proof_configured else ''}",
        )


def _unknown_devices(problem: str) -> Iterator[Reason]:
    yield _unknown("devices-unknown", f"it is unknown which devices trust the reserve: {problem}")


def _endpoint_reasons(endpoints: Sequence[EndpointReport]) -> Iterator[Reason]:
    if not endpoints:
        yield _unknown(
            "no-endpoints", "no endpoint was checked, so it is unknown whether a server will present the reserve"
        )
    for one in endpoints:
        connection = one.readiness
        if one.presented is Presented.UNKNOWN:
            yield _unknown("endpoint-unread", f"{one.name} could not be checked: {connection.served.problem}")
        elif one.presented is not Presented.MAIN:
            yield _obstacle(
                "consumer-not-seen",
                f"{one.name} does not present main, so nothing shows that the server will fetch the reserve: let the "
                "server fetch AWSCURRENT and reload (`ios-mdm consume`, docs/serve.md)",
            )
        if connection.verdict is Connection.AT_RISK:
            for finding in connection.findings:
                yield _obstacle(str(finding.demand), finding.message(one.name))


def _notice_reasons(overview: Overview) -> Iterator[Reason]:
    for notice in overview.notices:
        level = _LEVELS.get(notice.severity)
        if notice.reason in _OBSTACLES:
            level = Level.CRITICAL
        elif notice.reason in _UNCHECKED:
            level = Level.UNKNOWN
        if level is not None and notice.reason not in _REPLACED:
            yield Reason(level=level, code=notice.reason, message=notice.message)


def _obstacle(code: str, message: str) -> Reason:
    return Reason(level=Level.CRITICAL, code=code, message=message)


def _unknown(code: str, message: str) -> Reason:
    return Reason(level=Level.UNKNOWN, code=code, message=message)


def _warning(code: str, message: str) -> Reason:
    return Reason(level=Level.WARNING, code=code, message=message)
