"""What the engine sends: plain dicts with numbers as floats and unknown values as objects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pulumi.output import Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Wire", "certificates_digest", "known", "plain"]

Wire = dict[str, object]
"""A resource's inputs or outputs: JSON values, ``Unknown`` among them in previews."""


def plain(value: object) -> object:
    """Return *value* with the engine's floats as the whole numbers that they were, and its own dicts as dicts."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        # `__provider` and other keys are the engine's own.
        return {str(key): plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def known(value: object) -> bool:
    """Return whether *value* holds nothing that is known only after an effect."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, dict):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return True


def certificates_digest(fingerprints: Mapping[str, str]) -> str:
    """Return 16 hex digits that stand for certificates in the state.

    Args:
        fingerprints: SHA-256 of each certificate, 64 hex digits, by its name.
    """
    text = "\n".join(f"{name} {sha256}" for name, sha256 in sorted(fingerprints.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
