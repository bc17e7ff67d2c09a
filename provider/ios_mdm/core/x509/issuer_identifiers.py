"""Compares the authority key identifier of a certificate with an issuer (RFC 5280, 4.2.1.1).

The identifier names the issuer by its subject key identifier, or by its own issuer and serial number. OpenSSL does not
use an issuer that contradicts one of these, even if its key verifies the signature.
"""

from __future__ import annotations

from cryptography import x509

from ios_mdm.core.library import attempt
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.names import name_parts

__all__ = ["contradiction"]


def contradiction(certificate: x509.Certificate, issuer: x509.Certificate) -> str | None:
    """Return why the authority key identifier of a certificate excludes an issuer, or None if it does not.

    The reason is a clause about the authority key identifier, for a message.
    """
    meant = extension(certificate, x509.AuthorityKeyIdentifier)
    if meant is None:
        return None
    own = extension(issuer, x509.SubjectKeyIdentifier)
    if meant.key_identifier is not None and own is not None and own.digest != meant.key_identifier:
        return "that is not the subject key identifier"
    number = meant.authority_cert_serial_number
    if number is not None:
        own_number = attempt(lambda: issuer.serial_number)  # the library warns about 0 and negative numbers
        if number != own_number:
            return f"with the serial number {number:x}, which is not the serial number {own_number or 0:x}"
    names = [one.value for one in meant.authority_cert_issuer or () if isinstance(one, x509.DirectoryName)]
    if names and name_parts(names[0]) != name_parts(issuer.issuer):
        return "with an issuer name that is not the issuer name"
    return None
