"""The storage format of a pair in its secret: version ids and tags. ``tests/core/pair/test_layout.py`` freezes it.

Each version id has a tag with its public facts. Facts per slot would become wrong when a schedule moves a label,
because a schedule writes no tags. All tags obey AWS's limits: 50 tags, 256 characters, a small alphabet.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.pair.home import PairIdentity
from ios_mdm.core.pair.observed import Announcement, ArmedPromotion, ObservedPair, RecordedGate, Role, StoredVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ios_mdm.core.pair.secret import SecretDescription

__all__ = [
    "ADDRESS_TAG",
    "ANNOUNCED_TAG",
    "ARMED_TAG",
    "GATE_TAG",
    "HIGHEST_TAG",
    "KEY_TAG",
    "MAIN_GENERATION_TAG",
    "OWNER_TAG",
    "PAIR_ID_TAG",
    "PROMOTED_TAG",
    "REPLACED_TAG",
    "RESERVE_SINCE_TAG",
    "RESOURCE_ID_TAG",
    "SENT_TAG",
    "TAGS_TAG",
    "added_tags",
    "announced_value",
    "armed_value",
    "facts_tag",
    "facts_value",
    "former_key_tag",
    "gate_value",
    "is_profile_sent",
    "is_sent_to",
    "observed_pair",
    "profile_tag",
    "promoted_value",
    "sent_value",
    "tags_value",
    "time_value",
    "value_without_profile",
    "version_id",
]

OWNER_TAG = "ios-mdm:owner"
ADDRESS_TAG = "ios-mdm:address"
ANNOUNCED_TAG = "ios-mdm:announced"
PAIR_ID_TAG = "ios-mdm:pair-id"
RESOURCE_ID_TAG = "ios-mdm:resource-id"
HIGHEST_TAG = "ios-mdm:highest-ordinal"
MAIN_GENERATION_TAG = "ios-mdm:main-generation"
PROMOTED_TAG = "ios-mdm:promoted"
REPLACED_TAG = "ios-mdm:replaced"
RESERVE_SINCE_TAG = "ios-mdm:reserve-since"
SENT_TAG = "ios-mdm:sent"
TAGS_TAG = "ios-mdm:tags"
KEY_TAG = "ios-mdm:kms-key"
ARMED_TAG = "ios-mdm:armed"
GATE_TAG = "ios-mdm:gate"
_FACTS_PREFIX = "ios-mdm:certificate:"
_FORMER_KEY_PREFIX = "ios-mdm:former-kms-key:"
_PROFILE_PREFIX = "ios-mdm:profile:"

_SENT_TO = "devices:"
_SENT_PROFILE = "profile:"
_SENT_DIGITS = 16

_RESERVED = ("ios-mdm:", "aws:")
_KEY_DIGEST = 12
"""Number of characters of the digest of a key: 72 bits. The digests of 20 keys fit into the 256 characters of a tag."""

_NAMESPACE = UUID("6d0a9f2e-6c0c-5d0c-9a3b-5f6d64d2f1a7")
_SEARCHED_ORDINALS = 512
"""Highest ordinal to search version ids for if the tag with the highest ordinal is lost: centuries of renewals."""
_MAX_ORDINALS_AHEAD = 4
"""Number of ordinals above the recorded one whose version ids are searched for: a crash can leave them unrecorded."""

_ANNOUNCED = re.compile(r"(?P<ordinal>[1-9][0-9]{0,5}) (?P<sha256>[0-9a-f]{64})")
_GATE = re.compile(r"(?P<ordinal>[1-9][0-9]{0,5}) (?P<state>open|closed) (?P<since>\S{16})")
_FACTS = re.compile(
    r"n=(?P<ordinal>[1-9][0-9]{0,5}) source=(?P<source>issued|installed) "
    r"(?:generation=(?P<generation>[1-9][0-9]{0,8})|chain=(?P<chain>[0-9a-f]{16})) "
    r"role=(?P<role>main|reserve|deleted|kept) notBefore=(?P<not_before>\S{16}) notAfter=(?P<not_after>\S{16}) "
    r"sha256=(?P<sha256>[0-9a-f]{64}) root=(?P<root>[0-9a-f]{64})"
)


@lru_cache(maxsize=16_384)
def version_id(secret_name: str, ordinal: int) -> str:
    """Return the version id of the certificate *ordinal*. As ClientRequestToken, it makes storing idempotent."""
    return str(uuid5(uuid5(_NAMESPACE, secret_name), str(ordinal)))


def facts_tag(version: str) -> str:
    """Return the key of the tag with the facts of this version id."""
    return _FACTS_PREFIX + version


def former_key_tag(version: str) -> str:
    """Return the key of the tag with the former KMS key of this version id."""
    return _FORMER_KEY_PREFIX + version


def profile_tag(identifier: str) -> str:
    """Return the key of the tag that records this profile identifier. The value of the tag is the identifier."""
    return _PROFILE_PREFIX + _key_digest(identifier)


def facts_value(facts: CertificateFacts, role: Role) -> str:
    """Return the value of a facts tag, at most 256 characters, which :func:`observed_pair` reads.

    The value has the digest of the chain if that is recorded, otherwise the generation.
    """
    which = f"chain={facts.chain}" if facts.chain else f"generation={facts.generation}"
    return (
        f"n={facts.ordinal} source={facts.source} {which} role={role} "
        f"notBefore={_text(facts.not_before)} notAfter={_text(facts.not_after)} "
        f"sha256={facts.sha256} root={facts.root}"
    )


def observed_pair(
    secret_name: str, description: SecretDescription, all_version_ids: Iterable[str] = ()
) -> ObservedPair:
    """Return the pair in a secret.

    Args:
        secret_name: name of the secret.
        description: description of the secret.
        all_version_ids: all version ids of the secret; needed only if the tag with the highest ordinal is lost.
    """
    tags = description.tags
    recorded = _number(tags.get(HIGHEST_TAG))
    tagged = {key.removeprefix(_FACTS_PREFIX) for key in tags if key.startswith(_FACTS_PREFIX)}
    reach = recorded + _MAX_ORDINALS_AHEAD if recorded else _SEARCHED_ORDINALS
    ordinals = {version_id(secret_name, ordinal): ordinal for ordinal in range(1, reach + 1)}
    versions = []
    for version in sorted(tagged | set(description.labels)):
        ordinal = ordinals.get(version)
        facts, role = _facts(tags.get(facts_tag(version), ""), ordinal)
        labels = description.labels.get(version, frozenset())
        versions.append(
            StoredVersion(
                version_id=version,
                ordinal=ordinal,
                labels=labels,
                facts=facts,
                role=role,
                former_key=tags.get(former_key_tag(version)),
            )
        )
    promotions = [_number(word) for word in tags.get(PROMOTED_TAG, "").split()]
    seen = [ordinals[version] for version in {*tagged, *description.labels, *all_version_ids} if version in ordinals]
    return ObservedPair(
        owner=tags.get(OWNER_TAG),
        identity=PairIdentity.from_text(tags.get(PAIR_ID_TAG)),
        resource_id=tags.get(RESOURCE_ID_TAG),
        profiles=tuple(sorted(value for key, value in tags.items() if key.startswith(_PROFILE_PREFIX))),
        host=tags.get(ADDRESS_TAG),
        highest_ordinal=max([recorded, *seen]),
        recorded_ordinal=recorded,
        main_generation=_number(tags.get(MAIN_GENERATION_TAG)) or None,
        promoted=(promotions or [0])[0] or None,
        highest_main=max(promotions, default=0),
        replaced=tags.get(REPLACED_TAG),
        sent=frozenset(_number(word) for word in tags.get(SENT_TAG, "").split()) - {0},
        armed=_armed_promotion(tags.get(ARMED_TAG)),
        gate=_recorded_gate(tags.get(GATE_TAG)),
        announced=_announcement(tags.get(ANNOUNCED_TAG)),
        reserve_since=_since(tags.get(RESERVE_SINCE_TAG)),
        versions=tuple(sorted(versions, key=lambda version: (version.ordinal or 0, version.version_id))),
        tags=dict(tags),
        is_deleted=description.deleted_at is not None,
        arn=description.arn,
        kms_key=description.kms_key,
        primary_region=description.primary_region,
        changed_at=description.changed_at,
    )


@lru_cache(maxsize=16_384)
def _facts(value: str, ordinal: int | None) -> tuple[CertificateFacts | None, Role | None]:
    """Return facts and role of a facts tag; None if the tag is damaged or names another certificate."""
    found = _FACTS.fullmatch(value)
    if found is None or int(found["ordinal"]) != ordinal:
        return None, None
    try:
        not_before, not_after = _time(found["not_before"]), _time(found["not_after"])
    except ValueError:
        return None, None
    facts = CertificateFacts(
        ordinal=ordinal,
        source=Source(found["source"]),
        generation=int(found["generation"] or 1),
        not_before=not_before,
        not_after=not_after,
        sha256=found["sha256"],
        root=found["root"],
        chain=found["chain"] or "",
    )
    return facts, Role(found["role"])


def promoted_value(promoted: int, highest: int) -> str:
    """Return the value of the tag that records which certificates became main.

    Args:
        promoted: ordinal of the certificate that becomes main.
        highest: highest ordinal of a certificate that became main before; 0 for none. A reserve can be promoted after
            a main that replaced another one while the reserve waited.
    """
    return str(promoted) if highest <= promoted else f"{promoted} {highest}"


def sent_value(ordinals: Iterable[int], *, devices: str = "", profile: str = "") -> str:
    """Return the value of the tag that records the profile that was queued last: its certificates and its devices.

    Args:
        ordinals: ordinals of the certificates.
        devices: digest of the device list, 64 hex digits; empty if it is not recorded.
        profile: digest of the profile and its MDM server, 64 hex digits; empty if it is not recorded.
    """
    words = [str(ordinal) for ordinal in sorted(ordinals)]
    digests = ((_SENT_TO, devices), (_SENT_PROFILE, profile))
    return " ".join([*words, *(f"{name}{digest[:_SENT_DIGITS]}" for name, digest in digests if digest)])


def is_sent_to(tags: Mapping[str, str], devices: str) -> bool:
    """Return whether the last profile was sent to this device list; True if no device list is recorded.

    Args:
        tags: all tags of the secret.
        devices: digest of the device list, 64 hex digits.
    """
    recorded = [word for word in tags.get(SENT_TAG, "").split() if word.startswith(_SENT_TO)]
    return recorded in ([], [f"{_SENT_TO}{devices[:_SENT_DIGITS]}"])


def is_profile_sent(tags: Mapping[str, str], profile: str) -> bool:
    """Return whether the record names this profile as the last one that was queued.

    Args:
        tags: all tags of the secret.
        profile: digest of the profile and its MDM server, 64 hex digits.
    """
    return f"{_SENT_PROFILE}{profile[:_SENT_DIGITS]}" in tags.get(SENT_TAG, "").split()


def value_without_profile(tags: Mapping[str, str]) -> str | None:
    """Return the record of the last profile without its digest; None if there is no record with a digest.

    Args:
        tags: all tags of the secret.
    """
    words = tags.get(SENT_TAG, "").split()
    kept = [word for word in words if not word.startswith(_SENT_PROFILE)]
    return None if kept == words else " ".join(kept)


def tags_value(keys: Iterable[str]) -> str:
    """Return the value of the tag that records the keys of the user's tags, at most 20: a digest of each key."""
    return "".join(sorted(_key_digest(key) for key in keys))


