"""Reads the public details and facts of a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID

from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.x509.digests import chain_digest, fingerprint, root_digest
from ios_mdm.core.x509.key_form import CURVES
from ios_mdm.core.x509.names import dns_names
from ios_mdm.core.x509.pem import UNREADABLE, CertificateError, chain
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.core.x509.values import CertificateDetails, Credential

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["details", "facts"]


def details(pem: str) -> CertificateDetails:
    """Return the public details of a certificate (R14).

    Args:
        pem: certificate, its issuers and its root; the details of a missing root are None.

    Raises:
        CertificateError: *pem* holds anything besides certificates, or cannot be read.
    """
    certificates = chain(pem)
    leaf, last = certificates[0], certificates[-1]
    try:
        root = last if is_self_signed(last) else None
        return CertificateDetails(
            subject=leaf.subject.rfc4514_string(),
            issuer=leaf.issuer.rfc4514_string(),
            sans=dns_names(leaf),
            serial_number=f"{leaf.serial_number:x}",
            sha256=fingerprint(leaf),
            root=None if root is None else root.subject.rfc4514_string(),
            root_sha256=None if root is None else fingerprint(root),
            key=_key_name(leaf),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
        )
    except UNREADABLE:
        pass
    raise CertificateError(f"the certificate {fingerprint(leaf)} cannot be read: one of its fields is damaged")


def facts(credential: Credential, *, ordinal: int, source: Source, generation: int) -> CertificateFacts:
    """Return the public facts of a certificate of a pair.

    Args:
        credential: certificate and root; the private key is not read.
        ordinal: number of the certificate in its pair.
        source: issued or installed.
        generation: generation that the definition requested.

    Raises:
        CertificateError: A part of the credential holds anything besides certificates, or cannot be read.
    """
    certificates, root = chain(credential.certificate), chain(credential.root)[0]
    leaf = certificates[0]
    try:
        return CertificateFacts(
            ordinal=ordinal,
            source=source,
            generation=generation,
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            sha256=fingerprint(leaf),
            root=root_digest(root),
            chain=chain_digest((*certificates, root)) if source is Source.INSTALLED else "",
        )
    except UNREADABLE:
        pass
    raise CertificateError(f"the root {fingerprint(root)} cannot be read: its key is damaged, or has an unknown type")


def _key_name(certificate: x509.Certificate) -> str:
    """Return the type and size of the certificate's key, for example ``RSA 4096`` or ``EC P-256``."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        is_pss = certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
        return f"{'RSASSA-PSS' if is_pss else 'RSA'} {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    return type(key).__name__.removeprefix("_").removesuffix("PublicKey")
