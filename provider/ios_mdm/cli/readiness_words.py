"""Texts of the report about the next switch, for its table and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ios_mdm.app.readiness.values import Presented, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ios_mdm.app.readiness.values import Anchor, DeviceReport, Report

__all__ = ["ANCHOR_ADVICE", "PRESENTED", "VERDICTS", "anchor_text", "device_summary", "schedule_text", "time_text"]

VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.READY: "READY",
    Verdict.NOT_READY: "NOT READY",
    Verdict.UNKNOWN: "UNKNOWN",
}

PRESENTED: Final[Mapping[Presented, str]] = {
    Presented.MAIN: "presents main, so its server fetches the certificates of the pair",
    Presented.RESERVE: "presents the reserve already",
    Presented.OTHER: "presents neither main nor the reserve",
    Presented.UNKNOWN: "could not be checked",
}

ANCHOR_ADVICE: Final = (
    "Enrollment profiles of other programs, and anchor_certs of Automated Device Enrollment, cannot be read here. "
    "A device that enrolls needs the root of main until the switch, and the root of the reserve from then on. "
    "Put the PEM of each root below into both places before the switch."
)


def schedule_text(report: Report) -> str | None:
    """Return a text about the execution of the switch; None if no switch is planned."""
    status = report.overview
    if status.apply_at is None:
        return None
    return {
        True: "schedule, role and queue are in order",
        False: "not scheduled in AWS",
        None: "the schedule was not checked",
    }[status.scheduled]


def device_summary(devices: DeviceReport) -> str:
    """Return the number of devices that have the certificates, as a text."""
    fleet = devices.fleet
    text = fleet.coverage_text
    if devices.has_reserve:
        covered = f"{fleet.size - fleet.count(*fleet.lacking_states)} of {fleet.size} devices"
        text = (
            f"{covered} proved that they have the root of the reserve"
            if devices.is_proof_configured
            else f"{covered} acknowledged a profile with the root of the reserve (proof is not configured)"
        )
    if devices.coverage is None:
        return text
    return f"{text}. Gate: {devices.coverage.text}, {devices.minimum} % are required"


def anchor_text(anchor: Anchor) -> str:
    """Return the description of a root in one line."""
    return (
        f"root of certificate {anchor.certificate}: {anchor.subject}, valid to {time_text(anchor.not_after)}, "
        f"SHA-256 {anchor.sha256}"
    )


def time_text(time: datetime) -> str:
    """Return a time of the report as text."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
