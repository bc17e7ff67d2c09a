"""Reads PEM certificates.

No error of this module contains any part of its input, neither in its message nor as its context, because the input may
be a private key (R29). For this reason, errors are raised after the ``except`` block, not inside it.
"""

from __future__ import annotations

import re
from functools import partial

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ios_mdm.core.library import attempt
from ios_mdm.errors import IosMdmError

__all__ = ["UNREADABLE", "CertificateError", "chain"]

_CHAIN = re.compile(r"(?:\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----)+\s*")

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)


class CertificateError(IosMdmError):
    """A text does not consist of PEM certificates only, or a certificate in it cannot be read."""


def chain(pem: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of *pem* in their order, at least one.

    Raises:
        CertificateError: *pem* holds anything besides certificates, for example a private key, or cannot be read.
    """
    if "PRIVATE KEY" in pem:
        raise CertificateError("found a private key where only public certificates are allowed: remove it")
    if not _CHAIN.fullmatch(pem):
        raise CertificateError("expected PEM certificates and nothing else: remove all other text")
    found = attempt(partial(x509.load_pem_x509_certificates, pem.encode()))
    if found is None:
        raise CertificateError("a PEM certificate cannot be read: it is damaged, or not X.509")
    return tuple(found)
