"""Rules for the permitted use of each certificate: its purpose, its key usage, and whether it may issue others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from ios_mdm.core.rules.model import Remark, violation
from ios_mdm.core.rules.reading import is_authority, joined_words
from ios_mdm.core.rules.roles import replacement_advice
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.names import display_name, is_self_issued

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = [
    "extensions_are_known",
    "issuers_are_authorities",
    "keys_may_be_used",
    "leaf_is_no_authority",
    "paths_are_long_enough",
    "purpose_is_server",
]

_SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
_ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE

KNOWN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.INHIBIT_ANY_POLICY,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}
"""Extensions that may be critical: RFC 5280 permits it, and verifiers process them."""


def purpose_is_server(candidate: Candidate, _context: Context) -> Iterator[Finding]:
    """R23: the extended key usage of the leaf names serverAuth, and no extended key usage of an issuer excludes it."""
    for certificate in candidate.chain:
        usage = extension(certificate, x509.ExtendedKeyUsage)
        purposes = set() if usage is None else set(usage)
        if _SERVER_AUTH in purposes:
            continue
        if certificate != candidate.leaf and usage is None:
            continue
        if certificate != candidate.leaf and _ANY in purposes:
            yield Remark(
                message=f"{display_name(certificate)} allows any purpose, which OpenSSL does not take as serverAuth"
            )
            continue
        names = joined_words(sorted(_purpose(oid) for oid in purposes), "nothing")
        yield violation(
            "eku-missing",
            certificate,
            "no extended key usage" if usage is None else f"an extended key usage of {names}",
            f"serverAuth ({_SERVER_AUTH.dotted_string})",
            "Have it issued again as a TLS server's certificate"
            if certificate == candidate.leaf
            else "Have the certificate issued by a CA that may issue for TLS servers",
        )


def leaf_is_no_authority(candidate: Candidate, _context: Context) -> Iterator[Finding]:
    """R28: a certificate issued by a CA is not a CA itself. A self-signed certificate may be a CA."""
    if candidate.is_own_root:
        yield Remark(message="the certificate is self-signed: it is its own root", is_applicable=False)
    elif is_authority(candidate.leaf):
        yield violation(
            "leaf-is-ca",
            candidate.leaf,
            "CA:TRUE in its basic constraints",
            "CA:FALSE, or no basic constraints",
            "Have it issued again as a server's certificate: its key could sign certificates for any host",
        )


def issuers_are_authorities(candidate: Candidate, _context: Context) -> Iterator[Finding]:
    """R28: the basic constraints of every issuer mark it as a CA."""
    for issuer in candidate.issuers:
        if not is_authority(issuer):
            without = extension(issuer, x509.BasicConstraints) is None
            yield violation(
                "not-a-ca",
                issuer,
                "no basic constraints" if without else "CA:FALSE in its basic constraints",
                "CA:TRUE in every issuer",
                "Have the certificate issued by a CA. A root can be renewed with the same name and key",
            )


def paths_are_long_enough(candidate: Candidate, _context: Context) -> Iterator[Finding]:
    """R28: an issuer has at most as many CAs below it as its path length allows.

    Self-issued certificates do not count (RFC 5280, 4.2.1.9).
    """
    below = 0
    for issuer in candidate.issuers:
        constraints = extension(issuer, x509.BasicConstraints)
        longest = None if constraints is None else constraints.path_length
        if longest is not None and below > longest:
            yield violation(
                "path-length",
                issuer,
                f"a path length of {longest}, and {below} CA{'s' * (below > 1)} below it",
                "a path length that allows every CA below",
                f"Have the certificate issued by a CA with fewer levels below {display_name(issuer)}",
            )
        below += not is_self_issued(issuer)


def keys_may_be_used(candidate: Candidate, _context: Context) -> Iterator[Finding]:
    """R28: a key usage, if present, lets the server sign a handshake, and an issuer sign certificates."""
    yield from _server(candidate)
    for issuer in candidate.issuers:
        usage = extension(issuer, x509.KeyUsage)
        if usage is not None and not usage.key_cert_sign:
            yield violation(
                "key-usage",
                issuer,
                f"a key usage of {_usages(usage)}",
                "keyCertSign in every issuer that has a key usage",
                "Have the certificate issued by a CA that may sign certificates",
            )


def extensions_are_known(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R28: every critical extension is known, because verifiers must refuse unknown ones (RFC 5280, 4.2)."""
    for certificate in candidate.chain:
        unknown = [one.oid for one in certificate.extensions if one.critical and one.oid not in KNOWN]
        for oid in unknown:
            yield violation(
                "critical-extension",
                certificate,
                f"the critical extension {oid.dotted_string}",
                "no critical extension that verifiers do not know",
                replacement_advice(
                    certificate, candidate, context, how="without that extension, or with the extension not critical"
                ),
            )


def _server(candidate: Candidate) -> Iterator[Finding]:
    leaf = candidate.leaf
    usage = extension(leaf, x509.KeyUsage)
    if usage is None:
        return
    enciphers = usage.key_encipherment and isinstance(leaf.public_key(), rsa.RSAPublicKey)
    if not usage.digital_signature and not enciphers:
        yield violation(
            "key-usage",
            leaf,
            f"a key usage of {_usages(usage)}",
            "digitalSignature",
            "Have it issued again as a TLS server's certificate",
        )
    elif not usage.digital_signature:
        yield Remark(
            message=f"{display_name(leaf)} has no digitalSignature in its key usage: TLS 1.3 and forward secrecy need "
            "it"
        )
    if usage.key_cert_sign and not is_authority(leaf):
        yield violation(
            "key-usage",
            leaf,
            "keyCertSign in its key usage without being a CA",
            "no keyCertSign (RFC 5280, 4.2.1.3)",
            "Have it issued again as a TLS server's certificate",
        )


def _usages(usage: x509.KeyUsage) -> str:
    names = {
        "digitalSignature": usage.digital_signature,
        "nonRepudiation": usage.content_commitment,
        "keyEncipherment": usage.key_encipherment,
        "dataEncipherment": usage.data_encipherment,
        "keyAgreement": usage.key_agreement,
        "keyCertSign": usage.key_cert_sign,
        "cRLSign": usage.crl_sign,
    }
    return joined_words((name for name, is_set in names.items() if is_set), "nothing")


def _purpose(oid: x509.ObjectIdentifier) -> str:
    known = {_ANY: "anyExtendedKeyUsage", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}
    return known.get(oid, oid.dotted_string)
