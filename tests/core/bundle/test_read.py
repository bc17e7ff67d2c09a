"""PEM and DER files are read (R18)."""

from __future__ import annotations

import json
import os
import subprocess
import traceback
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)

from ios_mdm.errors import IosMdmError
from tests.support.bundle_reading import KEY, LEAF, bundle_error, holds
from tests.support.bundles import EC, PASSWORD, ROOT, RSA, Pair, pem, read_bundle, self_signed

if TYPE_CHECKING:
    from pathlib import Path


ISSUER = pem("CERTIFICATE", ROOT.der)


@pytest.mark.parametrize("blocks", [(LEAF, ISSUER, KEY), (KEY, LEAF, ISSUER), (LEAF, KEY, ISSUER)])
def test_blocks_come_in_any_order(blocks: tuple[bytes, ...]) -> None:
    """The key and the certificates may be in any order; the certificates keep the order of the file."""  # R18
    bundle = read_bundle(b"".join(blocks))
    assert bundle.certificates == (EC.certificate, ROOT.certificate)
    assert holds(bundle, EC)
    assert bundle.notices == ()


@pytest.mark.parametrize(
    "data",
    [
        (LEAF + KEY).replace(b"\n", b"\r\n"),
        (LEAF + KEY).replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + LEAF + KEY,
        (LEAF + KEY).decode().encode("utf-16"),
        b"\xfe\xff" + (LEAF + KEY).decode().encode("utf-16-be"),
        b"Bag Attributes\n    friendlyName: M\xc3\xbcnchen: 1\n" + LEAF + b"\nKey Attributes: <No Attributes>\n" + KEY,
        (LEAF + KEY).replace(b"\n", b"  \n\t"),
        (LEAF + KEY).replace(b"\n", b" "),
        (LEAF + KEY).rstrip(),
        b"\xff\x00 text of whatever kind \xfe" + LEAF + b"0\x82" + KEY,
    ],
    ids=["crlf", "cr", "bom", "utf-16", "utf-16-be", "attributes", "indented", "one line", "no last newline", "noise"],
)
def test_pem_survives_its_way(data: bytes) -> None:
    """Line ends, byte order marks, indentation and text around the blocks do not matter."""  # R18
    bundle = read_bundle(data)
    assert bundle.certificates == (EC.certificate,)
    assert holds(bundle, EC)


