"""Reads the extensions of a certificate."""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509

__all__ = ["extension"]

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return the value of an extension, or None if the certificate does not have it."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
