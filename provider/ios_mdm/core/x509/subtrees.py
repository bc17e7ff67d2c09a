"""Sets of names, as name constraints describe them (RFC 5280, 4.2.1.10).

The time of each question follows from the size of the name, not from the number of subtrees in the set. A file with
thousands of names under thousands of constraints is checked as fast as it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from cryptography import x509

from ios_mdm.core.x509.names import name_parts

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["CertificateName", "Subtrees", "is_dns_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateName:
    """A name of a certificate.

    Args:
        kind: type of the name; constraints apply only to names of the same type.
        value: value as the library returns it.
        other: type id of an otherName.
    """

    kind: type[x509.GeneralName]
    value: object
    other: x509.ObjectIdentifier | None = None

    @property
    def is_comparable(self) -> bool:
        """Whether the name can be compared with constraints: its type is supported, and it is well formed."""
        match self.value:
            case str(value) if self.kind is x509.DNSName:
                return is_dns_name(value)
            case str(value) if self.kind is x509.UniformResourceIdentifier:
                return is_dns_name(_host(value))
            case str(value) if self.kind is x509.RFC822Name:
                local, _, domain = value.rpartition("@")
                return bool(local) and "@" not in local and is_dns_name(domain)
        return self.kind in {x509.DirectoryName, x509.IPAddress}


@dataclass(slots=True)
class _Tree:
    """A set of paths.

    Args:
        has_itself: whether the set contains the path to this node.
        has_below: whether the set contains all longer paths.
        children: nodes of the longer paths by their next part.
    """

    has_itself: bool = False
    has_below: bool = False
    children: dict[Hashable, _Tree] = field(default_factory=dict)

    def add(self, path: Iterable[Hashable], *, itself: bool, below: bool) -> None:
        """Add the path, all longer paths, or both."""
        node = self
        for part in path:
            node = node.children.setdefault(part, _Tree())
        node.has_itself |= itself
        node.has_below |= below

    def has(self, path: Iterable[Hashable]) -> bool:
        """Return whether the set contains the path."""
        node = self
        for part in path:
            if node.has_below:
                return True
            child = node.children.get(part)
            if child is None:
                return False
            node = child
        return node.has_itself


class Subtrees:
    """The names in any of several subtrees."""

    __slots__ = ("_dns", "_kinds", "_mail_hosts", "_mailboxes", "_networks", "_uri_hosts", "_x500")

    def __init__(self, subtrees: Iterable[x509.GeneralName]) -> None:
        """Create the set of the names in any of the subtrees."""
        self._kinds: set[tuple[type[x509.GeneralName], x509.ObjectIdentifier | None]] = set()
        self._dns, self._uri_hosts, self._mail_hosts, self._x500 = _Tree(), _Tree(), _Tree(), _Tree()
        self._mailboxes: set[tuple[str, str]] = set()
        self._networks: dict[tuple[int, int], set[int]] = {}
        for subtree in subtrees:
            self._kinds.add((type(subtree), subtree.type_id if isinstance(subtree, x509.OtherName) else None))
            self._add(subtree)

    def constrain(self, name: CertificateName) -> bool:
        """Return whether a subtree applies to names of this type."""
        return (name.kind, name.other) in self._kinds

    def has(self, name: CertificateName) -> bool:
        """Return whether the name is in a subtree; False for a type that cannot be compared."""
        match name.value:
            case str(value) if name.kind is x509.DNSName:
                return self._dns.has(_labels(value))
            case str(value) if name.kind is x509.UniformResourceIdentifier:
                return self._uri_hosts.has(_labels(_host(value)))
            case str(value) if name.kind is x509.RFC822Name:
                local, _, domain = value.rpartition("@")
                return (local, domain.lower()) in self._mailboxes or self._mail_hosts.has(_labels(domain))
            case IPv4Address() | IPv6Address() as address:
                return any(
                    int(address) >> shift in networks
                    for (bits, shift), networks in self._networks.items()
                    if bits == address.max_prefixlen
                )
            case x509.Name() as directory_name:
                return self._x500.has(name_parts(directory_name))
        return False

    def _add(self, subtree: x509.GeneralName) -> None:
        match subtree:
            case x509.DNSName(value=parent):
                # A leading dot excludes the parent itself.
                self._dns.add(_labels(parent.removeprefix(".")), itself=not parent.startswith("."), below=True)
            case x509.UniformResourceIdentifier(value=host):
                _add_host(self._uri_hosts, host)
            case x509.RFC822Name(value=mailbox) if "@" in mailbox:
                local, _, domain = mailbox.rpartition("@")
                self._mailboxes.add((local, domain.lower()))
            case x509.RFC822Name(value=host):
                _add_host(self._mail_hosts, host)
            case x509.IPAddress(value=IPv4Network() | IPv6Network() as network):
                shift = network.max_prefixlen - network.prefixlen
                first = int(network.network_address) >> shift
                self._networks.setdefault((network.max_prefixlen, shift), set()).add(first)
            case x509.DirectoryName(value=name):
                self._x500.add(name_parts(name), itself=True, below=True)


def is_dns_name(text: str) -> bool:
    """Return whether no label is empty and no character is a blank or a control character.

    A wildcard is allowed, and so are characters that no host name has, because verifiers accept them.
    """
    return all(text.split(".")) and text.isprintable() and " " not in text


def _add_host(tree: _Tree, host: str) -> None:
    """Add a host, or, with a leading dot, all hosts below it."""
    is_parent = host.startswith(".")
    tree.add(_labels(host.removeprefix(".")), itself=not is_parent, below=is_parent)


def _labels(name: str) -> list[str]:
    """Return the labels of a DNS name, the right-most first."""
    return name.lower().split(".")[::-1] if name else []


def _host(uri: str) -> str:
    authority = uri.partition("://")[2]
    for end in "/?#":
        authority = authority.partition(end)[0]
    return authority.rpartition("@")[2].partition(":")[0]
