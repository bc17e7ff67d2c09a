"""Reads the parts of a certificate that the rules check, and formats them for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from ios_mdm.core.x509.extensions import extension

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["is_authority", "joined_words", "time_text"]


def is_authority(certificate: x509.Certificate) -> bool:
    """Return whether the basic constraints mark the certificate as a CA."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def joined_words(words: Iterable[str], nothing: str) -> str:
    """Return *words* in one line, or *nothing* if there are no words."""
    return ", ".join(words) or nothing


def time_text(when: datetime) -> str:
    """Return a time, formatted for a message."""
    return f"{when.year:04}{when:-%m-%d %H:%M:%S} UTC"  # %Y has no leading zeros on Linux
