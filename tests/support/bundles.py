"""Creates certificates, keys, and PKCS#12 files that no tool writes: in BER, with two keys, or with bombs."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from ios_mdm.core import bundle as reading
from ios_mdm.core import der
from ios_mdm.core.bundle import BundleError
from tests.support.sealed import READER

if TYPE_CHECKING:
    from ios_mdm.core.bundle import Bundle

__all__ = [
    "EC",
    "PASSWORD",
    "ROOT",
    "RSA",
    "Pair",
    "bag",
    "certificate_bag",
    "clear",
    "encrypted_key_bag",
    "encrypted_pkcs8",
    "encrypted_safe",
    "indefinite",
    "integer",
    "key_bag",
    "mac",
    "octets",
    "oid",
    "outcome",
    "pbes2",
    "pbkdf2",
    "pbmac1",
    "pem",
    "pfx",
    "read_bundle",
    "samples",
    "scrypt",
    "self_signed",
    "sequence",
    "spki",
    "tlv",
]

HOST = "mdm.example.com"
NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
PASSWORD = "correct horse"  # noqa: S105 - of files of one test
ROUNDS = 3

_NOT_DERIVED = 1000  # the encrypted parts of the samples from here on are never decrypted
_AES_256 = "2.16.840.1.101.3.4.1.42"
_IV = bytes(16)
_SALT = b"saltsalt"
_BAG = "1.2.840.113549.1.12.10.1"
_PKCS7 = "1.2.840.113549.1.7"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        """The certificate, DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pkcs8(self) -> bytes:
        """The private key, unencrypted PKCS#8, DER."""
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @property
    def traditional(self) -> bytes:
        """The private key, unencrypted PKCS#1 or SEC1, DER."""
        return self.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def self_signed(name: str, key: Key, issuer: Pair | None = None) -> Pair:
    """Return a certificate, signed by *issuer* or with its own key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject if issuer else subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=NOW,
        not_valid_after=NOW + timedelta(days=300),
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    return Pair(certificate=builder.sign(issuer.key if issuer else key, hashes.SHA256()), key=key)


ROOT = self_signed("Example Root", ec.generate_private_key(ec.SECP384R1()))
EC = self_signed(HOST, ec.generate_private_key(ec.SECP256R1()), ROOT)
RSA = self_signed(HOST, rsa.generate_private_key(65537, 2048), ROOT)


def spki(bundle: Bundle) -> tuple[object, ...]:
    """Return the public keys that belong to a bundle's private keys."""
    return tuple(key.public_key() for key in bundle.keys)


def read_bundle(data: bytes, password: str | None = None) -> Bundle:
    """Return the contents of a file; the library opens encrypted parts in a child process."""
    return reading.read_bundle(data, password, READER)


def outcome(data: bytes, password: str | None) -> Bundle | BundleError:
    """Return the contents of a file, or the error of reading it."""
    try:
        return read_bundle(data, password)
    except BundleError as error:
        return error


