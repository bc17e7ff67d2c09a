"""Recognizes the public roots, as Mozilla trusts them, in the list of the package certifi."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["is_public_root"]


def is_public_root(certificate: x509.Certificate) -> bool:
    """Return whether the list has this certificate, byte for byte."""
    # A text search, because loading all certificates of the list takes longer than all rules.
    return certificate.public_bytes(Encoding.PEM).decode().strip() in _list_text()


@cache
def _list_text() -> str:
    """Return the PEM of all public roots; empty if the list cannot be read, because only notices need it."""
    import certifi

    try:
        return certifi.contents().replace("\r\n", "\n")
    except (OSError, ValueError):  # a distribution can replace the file with a link to its own list
        return ""
