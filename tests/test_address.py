"""The connection address, checked against the library for all of Unicode."""

from __future__ import annotations

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.address import dns_name, is_loopback, split_address

LABELS = st.one_of(
    st.text("abcXYZ019-", max_size=66),
    st.sampled_from(["xn--bcher-kva", "xn--", "ab--c", "bücher", "a_b", "*", "\u017f", "\u212a"]),
)


@given(st.lists(LABELS, max_size=8).map(".".join))
def test_a_name_that_needs_no_lookup_equals_the_one_that_a_lookup_gives(host: str) -> None:
    """The shortcut for plain names gives the same result as IDNA (UTS #46)."""  # R19
    try:
        expected = idna.encode(host, uts46=True, std3_rules=True).decode()
    except (idna.IDNAError, UnicodeError):
        expected = "."
    if expected.endswith("."):
        with pytest.raises(ValueError, match=r"is not a DNS name|without the trailing dot"):
            dns_name(host)
    else:
        assert dns_name(host) == expected


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("mdm.example.com", ("mdm.example.com", None)),
        ("MDM.Example.com:8443", ("mdm.example.com", 8443)),
        ("bücher.example", ("xn--bcher-kva.example", None)),
        ("a" * 63 + ".example", ("a" * 63 + ".example", None)),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, found: tuple[str, int | None]) -> None:
    """The host is returned in lower case, in A-labels."""  # R19
    assert split_address(address) == found


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://mdm.example.com", "without a scheme or a path"),
        ("mdm.example.com/path", "without a scheme or a path"),
        ("mdm.example.com:0", "has the invalid port '0'"),
        ("mdm.example.com:65536", "has the invalid port '65536'"),
        ("mdm.example.com:", "has the invalid port ''"),
        ("mdm.example.com:٣", "has the invalid port '٣'"),
        ("192.0.2.1", "not the IP address 192.0.2.1"),
        ("mdm.example.com.", "without the trailing dot"),
        ("", "is not a DNS name"),
        ("a b", "is not a DNS name"),
        ("-a.example", "is not a DNS name"),
        ("a" * 64 + ".example", "is not a DNS name"),
    ],
)
def test_an_invalid_address_is_reported(address: str, said: str) -> None:
    """Each error names the expected form."""
    with pytest.raises(ValueError, match=said):
        split_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.1",
        "1",
        "2130706433",
        "1.2.3.4.5",
        "0x7f.1",
        "mdm.example.123",
        "mdm.example.123:8443",
        "mdm.example.0x",
        "mdm.example.0X7f",
        "mdm.example.\uff11",
    ],
)
def test_a_name_that_ends_in_a_number_is_refused(address: str) -> None:
    """Programs read such a name as an IPv4 address, and no certificate can be issued for it."""  # R19
    with pytest.raises(ValueError, match="ends in a number, so programs read it as an IPv4 address"):
        split_address(address)


@pytest.mark.parametrize("address", ["\uff11\uff12\uff17.0.0.1", "127.0.0.1:443"])
def test_an_ipv4_address_in_any_digits_is_refused(address: str) -> None:
    """IDNA maps full-width digits to ASCII."""  # R19
    with pytest.raises(ValueError, match=r"not the IP address 127\.0\.0\.1"):
        split_address(address)


@pytest.mark.parametrize("address", ["1.example", "mdm.1a", "mdm.1e3", "mdm.0xg", "mdm", "mdm.xn--p1ai"])
def test_a_name_with_digits_elsewhere_is_accepted(address: str) -> None:
    """Only a number as the last label makes a name an IPv4 address."""  # R19
    assert split_address(address) == (address, None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "::1"])
def test_loopback_hosts_reach_only_this_machine(host: str) -> None:
    """All of 127.0.0.0/8 is loopback (RFC 1122), not only its first address."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "::"])
def test_other_hosts_are_not_loopback(host: str | None) -> None:
    """A name is not resolved, and the unspecified address is not loopback."""
    assert not is_loopback(host)
