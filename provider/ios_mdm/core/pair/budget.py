"""AWS's limits for the secret of a pair: how many labels and tags its certificates may need at a time (R40)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.encryption import has_key, left_versions
from ios_mdm.core.pair.layout import ANNOUNCED_TAG, facts_tag, version_id
from ios_mdm.core.pair.moments import expires
from ios_mdm.core.pair.secret import MAX_LABELS, Label, trusted_label
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from ios_mdm.core.pair.decision import Desired
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
"""Number of tags that AWS allows for a secret, without the tags that AWS itself sets."""

OWN_TAGS = 18
"""Number of a pair's own tags at most, without those of its certificates: 12 in ``layout``, the ids of pair and
resource, and one for each of up to four profile identifiers."""

MAX_EXPIRED_FORMERS = 5
"""Former mains that have expired and were not seen to be replaced; each keeps a tag."""

_LEAVING = 1
"""A reserve that is replaced keeps its tag until its successor is stored."""

MAX_CERTIFICATES = MAX_LABELS - len(Label)
"""Each certificate that devices may trust has a separate label until it expires."""


def certificates_at_once(validity_days: int, interval_days: int) -> int:
    """Return the maximum number of certificates of a pair that are valid at the same time.

    Main and its first reserve are issued together.

    Args:
        validity_days: of each certificate.
        interval_days: from one reserve to the next.
    """
    return validity_days // interval_days + 2


def room_for_tags(certificates: int) -> int:
    """Return how many tags are left for the user if so many certificates are valid at a time."""
    return MAX_TAGS - OWN_TAGS - MAX_EXPIRED_FORMERS - _LEAVING - certificates


def check_budget(
    wanted: Desired,
    observed: ObservedPair | None,
    *,
    secret: str,
    tags: Collection[str],
    distributed: bool,
    now: datetime,
) -> None:
    """Refuse a run that would need more labels or tags than AWS allows.

    Args:
        wanted: the decision about the pair.
        observed: the pair; None if its secret does not exist.
        secret: name of its secret.
        tags: keys of the user's tags.
        distributed: whether devices get the certificates in a profile.
        now: aware UTC, whole seconds.

    Raises:
        DefinitionError: The secret has no room for them; the message gives the remedy.
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
            f"secret {secret} would have {count} tags, but AWS allows {MAX_TAGS}: remove some of aws.tags, or wait "
            f"until a former main expires{_first_expiry(wanted, observed, now)}"
        )


def check_key_change(
    wanted: Desired, observed: ObservedPair, kms_key: str | None, *, tags: Collection[str], now: datetime
) -> None:
    """Refuse another KMS key if AWS does not allow a tag for each version that stays encrypted with the former key.

    The tags must also leave room for those that the pair needs later: a key change never blocks a certificate.

    Args:
        wanted: the decision about the pair.
        observed: the pair.
        kms_key: id, ARN or alias of the wanted key; None for the account's default.
        tags: keys of the user's tags.
        now: aware UTC, whole seconds.

    Raises:
        DefinitionError: There is no room for them; the message gives the remedy.
    """
    if has_key(observed, kms_key):
        return
    certificates = {*wanted.trusted, *(request.ordinal for request in wanted.requests)}
    excess = len(left_versions(wanted, observed)) + len(tags) - room_for_tags(len(certificates))
    if excess > 0:
        removed = f" remove {excess} of aws.tags first, or" if excess <= len(tags) else ""
        raise DefinitionError(
            f"aws.kmsKey cannot change now: each certificate that stays encrypted with the former key needs a tag, and "
            f"AWS allows {MAX_TAGS} tags. Set it back, and{removed} wait until certificates expire"
            f"{_first_expiry(wanted, observed, now)}"
        )


def _check_labels(wanted: Desired, observed: ObservedPair, secret: str, now: datetime) -> None:
    existing = frozenset[str]().union(*(version.labels for version in observed.versions))
    expired = {version.ordinal for version in observed.versions if version.facts and now >= expires(version.facts)}
    needed = {trusted_label(ordinal) for ordinal in wanted.trusted if ordinal not in expired}
    kept = existing - {trusted_label(ordinal) for ordinal in wanted.withdrawn}
    if needed <= kept or len(kept | needed | set(Label)) <= MAX_LABELS:
        return
    room = MAX_LABELS - len((kept | set(Label)) - needed)
    raise DefinitionError(
        f"secret {secret}: {len(needed)} certificates that devices may trust would be valid at the same time, but "
        f"the {MAX_LABELS} labels of a secret in AWS leave room for {room}: wait until one expires"
        f"{_first_expiry(wanted, observed, now)}, or list under `distrust` the fingerprint of one that no server "
        "presents any more"
    )


def _first_expiry(wanted: Desired, observed: ObservedPair, now: datetime) -> str:
    ends = [
        expires(version.facts)
        for version in observed.versions
        if version.facts is not None
        and version.ordinal in wanted.trusted
        and version.ordinal not in {wanted.main, wanted.reserve}
        and now < expires(version.facts)
    ]
    return f" ({min(ends):%Y-%m-%d})" if ends else ""
