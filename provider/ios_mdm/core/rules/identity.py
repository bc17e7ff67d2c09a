"""Rules for the identity of the certificate: the name that devices connect to, and the private key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from ios_mdm.core.rules.model import violation
from ios_mdm.core.rules.reading import joined_words
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.names import distinct_name, dns_names, excerpt, is_name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["key_belongs", "name_matches"]


def name_matches(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R19: a DNS name of the SAN covers the connection address. The common name does not count."""
    names = dns_names(candidate.leaf)
    if not any(is_name_of(name, context.host) for name in names):
        parent = context.host.partition(".")[2]
        is_too_high = parent and "." not in parent and f"*.{parent}" in map(str.lower, names)
        note = f" (devices accept no wildcard for the whole top-level domain {parent})" if is_too_high else ""
        yield violation(
            "san-mismatch",
            candidate.leaf,
            f"{_names(candidate.leaf)}{note}",
            f"a SAN of type DNS for {context.host}",
            f"Have it issued again with the DNS name {context.host} in its alternative names{_aside(candidate)}",
        )
    if not list(candidate.leaf.subject) and names and not _is_critical(candidate.leaf):
        yield violation(
            "san-mismatch",
            candidate.leaf,
            "an empty subject and a SAN that is not critical",
            "a subject, or a critical SAN (RFC 5280, 4.2.1.6)",
            f"Have it issued again with a subject, such as CN={context.host}",
        )


def key_belongs(candidate: Candidate, _context: Context) -> Iterator[Finding]:
    """R28: the private key belongs to the certificate."""
    if candidate.key.public_key() == candidate.leaf.public_key():
        return
    owners = [one for one in (*candidate.chain, *candidate.set_aside) if one.public_key() == candidate.key.public_key()]
    owner_names = joined_words(
        (distinct_name(one, candidate.leaf) for one in owners), "a certificate that is not in the file"
    )
    yield violation(
        "key-mismatch",
        candidate.leaf,
        f"a public key that does not match the private key in the file, which belongs to {owner_names}",
        "the private key with which the certificate was requested",
        "Put that key into the file, or have the certificate issued again for the key that you have",
    )


def _is_critical(leaf: x509.Certificate) -> bool:
    """Return whether the SAN of a certificate that has one is critical."""
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def _names(leaf: x509.Certificate) -> str:
    """Return the DNS names and IP addresses of the subjectAltName, for a message."""
    names = extension(leaf, x509.SubjectAlternativeName)
    if names is None:
        return "no subject alternative names"
    others = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    shown = [f"DNS:{name}" for name in dns_names(leaf)] + [f"IP:{address}" for address in others]
    return f"the subject alternative names {excerpt(joined_words(shown, 'without a DNS name'))}"


def _aside(candidate: Candidate) -> str:
    """Return a hint for a certificate that names its host in the common name only."""
    common = candidate.leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return " (devices ignore the common name)" if common and not dns_names(candidate.leaf) else ""
