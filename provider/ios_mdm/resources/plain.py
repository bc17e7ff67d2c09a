"""Converts values from the engine, which sends numbers as floats and unknown values as objects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pulumi.output import Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Wire", "certificates_digest", "is_known", "plain"]

Wire = dict[str, object]
"""Inputs or outputs of a resource: JSON values, and ``Unknown`` in previews."""


def plain(value: object) -> object:
    """Return *value* with whole numbers as ints and without the keys that the engine adds."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        # The engine adds `__provider` and other keys with this prefix.
        return {str(key): plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def is_known(value: object) -> bool:
    """Return whether *value* contains no ``Unknown``."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, dict):
        return all(is_known(item) for item in value.values())
    if isinstance(value, list):
        return all(is_known(item) for item in value)
    return True


def certificates_digest(fingerprints: Mapping[str, str]) -> str:
    """Return a digest of the certificates for the state, 16 hex digits.

    Args:
        fingerprints: SHA-256 of each certificate by its name, 64 hex digits.
    """
    text = "\n".join(f"{name} {sha256}" for name, sha256 in sorted(fingerprints.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