@pytest.mark.parametrize("label", ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
def test_certificates_have_several_labels(label: str) -> None:
    """Older labels of a certificate block are accepted."""  # R18
    assert read_bundle(KEY + pem(label, EC.der)).certificates == (EC.certificate,)


def test_trust_settings_are_cut_off(tmp_path: Path) -> None:
    """The trust settings that OpenSSL appends to a certificate are ignored."""  # R18
    made = openssl(tmp_path, LEAF, "x509", "-addtrust", "serverAuth", "-trustout")
    assert b"TRUSTED CERTIFICATE" in made
    assert read_bundle(made + KEY).certificates == (EC.certificate,)


@pytest.mark.parametrize(
    ("pair", "label"), [(RSA, "RSA PRIVATE KEY"), (EC, "EC PRIVATE KEY"), (RSA, "PRIVATE KEY"), (EC, "PRIVATE KEY")]
)
def test_keys_have_several_formats(pair: Pair, label: str) -> None:
    """PKCS#8, PKCS#1 and SEC1 keys are read."""  # R18
    data = pair.pkcs8 if label == "PRIVATE KEY" else pair.traditional
    assert holds(read_bundle(pem("CERTIFICATE", pair.der) + pem(label, data)), pair)


@pytest.mark.parametrize(
    "options",
    [
        "pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512",
        "pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA1",
        "pkcs8 -topk8 -v2 des3",
        "pkcs8 -topk8 -scrypt",
        "pkcs8 -topk8 -v1 PBE-MD5-DES",
        "pkcs8 -topk8 -v1 PBE-SHA1-3DES",
        "pkcs8 -topk8 -v1 PBE-SHA1-RC2-40",
        "pkcs8 -topk8 -v1 PBE-SHA1-RC4-128",
        "ec -aes128",
        "ec -aes256",
        "ec -des3",
    ],
)
@pytest.mark.parametrize("password", [PASSWORD, "pä€ wörd 𝄞"], ids=["ascii", "beyond"])
def test_encrypted_keys_are_opened(tmp_path: Path, options: str, password: str) -> None:
    """A key that OpenSSL encrypted is decrypted with its password only."""  # R18
    legacy = ("-provider", "legacy", "-provider", "default")
    made = openssl(tmp_path, KEY, *options.split(), "-passout", "env:PASSWORD", *legacy, password=password)
    bundle = read_bundle(LEAF + made, password)
    assert holds(bundle, EC)
    assert bundle.notices == ()
    assert bundle_error(LEAF + made, password + "!").code == "bad-password"
    assert bundle_error(LEAF + made).code == "bad-password"


@pytest.mark.parametrize(
    "options",
    [
        "pkcs8 -topk8 -v2 des",
        "pkcs8 -topk8 -v2 rc2-64-cbc",
        "pkcs8 -topk8 -v1 PBE-MD5-RC2-64",
        "pkcs8 -topk8 -v1 PBE-SHA1-DES",
        "ec -aes192",
        "ec -des",
    ],
)
def test_unsupported_encryption_of_a_key_can_be_converted(tmp_path: Path, options: str) -> None:
    """The error for a key with a rare cipher has a command that converts the key, and the command works."""  # R18
    legacy = ("-provider", "legacy", "-provider", "default")
    made = openssl(tmp_path, KEY, *options.split(), "-passout", "env:PASSWORD", *legacy, password=PASSWORD)
    error = bundle_error(LEAF + made, PASSWORD)
    assert error.code == "unreadable"
    command = "openssl pkcs8 -topk8 -in FILE -out key.pem"
    assert command in str(error)
    assert ("-provider legacy -provider default" in str(error)) == ("pkcs8" in options)
    passwords = ("-passin", "env:PASSWORD", "-passout", "env:PASSWORD")
    converted = openssl(tmp_path, made, "pkcs8", "-topk8", *passwords, *legacy, password=PASSWORD)
    assert holds(read_bundle(LEAF + converted, PASSWORD), EC)


def test_a_block_of_parameters_is_skipped() -> None:
    """`openssl ecparam -genkey` writes the curve first, which is skipped without a notice."""  # R18
    curve = pem("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
    bundle = read_bundle(curve + pem("EC PRIVATE KEY", EC.traditional) + LEAF)
    assert holds(bundle, EC)
    assert bundle.notices == ()


def test_blocks_that_do_not_matter_are_named() -> None:
    """A certificate request in the file is skipped with a notice."""  # R18
    bundle = read_bundle(pem("CERTIFICATE REQUEST", b"0") * 2 + KEY + LEAF)
    assert bundle.notices == ("not needed, ignored: certificate request (2 times)",)


def test_pkcs7_gives_certificates() -> None:
    """Certificates in a PKCS#7 block, in which CAs send chains, are read."""  # R18
    made = pkcs7.serialize_certificates([EC.certificate, ROOT.certificate], Encoding.PEM)
    assert set(read_bundle(KEY + made).certificates) == {EC.certificate, ROOT.certificate}
    alone = pkcs7.serialize_certificates([EC.certificate, ROOT.certificate], Encoding.DER)
    assert bundle_error(alone).code == "no-key"


def test_nothing_is_there_twice() -> None:
    """A repeated certificate or key is returned once."""  # R18
    bundle = read_bundle(LEAF + KEY + LEAF + pem("EC PRIVATE KEY", EC.traditional))
    assert bundle.certificates == (EC.certificate,)
    assert holds(bundle, EC)


def test_every_key_is_returned() -> None:
    """All keys are returned, and a notice gives their number. The choice of one is made elsewhere."""  # R18
    bundle = read_bundle(LEAF + KEY + pem("PRIVATE KEY", RSA.pkcs8))
    assert holds(bundle, EC, RSA)
    assert bundle.notices == ("the file holds 2 private keys",)


def test_a_password_that_was_not_needed() -> None:
    """A password for an unencrypted file is accepted with a notice."""  # R18
    assert "not needed" in read_bundle(LEAF + KEY, PASSWORD).notices[0]
    assert read_bundle(LEAF + KEY, "").notices == ()


@pytest.mark.parametrize("data", [LEAF, LEAF + ISSUER, EC.der], ids=["one", "two", "der"])
def test_a_certificate_alone(data: bytes) -> None:
    """A file without a private key is refused, and the error has the command that combines both."""  # R18
    error = bundle_error(data)
    assert error.code == "no-key"
    assert "openssl pkcs12 -export -inkey KEY -in CERTIFICATE" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        KEY,
        EC.pkcs8,
        RSA.traditional,
        EC.traditional,
        EC.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())),
    ],
    ids=["pem", "pkcs8", "pkcs1", "sec1", "encrypted"],
)
def test_a_key_alone(data: bytes) -> None:
    """A file without a certificate is refused, even if its password is unknown."""  # R18
    assert bundle_error(data).code == "no-certificate"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"hello", "neither PEM nor PFX"),
        (b"\xfe\xed\xfe\xed\0\0\0\2", "keytool -importkeystore"),
        (b"\xce\xce\xce\xce\0\0\0\2", "JCEKS"),
        (b"PK\x03\x04", "ZIP"),
        (b"PuTTY-User-Key-File-3: x", "PuTTY"),
        (LEAF + pem("OPENSSH PRIVATE KEY", b"openssh"), "ssh-keygen -p -m PKCS8"),
        (LEAF + pem("TSS2 PRIVATE KEY", b"chip"), "hardware"),
        (KEY + LEAF[:-5], "BEGIN and END"),
        (KEY + LEAF[:100], "BEGIN and END"),
        (KEY + LEAF[5:], "BEGIN and END"),
        (KEY + LEAF.replace(b"END CERTIFICATE", b"END PRIVATE KEY"), "BEGIN and END"),
        (KEY + LEAF.replace(b"MII", b"M*I"), "Base64"),
        (KEY + pem("CERTIFICATE", b""), "Base64"),
        (json.dumps((LEAF + KEY).decode()).encode(), "as in JSON"),
        (KEY + pem("CERTIFICATE", EC.der[:-1]), "certificate 1"),
        (KEY + pem("CERTIFICATE", EC.der + b"\0"), "certificate 1"),
        (LEAF + pem("PRIVATE KEY", EC.pkcs8[:-1]), "damaged"),
        (b"0" * (1 << 20) + LEAF, "larger than 1024 KiB"),
    ],
)
def test_an_unreadable_file_is_reported_with_a_reason(data: bytes, hint: str) -> None:
    """The error says what the file is and what to do."""  # R18
    error = bundle_error(data)
    assert error.code == "unreadable"
    assert hint in str(error)