def added_tags(tags: Mapping[str, str]) -> frozenset[str]:
    """Return the keys of the tags that were added for the user, according to the tag :data:`TAGS_TAG`.

    Args:
        tags: all tags of the secret.
    """
    value = tags.get(TAGS_TAG, "")
    recorded = {value[start : start + _KEY_DIGEST] for start in range(0, len(value), _KEY_DIGEST)}
    return frozenset(key for key in tags if not key.startswith(_RESERVED) and _key_digest(key) in recorded)


def _key_digest(key: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()).decode()[:_KEY_DIGEST]


def armed_value(armed: ArmedPromotion) -> str:
    """Return the value of the tag that records a promotion for which a schedule can exist."""
    return str(armed.certificate) if armed.at is None else f"{armed.certificate} {_text(armed.at)}"


def gate_value(gate: RecordedGate) -> str:
    """Return the value of the tag that records a decision of the gate."""
    return f"{gate.certificate} {'open' if gate.is_open else 'closed'} {_text(gate.since)}"


def announced_value(announced: Announcement) -> str:
    """Return the value of the tag that announces the version that a run stores next."""
    return f"{announced.ordinal} {announced.sha256}"


def time_value(moment: datetime) -> str:
    """Return the value of a tag that records a time."""
    return _text(moment)


def _announcement(text: str | None) -> Announcement | None:
    found = _ANNOUNCED.fullmatch(text or "")
    return None if found is None else Announcement(ordinal=int(found["ordinal"]), sha256=found["sha256"])


def _recorded_gate(text: str | None) -> RecordedGate | None:
    found = _GATE.fullmatch(text or "")
    since = None if found is None else _since(found["since"])
    if found is None or since is None:
        return None
    return RecordedGate(certificate=int(found["ordinal"]), is_open=found["state"] == "open", since=since)


def _armed_promotion(text: str | None) -> ArmedPromotion | None:
    """Return the recorded promotion; a damaged record still means that a schedule can exist."""
    if text is None:
        return None
    certificate, _, moment = text.partition(" ")
    return ArmedPromotion(certificate=_number(certificate), at=_since(moment))


def _since(text: str | None) -> datetime | None:
    try:
        return None if text is None else _time(text)
    except ValueError:
        return None


def _number(text: str | None) -> int:
    return int(text) if text is not None and re.fullmatch(r"[1-9][0-9]{0,8}", text) else 0


def _text(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f"{utc.year:04}{utc:%m%dT%H%M%SZ}"  # %Y has no leading zeros on Linux


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
