"""Files of custom certificates under a private CA, and servers that install them."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ios_mdm.app.bundles import Circumstances
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.x509.digests import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.engine import World

HOST = "mdm.example.com"
START = datetime(2040, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PASSWORD = "pässword of a bundle"  # noqa: S105 - of files that the tests create
BY = Circumstances(host=HOST, now=START + DAY, slot=Slot.RESERVE)


@dataclass(slots=True)
class Authority:
    """A private CA."""

    key: rsa.RSAPrivateKey
    root: x509.Certificate

    def pem(self) -> bytes:
        """Return the root."""
        return self.root.public_bytes(Encoding.PEM)


@cache
def authority(name: str = "Example Root") -> Authority:
    """Return a CA with a root key of 4096 bits, created once."""
    key = rsa.generate_private_key(65537, 4096)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    root = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(START - 100 * DAY)
        .not_valid_after(START + 5000 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, root)


@dataclass(slots=True)
class Leaf:
    """A certificate of the server under a CA."""

    start: datetime
    days: int
    by: Authority = field(default_factory=authority)
    host: str = HOST
    names: tuple[str, ...] = ()
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        """Sign the certificate with the CA's key."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.host)])
        self.certificate = (
            x509.CertificateBuilder(self.by.root.subject, subject, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(self.start)
            .not_valid_after(self.start + self.days * DAY)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in self.names or (self.host,)]), critical=False
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self.by.key, hashes.SHA256())
        )

    @property
    def sha256(self) -> str:
        """Fingerprint of the certificate, SHA-256."""
        return fingerprint(self.certificate)

    def pfx(self) -> bytes:
        """Return a PFX with the chain, under the password."""
        protection = BestAvailableEncryption(PASSWORD.encode())
        return pkcs12.serialize_key_and_certificates(b"mdm", self.key, self.certificate, [self.by.root], protection)

    def pem(self) -> bytes:
        """Return a PEM file with an encrypted key and the certificate, without the root."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode()))
        return key + self.certificate.public_bytes(Encoding.PEM)

    def needles(self) -> list[bytes]:
        """Return parts of the key; a text with one of them has leaked the key."""
        der = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        number = self.key.private_numbers().private_value
        inner = self.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())[8:36]
        return [der[40:68], inner, f"{number:x}".encode(), str(number).encode(), base64.b64encode(inner)[4:28]]


@dataclass(slots=True)
class Custom:
    """A server with certificates from files."""

    world: World
    main: Leaf
    reserve: Leaf

    def write(self, name: str, data: bytes) -> str:
        """Write a file into the project; return its name."""
        (self.world.stack.directory / name).write_bytes(data)
        return name

    def define(self, **changes: Any) -> None:
        """Define main from the PFX; its password is in a secret."""
        install = {"bundle": "main.pfx", "passwordSecret": f"pfx-{self.world.server}"}
        server = {"main": {"install": install}, "reserve": None, "distribution": self.world.distribution()}
        self.world.stack.define([self.world.definition(**{**server, **changes})])

    def reserve_definition(self, **more: Any) -> dict[str, Any]:
        """Return a reserve from the PEM file; its password is in a variable."""
        return {"reserve": {"install": {"bundle": "reserve.pem", "passwordEnv": "RESERVE_PASSWORD", **more}}}

    @property
    def server_outputs(self) -> dict[str, Any]:
        """The outputs of the server."""
        found: dict[str, Any] = self.world.stack.outputs()["servers"][self.world.server]
        return found


@contextmanager
def custom_server(world: World) -> Iterator[Custom]:
    """Yield a server with a main of 397 days, and a reserve whose validity starts on day 300."""
    one = Custom(world, Leaf(START - DAY, 397), Leaf(START + 300 * DAY, 397))
    one.write("main.pfx", one.main.pfx())
    one.write("reserve.pem", one.reserve.pem())
    world.client.create_secret(Name=f"pfx-{world.server}", SecretString=PASSWORD)
    world.stack.environment["RESERVE_PASSWORD"] = PASSWORD
    yield one
    world.client.delete_secret(SecretId=f"pfx-{world.server}", ForceDeleteWithoutRecovery=True)
