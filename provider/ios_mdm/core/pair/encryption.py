"""The KMS key of a pair's secret, and the versions that are encrypted with a former key.

When the key of a secret changes, AWS encrypts only the versions labeled AWSCURRENT and AWSPREVIOUS again. The id and
the value of a version never change, so the other versions stay encrypted with the former key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.layout import KEY_TAG
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.secret import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.core.pair.decision import DesiredState
    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion

__all__ = ["DEFAULT_KEY", "has_key", "key_notices", "key_record", "key_text", "versions_with_former_key"]

DEFAULT_KEY = "alias/aws/secretsmanager"
"""Alias of the account's default key. DescribeSecret does not return it."""
_MAX_TEXT = 256
_REENCRYPTED = frozenset({Label.MAIN, Label.FORMER})


def key_record(key: str | None) -> str | None:
    """Return the value of the tag that records the key of a definition; None for the account's default key."""
    return None if _name(key) == DEFAULT_KEY else key_text(key)


def key_text(key: str | None) -> str:
    """Return the name of a key for a tag: its last 256 characters, which include the whole alias or id of an ARN."""
    return (key or DEFAULT_KEY)[-_MAX_TEXT:]


def has_key(observed: ObservedPair, key: str | None) -> bool:
    """Return whether new versions of the secret are encrypted with *key*.

    The id and the ARN of a key are equivalent. An alias cannot be compared with an id or an ARN, so the tag with the
    key that was set last decides.

    Args:
        observed: observed pair, with the key that DescribeSecret reports: id, ARN or alias; None for the default key.
        key: key of the definition, in any of these forms.
    """
    wanted, reported = _qualified_key(key, observed.arn), _qualified_key(observed.kms_key, observed.arn)
    if wanted == reported:
        return True
    default = DEFAULT_KEY in {_name(key), _name(observed.kms_key)}
    if default or _is_alias(wanted) is _is_alias(reported):
        return False
    return observed.tags.get(KEY_TAG) == key_record(key)


def versions_with_former_key(desired: DesiredState, observed: ObservedPair) -> Sequence[StoredVersion]:
    """Return the versions in use that stay encrypted with the former KMS key when the key of the secret changes."""
    return [
        version
        for version in observed.versions
        if version.ordinal is not None
        and not version.labels & _REENCRYPTED
        and (version.ordinal in desired.trusted_ordinals or (version.slots and version.role is not Role.DELETED))
    ]


def key_notices(desired: DesiredState, observed: ObservedPair, key: str | None) -> Sequence[Notice]:
    """Return a warning for each certificate in use that is not encrypted with *key* after this run."""
    changes = not has_key(observed, key)
    left = {version.version_id for version in versions_with_former_key(desired, observed)} if changes else set()
    return [
        Notice(reason="former-key", severity=Severity.WARNING, message=_message(version.ordinal, former))
        for version in observed.versions
        if version.ordinal in desired.trusted_ordinals
        and (former := version.former_key or (key_text(observed.kms_key) if version.version_id in left else None))
        and not _is_same(former, key if changes else observed.kms_key, observed.arn)
    ]


def _message(ordinal: int | None, former: str) -> str:
    return (
        f"certificate {ordinal} stays encrypted with the former KMS key {former}: AWS encrypts only main and the "
        f"former main again. Keep this key enabled and allow kms:Decrypt on it until certificate {ordinal} is replaced"
    )


def _is_same(former: str, key: str | None, secret_arn: str) -> bool:
    return former == key_text(key) or _qualified_key(former, secret_arn) == _qualified_key(key, secret_arn)


def _name(key: str | None) -> str:
    """Return a key without the partition, region and account of its ARN."""
    return (key or DEFAULT_KEY).split(":", 5)[-1]


def _is_alias(key: str) -> bool:
    return _name(key).startswith("alias/")


def _qualified_key(key: str | None, secret_arn: str) -> str:
    """Return the ARN of a key. A key without region and account is in the region and account of the secret."""
    key = key or DEFAULT_KEY
    if key.startswith("arn:"):
        return key
    partition, _, region, account = (*secret_arn.split(":"), "", "", "", "")[1:5]
    name = key if key.startswith(("alias/", "key/")) else f"key/{key}"
    return f"arn:{partition}:kms:{region}:{account}:{name}"
