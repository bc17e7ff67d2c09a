"""AWS's limits for the secret of a pair: the number of labels and tags that its certificates need (R40)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.encryption import has_key, versions_with_former_key
from ios_mdm.core.pair.layout import ANNOUNCED_TAG, facts_tag, version_id
from ios_mdm.core.pair.secret import MAX_LABELS, Label, trusted_label
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from ios_mdm.core.pair.decision import DesiredState
    from ios_mdm.core.pair.observed import ObservedPair

__all__ = [
    "MAX_CERTIFICATES",
    "MAX_EXPIRED_FORMERS",
    "MAX_TAGS",
    "OWN_TAGS",
    "certificates_at_once",
    "check_budget",
    "check_key_change",
    "room_for_tags",
]

MAX_TAGS = 50
"""Number of tags that AWS allows for a secret, in addition to the tags that AWS sets."""

OWN_TAGS = 19
"""Maximum number of tags that a pair needs in addition to the tags of its certificates.

13 are in ``layout``. Two are the ids of pair and resource, and there is one for each of up to four profile identifiers.
"""

MAX_EXPIRED_FORMERS = 5
"""Maximum number of expired former mains that stay in the profile, because no endpoint was seen to present their
successor. Each keeps a tag."""

_LEAVING_LABELS = 1
"""Number of tags for a reserve that is being replaced: it keeps its tag until its successor is stored."""

MAX_CERTIFICATES = MAX_LABELS - len(Label)
"""Maximum number of certificates that devices may trust: each of them has a separate label until it expires."""


def certificates_at_once(validity_days: int, interval_days: int) -> int:
    """Return the maximum number of certificates of a pair that are valid at the same time.

    The calculation assumes that main and its first reserve are issued together.

    Args:
        validity_days: validity of each certificate, in days.
        interval_days: days from the issue of one reserve to the issue of the next.
    """
    return validity_days // interval_days + 2


def room_for_tags(certificates: int) -> int:
    """Return the number of tags that are left for the user if this number of certificates is valid at a time."""
    return MAX_TAGS - OWN_TAGS - MAX_EXPIRED_FORMERS - _LEAVING_LABELS - certificates


def check_budget(
    wanted: DesiredState,
    observed: ObservedPair | None,
    *,
    secret: str,
    tags: Collection[str],
    distributed: bool,
    now: datetime,
) -> None:
    """Refuse a run that needs more labels or tags than AWS allows.

    Args:
        wanted: desired state of the pair.
        observed: observed state of the pair; None if its secret does not exist.
        secret: name of the pair's secret.
        tags: keys of the user's tags.
        distributed: whether devices get the certificates in a profile.
        now: current time, aware UTC, whole seconds.

    Raises:
        DefinitionError: The secret has no room for the labels or tags; the message gives the remedy.
    """
    if observed is None:
        return
    if distributed:
        _check_labels(wanted, observed, secret, now)
    needed = {facts_tag(version_id(secret, request.ordinal)) for request in wanted.requests}
    needed |= {ANNOUNCED_TAG} if needed else set()
    existing = {key for key in observed.tags if not key.startswith("aws:")}
    count = len(existing | needed | set(tags))
    if needed and count > MAX_TAGS:
        raise DefinitionError(
            f"secret {secret} needs {count} tags, but AWS allows {MAX_TAGS}: remove some of aws.tags, or wait until a "
            f"former main expires{_first_expiry(wanted, observed, now)}"
        )


def check_key_change(
    wanted: DesiredState, observed: ObservedPair, kms_key: str | None, *, tags: Collection[str], now: datetime
) -> None:
    """Refuse another KMS key if the secret has no room for a tag for each version that keeps the former key.

    These tags must also leave room for the tags of later certificates, so that a key change never blocks a certificate.

    Args:
        wanted: desired state of the pair.
        observed: observed state of the pair.
        kms_key: id, ARN or alias of the key in the definition; None for the account's default key.
        tags: keys of the user's tags.
        now: current time, aware UTC, whole seconds.

    Raises:
        DefinitionError: The secret has no room for the tags; the message gives the remedy.
    """
    if has_key(observed, kms_key):
        return
    certificates = {*wanted.trusted_ordinals, *(request.ordinal for request in wanted.requests)}
    excess = len(versions_with_former_key(wanted, observed)) + len(tags) - room_for_tags(len(certificates))
    if excess > 0:
        removed = f" remove {excess} of aws.tags, or" if excess <= len(tags) else ""
        raise DefinitionError(
            f"aws.kmsKey cannot change now: each certificate that stays encrypted with the former key needs a tag, and "
            f"AWS allows {MAX_TAGS} tags. Restore the former key. Before you change the key,{removed} wait until "
            f"certificates expire{_first_expiry(wanted, observed, now)}"
        )


def _check_labels(wanted: DesiredState, observed: ObservedPair, secret: str, now: datetime) -> None:
    existing = frozenset[str]().union(*(version.labels for version in observed.versions))
    expired = {version.ordinal for version in observed.versions if version.facts and now >= expiry(version.facts)}
    needed = {trusted_label(ordinal) for ordinal in wanted.trusted_ordinals if ordinal not in expired}
    kept = existing - {trusted_label(ordinal) for ordinal in wanted.withdrawn}
    if needed <= kept or len(kept | needed | set(Label)) <= MAX_LABELS:
        return
    room = MAX_LABELS - len((kept | set(Label)) - needed)
    raise DefinitionError(
        f"secret {secret} needs a label for each of the {len(needed)} certificates that devices may trust, but the "
        f"{MAX_LABELS} labels of a secret in AWS leave room for {room}: wait until one expires"
        f"{_first_expiry(wanted, observed, now)}, or add to `distrust` the fingerprint of a certificate that no server "
        "presents"
    )


def _first_expiry(wanted: DesiredState, observed: ObservedPair, now: datetime) -> str:
    ends = [
        expiry(version.facts)
        for version in observed.versions
        if version.facts is not None
        and version.ordinal in wanted.trusted_ordinals
        and version.ordinal not in {wanted.main, wanted.reserve}
        and now < expiry(version.facts)
    ]
    return f" ({min(ends):%Y-%m-%d})" if ends else ""
