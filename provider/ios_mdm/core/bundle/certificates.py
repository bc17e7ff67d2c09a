"""Reads certificates: those of a bundle, and those of a file that has only certificates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cryptography import x509

from ios_mdm.core import der
from ios_mdm.core.bundle.fields import defect, raw_key, raw_subject, read_every_part
from ios_mdm.core.bundle.form import DAMAGED, Kind, Part, part_names, parts, skipped_parts_notice
from ios_mdm.core.bundle.model import BundleError, DoubtfulCertificate, unreadable_error
from ios_mdm.core.bundle.structure import read_pkcs7
from ios_mdm.core.library import attempt

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CertificateFile",
    "certificates_in_part",
    "doubtful_notice",
    "loaded_certificates",
    "read_certificates",
    "unreadable_certificate",
]

_MAX_SHOWN = 3
_KEYS = {Kind.KEY, Kind.ENCRYPTED_KEY, Kind.PARAMETERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFile:
    """Certificates of a file that needs no private key.

    Args:
        certificates: at least one, in the order of the file, without duplicates. Names, dates, extensions and public
            key of each can be read without an exception.
        notices: notices that need no action, one line each.
    """

    certificates: tuple[x509.Certificate, ...]
    notices: tuple[str, ...] = ()


def read_certificates(data: bytes) -> CertificateFile:
    """Return the certificates of a file in any form except PFX. Private keys in the file are ignored.

    Raises:
        BundleError: The file has no certificate that can be read. No bytes cause another error.
    """
    encodings: dict[bytes, None] = {}
    others: list[Part] = []
    for part in parts(data):
        if part.kind is Kind.PFX:
            raise unreadable_error(
                "the file is a PFX (P12), which can need a password: export its certificates with "
                "openssl pkcs12 -in FILE -nokeys -out certificates.pem"
            )
        found = certificates_in_part(part)
        encodings |= dict.fromkeys(found or ())
        if found is None:
            others.append(part)
    certificates, doubtful = loaded_certificates(encodings)
    if doubtful and not certificates:
        raise unreadable_certificate(doubtful[0])
    if not certificates:
        raise BundleError(
            f"the file holds no certificate, but: {part_names(others) or 'nothing'}. Use a file with certificates, for "
            "example in PEM",
            code="no-certificate",
        )
    skipped = [part for part in others if part.kind not in _KEYS]
    notices = (skipped_parts_notice(skipped), doubtful_notice(doubtful))
    return CertificateFile(certificates=certificates, notices=tuple(one for one in notices if one is not None))


def certificates_in_part(part: Part) -> list[bytes] | None:
    """Return the certificates of a part, DER; None if it is a part of another kind.

    The library reads no PKCS #7 with a certificate that it cannot read, so the structure is read here.
    """
    if part.kind is Kind.CERTIFICATE:
        return [part.data]
    if part.kind is not Kind.PKCS7:
        return None
    try:
        return read_pkcs7(der.parse(part.data))
    except der.DerError:
        pass
    raise unreadable_error(DAMAGED)


def loaded_certificates(
    encodings: Iterable[bytes],
) -> tuple[tuple[x509.Certificate, ...], tuple[DoubtfulCertificate, ...]]:
    """Return the certificates of which every part can be read, and the others."""
    certificates: list[x509.Certificate] = []
    doubtful: list[DoubtfulCertificate] = []
    for number, data in enumerate(encodings, 1):
        one = attempt(partial(x509.load_der_x509_certificate, data))
        if one is None or attempt(partial(read_every_part, one)) is None:
            doubtful.append(DoubtfulCertificate(number=number, data=data, subject=raw_subject(data), key=raw_key(data)))
        else:
            certificates.append(one)
    return tuple(certificates), tuple(doubtful)


def doubtful_notice(doubtful: tuple[DoubtfulCertificate, ...]) -> str | None:
    """Return one notice for all certificates that cannot be read and are not needed, or None if there are none."""
    if not doubtful:
        return None
    shown = [f"certificate {one.number}: {defect(one.data)}" for one in doubtful[:_MAX_SHOWN]]
    if len(doubtful) > _MAX_SHOWN:
        shown.append(f"and {len(doubtful) - _MAX_SHOWN} more")
    return f"not readable by the library cryptography, ignored: {', '.join(shown)}"


def unreadable_certificate(doubtful: DoubtfulCertificate) -> BundleError:
    """Return the error for a certificate that is needed and cannot be read."""
    return unreadable_error(
        f"certificate {doubtful.number} of the file cannot be read because of its {defect(doubtful.data)}: have it "
        "issued again without this defect. To see it: openssl storeutl -noout -text -certs FILE"
    )