def pem(label: str, data: bytes) -> bytes:
    """Return a PEM block."""
    return f"-----BEGIN {label}-----\n{base64.encodebytes(data).decode()}-----END {label}-----\n".encode()


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return a DER element."""
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(value: int) -> bytes:
    """Return an INTEGER."""
    return tlv(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *arcs = map(int, dotted.split("."))
    octets = bytearray()
    for arc in (40 * first + second, *arcs):
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        octets += bytes(reversed(digits))
    return tlv(der.OID, bytes(octets))


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tlv(der.SEQUENCE, *parts)


def octets(value: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tlv(der.OCTET_STRING, value)


def pbkdf2(rounds: int) -> bytes:
    """Return the AlgorithmIdentifier of PBKDF2 with SHA-1."""
    return sequence(oid("1.2.840.113549.1.5.12"), sequence(octets(_SALT), integer(rounds)))


def pbes2(rounds: int, derivation: bytes | None = None) -> bytes:
    """Return the AlgorithmIdentifier of PBES2 with AES-256."""
    scheme = sequence(oid(_AES_256), octets(_IV))
    return sequence(oid("1.2.840.113549.1.5.13"), sequence(derivation or pbkdf2(rounds), scheme))


def scrypt(n: int, r: int, p: int) -> bytes:
    """Return the AlgorithmIdentifier of PBES2 with scrypt."""
    parameters = sequence(octets(b"salt"), integer(n), integer(r), integer(p))
    return pbes2(0, sequence(oid("1.3.6.1.4.1.11591.4.11"), parameters))


def encrypted_data(data: bytes, password: bytes, rounds: int) -> bytes:
    """Return *data*, encrypted with :func:`pbes2`."""
    count = 16 - len(data) % 16
    cipher = Cipher(AES(hashlib.pbkdf2_hmac("sha1", password, _SALT, rounds, 32)), CBC(_IV)).encryptor()
    return cipher.update(data + bytes([count]) * count) + cipher.finalize()


def bag(kind: int, value: bytes, name: str | None = None) -> bytes:
    """Return a SafeBag of type 1 (key), 2 (encrypted key), 3 (certificate), 4 (CRL), 5 (secret) or 6 (more bags)."""
    attributes = b""
    if name is not None:
        text = tlv(der.BMP_STRING, name.encode("utf-16-be", "surrogatepass"))
        attributes = tlv(der.SET, sequence(oid("1.2.840.113549.1.9.20"), tlv(der.SET, text)))
    return sequence(oid(f"{_BAG}.{kind}"), tlv(0xA0, value), attributes)


def certificate_bag(pair: Pair, name: str | None = None) -> bytes:
    """Return a bag with a certificate."""
    return bag(3, sequence(oid("1.2.840.113549.1.9.22.1"), tlv(0xA0, octets(pair.der))), name)


def key_bag(pair: Pair, name: str | None = None) -> bytes:
    """Return a bag with an unencrypted key."""
    return bag(1, pair.pkcs8, name)


def encrypted_key_bag(pair: Pair, name: str | None = None, *, rounds: int = ROUNDS, password: str = PASSWORD) -> bytes:
    """Return a bag with an encrypted key."""
    data = encrypted_data(pair.pkcs8, password.encode(), rounds) if rounds < _NOT_DERIVED else bytes(32)
    return bag(2, sequence(pbes2(rounds), octets(data)), name)


def clear(*bags: bytes) -> bytes:
    """Return a safe that is not encrypted."""
    return sequence(oid(f"{_PKCS7}.1"), tlv(0xA0, octets(sequence(*bags))))


def encrypted_safe(*bags: bytes, rounds: int = ROUNDS, password: bytes = PASSWORD.encode()) -> bytes:
    """Return an encrypted safe."""
    data = encrypted_data(sequence(*bags), password, rounds) if rounds < _NOT_DERIVED else bytes(32)
    information = sequence(oid(f"{_PKCS7}.1"), pbes2(rounds), tlv(0x80, data))
    return sequence(oid(f"{_PKCS7}.6"), tlv(0xA0, sequence(integer(0), information)))


def mac(authenticated: bytes, *, rounds: int = ROUNDS, password: str = PASSWORD) -> bytes:
    """Return a MacData with SHA-256."""
    digest = bytes(32)
    if 0 < rounds < _NOT_DERIVED:
        key = pkcs12_key(password, rounds)
        digest = hmac.digest(key, authenticated, "sha256")
    algorithm = sequence(oid("2.16.840.1.101.3.4.2.1"))
    return sequence(sequence(algorithm, octets(digest)), octets(_SALT), integer(rounds))


def pkcs12_key(password: str, rounds: int) -> bytes:
    """Return the key of a MAC with SHA-256 and a password of at most 31 characters (RFC 7292, appendix B.2)."""
    text = password.encode("utf-16-be") + b"\0\0"
    block = b"\3" * 64 + (_SALT * 8)[:64] + (text * 64)[:64]
    for _ in range(rounds):
        block = hashlib.sha256(block).digest()
    return block


def pbmac1(authenticated: bytes, *, rounds: int = ROUNDS) -> bytes:
    """Return a MacData with PBMAC1 (RFC 9579) and SHA-1."""
    digest = bytes(20)
    if rounds < _NOT_DERIVED:
        key = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), _SALT, rounds, 20)
        digest = hmac.digest(key, authenticated, "sha1")
    parameters = sequence(octets(_SALT), integer(rounds), integer(20))
    derivation = sequence(oid("1.2.840.113549.1.5.12"), parameters)
    algorithm = sequence(oid("1.2.840.113549.1.5.14"), sequence(derivation, sequence(oid("1.2.840.113549.2.7"))))
    return sequence(sequence(algorithm, octets(digest)), octets(b"unused"), integer(1))


def pfx(*safes: bytes, mac_data: bytes | None = None) -> bytes:
    """Return a PKCS#12 file; the default MAC is that of :func:`mac`, and ``b""`` stands for no MAC."""
    authenticated = sequence(*safes)
    content = sequence(oid(f"{_PKCS7}.1"), tlv(0xA0, octets(authenticated)))
    return sequence(integer(3), content, mac(authenticated) if mac_data is None else mac_data)


