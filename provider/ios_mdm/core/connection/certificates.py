"""Apple's requirements for the certificate that a server presents, and the violations of a certificate.

The certificates of a pair fulfill them: the rules for a custom certificate check more. So only a certificate that is
not of the pair, or that an operator stored, can violate them. ATS accepts a certificate under a root that a system
administrator installed. Apple 126655 does not say whether that includes a self-signed certificate of the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from ios_mdm.core.connection.demands import Article, Demand, Finding
from ios_mdm.core.library import attempt
from ios_mdm.core.times import rfc3339
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.key_form import key_form
from ios_mdm.core.x509.limits import BOUND_SINCE, MAX_VALIDITY, MIN_RSA_BITS
from ios_mdm.core.x509.names import dns_names, excerpt, has_name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

__all__ = ["certificate_findings"]

_SHA2 = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_MAX_NAMES = 5
_DAY = MAX_VALIDITY / MAX_VALIDITY.days


def certificate_findings(der: bytes, *, host: str, now: datetime) -> tuple[Finding, ...]:
    """Return the requirements that a server's certificate violates. Its issuers and its chain are not checked.

    Args:
        der: DER of the leaf.
        host: connection address without its port, in A-labels.
        now: time of the check, aware UTC.
    """
    certificate = attempt(lambda: x509.load_der_x509_certificate(der))
    if certificate is None:
        return (_unreadable("a certificate"),)
    checks: tuple[tuple[str, Callable[[], tuple[Finding, ...]]], ...] = (
        ("a public key", lambda: tuple(_key(certificate))),
        ("a signature algorithm", lambda: tuple(_signature(certificate))),
        ("a validity period", lambda: tuple(_dates(certificate, now))),
        ("subject alternative names", lambda: tuple(_names(certificate, host))),
        ("an extended key usage", lambda: tuple(_purpose(certificate))),
    )
    found: list[Finding] = []
    for part, check in checks:
        findings = attempt(check)
        found += (_unreadable(part),) if findings is None else findings
    return tuple(dict.fromkeys(found))


def _key(certificate: x509.Certificate) -> Iterator[Finding]:
    form, key = key_form(certificate), certificate.public_key()
    is_small = isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS
    if form.is_allowed and not is_small:
        return
    size = f" of {key.key_size} bits" if isinstance(key, rsa.RSAPublicKey) else ""
    yield _violation(
        Demand.KEY,
        f"a certificate with {form.name}{size}",
        f"RSA with at least {MIN_RSA_BITS} bits, or EC on P-256, P-384 or P-521",
    )


def _signature(certificate: x509.Certificate) -> Iterator[Finding]:
    algorithm = certificate.signature_hash_algorithm
    if isinstance(algorithm, _SHA2):
        return
    name = certificate.signature_algorithm_oid.dotted_string if algorithm is None else algorithm.name.upper()
    yield _violation(
        Demand.SIGNATURE,
        f"a certificate that is signed with {name}",
        "a signature with SHA-256, SHA-384 or SHA-512",
        article=Article.STRICTER_SECURITY if isinstance(algorithm, hashes.SHA224) else Article.TRUSTED_CERTIFICATES,
    )


def _dates(certificate: x509.Certificate, now: datetime) -> Iterator[Finding]:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now <= end:
        yield _violation(
            Demand.DATES, f"a certificate that is valid from {rfc3339(start)} to {rfc3339(end)}", "a valid certificate"
        )
    if start >= BOUND_SINCE and end - start > MAX_VALIDITY:
        yield _violation(
            Demand.VALIDITY,
            f"a certificate with a validity of {-((start - end) // _DAY)} days",
            f"at most {MAX_VALIDITY.days} days",
        )


def _names(certificate: x509.Certificate, host: str) -> Iterator[Finding]:
    if has_name_of(certificate, host):
        return
    names = dns_names(certificate)
    shown = ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
    found = f"the DNS names {excerpt(shown)}" if names else "no DNS name"
    yield _violation(Demand.NAME, f"a certificate with {found} in its SAN", f"the DNS name {host}")


def _purpose(certificate: x509.Certificate) -> Iterator[Finding]:
    if ExtendedKeyUsageOID.SERVER_AUTH in (extension(certificate, x509.ExtendedKeyUsage) or ()):
        return
    yield _violation(
        Demand.PURPOSE,
        "a certificate without serverAuth in its extended key usage",
        "the extended key usage serverAuth",
    )


def _violation(
    demand: Demand, found: str, required: str, *, article: Article = Article.TRUSTED_CERTIFICATES
) -> Finding:
    remedy = "Let the server present main"
    return Finding(demand=demand, found=found, required=required, article=article, remedy=remedy)


def _unreadable(part: str) -> Finding:
    return _violation(Demand.FORM, f"{part} that cannot be read", "a certificate that follows RFC 5280")
