"""Rules for the identity of the certificate: the name that devices connect to, and the private key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from ios_mdm.core.rules.model import Remark, violation
from ios_mdm.core.rules.reading import extension, joined_words
from ios_mdm.core.x509.names import distinct_name, dns_names, excerpt, is_name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["key_belongs", "name_matches"]


def name_matches(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R19: a DNS name of the SAN covers the connection address. The common name does not count."""
    matching = [name for name in dns_names(candidate.leaf) if is_name_of(name, context.host)]
    if not matching:
        yield violation(
            "san-mismatch",
            candidate.leaf,
            _names(candidate.leaf),
            f"a SAN of type DNS for {context.host}",
            f"Have it issued again with the DNS name {context.host} in its alternative names{_aside(candidate)}",
        )
    elif all(name.count(".") == 1 and name.startswith("*.") for name in matching):
        yield Remark(
            message=f"{matching[0]} covers every name under a top-level domain, which OpenSSL does not accept: "
            f"use a certificate for {context.host} itself"
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
