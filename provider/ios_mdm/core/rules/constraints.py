"""Name constraints: the names that a CA may issue certificates for (R28; RFC 5280, 4.2.1.10)."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from ios_mdm.core.rules.model import violation
from ios_mdm.core.rules.reading import is_authority
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.names import display_name, dns_names, excerpt, has_name_of, is_self_issued
from ios_mdm.core.x509.subtrees import CertificateName, Subtrees, is_dns_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["comparisons", "names_are_permitted"]

_MAX_SHOWN = 5
_MAX_COMPARISONS = 1 << 20  # names times constraints; OpenSSL refuses more


def names_are_permitted(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R28: the name constraints of every issuer allow the names of all certificates below it."""
    if not is_authority(candidate.leaf) and extension(candidate.leaf, x509.NameConstraints) is not None:
        yield violation(
            "name-constraints",
            candidate.leaf,
            "name constraints without being a CA",
            "name constraints in CAs only (RFC 5280, 4.2.1.10)",
            "Have it issued again as a TLS server's certificate",
        )
    for index, issuer in enumerate(candidate.issuers, 1):
        if extension(issuer, x509.NameConstraints) is None:
            continue
        for constraint in _malformed_constraints(issuer):
            yield violation(
                "name-constraints",
                issuer,
                f"the name constraint {excerpt(constraint)}, which is not a DNS name",
                "name constraints that verifiers can read",
                "Have the certificate issued by another CA",
            )
        for certificate in candidate.chain[:index]:
            if certificate != candidate.leaf and is_self_issued(certificate):
                continue
            for problem in _problems(certificate, issuer, context.host):
                yield violation(
                    "name-constraints",
                    certificate,
                    problem,
                    f"names that the name constraints of {display_name(issuer)} allow",
                    "Have it issued without that name, or by a CA whose name constraints allow it",
                )


def comparisons(candidate: Candidate) -> int:
    """Return the number of comparisons of a verifier that compares each name with each constraint above it."""
    names, total = 0, 0
    if all(extension(one, x509.NameConstraints) is None for one in candidate.issuers):
        return 0
    for certificate in candidate.chain:
        constraints = extension(certificate, x509.NameConstraints)
        if constraints is not None:
            total += names * (len(constraints.permitted_subtrees or ()) + len(constraints.excluded_subtrees or ()))
        names += 1 + sum(1 for _ in extension(certificate, x509.SubjectAlternativeName) or ())
    return total


@lru_cache(maxsize=256)  # several paths to a root have most certificates in common
def _problems(certificate: x509.Certificate, issuer: x509.Certificate, host: str) -> tuple[str, ...]:
    """Return the conflicts of a certificate with the constraints of an issuer, at most a few and their number."""
    constraints = extension(issuer, x509.NameConstraints)
    if constraints is None:
        return ()
    names = tuple(_names(certificate))
    permitted, excluded = constraints.permitted_subtrees or (), constraints.excluded_subtrees or ()
    count = len(permitted) + len(excluded)
    if len(names) * count > _MAX_COMPARISONS:
        return (f"{len(names):,} names, too many for {count:,} name constraints: OpenSSL refuses to compare them",)
    found = _conflicts(names, Subtrees(permitted), Subtrees(excluded))
    shown = list(islice(found, _MAX_SHOWN))
    more = sum(1 for _ in found)
    if more:
        shown.append(f"{more:,} more names that are not allowed")
    # As text, a wildcard is not within an excluded host, but it still covers that host.
    address = CertificateName(kind=x509.DNSName, value=host)
    if has_name_of(certificate, host) and host not in dns_names(certificate) and Subtrees(excluded).has(address):
        shown.append(f"a wildcard for {host}, which is excluded")
    return tuple(shown)


def _malformed_constraints(issuer: x509.Certificate) -> Iterator[str]:
    """Yield the constraints on DNS names that verifiers cannot read, at most a few."""
    constraints = extension(issuer, x509.NameConstraints)
    subtrees = (
        () if constraints is None else (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ()))
    )
    names = (one.value for one in subtrees if isinstance(one, x509.DNSName))
    yield from islice((name for name in names if name and not is_dns_name(name.removeprefix("."))), _MAX_SHOWN)


def _conflicts(names: tuple[CertificateName, ...], permitted: Subtrees, excluded: Subtrees) -> Iterator[str]:
    for name in names:
        is_bound = permitted.constrain(name)
        if (is_bound or excluded.constrain(name)) and not name.is_comparable:
            yield f"the name {_text(name)}, which cannot be compared with the constraints on names of its type"
        elif is_bound and not permitted.has(name):
            yield f"the name {_text(name)}, which is not permitted"
        elif excluded.has(name):
            yield f"the name {_text(name)}, which is excluded"


def _names(certificate: x509.Certificate) -> Iterator[CertificateName]:
    """Yield every name of a certificate to which constraints apply."""
    if list(certificate.subject):
        yield CertificateName(kind=x509.DirectoryName, value=certificate.subject)
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        yield CertificateName(kind=x509.RFC822Name, value=attribute.value)
    for name in extension(certificate, x509.SubjectAlternativeName) or ():
        other = name.type_id if isinstance(name, x509.OtherName) else None
        yield CertificateName(kind=type(name), value=name.value, other=other)


def _text(name: CertificateName) -> str:
    return excerpt(name.value.rfc4514_string() if isinstance(name.value, x509.Name) else str(name.value))
