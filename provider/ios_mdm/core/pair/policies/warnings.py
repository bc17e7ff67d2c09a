"""Policies that return notices for the user. All notices are shown."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import expiry, is_valid_at
from ios_mdm.core.pair.decision import Notice, Severity, coverage_text
from ios_mdm.core.pair.definition import AfterDays, InstallMain, InstallReserve, IssueReserve, NoReserve, Slot
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.policies.reserve import custom_reserve_offered
from ios_mdm.core.pair.policies.rotation import rotation_unsteady
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.windows import MAX_SHORT_VALIDITY, validity
from ios_mdm.core.times import shifted_time

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from ios_mdm.core.pair.observed import ServedCertificate
    from ios_mdm.core.pair.policies.answers import Policy
    from ios_mdm.core.pair.situation import Situation

_GRACE = timedelta(minutes=15)
"""Time in which a server must present another main: three times the default interval of `consume` and most caches."""

__all__ = [
    "WARNINGS",
    "address_presents_another_certificate",
    "distribution_missing",
    "endpoint_unchecked",
    "gate_closed",
    "main_moved_by_operator",
    "offered_reserve_applied",
    "promotion_needs_run",
    "reserve_expires_first",
    "reserve_missing",
    "reserve_overdue",
    "reserve_period_shortened",
    "server_presents_another_certificate",
]


def reserve_missing(at: Situation) -> Notice | None:
    """R5: a custom main has no reserve, or an issued main has none because of `reserve.none`.

    R49: a short-lived custom main gets a reserve several times a year. Before its warning window, a missing reserve is
    no problem.
    """
    if at.reserve is not None or at.now >= expiry(at.main) or custom_reserve_offered(at):
        return None
    if at.main.source is Source.ISSUED and isinstance(at.reserve_request, IssueReserve):
        return None
    switched_off = isinstance(at.reserve_request, NoReserve) and at.main.source is Source.ISSUED
    remedy = "remove `reserve.none` to get one automatically" if switched_off else "install one"
    is_short = at.main.source is Source.INSTALLED and validity(at.main) <= MAX_SHORT_VALIDITY
    severity = Severity.NOTICE if is_short else Severity.WARNING
    if at.now >= at.critical_from:
        severity = Severity.CRITICAL
    elif is_short:
        remedy += f" before {at.critical_from:%Y-%m-%d %H:%M} UTC"
    return Notice(
        reason="no-reserve",
        severity=severity,
        message=f"main expires on {expiry(at.main):%Y-%m-%d %H:%M} UTC, and there is no reserve: {remedy}",
        due=expiry(at.main),
    )


def reserve_period_shortened(at: Situation) -> Notice | None:
    """R7: main expires before the period in days after the issue of the reserve ends."""
    if (
        at.reserve is None
        or at.reserve_since is None
        or at.apply_at is None
        or not isinstance(at.apply_setting, AfterDays)
    ):
        return None
    if at.apply_at >= shifted_time(at.reserve_since, timedelta(days=at.apply_setting.days)):
        return None
    return Notice(
        reason="late",
        severity=Severity.WARNING,
        message=f"certificate {at.reserve.ordinal} becomes main on {at.apply_at:%Y-%m-%d %H:%M} UTC, before its period "
        f"of {at.apply_setting.days} days ends, because main expires earlier",
        due=at.apply_at,
    )


def reserve_expires_first(at: Situation) -> Notice | None:
    """R5, R21: a reserve that expires before its apply time is reported like a missing reserve."""
    if at.reserve is None or at.reserve.facts is None or not at.is_expiring_unapplied:
        return None
    issued = at.main.source is Source.ISSUED and not isinstance(at.reserve_request, InstallReserve)
    remedy = "raise reserve.issue.generation to get another one" if issued else "install another one"
    return Notice(
        reason="expires-first",
        severity=Severity.CRITICAL if at.now >= at.critical_from else Severity.WARNING,
        message=f"certificate {at.reserve.ordinal}, the reserve, expires on "
        f"{expiry(at.reserve.facts):%Y-%m-%d %H:%M} UTC, before its apply time: {remedy}",
        due=expiry(at.reserve.facts),
    )


def reserve_overdue(at: Situation) -> Notice | None:
    """R11: the apply time has passed, but the reserve is on hold, not valid yet, or not sent to the devices (R15)."""
    if not at.is_due or at.reserve is None or at.reserve.facts is None:
        return None
    expired = at.now >= expiry(at.main)
    if at.definition.promotion.hold:
        why = "but promotion.hold is set: set it to false"
    elif not is_valid_at(at.reserve.facts, at.now):
        why = f"but it is not valid before {at.reserve.facts.not_before:%Y-%m-%d %H:%M} UTC, and becomes main then"
    elif at.is_unsent and not expired:
        why = "but it was not sent to the devices: it becomes main as soon as the MDM server accepts the profile"
    else:
        return None
    return Notice(
        reason="overdue",
        severity=Severity.CRITICAL if expired else Severity.WARNING,
        message=f"the apply time of certificate {at.reserve.ordinal} has passed, {why}",
        due=expiry(at.main),
    )


def distribution_missing(at: Situation) -> Notice | None:
    """R36: devices have a profile of the pair, but the definition has no distribution that sends them the reserve."""
    if at.definition.distributed or not at.is_unsent or at.reserve is None:
        return None
    return Notice(
        reason="no-distribution",
        severity=Severity.WARNING,
        message=f"devices have a profile of this pair, but the definition has no distribution: certificate "
        f"{at.reserve.ordinal} is not sent to them, and does not become main before main expires. Restore "
        "`distribution`. If devices get the certificates in another way now, remove the tags ios-mdm:sent and "
        "ios-mdm:profile:… from the pair's secret",
        due=expiry(at.main),
    )


def promotion_needs_run(at: Situation) -> Notice | None:
    """R36: without schedules, only a run at the apply time makes the reserve main."""
    if at.definition.promotion.schedule or at.definition.promotion.hold or at.reserve is None:
        return None
    if at.apply_at is None or at.is_due or at.is_expiring_unapplied:
        return None
    return Notice(
        reason="needs-run",
        severity=Severity.NOTICE,
        message=f"promotion.schedule is false, so no schedule promotes the reserve: run `pulumi up` at "
        f"{at.apply_at:%Y-%m-%d %H:%M} UTC to make certificate {at.reserve.ordinal} main",
        due=at.apply_at,
    )


def gate_closed(at: Situation) -> Notice | None:
    """R46: fewer devices than required had the reserve when the gate was last evaluated."""
    gate = at.gate
    if gate is None or gate.is_open or at.reserve is None or at.definition.promotion.hold:
        return None
    return Notice(
        reason="gate",
        severity=Severity.WARNING if at.now >= gate.early else Severity.NOTICE,
        message=f"certificate {at.reserve.ordinal} becomes main on {gate.early:%Y-%m-%d %H:%M} UTC if at least "
        f"{coverage_text(gate.minimum)}, otherwise as soon as they have, at the latest on "
        f"{gate.latest:%Y-%m-%d %H:%M} UTC. `ios-mdm devices` lists the others",
        due=gate.latest,
    )


def offered_reserve_applied(at: Situation) -> Notice | None:
    """R12: after a promotion, the definition is still valid, but a certificate that it offers has been main already."""
    wanted = {Slot.MAIN: at.definition.main, Slot.RESERVE: at.definition.reserve}
    offers = {slot: one.offered for slot, one in wanted.items() if isinstance(one, InstallMain | InstallReserve)}
    messages: list[str] = []
    reserve = offers.get(Slot.RESERVE)
    if reserve is not None and reserve.sha256 == at.main.sha256:
        messages.append("reserve.install is already applied")
    if reserve is not None and at.is_rechained(reserve, at.main):
        messages.append("reserve.install has another chain for main: to install it, offer the file under main.install")
    messages += [
        f"{slot}.install is superseded: its certificate was main before"
        for slot, one in offers.items()
        if at.was_main(one.sha256) and one.sha256 != at.main.sha256
    ]
    if not messages:
        return None
    return Notice(reason="applied", severity=Severity.NOTICE, message="; ".join(messages))


def main_moved_by_operator(at: Situation) -> Notice | None:
    """R32: a valid certificate of the pair with AWSCURRENT is main, even if an operator moved the label by hand."""
    main = at.observed.version_of(at.main.ordinal)
    promoted = at.observed.promoted == at.main.ordinal or (main is not None and main.role is Role.RESERVE)
    # A promoted reserve can be older than its former main, if that main replaced another one while the reserve waited.
    after = [
        version.ordinal
        for version in at.observed.versions
        if not promoted and version.is_former and version.ordinal is not None and version.ordinal > at.main.ordinal
    ]
    if not after:
        return None
    return Notice(
        reason="rolled-back",
        severity=Severity.WARNING,
        message=f"certificate {at.main.ordinal} is main again, after certificate {max(after)}: AWSCURRENT was moved "
        f"back by hand. Certificate {max(after)} is not promoted again",
    )


def server_presents_another_certificate(at: Situation) -> Notice | None:
    """R16, R17: an endpoint presents a certificate that is not main."""
    main = at.observed.main
    if main is None or main.facts is None:
        return None
    known = {version.facts.sha256: version.facts.ordinal for version in at.observed.versions if version.facts}
    others = [one for one in at.observed.served if one.sha256 is not None and one.sha256 != main.facts.sha256]
    if not others:
        return None
    seen = ", ".join(
        f"{one.endpoint} presents "
        + (f"certificate {known[one.sha256]}" if one.sha256 in known else "an unknown certificate")
        for one in others
        if one.sha256 is not None
    )
    until = _grace_end(at, {one.sha256 for one in others})
    if until is not None:
        return Notice(
            reason="serves-former",
            severity=Severity.NOTICE,
            message=f"{seen}, but certificate {main.facts.ordinal} became main a short time ago: this is critical from "
            f"{until:%H:%M:%S} UTC",
            due=until,
        )
    return Notice(
        reason="serves-another",
        severity=Severity.CRITICAL,
        message=f"{seen}, but main is certificate {main.facts.ordinal}: let the server fetch AWSCURRENT and reload "
        "(`ios-mdm consume`, docs/serve.md)",
    )


def _grace_end(at: Situation, served: Collection[str | None]) -> datetime | None:
    """Return the time until which a server may present the former main after a switch; None if it must not.

    The time of a switch is not recorded, because a schedule sets no tags. The switch was at the last change of the
    secret, or earlier.
    """
    former = at.observed.holder(Label.FORMER)
    changed = at.observed.changed_at
    if former is None or former.facts is None or changed is None or served != {former.facts.sha256}:
        return None
    is_recent = changed <= at.now < changed + _GRACE
    return changed + _GRACE if is_recent and at.now < expiry(former.facts) else None


def address_presents_another_certificate(served: Sequence[ServedCertificate], main: str | None) -> Notice | None:
    """R35: the address of a new pair presents another certificate, which devices trust today.

    Args:
        served: certificate that each endpoint presents.
        main: SHA-256 fingerprint of the custom certificate that becomes main; None if main is issued.
    """
    others = [one for one in served if one.sha256 not in {None, main}]
    if not others:
        return None
    seen = ", ".join(f"{one.endpoint} presents the certificate {one.sha256}" for one in others)
    return Notice(
        reason="another-server",
        severity=Severity.WARNING,
        message=f"{seen}, which is not in this new pair. Devices that connect today trust that certificate: give the "
        "server a certificate of the new pair only after devices have the profile. If the server was renamed in the "
        "definition, restore its name. To adopt the presented certificate, install it as main (docs/migrating.md)",
    )


def endpoint_unchecked(at: Situation) -> Notice | None:
    """R17: the certificate that an endpoint presents is unknown, because the endpoint could not be checked."""
    blind = [one for one in at.observed.served if one.sha256 is None]
    if not blind:
        return None
    seen = ", ".join(f"{one.endpoint} ({one.problem})" for one in blind)
    return Notice(
        reason="not-seen",
        severity=Severity.NOTICE,
        message=f"cannot read the certificate that the server presents at {seen}: list reachable addresses under "
        "endpoints, or none (`endpoints: []`)",
    )


WARNINGS: tuple[Policy, ...] = (
    reserve_missing,
    rotation_unsteady,
    reserve_period_shortened,
    reserve_expires_first,
    reserve_overdue,
    distribution_missing,
    promotion_needs_run,
    gate_closed,
    offered_reserve_applied,
    main_moved_by_operator,
    server_presents_another_certificate,
    endpoint_unchecked,
)
