"""Reads the parts of a certificate that the rules check, and formats them for messages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cryptography import x509

from ios_mdm.core.bundle.library import attempt
from ios_mdm.core.x509.extensions import extension

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["certificates_in", "extension", "is_authority", "joined_words", "time_text"]


def certificates_in(data: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file, or the certificate of a DER file; empty if the data is neither.

    The result is also empty if a part that the rules read is damaged. So the rules can read each returned certificate
    without an exception. Text and private keys in the file are ignored.
    """
    found = attempt(partial(x509.load_pem_x509_certificates, data))
    if found is None:
        single = attempt(partial(x509.load_der_x509_certificate, data))
        found = [] if single is None else [single]
    return tuple(found) if all(attempt(partial(_parts, one)) is not None for one in found) else ()


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


def _parts(certificate: x509.Certificate) -> tuple[object, ...]:
    """Read the parts that the library decodes lazily."""
    validity = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    return certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key(), validity
