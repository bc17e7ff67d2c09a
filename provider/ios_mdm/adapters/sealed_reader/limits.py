"""Limits of the child process that opens encrypted files."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the child.

    Args:
        cpu: processor time in whole seconds after which the system kills the child.
        spent: processor time in seconds after which the child is replaced. Each file has at least ``cpu - spent``.
        memory: bytes of address space.
        wall: seconds for one file, after which the parent kills the child, also on systems without the other limits.
    """

    cpu: int = 12
    spent: float = 4.0
    memory: int = 512 << 20
    wall: float = 60.0
