"""The CA of the simulated devices. By SCEP it issues the identity that signs the messages of a device."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tools.services.ports import LOOPBACK
from tools.services.process import Command, Service
from tools.services.secret_file import secret, write_private

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "scepserver"
_LIFETIME = dt.timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Files of the CA: certificate (PEM), key (PKCS #8 PEM), and the challenge that a device needs to enroll."""

    certificate: Path
    key: Path
    challenge: Path


def authority(state: Path) -> Authority:
    """Return the CA in a state directory. The first call creates it."""
    found = Authority(certificate=state / "scep-ca.pem", key=state / "scep-ca.key", challenge=state / "scep-challenge")
    secret(found.challenge)
    if not (found.certificate.exists() and found.key.exists()):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        write_private(
            found.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        write_private(found.certificate, _certificate(key).public_bytes(serialization.Encoding.PEM))
    return found


def service(executable: Path, ca: Authority) -> Service:
    """Return the SCEP server. Its path is /scep."""

    def command(port: int) -> Command:
        return Command(
            argv=(str(executable), "-listen", f"{LOOPBACK}:{port}", "-ca", str(ca.certificate), "-key", str(ca.key)),
            secrets={"SCEP_CHALLENGE_PASSWORD": secret(ca.challenge)},
        )

    return Service(name=NAME, command=command, health="/scep?operation=GetCACaps")


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ios-mdm local services"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Simulated devices"),
        ]
    )
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=10))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                # In SCEP, requests are encrypted for the CA, and the CA signs the answers.
                digital_signature=True,
                key_encipherment=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
