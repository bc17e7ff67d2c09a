"""Reads the parts of a certificate that rules are about, and writes them the way messages have them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509

from ios_mdm.core.bundle.library import attempt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["certificates_in", "extension", "is_authority", "listed", "moment"]

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def certificates_in(data: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file, whatever is around them, or that of a DER file; none where it is neither.

    Of each can be read, without an exception, whatever rules ask for. A private key beside them is not looked at.
    """
    found = attempt(partial(x509.load_pem_x509_certificates, data))
    if found is None:
        single = attempt(partial(x509.load_der_x509_certificate, data))
        found = [] if single is None else [single]
    return tuple(found) if all(attempt(partial(_parts, one)) is not None for one in found) else ()


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return an extension's value, None where the certificate has none of that kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate says that it is a CA's."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def listed(words: Iterable[str], nothing: str) -> str:
    """Return *words* in one line, or what to say where there are none."""
    return ", ".join(words) or nothing


def moment(when: datetime) -> str:
    """Return a moment for a message."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _parts(certificate: x509.Certificate) -> tuple[object, ...]:
    """Read what the library decodes only when it is asked for."""
    validity = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    return certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key(), validity
