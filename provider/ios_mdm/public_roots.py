"""Reads and recognizes the public roots, as Mozilla trusts them, in the list of the package certifi."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.core.library import attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["is_public_root", "public_roots"]


@cache
def public_roots() -> Sequence[x509.Certificate]:
    """Return the public roots; empty if the list cannot be read, because only the advice of errors needs them."""
    return tuple(attempt(partial(x509.load_pem_x509_certificates, _list_text().encode())) or ())


def is_public_root(certificate: x509.Certificate) -> bool:
    """Return whether the list has this certificate, byte for byte."""
    # A text search, because loading all certificates of the list takes longer than all rules.
    return certificate.public_bytes(Encoding.PEM).decode().strip() in _list_text()


@cache
def _list_text() -> str:
    """Return the PEM of all public roots; empty if the list cannot be read, because no rule needs it."""
    import certifi

    try:
        return certifi.contents().replace("\r\n", "\n")
    except (OSError, ValueError):  # a distribution can replace the file with a link to its own list
        return ""
