"""Definition files that tests write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.certificates import Chain, pem, private_pem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.certificates import Made

MADE = Chain().make()


def write_bundle(made: Made, file: Path, *, without_root: bool = False) -> Path:
    """Write a bundle in PEM, and return its path."""
    file.write_bytes(private_pem(made.keys[0]) + pem(*(made.chain[:-1] if without_root else made.chain)))
    return file