def indefinite(data: bytes) -> bytes:
    """Return the DER element *data* with indefinite lengths, octet strings in segments of 1000 octets."""
    node = der.parse(data)
    if node.tag == der.OCTET_STRING:
        segments = (octets(node.content[at : at + 1000]) for at in range(0, max(len(node.content), 1), 1000))
        return b"\x24\x80" + b"".join(segments) + b"\0\0"
    if node.tag & 0x20:
        return bytes([node.tag, 0x80]) + b"".join(indefinite(child.encoding) for child in node.children()) + b"\0\0"
    return data


@cache
def samples() -> dict[str, tuple[bytes, str]]:
    """Return small files of every type with their passwords; the key is last if the tests choose the order."""
    usual = (clear(encrypted_key_bag(EC, "one")), encrypted_safe(certificate_bag(EC)))
    leaf = pem("CERTIFICATE", EC.der)
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2).hmac_hash(hashes.SHA1())  # noqa: S303 - as in old files
    triple_des = builder.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC).build(PASSWORD.encode())
    sec1 = EC.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"horse"))
    chain = pkcs7.serialize_certificates([EC.certificate, ROOT.certificate], Encoding.PEM)
    return {
        "pem": (leaf + pem("PRIVATE KEY", EC.pkcs8), ""),
        "pem-rsa": (leaf + pem("RSA PRIVATE KEY", RSA.traditional), ""),
        "pem-pbes2": (leaf + pem("ENCRYPTED PRIVATE KEY", encrypted_pkcs8(EC)), PASSWORD),
        "pem-dek-info": (leaf + sec1, "horse"),
        "pem-pkcs7": (chain + pem("EC PRIVATE KEY", EC.traditional), ""),
        "pfx": (pfx(*usual), PASSWORD),
        "pfx-pem": (pem("PKCS12", pfx(*usual)), PASSWORD),
        "pfx-ber": (indefinite(pfx(*map(indefinite, usual))), PASSWORD),
        "pfx-pbmac1": (pfx(*usual, mac_data=pbmac1(sequence(*usual))), PASSWORD),
        "pfx-no-mac": (pfx(*usual, mac_data=b""), PASSWORD),
        "pfx-two-keys": (pfx(clear(key_bag(EC, "a"), key_bag(RSA, "b"), certificate_bag(EC))), PASSWORD),
        "pfx-library": (
            pkcs12.serialize_key_and_certificates(b"one", EC.key, EC.certificate, [ROOT.certificate], triple_des),
            PASSWORD,
        ),
    }


def encrypted_pkcs8(pair: Pair) -> bytes:
    """Return an EncryptedPrivateKeyInfo."""
    return sequence(pbes2(ROUNDS), octets(encrypted_data(pair.pkcs8, PASSWORD.encode(), ROUNDS)))
