"""Notices about unusual fields of a certificate, which the library reads with a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.x509.oid import NameOID

from ios_mdm.core.x509.names import display_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

__all__ = ["unusual_fields"]

_MAX_SERIAL_BITS = 159  # 20 octets, of which the first bit is the sign (RFC 5280, 4.1.2.2)
_LENGTHS: Final = {
    NameOID.COUNTRY_NAME: ("C", 2, 2),
    NameOID.COMMON_NAME: ("CN", 1, 64),
    NameOID.ORGANIZATION_NAME: ("O", 1, 64),
    NameOID.ORGANIZATIONAL_UNIT_NAME: ("OU", 1, 64),
    NameOID.LOCALITY_NAME: ("L", 1, 128),
    NameOID.STATE_OR_PROVINCE_NAME: ("ST", 1, 128),
}
"""Name of an attribute, and the smallest and largest number of its characters (RFC 5280, A.1)."""


def unusual_fields(certificate: x509.Certificate) -> Iterator[str]:
    """Yield a notice for each field that RFC 5280 does not permit and that some verifiers refuse."""
    name, serial = display_name(certificate), certificate.serial_number
    if serial <= 0:
        sign = "zero" if serial == 0 else "negative"
        yield f"{name} has a serial number that is {sign}, which some verifiers refuse: have it issued again"
    elif serial.bit_length() > _MAX_SERIAL_BITS:
        yield f"{name} has a serial number of more than 20 octets, which some verifiers refuse: have it issued again"
    lengths = {
        (label, shortest, longest, size)
        for attribute in certificate.subject
        for label, shortest, longest in [_LENGTHS.get(attribute.oid, ("", 0, 0))]
        if label and not shortest <= (size := len(attribute.value)) <= longest
    }
    for label, shortest, longest, size in sorted(lengths):
        limit = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
        yield f"{name} has {size} characters in the attribute {label} of its subject; RFC 5280 permits {limit}"
