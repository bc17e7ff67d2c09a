"""Checks references to secrets, and values of secrets that are not API keys or passwords (R39)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ARN_PREFIX",
    "URL_TAG",
    "ApiKey",
    "document_kind",
    "has_pair_tags",
    "is_under",
    "misplaced_kind",
    "secret_name",
]

URL_TAG: Final = "ios-mdm:url"
"""Key of the tag with the URL to which an API key may be sent. An administrator sets it; the provider never does."""

ARN_PREFIX: Final = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:"
"""Regular expression of a secret's ARN as far as its name."""

_ARN: Final = re.compile(ARN_PREFIX, re.IGNORECASE)
_TAGS: Final = "ios-mdm:"
_MAX_CREDENTIAL: Final = 4096
"""Length limit in characters. Encoded in the header of a request, a value fits into nginx's default of 8 KiB (R40)."""
_SEQUENCE: Final = 0x30
_SHORT_LENGTH: Final = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """The reference of a channel to its API key.

    Args:
        where: key of the definition that names the secret, from ``distribution.channel`` on.
        secret: name or ARN of the secret.
        url: URL of the MDM server that gets the API key.
    """

    where: str
    secret: str
    url: str


def secret_name(reference: str) -> str:
    """Return the name in the name or ARN of a secret; after a full ARN, with the hyphen and six characters of AWS."""
    return _ARN.sub("", reference, count=1)


def is_under(reference: str, prefix: str) -> bool:
    """Return whether a name, full ARN or partial ARN can refer to a secret whose name starts with *prefix* and a slash.

    Case is ignored, because some emulators and proxies ignore it, unlike AWS.
    """
    return secret_name(reference).casefold().startswith(f"{prefix}/".casefold())


def has_pair_tags(keys: Iterable[str]) -> bool:
    """Return whether one of these keys of tags marks a secret as that of a pair."""
    return any(key.casefold().startswith(_TAGS) and key != URL_TAG for key in keys)


def document_kind(text: str) -> str | None:
    """Return "a PEM file" or "JSON" for a text in this format, or None for any other text."""
    if "-----BEGIN" in text:
        return "a PEM file"
    bare = text.strip()
    return "JSON" if bare[:1] in {"{", "["} and bare[-1:] in {"}", "]"} else None


def misplaced_kind(value: str) -> str | None:
    """Return a noun phrase for a secret value that cannot be an API key or password, or None if it can be one."""
    text = value.strip()
    if (kind := document_kind(text)) is not None:
        return kind
    if len(text.splitlines()) > 1:
        return f"{len(text.splitlines())} lines"
    if not text.isprintable():
        return "control characters"
    if len(text) > _MAX_CREDENTIAL:
        return f"more than {_MAX_CREDENTIAL:,} characters"
    return "a key or certificate in Base64" if _is_der(text) else None


def _is_der(text: str) -> bool:
    """Return whether *text* is the Base64 of one ASN.1 SEQUENCE, the form of keys and certificates."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return False
    if len(data) < 4 or data[0] != _SEQUENCE:  # noqa: PLR2004 - tag, and the shortest length of more than 127 bytes
        return False
    octets = data[1] - _SHORT_LENGTH
    return 1 <= octets <= 3 and len(data) == 2 + octets + int.from_bytes(data[2 : 2 + octets])  # noqa: PLR2004
