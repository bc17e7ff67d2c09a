"""Remedies by the role of a certificate: only the administrator's own certificate can simply be issued again."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ios_mdm.core.library import attempt
from ios_mdm.core.rules.reading import joined_words
from ios_mdm.core.x509.digests import fingerprint, root_digest
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.key_form import CURVES
from ios_mdm.core.x509.names import display_name, excerpt
from ios_mdm.core.x509.signatures import is_self_signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.core.rules.model import Context
    from ios_mdm.core.x509.chain import Candidate

__all__ = [
    "MIN_ROOT_RSA_BITS",
    "download_advice",
    "is_strong_root",
    "renewal_advice",
    "replacement_advice",
    "root_name",
    "twin_advice",
    "waiting_advice",
]

MIN_ROOT_RSA_BITS = 4096
"""Size of the RSA key of a root (R26)."""

_MAX_ALTERNATIVES = 3
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def replacement_advice(certificate: x509.Certificate, candidate: Candidate, context: Context, *, how: str) -> str:
    """Return the remedy for a property that only another certificate can have.

    Args:
        certificate: certificate of the chain that breaks a rule.
        candidate: the chain.
        context: facts of the check, with the public roots.
        how: property of the replacement, for example ``with SHA-256``.
    """
    if certificate == candidate.leaf:
        return f"Have it issued again {how}"
    if (advice := twin_advice(certificate, candidate, context)) is not None:
        return advice
    if certificate != candidate.root:
        return (
            f"It belongs to an issuing CA: ask the CA for an issuing certificate {how}, or for another chain of your "
            "certificate"
        )
    if _is_public(certificate, context):
        return f"It is a public root, which cannot change: {_alternatives(certificate, context)}"
    return (
        f"It is the root of a private CA, or no longer a public root: ask its operator for a root {how}, and have the "
        "certificate issued under it"
    )


def renewal_advice(certificate: x509.Certificate, candidate: Candidate, context: Context) -> str:
    """Return the remedy for a certificate that has expired."""
    if certificate == candidate.leaf:
        return "Have it renewed, and put the new certificate into the file"
    if (advice := twin_advice(certificate, candidate, context)) is not None:
        return advice
    if certificate == candidate.root and _is_public(certificate, context):
        return f"It is a public root, which cannot change: {_alternatives(certificate, context)}"
    return "It belongs to a CA: put the renewed certificate of this CA into the file, or another chain of the CA"


def waiting_advice(certificate: x509.Certificate, candidate: Candidate) -> str:
    """Return the remedy for a certificate that is not valid yet."""
    if certificate == candidate.leaf:
        return "Wait until then, or have it issued again"
    return "Wait until then, or ask the CA for another chain of your certificate"


def twin_advice(certificate: x509.Certificate, candidate: Candidate, context: Context) -> str | None:
    """Return the advice to end the chain below a certificate, or None if that is not possible.

    It is possible if *certificate* or an issuer below it is a cross-certificate of a public root: another CA certified
    the name and the key of that root, which also exists as a self-signed certificate.
    """
    for issuer in candidate.chain[1 : candidate.chain.index(certificate) + 1]:
        twin = _public(context.public_roots()).get(root_digest(issuer))
        if twin is None or is_self_signed(issuer):
            continue
        if is_strong_root(twin) and context.now <= twin.not_valid_after_utc:
            return (
                f"{display_name(issuer)} is a cross-certificate of a public root with the same name and key: add "
                f"this self-signed root (SHA-256 fingerprint {fingerprint(twin)}) to the file or to `trust`"
            )
    return None


def download_advice(certificate: x509.Certificate) -> str:
    """Return a sentence with the addresses of the issuer's certificate; empty if the certificate names none."""
    access = extension(certificate, x509.AuthorityInformationAccess) or ()
    places = [
        excerpt(one.access_location.value)
        for one in access
        if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]
    return f". The CA publishes it at {joined_words(places[:2], '')}" if places else ""


def is_strong_root(root: x509.Certificate) -> bool:
    """Return whether a root can fulfill the rules for its key and its signature (R26, R27, R28)."""
    key = attempt(root.public_key)
    is_large = isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_ROOT_RSA_BITS
    is_on_curve = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES
    return (is_large or is_on_curve) and isinstance(attempt(lambda: root.signature_hash_algorithm), _HASHES)


def root_name(root: x509.Certificate) -> str:
    """Return the common name of a public root, or the organizational unit if the common name is the name of the CA."""
    common = _value(root, NameOID.COMMON_NAME)
    is_general = common in {"", _value(root, NameOID.ORGANIZATION_NAME)}
    return excerpt(_value(root, NameOID.ORGANIZATIONAL_UNIT_NAME) if is_general else common)


def _is_public(certificate: x509.Certificate, context: Context) -> bool:
    return root_digest(certificate) in _public(context.public_roots())


def _alternatives(root: x509.Certificate, context: Context) -> str:
    """Return the remedy for a public root that breaks a rule: other roots of its CA, or another CA."""
    owner = _owner(root)
    others = [one for one in context.public_roots() if owner and _owner(one) == owner and is_strong_root(one)]
    if not others:
        return "its CA has no public root that fulfills this rule, so have the certificate issued by another CA"
    names = "; ".join(map(root_name, others[:_MAX_ALTERNATIVES]))
    return (
        f"ask its CA for a chain to one of its other roots, for example {names}, and have the certificate issued again "
        "if there is no such chain"
    )


@lru_cache(maxsize=1)
def _public(roots: Sequence[x509.Certificate]) -> dict[str, x509.Certificate]:
    """Return the public roots by the digest of name and key."""
    return {root_digest(one): one for one in roots}


def _owner(root: x509.Certificate) -> str:
    """Return the first word of the organization, which all names of a CA share: GlobalSign, GlobalSign nv-sa."""
    words = _value(root, NameOID.ORGANIZATION_NAME).casefold().replace(",", " ").split()
    return next((word for word in words if word != "the"), "")


def _value(root: x509.Certificate, kind: x509.ObjectIdentifier) -> str:
    return ", ".join(str(one.value) for one in root.subject.get_attributes_for_oid(kind))
