"""What the engine sends: plain dicts with numbers as floats and unknown values as objects."""

from __future__ import annotations

from pulumi.output import Unknown

__all__ = ["Wire", "known", "plain"]

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
