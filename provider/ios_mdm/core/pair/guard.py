"""The guard: the certificates that a profile must cover, so that devices trust what a server presents (R35)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.decision import GuardedCertificate, GuardReason
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.schedule import has_ended
from ios_mdm.core.pair.secret import Label

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion

__all__ = ["ended_offers", "guarded_certificates", "uncovered_versions", "unoffered_versions", "untrusted_versions"]


def guarded_certificates(
    observed: ObservedPair, trusted: Collection[int], *, deleted: int | None, distrust: Collection[str], now: datetime
) -> tuple[GuardedCertificate, ...]:
    """Return the certificates in addition to *trusted* that devices must still trust.

    Certificates that have expired, or that the definition distrusts, are not returned. An endpoint that cannot be
    reached keeps no certificate in the profile, because it is unknown which certificate it presents.

    Args:
        observed: observed pair.
        trusted: ordinals of main, the reserve and the former mains.
        deleted: ordinal of the reserve that the definition deletes now; None if it deletes none.
        distrust: fingerprints that the definition distrusts, 64 hex digits.
        now: current time, aware UTC, whole seconds.
    """
    found = []
    for version in observed.versions:
        if version.ordinal is None or version.ordinal in trusted:
            continue
        facts = version.facts
        if facts is not None and (now >= expiry(facts) or facts.sha256 in distrust):
            continue
        why, endpoints = (
            _guard_reason(observed, version, deleted=deleted, now=now),
            _presenting_endpoints(observed, version),
        )
        if why is not None:
            found.append(GuardedCertificate(ordinal=version.ordinal, reason=why, endpoints=endpoints))
    return tuple(found)


def _guard_reason(
    observed: ObservedPair, version: StoredVersion, *, deleted: int | None, now: datetime
) -> GuardReason | None:
    # A requested deletion ends the offer. Without facts it is unknown whether a deletion was requested.
    requested = version.role is Role.DELETED or version.ordinal == deleted or _is_given_up(version)
    if version.is_offered and not requested:
        return GuardReason.OFFERED
    if _presenting_endpoints(observed, version):
        return GuardReason.PRESENTED
    armed = observed.armed
    if armed is None or has_ended(armed, now) or version.facts is None:
        return None
    # A damaged record can stand for any certificate.
    named = armed.certificate == version.ordinal or (armed.certificate == 0 and version.is_offered)
    return GuardReason.ARMED if named else None


def _is_given_up(version: StoredVersion) -> bool:
    """Return whether the version was stored as the next main, and has not become main."""
    return version.slots == {Label.STAGED} and version.role is Role.MAIN


def _presenting_endpoints(observed: ObservedPair, version: StoredVersion) -> tuple[str, ...]:
    if version.facts is None:
        return ()
    return tuple(one.endpoint for one in observed.served if one.sha256 == version.facts.sha256)


def ended_offers(
    observed: ObservedPair, trusted: Collection[int], *, slots: Collection[int | None], now: datetime
) -> tuple[int, ...]:
    """Return the ordinals of certificates whose offer has ended but whose label is still set, ascending.

    An expired former main stays in the profile until the server was seen to present another certificate (R17). It needs
    no label, because devices reject an expired certificate, and the number of labels is limited.

    Args:
        observed: observed pair.
        trusted: ordinals of the certificates in the profile.
        slots: ordinals of main, the next main and the reserve; None for an empty slot.
        now: current time, aware UTC, whole seconds.
    """
    return tuple(
        version.ordinal
        for version in observed.versions
        if version.ordinal is not None
        and version.is_offered
        and (version.ordinal not in trusted or (version.ordinal not in slots and _has_expired(version, now)))
    )


def unoffered_versions(observed: ObservedPair, trusted: Collection[int], now: datetime) -> Sequence[StoredVersion]:
    """Return the versions that need the label of an offer before a profile with the *trusted* certificates is sent."""
    return [
        version
        for version in observed.versions
        if version.ordinal in trusted and not version.is_offered and not _has_expired(version, now)
    ]


def uncovered_versions(observed: ObservedPair, trusted: Collection[int], now: datetime) -> Sequence[StoredVersion]:
    """Return the versions that a profile must cover but does not cover.

    A profile must cover main, the reserve, and every certificate whose offer has not ended, except those that have
    expired. A profile covers a version if it contains the certificate, or the root of its chain.

    Args:
        observed: observed pair, right before the profile is sent.
        trusted: ordinals of the certificates in the profile.
        now: current time, aware UTC, whole seconds.
    """
    anchors = {version.facts.anchor for version in observed.versions if version.facts and version.ordinal in trusted}
    return [one for one in untrusted_versions(observed, anchors, now) if one.ordinal not in trusted]


def untrusted_versions(observed: ObservedPair, anchors: Collection[str], now: datetime) -> Sequence[StoredVersion]:
    """Return the versions that devices must trust but do not trust. A version without facts counts as not trusted.

    Args:
        observed: observed pair.
        anchors: digests of what devices trust, as ``CertificateFacts.anchor``.
        now: current time, aware UTC, whole seconds.
    """
    return [
        version
        for version in observed.versions
        if version.ordinal is not None
        and _is_needed(version)
        and not _has_expired(version, now)
        and (version.facts is None or version.facts.anchor not in anchors)
    ]


def _is_needed(version: StoredVersion) -> bool:
    is_reserve = Label.RESERVE in version.labels and version.role is Role.RESERVE
    return version.is_offered or is_reserve or Label.MAIN in version.labels


def _has_expired(version: StoredVersion, now: datetime) -> bool:
    return version.facts is not None and now >= expiry(version.facts)
