"""The names in a certificate: which hosts it is for, and how it is called in a message."""

from __future__ import annotations

from cryptography import x509

from ios_mdm.core.text import printable

__all__ = ["covers", "dns_names", "fits", "is_self_issued", "named", "short"]

_LONGEST_NAME = 120


def covers(pattern: str, host: str) -> bool:
    """Tell whether a DNS name of a SAN is the host's: wildcards stand for the whole left-most label (RFC 9525, 6.3)."""
    pattern, host = pattern.lower(), host.lower()
    if pattern.startswith("*."):
        label, _, parent = host.partition(".")
        return bool(label and parent) and pattern[2:] == parent
    return pattern == host


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names of the subjectAltName."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def named(certificate: x509.Certificate) -> str:
    """Return the subject, fit for one line of a message, or the serial number where there is none."""
    return short(certificate.subject.rfc4514_string()) or f"serial number {certificate.serial_number:x}"


def short(text: str) -> str:
    """Return *text* for a message, printable and at most 120 characters: a file may say anything."""
    return printable(text, longest=_LONGEST_NAME)


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Tell whether issuer and subject are one name (RFC 5280, 3.2)."""
    return certificate.issuer == certificate.subject


def fits(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether a DNS name of the SAN is the host's (R19)."""
    return any(covers(name, host) for name in dns_names(certificate))
