"""Reads certificates: what to show of them, which facts to keep of them, and the secret value that holds one.

No error of this module carries anything that it was given, neither in its message nor as its context: what was given
may be a private key (R29). That is why errors are raised after their ``except`` block, not inside it.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from ios_mdm.core.pair.model import CertificateDetails, CertificateFacts, Credential, Source
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.errors import IosMdmError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CertificateError",
    "chain",
    "chain_digest",
    "credential_from_json",
    "credential_to_json",
    "details",
    "facts",
    "fingerprint",
    "is_issued_here",
    "root_digest",
    "unfit",
]

_CHAIN = re.compile(r"(?:\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----)+\s*")
_PRIVATE_KEY = re.compile(r"\s*-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END PRIVATE KEY-----\s*")
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)

_CERTIFICATE_KEY, _PRIVATE_KEY_KEY, _ROOT_KEY = "tls.crt", "tls.key", "ca.crt"


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
    except _UNREADABLE:
        pass
    raise CertificateError("a PEM certificate cannot be read: it is damaged, or not X.509")


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER, 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def is_issued_here(pem: str) -> bool:
    """Tell whether the first certificate in *pem* has the shape of those that are issued here (R31).

    Self-signed, a CA by its basicConstraints and none by its keyUsage, which nobody else makes.
    """
    leaf = chain(pem)[0]
    try:
        authority = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        narrowed = leaf.extensions.get_extension_for_class(x509.NameConstraints).critical
    except (*_UNREADABLE, x509.ExtensionNotFound):
        return False
    return authority and narrowed and not usage.key_cert_sign and is_self_signed(leaf)


def root_digest(root: x509.Certificate) -> str:
    """Return the SHA-256 over the subject's DER and then the SubjectPublicKeyInfo's, 64 hex digits.

    A root that is renewed under its name and key has the digest of the old one (R24). Both parts are DER, which
    carries its own length, so no other pair of them has the same concatenation.
    """
    digest = hashes.Hash(hashes.SHA256())
    digest.update(root.subject.public_bytes())
    digest.update(root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def chain_digest(certificates: Iterable[x509.Certificate]) -> str:
    """Return a digest over a chain, from the leaf up to its root, each certificate once: 16 hex digits.

    It tells a changed file from an unchanged one, and nothing is trusted because of it: the first quarter of a
    SHA-256, which a tag has room for, is enough.
    """
    digest = hashes.Hash(hashes.SHA256())
    for certificate in dict.fromkeys(certificates):
        digest.update(certificate.public_bytes(Encoding.DER))
    return digest.finalize().hex()[:16]


def details(pem: str) -> CertificateDetails:
    """Return what R14 shows of the first certificate in *pem*.

    Raises:
        CertificateError: As :func:`chain`.
    """
    leaf = chain(pem)[0]
    try:
        return CertificateDetails(
            subject=leaf.subject.rfc4514_string(),
            issuer=leaf.issuer.rfc4514_string(),
            sans=_dns_names(leaf),
            serial_number=f"{leaf.serial_number:x}",
            sha256=fingerprint(leaf),
            key=_key_name(leaf),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
        )
    except _UNREADABLE:
        pass
    raise CertificateError(f"the certificate {fingerprint(leaf)} cannot be read: a field of it is damaged")


def facts(credential: Credential, *, ordinal: int, source: Source, generation: int) -> CertificateFacts:
    """Return the public facts of a pair's certificate.

    Args:
        credential: the certificate; its private key is not looked at.
        ordinal: the certificate's number in its pair.
        source: issued or installed.
        generation: of the request that it answers.

    Raises:
        CertificateError: As :func:`chain`.
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
    except _UNREADABLE:
        pass
    raise CertificateError(f"the root {fingerprint(root)} cannot be read: its key is damaged, or of an unknown type")


def credential_to_json(credential: Credential) -> str:
    """Return the secret value that holds *credential*: JSON with ``ca.crt``, ``tls.crt`` and ``tls.key``, all PEM.

    The same in both slots, so that a consumer of main notices nothing of a promotion but a new certificate.

    Raises:
        CertificateError: :func:`credential_from_json` would refuse the value.
    """
    problem = unfit(credential)
    if problem is not None:
        raise CertificateError(f"certificate {credential.sha256} cannot be kept: {problem}")
    value = {
        _CERTIFICATE_KEY: credential.certificate,
        _PRIVATE_KEY_KEY: credential.private_key,
        _ROOT_KEY: credential.root,
    }
    return json.dumps(value, sort_keys=True)


def credential_from_json(value: str, *, where: str = "a version of the secret") -> Credential:
    """Return the credential in a secret's *value*.

    Args:
        value: what :func:`credential_to_json` returned.
        where: the secret and version that it comes from, for messages.

    Raises:
        StoreError: The value is no such JSON, a part of it cannot be read, the chain is not one, or the private key is
            not the certificate's.
    """
    advice = "Somebody else wrote it: put back what was there, or delete that version"
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):  # json's own error quotes the whole document
        fields = None
    if (
        not isinstance(fields, dict)
        or fields.keys() != {_CERTIFICATE_KEY, _PRIVATE_KEY_KEY, _ROOT_KEY}
        or not all(isinstance(field, str) for field in fields.values())
    ):
        raise StoreError(f"{where} is not JSON with exactly tls.crt, tls.key and ca.crt as texts. {advice}")
    credential = Credential(
        certificate=fields[_CERTIFICATE_KEY], private_key=fields[_PRIVATE_KEY_KEY], root=fields[_ROOT_KEY], sha256=""
    )
    problem = unfit(credential)
    if problem is not None:
        raise StoreError(f"{where}: {problem}. {advice}")
    return replace(credential, sha256=fingerprint(chain(credential.certificate)[0]))


def unfit(credential: Credential) -> str | None:
    """Return why no pair can hold a credential: its parts cannot be read or do not belong together; None if it can."""
    try:
        certificates, roots = chain(credential.certificate), chain(credential.root)
    except CertificateError as error:
        return str(error)
    if len(roots) != 1 or not is_self_signed(roots[0]):
        return "ca.crt is not one self-signed root"
    # Names only: the rules of a custom certificate (R20, R22) were held against its chain before it was stored.
    path = certificates if certificates[-1] == roots[0] else (*certificates, roots[0])
    if any(lower.issuer != upper.subject for lower, upper in pairwise(path)):
        return "tls.crt and ca.crt are not one chain"
    fits = _is_key_of(credential.private_key, certificates[0])
    return None if fits else "tls.key is not the PKCS#8 key of the certificate"


def _is_key_of(private_key: str, certificate: x509.Certificate) -> bool:
    """Tell whether the private key, unencrypted PKCS#8 PEM, belongs to the certificate."""
    if not _PRIVATE_KEY.fullmatch(private_key):
        return False
    try:
        # Validating an RSA-4096 key takes 300 ms, at every look at the secret, and would find a key that was made to
        # attack its owner. This one is our own; whether it is the certificate's, its public half tells.
        key = load_pem_private_key(private_key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        return key.public_key() == certificate.public_key()
    except _UNREADABLE:
        return False


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names of the subjectAltName."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def _key_name(certificate: x509.Certificate) -> str:
    """Return the type and size of the certificate's key, for example ``RSA 4096`` or ``EC P-256``."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {_CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}"
    return type(key).__name__.removeprefix("_").removesuffix("PublicKey")
