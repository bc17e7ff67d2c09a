"""Name constraints: the names that a CA may issue certificates for (R28; RFC 5280, 4.2.1.10)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from ios_mdm.core.rules.model import violation
from ios_mdm.core.rules.reading import extension
from ios_mdm.core.x509.names import display_name, dns_names, excerpt, has_name_of, is_self_issued

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.rules.model import Context, Finding
    from ios_mdm.core.x509.chain import Candidate

__all__ = ["names_are_permitted"]


def names_are_permitted(candidate: Candidate, context: Context) -> Iterator[Finding]:
    """R28: the name constraints of every issuer allow the names of all certificates below it."""
    for index, issuer in enumerate(candidate.issuers, 1):
        constraints = extension(issuer, x509.NameConstraints)
        if constraints is None:
            continue
        for certificate in candidate.chain[:index]:
            if certificate != candidate.leaf and is_self_issued(certificate):
                continue
            for problem in _problems(certificate, constraints, context.host):
                yield violation(
                    "name-constraints",
                    certificate,
                    problem,
                    f"names that the name constraints of {display_name(issuer)} allow",
                    "Have it issued without that name, or by a CA whose name constraints allow it",
                )


def _problems(certificate: x509.Certificate, constraints: x509.NameConstraints, host: str) -> Iterator[str]:
    permitted, excluded = constraints.permitted_subtrees or (), constraints.excluded_subtrees or ()
    for name in _names(certificate):
        allowed = [subtree for subtree in permitted if name.is_constrained_by(subtree)]
        forbidden = [subtree for subtree in excluded if name.is_constrained_by(subtree)]
        if (allowed or forbidden) and not name.is_comparable:
            yield f"the name {name}, whose type has constraints that cannot be checked"
        elif allowed and not any(name.is_within(subtree) for subtree in allowed):
            yield f"the name {name}, which is not permitted"
        elif any(name.is_within(subtree) for subtree in forbidden):
            yield f"the name {name}, which is excluded"
    # As text, a wildcard is not within an excluded host, but it still covers that host.
    address = _Name(kind=x509.DNSName, value=host)
    if has_name_of(certificate, host) and any(map(address.is_within, excluded)) and host not in dns_names(certificate):
        yield f"a wildcard for {host}, which is excluded"


def _names(certificate: x509.Certificate) -> Iterator[_Name]:
    """Yield every name of a certificate to which constraints apply."""
    if list(certificate.subject):
        yield _Name(kind=x509.DirectoryName, value=certificate.subject)
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        yield _Name(kind=x509.RFC822Name, value=attribute.value)
    for name in extension(certificate, x509.SubjectAlternativeName) or ():
        other = name.type_id if isinstance(name, x509.OtherName) else None
        yield _Name(kind=type(name), value=name.value, other=other)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """A name of a certificate.

    Args:
        kind: type of the name; constraints apply only to names of the same type.
        value: value as the library returns it.
        other: type id of an otherName.
    """

    kind: type[x509.GeneralName]
    value: object
    other: x509.ObjectIdentifier | None = None

    def __str__(self) -> str:
        return excerpt(self.value.rfc4514_string() if isinstance(self.value, x509.Name) else str(self.value))

    @property
    def is_comparable(self) -> bool:
        """Whether constraints on names of this type can be checked."""
        return self.kind in {
            x509.DNSName,
            x509.DirectoryName,
            x509.IPAddress,
            x509.RFC822Name,
            x509.UniformResourceIdentifier,
        }

    def is_constrained_by(self, subtree: x509.GeneralName) -> bool:
        """Return whether a subtree applies to names of this type."""
        return type(subtree) is self.kind and (not isinstance(subtree, x509.OtherName) or subtree.type_id == self.other)

    def is_within(self, subtree: x509.GeneralName) -> bool:
        """Return whether the name is in a subtree; False for a subtree of another type."""
        match self.value, subtree:
            case str(name), x509.DNSName() if self.kind is x509.DNSName:
                return _under(name.lower(), subtree.value.lower())
            case str(uri), x509.UniformResourceIdentifier() if self.kind is x509.UniformResourceIdentifier:
                return _host_matches(_host(uri), subtree.value.lower())
            case str(mailbox), x509.RFC822Name() if self.kind is x509.RFC822Name:
                return _mailbox_matches(mailbox, subtree.value)
            case IPv4Address() | IPv6Address(), x509.IPAddress():
                return _address_matches(self.value, subtree.value)
            case x509.Name() as name, x509.DirectoryName():
                start = _parts(subtree.value)
                return _parts(name)[: len(start)] == start
        return False


def _under(name: str, parent: str) -> bool:
    """Return whether a DNS name is the parent or below it. A leading dot excludes the parent itself."""
    return not parent or name == parent or name.endswith(parent if parent.startswith(".") else f".{parent}")


def _host_matches(host: str, subtree: str) -> bool:
    return host.endswith(subtree) if subtree.startswith(".") else host == subtree


def _host(uri: str) -> str:
    authority = uri.partition("://")[2]
    for end in "/?#":
        authority = authority.partition(end)[0]
    return authority.rpartition("@")[2].partition(":")[0].lower()


def _mailbox_matches(mailbox: str, subtree: str) -> bool:
    local, _, domain = mailbox.rpartition("@")
    wanted_local, at, wanted_domain = subtree.rpartition("@")
    if at:
        return local == wanted_local and domain.lower() == wanted_domain.lower()
    return _host_matches(domain.lower(), wanted_domain.lower())


def _address_matches(address: object, network: object) -> bool:
    if isinstance(address, IPv4Address) and isinstance(network, IPv4Network):
        return address in network
    return isinstance(address, IPv6Address) and isinstance(network, IPv6Network) and address in network


def _parts(name: x509.Name) -> list[frozenset[tuple[str, str]]]:
    """Return the parts of a distinguished name in a form that ignores case and repeated blanks."""
    return [
        frozenset((one.oid.dotted_string, " ".join(str(one.value).casefold().split())) for one in part)
        for part in name.rdns
    ]