def test_a_key_of_another_type_is_named() -> None:
    """The error for a key that TLS servers do not use names its type."""  # R18
    dh = bytes.fromhex("300c020100300506032b656e0400")  # X25519, which is for key agreement and cannot sign
    assert "1.3.101.110" in str(bundle_error(LEAF + pem("PRIVATE KEY", dh)))


def test_odd_certificates_are_read_in_silence() -> None:
    """A certificate that only the rules refuse is read, for example one with an unusual curve."""  # R18
    odd = self_signed("odd", ec.generate_private_key(ec.SECP256K1()))
    data = pem("CERTIFICATE", odd.der) + pem("PRIVATE KEY", odd.pkcs8)
    assert holds(read_bundle(data), odd)


def test_a_bundle_shows_fingerprints_only() -> None:
    """The repr of a bundle shows its certificates and nothing of its keys."""  # R29
    bundle = read_bundle(LEAF + KEY)
    sha256 = EC.certificate.fingerprint(hashes.SHA256()).hex()
    assert repr(bundle) == str(bundle) == f"Bundle(certificates=({sha256}))"


def test_an_error_carries_nothing_of_the_file() -> None:
    """Neither the message nor the trace of an error contains a byte of a key or password."""  # R29
    damaged = bytearray(EC.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    damaged[-3] ^= 1
    for data, password in (
        (LEAF + pem("PRIVATE KEY", bytes(damaged)), PASSWORD),
        (LEAF + pem("ENCRYPTED PRIVATE KEY", EC.pkcs8[:-1]), PASSWORD),
        (LEAF + KEY.replace(b"MIG", b"M!G"), PASSWORD),
        (LEAF + pem("PRIVATE KEY", EC.pkcs8[:40]), PASSWORD),
    ):
        error = bundle_error(data, password)
        assert isinstance(error, IosMdmError)
        assert error.__context__ is None
        assert error.__cause__ is None
        text = "".join(traceback.format_exception(error))
        assert PASSWORD not in text
        assert not [line for line in KEY.decode().splitlines()[1:-1] if line in text]


def openssl(folder: Path, data: bytes, *arguments: str, password: str = "") -> bytes:
    """Return the output of an openssl command for *data*."""
    source = folder / "source.pem"
    source.write_bytes(data)
    environment = {**os.environ, "PASSWORD": password}
    command = ("openssl", *arguments, "-in", str(source))
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout
