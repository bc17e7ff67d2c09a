"""Names in subtrees, compared with a definition that takes one subtree at a time (RFC 5280, 4.2.1.10)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.core.x509.subtrees import CertificateName, Subtrees
from tests.support.long import examples

LABELS = st.lists(st.sampled_from(["a", "b", "A"]), min_size=1, max_size=4).map(".".join)
PARENTS = st.one_of(LABELS, LABELS.map(".{}".format), st.just(""))
ADDRESSES = st.integers(0, 15).map(lambda number: f"10.0.0.{number}") | st.integers(0, 3).map("2001:db8::{}".format)
NETWORKS = st.tuples(ADDRESSES, st.integers(28, 32)).map(lambda one: ip_network("/".join(map(str, one)), strict=False))
NAMES = st.lists(st.sampled_from(["a", "A ", "b"]), max_size=3).map(
    lambda texts: x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, text) for text in texts])
)


def is_under(name: str, parent: str) -> bool:
    """Return whether a DNS name is in one subtree."""
    name, parent = name.lower(), parent.lower()
    return not parent or name == parent or name.endswith(parent if parent.startswith(".") else f".{parent}")


def is_host_of(host: str, parent: str) -> bool:
    """Return whether the host of a URI or mailbox is in one subtree."""
    host, parent = host.lower(), parent.lower()
    return host.endswith(parent) and len(host) > len(parent) if parent.startswith(".") else host == parent


@settings(max_examples=examples(200))
@given(name=LABELS, parents=st.lists(PARENTS, max_size=5))
def test_hosts_are_in_the_same_subtrees_as_one_by_one(name: str, parents: list[str]) -> None:
    """A DNS name, the host of a URI and the domain of a mailbox are in the set exactly if one subtree has them."""
    # R28
    dns = Subtrees([x509.DNSName(parent) for parent in parents])
    assert dns.has(CertificateName(kind=x509.DNSName, value=name)) == any(is_under(name, one) for one in parents)
    expected = any(is_host_of(name, one) for one in parents)
    uris = Subtrees([x509.UniformResourceIdentifier(parent) for parent in parents])
    uri = CertificateName(kind=x509.UniformResourceIdentifier, value=f"https://me@{name}:8443/a?b#c")
    assert uris.has(uri) == expected
    hosts = Subtrees([x509.RFC822Name(parent) for parent in parents if parent])  # the library builds no empty one
    assert hosts.has(CertificateName(kind=x509.RFC822Name, value=f"it@{name}")) == expected


@settings(max_examples=examples(100))
@given(address=ADDRESSES.map(ip_address), networks=st.lists(NETWORKS, max_size=4))
def test_addresses_are_in_the_same_networks_as_one_by_one(address: object, networks: list[object]) -> None:
    """An address is in the set exactly if one network of its version has it."""  # R28
    subtrees = Subtrees([x509.IPAddress(network) for network in networks])  # type: ignore[arg-type]
    expected = any(address in network for network in networks)  # type: ignore[operator]
    assert subtrees.has(CertificateName(kind=x509.IPAddress, value=address)) == expected


@settings(max_examples=examples(100))
@given(name=NAMES, parents=st.lists(NAMES, max_size=4))
def test_directory_names_are_in_the_same_subtrees_as_one_by_one(name: x509.Name, parents: list[x509.Name]) -> None:
    """A distinguished name is in the set exactly if one subtree is its start, apart from case and blanks."""  # R28
    texts = [str(one.value).strip().lower() for one in name]
    starts = [[str(one.value).strip().lower() for one in parent] for parent in parents]
    subtrees = Subtrees([x509.DirectoryName(parent) for parent in parents])
    found = subtrees.has(CertificateName(kind=x509.DirectoryName, value=name))
    assert found == any(texts[: len(start)] == start for start in starts)
