"""Builds the configuration profile that makes devices trust a pair, and the command that installs it (R15).

Equal certificates give equal bytes: plists are sorted, UUIDs are derived from the content, and the profile contains
neither the order nor the slots of the certificates. Therefore a promotion alone changes nothing on the devices.
"""

from __future__ import annotations

import hashlib
import plistlib
import re
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.core.x509.digests import fingerprint, root_digest
from ios_mdm.core.x509.pem import CertificateError, chain
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "certificate_digests",
    "install_profile_command",
    "profile_digest",
    "profile_identifier_of",
    "trust_anchors",
    "trust_profile",
]

# Frozen, because another namespace replaces the payloads on every device.
_NAMESPACE = UUID("8b9f0c5e-52ad-4c0b-9d3b-3d3a2f0f6a11")
_ROOT, _INTERMEDIATE = "com.apple.security.root", "com.apple.security.pkcs1"
_IDENTIFIER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")

_Payload = dict[str, str | int | bytes]


def trust_profile(
    chains: Sequence[str], *, identifier: str, server: str, host: str, organization: str | None = None
) -> bytes:
    """Return the .mobileconfig (an XML plist, unsigned) that makes a device trust these certificates.

    A root becomes a ``com.apple.security.root`` payload, and an intermediate certificate becomes a
    ``com.apple.security.pkcs1`` payload. A leaf is left out, because devices trust its root, unless it is its own root.
    Each certificate appears once. Its payload keeps its identifier and UUID as long as it stays in the profile. The
    profile keeps its identifier, so that a device updates the profile in place.

    Args:
        chains: PEM chains of main and reserve, in any order; each is leaf, issuers, root.
        identifier: PayloadIdentifier of the profile, reverse-DNS style; must never change for a server.
        server: name of the server.
        host: connection address, shown to the user of a device.
        organization: provider of the profile, shown to the user of a device; None to omit it.

    Raises:
        CertificateError: A chain holds anything besides certificates, for example a private key, or lacks its root.
        DefinitionError: There is no chain, or a profile cannot contain one of the texts.
    """
    if not chains:
        raise DefinitionError(f"server {server}: there is no certificate to distribute")
    if not _IDENTIFIER.fullmatch(identifier):
        raise DefinitionError(
            f"server {server}: the profile identifier {identifier!r} is invalid: use a form like com.example.mdm.trust"
        )
    trusted = {certificate: kind for pem in chains for certificate, kind in _trusted_certificates(pem, server)}
    ordered = sorted(trusted, key=lambda certificate: (certificate.not_valid_before_utc, fingerprint(certificate)))
    profile: dict[str, str | int | list[_Payload]] = {
        "PayloadContent": [_payload(certificate, trusted[certificate], identifier, host) for certificate in ordered],
        "PayloadDescription": (
            f"Lets this device recognize its management server {host}, now and after the server's next change of "
            f"certificate. Contains public certificates only."
        ),
        "PayloadDisplayName": f"Trusted certificates of {server} ({host})",
        "PayloadIdentifier": identifier,
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
    }
    if organization is not None:
        profile["PayloadOrganization"] = organization
    try:
        profile["PayloadUUID"] = _uuid(profile_digest(plistlib.dumps(profile, sort_keys=True)))
        return plistlib.dumps(profile, sort_keys=True)
    except ValueError as error:  # a control character
        raise DefinitionError(f"server {server}: a profile cannot contain its name or organization: {error}") from error


def install_profile_command(profile: bytes, command_uuid: str) -> bytes:
    """Return the MDM command (an XML plist) that installs *profile* on a device.

    Args:
        profile: a .mobileconfig, signed or not.
        command_uuid: CommandUUID; a command with the same CommandUUID is a repetition.
    """
    command = {"Command": {"Payload": profile, "RequestType": "InstallProfile"}, "CommandUUID": command_uuid}
    return plistlib.dumps(command, sort_keys=True)


def profile_digest(profile: bytes) -> str:
    """Return the SHA-256 of a profile, 64 hex digits."""
    return hashlib.sha256(profile).hexdigest()


def profile_identifier_of(profile: bytes) -> str:
    """Return the PayloadIdentifier of a profile of :func:`trust_profile`."""
    return str(plistlib.loads(profile)["PayloadIdentifier"])


def certificate_digests(profile: bytes) -> frozenset[bytes]:
    """Return the SHA-256 of the DER of each certificate in a profile of :func:`trust_profile`, 32 bytes each."""
    payloads = plistlib.loads(profile)["PayloadContent"]
    return frozenset(hashlib.sha256(one["PayloadContent"]).digest() for one in payloads)


def trust_anchors(profile: bytes) -> frozenset[str]:
    """Return the digests of the roots in a profile of :func:`trust_profile`, 64 hex digits each.

    They are the fingerprint and the :func:`root_digest` of each root. ``CertificateFacts.anchor`` is one of them for
    each certificate that devices trust by this profile.
    """
    payloads = plistlib.loads(profile)["PayloadContent"]
    roots = [x509.load_der_x509_certificate(one["PayloadContent"]) for one in payloads if one["PayloadType"] == _ROOT]
    return frozenset(digest for root in roots for digest in (fingerprint(root), root_digest(root)))


def _trusted_certificates(pem: str, server: str) -> list[tuple[x509.Certificate, str]]:
    """Return the certificates of one chain that a device needs, each with its payload type."""
    certificates = chain(pem)
    roots = [certificate for certificate in certificates if is_self_signed(certificate)]
    if not roots:
        raise CertificateError(
            f"server {server}: the chain of certificate {fingerprint(certificates[0])} lacks its root, which devices "
            f"must trust: add the root certificate"
        )
    intermediates = [certificate for certificate in certificates[1:] if certificate not in roots]
    return [*((root, _ROOT) for root in roots), *((certificate, _INTERMEDIATE) for certificate in intermediates)]


def _payload(certificate: x509.Certificate, kind: str, identifier: str, host: str) -> _Payload:
    """Return the payload of one certificate. Apart from *host* and *identifier*, it depends on the certificate only."""
    sha256 = fingerprint(certificate)
    expiry = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    own = f"{identifier}.{sha256}"
    return {
        "PayloadCertificateFileName": f"{sha256[:16]}.cer",
        "PayloadContent": certificate.public_bytes(Encoding.DER),
        "PayloadDescription": (
            f"Subject {certificate.subject.rfc4514_string()}; valid until "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC; SHA-256 {sha256}"
        ),
        "PayloadDisplayName": f"{host}, valid until {expiry}",
        "PayloadIdentifier": own,
        "PayloadType": kind,
        "PayloadUUID": _uuid(own),
        "PayloadVersion": 1,
    }


def _uuid(name: str) -> str:
    """Return the UUID derived from *name*, in capitals as Apple's tools write UUIDs."""
    return str(uuid5(_NAMESPACE, name)).upper()
