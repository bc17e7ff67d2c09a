"""Checks that a stored profile has public certificates only."""

from __future__ import annotations

import plistlib
from typing import Final

__all__ = ["refused_content"]

_CERTIFICATES: Final = frozenset({"com.apple.security.pkcs1", "com.apple.security.root"})
"""Payload types of certificates. ``com.apple.security.pkcs12`` contains a private key."""


def refused_content(profile: bytes) -> str | None:
    """Return the content of a profile that is not a certificate; None if all payloads are certificates.

    A profile with a payload ``com.apple.mdm`` enrolls a device again: sent at each enrollment, it is an endless loop.

    Args:
        profile: an unsigned .mobileconfig.
    """
    try:
        content = plistlib.loads(profile, fmt=plistlib.FMT_XML)
    except Exception:  # noqa: BLE001 - plistlib raises many types on bad input
        return "it is not an unsigned XML plist"
    payloads = content.get("PayloadContent") if isinstance(content, dict) else None
    if not isinstance(payloads, list) or not payloads:
        return "it has no list of payloads"
    types = {one.get("PayloadType") if isinstance(one, dict) else None for one in payloads}
    others = sorted(str(one) for one in types - _CERTIFICATES)
    return f"it has a payload of the type {others[0]}" if others else None
