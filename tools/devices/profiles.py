"""Reads a configuration profile as a device does before the installation."""

from __future__ import annotations

import plistlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from xml.parsers.expat import ExpatError

from cryptography import x509
from cryptography.x509.oid import NameOID

__all__ = ["Certificate", "Profile", "ProfileError", "certificate", "read_profile"]

_CERTIFICATE_TYPES: Final = frozenset({"com.apple.security.root", "com.apple.security.pkcs1"})


class ProfileError(ValueError):
    """A device does not install this profile."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate on a device.

    Args:
        der: content, DER.
        common_name: common name of the subject; empty if it has none.
    """

    der: bytes = field(repr=False)
    common_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """An installed profile.

    Args:
        identifier: PayloadIdentifier. A profile with the same identifier replaces the installed one.
        uuid: PayloadUUID.
        content: complete plist, byte by byte.
        certificates: certificates in the profile, in its order.
    """

    identifier: str
    uuid: str
    content: bytes = field(repr=False)
    certificates: tuple[Certificate, ...]


@lru_cache(maxsize=64)  # thousands of devices install the same profile
def read_profile(content: bytes) -> Profile:
    """Return the profile in *content*, an XML plist without a signature.

    Raises:
        ProfileError: The content is no configuration profile, or contains a certificate that cannot be read.
    """
    try:
        parsed = plistlib.loads(content)
        payloads = [(one["PayloadType"], one.get("PayloadContent")) for one in parsed["PayloadContent"]]
        if parsed["PayloadType"] != "Configuration":
            raise ProfileError(f"the PayloadType of the profile is {parsed['PayloadType']!r}, not 'Configuration'")
        return Profile(
            identifier=str(parsed["PayloadIdentifier"]),
            uuid=str(parsed["PayloadUUID"]),
            content=content,
            certificates=tuple(certificate(der) for kind, der in payloads if kind in _CERTIFICATE_TYPES),
        )
    except (KeyError, TypeError, plistlib.InvalidFileException, ExpatError) as error:
        raise ProfileError(f"the profile cannot be read: {error!r}") from error


@lru_cache(maxsize=256)
def certificate(der: bytes) -> Certificate:
    """Return the certificate in *der*.

    Raises:
        ProfileError: The content is no certificate.
    """
    try:
        subject = x509.load_der_x509_certificate(der).subject
    except (ValueError, TypeError) as error:
        raise ProfileError(f"a payload contains no certificate: {error}") from error
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certificate(der, str(names[0].value) if names else "")
