"""Reads PEM certificates.

No error of this module carries anything that it was given, neither in its message nor as its context: what was given
may be a private key (R29). That is why errors are raised after their ``except`` block, not inside it.
"""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ios_mdm.errors import IosMdmError

__all__ = ["UNREADABLE", "CertificateError", "chain"]

_CHAIN = re.compile(r"(?:\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----)+\s*")

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)


class CertificateError(IosMdmError):
    """What should be PEM certificates, and nothing else, is not."""


def chain(pem: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of *pem* in their order, at least one.

    Raises:
        CertificateError: *pem* holds anything besides certificates, a private key above all, or cannot be read.
    """
    if "PRIVATE KEY" in pem:
        raise CertificateError("a private key is where only public certificates belong: leave it out")
    if not _CHAIN.fullmatch(pem):
        raise CertificateError("expected PEM certificates and nothing else: take out what is around them")
    try:
        return tuple(x509.load_pem_x509_certificates(pem.encode()))
    except UNREADABLE:
        pass
    raise CertificateError("a PEM certificate cannot be read: it is damaged, or not X.509")
