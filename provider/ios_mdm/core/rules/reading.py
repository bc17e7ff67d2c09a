"""Reads the parts of a certificate that the rules check, and formats them for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["extension", "is_authority", "joined_words", "time_text"]

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return the value of an extension, or None if the certificate does not have it."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def is_authority(certificate: x509.Certificate) -> bool:
    """Return whether the basic constraints mark the certificate as a CA."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def joined_words(words: Iterable[str], nothing: str) -> str:
    """Return *words* in one line, or *nothing* if there are no words."""
    return ", ".join(words) or nothing


def time_text(when: datetime) -> str:
    """Return a time, formatted for a message."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
