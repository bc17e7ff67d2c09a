"""The names in a certificate: its hosts, and its name in messages."""

from __future__ import annotations

from cryptography import x509

from ios_mdm.core.text import printable
from ios_mdm.core.times import rfc3339
from ios_mdm.core.x509.extensions import extension

__all__ = [
    "display_name",
    "distinct_name",
    "dns_names",
    "excerpt",
    "has_name_of",
    "is_name_of",
    "is_self_issued",
    "name_difference",
    "name_parts",
]

_MAX_NAME_LENGTH = 120


def is_name_of(pattern: str, host: str) -> bool:
    """Return whether a DNS name of a SAN covers *host*.

    A wildcard is the whole left-most label (RFC 9525, 6.3). At least two labels follow it: Apple and OpenSSL do not
    accept a wildcard for a whole top-level domain.
    """
    pattern, host = pattern.lower(), host.lower()
    if pattern.startswith("*."):
        label, _, parent = host.partition(".")
        return bool(label) and "." in parent and pattern[2:] == parent
    return pattern == host


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names of the subjectAltName."""
    names = extension(certificate, x509.SubjectAlternativeName)
    return () if names is None else tuple(names.get_values_for_type(x509.DNSName))


def display_name(certificate: x509.Certificate) -> str:
    """Return the name of a certificate for a message, in one line: its subject, or its serial number if empty."""
    return excerpt(certificate.subject.rfc4514_string()) or f"serial number {certificate.serial_number:x}"


def distinct_name(certificate: x509.Certificate, *others: x509.Certificate) -> str:
    """Return the name of a certificate, with serial number and expiry if another certificate has the same name."""
    name = display_name(certificate)
    if all(one == certificate or display_name(one) != name for one in others):
        return name
    expiry = certificate.not_valid_after_utc
    return f"{name} (serial number {certificate.serial_number:x}, expires {rfc3339(expiry)})"


def excerpt(text: str) -> str:
    """Return *text* from a file in a form that is safe in a message: printable, at most 120 characters."""
    return printable(text, limit=_MAX_NAME_LENGTH)


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Return whether issuer and subject are the same name (RFC 5280, 3.2)."""
    return certificate.issuer == certificate.subject


def name_parts(name: x509.Name) -> list[frozenset[tuple[str, str]]]:
    """Return the parts of a distinguished name in a form that ignores string types, case and repeated blanks.

    RFC 5280, 7.1 compares names in this way.
    """
    return [
        frozenset((one.oid.dotted_string, " ".join(str(one.value).casefold().split())) for one in part)
        for part in name.rdns
    ]


def name_difference(first: x509.Name, second: x509.Name) -> str | None:
    """Return the difference of two names that show the same text, apart from case and blanks; None for others.

    The result is a phrase for a message, such as ``the string type of CN: UTF8String and PrintableString``.
    """
    if name_parts(first) != name_parts(second):
        return None
    for one, other in zip(first, second, strict=False):
        if one.oid != other.oid:
            break
        if one.value != other.value:
            return f"upper and lower case or blanks of {one.rfc4514_attribute_name}"
        types = [attribute._type.name for attribute in (one, other)]  # noqa: SLF001 - there is no public way to ask
        if types[0] != types[1]:
            return f"the string type of {one.rfc4514_attribute_name}: {types[0]} and {types[1]}"
    return "the order of their attributes"


def has_name_of(certificate: x509.Certificate, host: str) -> bool:
    """Return whether a DNS name of the SAN covers *host* (R19)."""
    return any(is_name_of(name, host) for name in dns_names(certificate))
