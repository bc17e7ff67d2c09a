"""Secrets of the local services, in files that only their owner can read."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def secret(path: Path) -> str:
    """Return the secret in the file. The first call writes a random one of 256 bits (URL-safe text, mode 0600)."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32).encode())
    return path.read_text(encoding="ascii")


def write_private(path: Path, content: bytes) -> None:
    """Write a file atomically, with mode 0600."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
