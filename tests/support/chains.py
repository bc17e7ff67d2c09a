"""A leaf under different chains, with a file for each chain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.pairs import START

HOST = "mdm.example.com"
DAY = timedelta(days=1)


def distinguished_name(text: str) -> x509.Name:
    """Return a name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@cache
def rsa_key(bits: int, name: str) -> rsa.RSAPrivateKey:
    """Return the key of a CA, which is created once."""
    del name
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """An intermediate CA under a root. With another *serial* it is the renewed certificate of the same name and key."""

    serial: int = 1
    root: str = "Example Root"

    def authority(self) -> x509.Certificate:
        """Return the root."""
        return self._signed_certificate(self.root, self.root, rsa_key(4096, self.root), 1)

    def intermediate(self) -> x509.Certificate:
        """Return the intermediate."""
        return self._signed_certificate("Example Issuing", self.root, rsa_key(2048, "Example Issuing"), self.serial)

    def _signed_certificate(self, subject: str, issuer: str, key: rsa.RSAPrivateKey, serial: int) -> x509.Certificate:
        return (
            x509.CertificateBuilder(distinguished_name(issuer), distinguished_name(subject), key.public_key(), serial)
            .not_valid_before(START - 100 * DAY)
            .not_valid_after(START + 3000 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(rsa_key(4096, issuer), hashes.SHA256())
        )


@dataclass(frozen=True)
class Leaf:
    """A certificate of the server, with a separate key."""

    days: int

    @cached_property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The private key."""
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The certificate."""
        return (
            x509.CertificateBuilder(
                distinguished_name("Example Issuing"), distinguished_name(HOST), self.key.public_key(), 1000 + self.days
            )
            .not_valid_before(START - DAY)
            .not_valid_after(START + self.days * DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(rsa_key(2048, "Example Issuing"), hashes.SHA256())
        )

    def file(self, chain: Chain) -> bytes:
        """Return a PEM file with leaf, key and this chain."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        above = (self.certificate, chain.intermediate(), chain.authority())
        return key + b"".join(one.public_bytes(Encoding.PEM) for one in above)


FIRST, RENEWED, ELSEWHERE = Chain(), Chain(serial=2), Chain(serial=3, root="Another Root")
