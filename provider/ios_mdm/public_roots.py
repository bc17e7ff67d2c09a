"""Reads the public roots, as Mozilla trusts them, from the package certifi."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from cryptography import x509

from ios_mdm.core.bundle.library import attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["public_roots"]


@cache
def public_roots() -> Sequence[x509.Certificate]:
    """Return the public roots; empty if their file cannot be read, because only the advice of errors needs them."""
    import certifi

    try:
        pem = certifi.contents()
    except OSError:  # a distribution can replace the file by a link to its own list
        return ()
    return tuple(attempt(partial(x509.load_pem_x509_certificates, pem.encode())) or ())
