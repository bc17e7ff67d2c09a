"""Notices and refusals about certificates that stay in the profile, and about those that must leave it (R35)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import expiry, is_valid_at, issued_at
from ios_mdm.core.pair.decision import GuardReason, InstallRequest, Notice, Severity
from ios_mdm.core.pair.definition import InstallReserve
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.policies.answers import refusal
from ios_mdm.core.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ios_mdm.core.pair.decision import DesiredState, GuardedCertificate
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.observed import ObservedPair

__all__ = ["DISTRUSTS_PRESENTED", "distrusted_certificate_kept", "guard_notices", "trusted_formers"]


DISTRUSTS_PRESENTED = "distrusts-presented"
"""Reason code of the notice about a distrusted certificate that an endpoint still presents."""


def trusted_formers(definition: PairDefinition, observed: ObservedPair, formers: tuple[int, ...]) -> tuple[int, ...]:
    """Return the ordinals of those *formers* that the definition does not distrust."""
    distrusted = {
        version.ordinal
        for version in observed.versions
        if version.facts is not None and version.facts.sha256 in definition.distrust
    }
    return tuple(ordinal for ordinal in formers if ordinal not in distrusted)


def distrusted_certificate_kept(
    definition: PairDefinition, observed: ObservedPair, wanted: DesiredState, now: datetime
) -> Notice | None:
    """R35: main, the reserve and a certificate that the definition offers must not be listed under `distrust`.

    Devices that stop trusting main lose their connection, and a distrusted reserve must not become main.
    """
    for request in wanted.requests:
        if isinstance(request, InstallRequest) and request.offered.sha256 in definition.distrust:
            return refusal(
                "distrusts-offered",
                f"distrust lists {request.offered.sha256}, but {request.slot}.install offers this certificate: install "
                "another one, or remove the fingerprint from distrust",
            )
    for ordinal in (wanted.main, wanted.reserve):
        version = None if ordinal is None else observed.version_of(ordinal)
        facts = None if version is None else version.facts
        if facts is None or facts.sha256 not in definition.distrust or now >= expiry(facts):
            continue
        if ordinal == wanted.main:
            return refusal(
                "distrusts-main",
                f"distrust lists {facts.sha256}, which is main, certificate {ordinal}: devices that do not trust main "
                f"lose their connection. {_promotion_advice(definition, observed, wanted, now)}To replace main in the "
                f"same run, set `main.replaceNow: true` and `main.confirm: {facts.sha256}`; otherwise remove the "
                "fingerprint from distrust",
            )
        return refusal(
            "distrusts-reserve",
            f"distrust lists {facts.sha256}, which is the reserve, certificate {ordinal}, but the definition keeps "
            "it. To delete it in the same run, set `reserve.none: true`, raise `reserve.issue.generation` to "
            f"{facts.generation + 1}, or install another reserve, each with `reserve.confirm: {facts.sha256}`; "
            "otherwise remove the fingerprint from distrust",
        )
    return None


def _promotion_advice(definition: PairDefinition, observed: ObservedPair, wanted: DesiredState, now: datetime) -> str:
    """Return how the user makes the waiting reserve main now, if devices were sent the reserve; empty otherwise."""
    version = None if wanted.reserve is None else observed.version_of(wanted.reserve)
    facts = None if version is None else version.facts
    if facts is None or not observed.is_sent(facts.ordinal) or facts.sha256 in definition.distrust:
        return ""
    came = issued_at(facts) if facts.source is Source.ISSUED else observed.reserve_since
    if came is None or came >= now or not is_valid_at(facts, now):
        return ""
    slot = "install" if isinstance(definition.reserve, InstallReserve) else "issue"
    hold = " and `promotion.hold: false`" if definition.promotion.hold else ""
    return (
        f"Devices were sent the reserve, certificate {facts.ordinal}, and stay connected if it becomes main: set "
        f"`reserve.{slot}.apply: {{at: {rfc3339(now)}}}`{hold}. "
    )


def guard_notices(definition: PairDefinition, observed: ObservedPair, wanted: DesiredState) -> tuple[Notice, ...]:
    """Return a notice for each certificate that stays in the profile, and for each one that must leave it."""
    return (*(_kept_notice(observed, one) for one in wanted.guarded), *_distrust_notices(definition, observed))


def _kept_notice(observed: ObservedPair, one: GuardedCertificate) -> Notice:
    version = observed.version_of(one.ordinal)
    facts = None if version is None else version.facts
    presented = f"{' and '.join(one.endpoints)} present{'s' if len(one.endpoints) == 1 else ''} it"
    match one.reason:
        case GuardReason.PRESENTED:
            reason = f"{presented}. Let the server fetch AWSCURRENT and reload"
        case GuardReason.ARMED:
            reason = "a schedule can still make it main"
        case _:
            reason = "it was offered to devices, and its deletion was not requested" + (
                f". {presented}" if one.endpoints else ""
            )
    remedy = "" if facts is None else f". To remove it from the profile, add {facts.sha256} to `distrust`"
    return Notice(
        reason=f"kept-{one.reason}",
        severity=Severity.WARNING if one.endpoints else Severity.NOTICE,
        message=f"certificate {one.ordinal} is neither main nor reserve, and stays in the profile: {reason}{remedy}",
        due=None if facts is None else expiry(facts),
    )


def _distrust_notices(definition: PairDefinition, observed: ObservedPair) -> Iterator[Notice]:
    known = {version.facts.sha256: version.ordinal for version in observed.versions if version.facts is not None}
    for sha256 in sorted(definition.distrust):
        if sha256 not in known:
            yield Notice(
                reason="distrusts-unknown",
                severity=Severity.NOTICE,
                message=f"distrust lists {sha256}, but no certificate of this pair has this fingerprint: the entry has "
                "no effect",
            )
            continue
        endpoints = [one.endpoint for one in observed.served if one.sha256 == sha256]
        if endpoints:
            is_main = observed.main is not None and observed.main.ordinal == known[sha256]
            count = "the devices" if definition.devices is None else f"{definition.devices} devices"
            yield Notice(
                reason=DISTRUSTS_PRESENTED,
                severity=Severity.CRITICAL,
                message=f"{' and '.join(endpoints)} present{'s' if len(endpoints) == 1 else ''} certificate "
                f"{known[sha256]}, which distrust lists: {count} of {definition.name} "
                "lose their connection with the next profile. Let the server fetch AWSCURRENT and reload "
                f"{'right after this run, which replaces it' if is_main else 'first'}",
            )
