"""Refuses a bundle without the server's certificate, or with a needed certificate that cannot be read (R18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ios_mdm.core.bundle.certificates import doubtful_notice, unreadable_certificate
from ios_mdm.core.bundle.model import BundleError
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.names import display_name, has_name_of

if TYPE_CHECKING:
    from ios_mdm.core.bundle import Bundle

__all__ = ["check_missing_issuer", "check_server_certificate"]

_MAX_NAMES = 3


def check_server_certificate(bundle: Bundle, host: str) -> None:
    """Check that the file can have the server's certificate.

    Args:
        bundle: contents of the file.
        host: connection address without its port, in A-labels.

    Raises:
        BundleError: No private key belongs to a certificate, and all certificates are those of CAs. Or the certificate
            of the private key cannot be read.
    """
    keys = {key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in bundle.keys}
    publics = [key.public_key() for key in bundle.keys]
    owned = [one for one in bundle.certificates if one.public_key() in publics]
    if any(has_name_of(one, host) for one in owned):
        return
    own = [one for one in bundle.doubtful if one.key in keys or (one.key is None and not owned)]
    if own:
        raise unreadable_certificate(own[0])
    if owned or any(has_name_of(one, host) or not _is_authority(one) for one in bundle.certificates):
        return
    names = ", ".join(map(display_name, bundle.certificates[:_MAX_NAMES]))
    notice = doubtful_notice(bundle.doubtful)
    raise BundleError(
        f"the file holds a private key and the certificates of CAs ({names}), but not the server's certificate, which "
        "has the public key of this private key: add the certificate that the CA issued for the server"
        f"{'' if notice is None else f' ({notice})'}",
        code="no-certificate",
    )


def check_missing_issuer(bundle: Bundle, top: x509.Certificate) -> None:
    """Check that a chain without a root is not incomplete because of a certificate that cannot be read.

    Args:
        bundle: contents of the file.
        top: last certificate of the chain.

    Raises:
        BundleError: A certificate that cannot be read has the name of the missing issuer, or its name is unknown.
    """
    missing = top.issuer.public_bytes()
    for one in bundle.doubtful:
        if one.subject is None or one.subject == missing:
            raise unreadable_certificate(one)


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = extension(certificate, x509.BasicConstraints)
    if constraints is None:
        return certificate.version is x509.Version.v1 and certificate.issuer == certificate.subject
    return constraints.ca
