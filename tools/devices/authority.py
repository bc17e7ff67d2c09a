"""The CA that an MDM server trusts for the identities of devices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["DeviceAuthority"]

_VALIDITY: Final = timedelta(days=2)
_CLOCK_SKEW: Final = timedelta(minutes=5)


class DeviceAuthority:
    """Issues the identity certificates of devices. Its keys exist in memory only.

    All identities share one key, because the terminator in front of an MDM server checks the key of a device, and the
    devices send their certificate in the header that the terminator sets. NanoMDM binds a device to its certificate.
    """

    def __init__(self) -> None:
        """Create the root."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._device_key = ec.generate_private_key(ec.SECP256R1()).public_key()
        self._name = _name("Test device CA")
        self.root = self._certificate(self._name, self._key.public_key(), ca=True)

    @property
    def pem(self) -> bytes:
        """The root, PEM."""
        return self.root.public_bytes(Encoding.PEM)

    def identity(self, name: str) -> bytes:
        """Return a new identity certificate of a device, DER."""
        return self._certificate(_name(name), self._device_key, ca=False).public_bytes(Encoding.DER)

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(now + _VALIDITY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
