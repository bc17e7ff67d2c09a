"""Host names: the connection address, DNS names in the form of certificates, loopback hosts, and URLs of servers."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["dns_name", "is_http_url", "is_loopback", "split_address"]

_MAX_PORT = 65535
# A label of letters, digits and hyphens (RFC 1123). With hyphens at its third and fourth place, it may be an A-label.
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# A name whose last label is a number, decimal or hexadecimal with 0x, is an IPv4 address: "ends in a number" in the URL
# Standard (WHATWG). RFC 1123, 2.1 decides by the last label, too.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
_PLAIN = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*", re.ASCII | re.IGNORECASE)


def split_address(address: str) -> tuple[str, int | None]:
    """Return the host of a connection address in A-labels (RFC 5890), lower case, and its port or None.

    Raises:
        ValueError: The address is a URL, an IP address in any form, or not a DNS name. The message starts with a verb,
            to follow the name of the setting.
    """
    host, colon, port = address.partition(":")
    if "://" in address or "/" in address:
        raise ValueError(f"must be a host name with an optional port, without a scheme or a path, not {address!r}")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
        raise ValueError(f"has the invalid port {port!r}: use a number from 1 to 65535")
    name = dns_name(host)
    if _NUMBER.fullmatch(name):
        raise ValueError(_not_a_name(name))
    return name, int(port) if port else None


def _not_a_name(number: str) -> str:
    """Return the problem of a host that ends in a number."""
    try:
        found = f"not the IP address {ip_address(number)}"
    except ValueError:
        return (
            f"ends in a number, so programs read it as an IPv4 address: {number!r} must be a DNS name, whose last "
            "label has a letter (RFC 1123)"
        )
    return f"must be a DNS name, {found}: devices match the SAN of type DNS (RFC 9525)"


def is_loopback(host: str | None) -> bool:
    """Return whether a host reaches only this machine: ``localhost`` or an IP address of the loopback interface.

    Args:
        host: host from ``urlsplit``, an IPv6 address without brackets; None for a URL without a host.
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_http_url(url: str) -> bool:
    """Return whether a text is a URL of http or https with a host, without a query, a fragment or white space."""
    try:
        parts = urlsplit(url)
        has_server = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    has_only_path = "?" not in url and "#" not in url and " " not in url and url.isprintable()
    return parts.scheme in {"http", "https"} and has_server and has_only_path


def dns_name(host: str) -> str:
    """Return a DNS name in A-labels, lower case.

    Raises:
        ValueError: The host is not a DNS name, or ends with a dot.
    """
    if _PLAIN.fullmatch(host):
        return host.lower()
    import idna

    try:
        name = idna.encode(host, uts46=True, std3_rules=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise ValueError(f"{host!r} is not a DNS name (letters, digits, hyphens and dots)") from None
    if name.endswith("."):
        raise ValueError(f"{name!r} must be written without the trailing dot")
    return name
