"""PKCS#12 files of many tools are read (R18)."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, PrivateFormat, pkcs12

from ios_mdm.core.bundle import Refusal, SealedKind
from tests.support import bundles
from tests.support.bundle_reading import bundle_error, holds
from tests.support.bundles import (
    EC,
    PASSWORD,
    ROOT,
    RSA,
    bag,
    certificate_bag,
    clear,
    encrypted_key_bag,
    encrypted_safe,
    indefinite,
    integer,
    key_bag,
    mac,
    octets,
    oid,
    pem,
    pfx,
    read_bundle,
    sequence,
    tlv,
)
from tests.support.sealed import READER
from tests.support.verifiers import command as path_of

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

BEYOND_ASCII = "pä€ wörd 𝄞"
OTHER, NUL = "other", "a\0b"
PASSWORDS = pytest.mark.parametrize("password", [PASSWORD, BEYOND_ASCII, ""], ids=["ascii", "beyond", "empty"])
USUAL = (clear(encrypted_key_bag(EC, "one")), encrypted_safe(certificate_bag(EC), certificate_bag(ROOT)))


def needs(tool: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test if the tool is missing on the machine and in the bootstrap."""
    return pytest.mark.skipif(not path_of(tool), reason=f"no {tool} command")


def run(folder: Path, tool: str, *arguments: str, password: str = "") -> bytes:
    """Return the output of a command; the password is in its environment and in a file."""
    (folder / "password").write_text(password + "\n", encoding="utf-8")
    environment = {**os.environ, "PASSWORD": password}
    called = [path_of(tool), *arguments]
    return subprocess.run(called, cwd=folder, env=environment, capture_output=True, check=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the pairs in files."""
    for name, pair in (("rsa", RSA), ("ec", EC)):
        (tmp_path / f"{name}.pem").write_bytes(pem("CERTIFICATE", pair.der))
        (tmp_path / f"{name}.key").write_bytes(pem("PRIVATE KEY", pair.pkcs8))
    (tmp_path / "root.pem").write_bytes(pem("CERTIFICATE", ROOT.der))
    return tmp_path


def openssl_export(folder: Path, name: str, *options: str, password: str = PASSWORD) -> bytes:
    """Return a file that OpenSSL exports."""
    files = ("-in", f"{name}.pem", "-inkey", f"{name}.key", "-certfile", "root.pem", "-out", f"{name}.p12")
    run(folder, "openssl", "pkcs12", "-export", *files, "-passout", "env:PASSWORD", *options, password=password)
    return (folder / f"{name}.p12").read_bytes()


@needs("openssl")
@PASSWORDS
@pytest.mark.parametrize(
    "options",
    [
        "",
        "-legacy",
        "-descert -legacy",
        "-legacy -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-RC4-40",
        "-legacy -keypbe PBE-SHA1-2DES -certpbe PBE-SHA1-RC4-128",
        "-keypbe aes-128-cbc -certpbe aes-192-cbc -macalg sha512",
        "-macalg md5 -nomaciter -noiter",
        "-macalg sha224 -certpbe NONE",
        "-keypbe camellia-256-cbc -certpbe camellia-256-cbc",
    ],
)
def test_openssl(folder: Path, options: str, password: str) -> None:
    """Exports of OpenSSL 3 are read, also those for older readers."""  # R18
    data = openssl_export(folder, "rsa", "-name", "fr€und", *options.split(), password=password)
    bundle = read_bundle(data, password)
    assert set(bundle.certificates) == {RSA.certificate, ROOT.certificate}
    assert holds(bundle, RSA)
    assert bundle.notices == ()
    assert bundle_error(data, password + "!").code == "bad-password"
    if password:
        assert bundle_error(data).code == "bad-password"
    else:
        assert holds(read_bundle(data, None), RSA)


@needs("openssl")
@needs("keytool")
@pytest.mark.parametrize("options", ["", "-J-Dkeystore.pkcs12.legacy"], ids=["current", "legacy"])
def test_keytool(folder: Path, options: str) -> None:
    """Stores of Java's keytool are read. The library returns the first of two keys, and a notice says so."""  # R18
    keytool = ("keytool", *options.split())
    here = ("-keystore", "store.p12", "-storepass:env", "PASSWORD")
    for name in ("rsa", "ec"):
        openssl_export(folder, name, "-name", name)
        source = ("-srckeystore", f"{name}.p12", "-srcstoretype", "PKCS12", "-srcstorepass:env", "PASSWORD")
        target = ("-destkeystore", "store.p12", "-deststoretype", "PKCS12", "-deststorepass:env", "PASSWORD")
        run(folder, *keytool, "-importkeystore", *source, *target, password=PASSWORD)
    run(folder, *keytool, "-importcert", "-noprompt", "-alias", "x", "-file", "root.pem", *here, password=PASSWORD)
    run(folder, *keytool, "-genseckey", "-alias", "s", "-keyalg", "AES", "-keysize", "128", *here, password=PASSWORD)
    data = (folder / "store.p12").read_bytes()
    bundle = read_bundle(data, PASSWORD)
    assert set(bundle.certificates) == {RSA.certificate, EC.certificate, ROOT.certificate}
    assert holds(bundle, RSA)
    assert bundle.first_key_only
    assert bundle.names.items() >= {RSA.certificate: "rsa", EC.certificate: "ec"}.items()
    assert bundle.notices == ("the PFX holds 2 private keys, of which only the first is read",)
    assert bundle_error(data, "other").code == "bad-password"


@needs("certtool")
@pytest.mark.parametrize(
    ("cipher", "options"), [("3des-pkcs12", ()), ("rc2-40", ("--outder",)), ("arcfour", ()), ("aes-256", ("--outder",))]
)
def test_certtool(folder: Path, cipher: str, options: tuple[str, ...]) -> None:
    """Exports of GnuTLS are read, in its PEM and in binary."""  # R18
    (folder / "template").write_text(f'password = "{BEYOND_ASCII}"\npkcs12_key_name = "näme"\n', encoding="utf-8")
    files = ("--load-privkey", "rsa.key", "--load-certificate", "rsa.pem", "--load-ca-certificate", "root.pem")
    made = run(folder, "certtool", "--to-p12", *files, "--template", "template", "--pkcs-cipher", cipher, *options)
    bundle = read_bundle(made, BEYOND_ASCII)
    assert set(bundle.certificates) == {RSA.certificate, ROOT.certificate}
    assert holds(bundle, RSA)


@needs("certtool")
@pytest.mark.parametrize("option", ["--null-password", "--empty-password"])
@pytest.mark.parametrize("password", [None, ""])
def test_both_ways_of_no_password(folder: Path, option: str, password: str | None) -> None:
    """Both encodings of a missing password are read in a PFX. The library opens no PEM key with an empty password."""
    (folder / "template").write_text('pkcs12_key_name = "one"\n', encoding="utf-8")
    files = ("--load-privkey", "rsa.key", "--load-certificate", "rsa.pem", "--template", "template")
    data = run(folder, "certtool", "--to-p12", *files, option, "--outder")
    assert holds(read_bundle(data, password), RSA)
    key = run(folder, "certtool", "--to-p8", "--load-privkey", "rsa.key", option)
    assert bundle_error(key + pem("CERTIFICATE", RSA.der), password).code == "bad-password"


@needs("openssl")
@needs("pk12util")
@needs("certutil")
def test_nss(folder: Path) -> None:
    """Exports of NSS are read: BER with indefinite lengths, and 600,000 rounds in each place."""  # R18
    (folder / "db").mkdir()
    database = ("-d", "sql:db", "-k", "password")
    run(folder, "certutil", "-N", "-d", "sql:db", "-f", "password", password=PASSWORD)
    openssl_export(folder, "ec", "-name", "one")
    run(folder, "pk12util", "-i", "ec.p12", *database, "-w", "password", password=PASSWORD)
    old = (
        "-c",
        "PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC",
        "-C",
        "PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC",
    )
    for options in ((), old):
        out = ("-o", "out.p12", "-n", "one", *database, "-w", "password")
        run(folder, "pk12util", *out, *options, password=PASSWORD)
        data = (folder / "out.p12").read_bytes()
        assert data.startswith(b"\x30\x80")
        assert holds(read_bundle(data, PASSWORD), EC)


@pytest.mark.parametrize(
    "encryption",
    [
        NoEncryption(),
        BestAvailableEncryption(PASSWORD.encode()),
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(50)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303 - as old files have it
        .build(PASSWORD.encode()),
    ],
    ids=["none", "best", "3des"],
)
def test_the_library(encryption: KeySerializationEncryption) -> None:
    """Files of cryptography are read, with the certificates in the order of the file."""  # R18
    made = pkcs12.serialize_key_and_certificates(b"one", EC.key, EC.certificate, [ROOT.certificate], encryption)
    bundle = read_bundle(made, None if isinstance(encryption, NoEncryption) else PASSWORD)
    assert bundle.certificates == (EC.certificate, ROOT.certificate)
    assert holds(bundle, EC)


def test_indefinite_lengths() -> None:
    """The BER of a Windows export is read: indefinite lengths outside and inside, segmented octet strings."""  # R18
    der_file = pfx(*USUAL)
    safes = tuple(map(indefinite, USUAL))
    for data in (indefinite(der_file), pfx(*safes), indefinite(pfx(*safes)), der_file + b"\r\n"):
        bundle = read_bundle(data, PASSWORD)
        assert bundle.certificates == (EC.certificate, ROOT.certificate)
        assert holds(bundle, EC)


def test_order_and_nesting() -> None:
    """Bags may be in any order and any safe, also in a bag of bags."""  # R18
    inner = bag(6, sequence(certificate_bag(ROOT), key_bag(EC)))
    bundle = read_bundle(
        pfx(encrypted_safe(certificate_bag(RSA)), clear(inner), encrypted_safe(certificate_bag(EC))), PASSWORD
    )
    assert set(bundle.certificates) == {RSA.certificate, ROOT.certificate, EC.certificate}
    assert holds(bundle, EC)


@pytest.mark.parametrize(
    ("safes", "is_visible"),
    [
        ((clear(encrypted_key_bag(EC), encrypted_key_bag(RSA), certificate_bag(EC, "old")),), True),
        ((encrypted_safe(key_bag(EC), certificate_bag(EC, "old")), encrypted_safe(key_bag(RSA))), False),
        ((encrypted_safe(encrypted_key_bag(EC), key_bag(RSA), certificate_bag(EC, "old")),), False),
    ],
    ids=["shrouded", "two safes", "mixed"],
)
def test_the_first_of_two_keys_is_read(safes: tuple[bytes, ...], is_visible: bool) -> None:  # noqa: FBT001
    """The bundle says that there can be more keys; a notice gives their number if it is visible."""  # R18
    bundle = read_bundle(pfx(*safes), PASSWORD)
    assert holds(bundle, EC)
    assert bundle.first_key_only
    assert bundle.names == {EC.certificate: "old"}
    notices = ("the PFX holds 2 private keys, of which only the first is read",)
    assert bundle.notices == (notices if is_visible else ())


def test_friendly_names_are_fit_to_be_shown() -> None:
    """A name cannot move the cursor, break the line or fill the screen."""  # R18
    names = ("\x1b[2J\r\nold" + "x" * 100, "\ud800")
    bundle = read_bundle(pfx(clear(key_bag(EC), *(certificate_bag(EC, name) for name in names))), PASSWORD)
    assert set(bundle.names.values()) <= {"[2Jold" + "x" * 58}


def test_the_mac_is_checked() -> None:
    """Without encryption, only the MAC shows a wrong password or a changed file."""  # R18
    safes = (clear(key_bag(EC), certificate_bag(EC)),)
    assert holds(read_bundle(pfx(*safes), PASSWORD), EC)
    assert bundle_error(pfx(*safes), "other").code == "bad-password"
    changed = pfx(*safes).replace(EC.der, RSA.der)
    assert bundle_error(changed, PASSWORD).code in {"bad-password", "unreadable"}


def test_no_mac() -> None:
    """A file without a MAC is read."""  # R18
    bundle = read_bundle(pfx(*USUAL, mac_data=b""), PASSWORD)
    assert holds(bundle, EC)
    assert bundle.notices == ()
    assert bundle_error(pfx(*USUAL, mac_data=b""), "other").code == "bad-password"


def test_pbmac1() -> None:
    """The MAC of RFC 9579, which OpenSSL writes since 3.4, is checked."""  # R18
    data = pfx(*USUAL, mac_data=bundles.pbmac1(sequence(*USUAL)))
    assert holds(read_bundle(data, PASSWORD), EC)
    assert bundle_error(data, "other").code == "bad-password"


def test_two_passwords_are_one_too_many() -> None:
    """A file whose contents and MAC have different passwords is refused as a wrong password."""  # R18
    assert (
        bundle_error(pfx(clear(encrypted_key_bag(EC, password=OTHER), certificate_bag(EC))), PASSWORD).code
        == "bad-password"
    )


def test_a_password_with_a_nul(capfd: pytest.CaptureFixture[str]) -> None:
    """A NUL in the password is reported. The library panics on it, and its message would quote the password."""  # R18
    error = bundle_error(pfx(clear(key_bag(EC), certificate_bag(EC))), NUL)
    assert error.code == "bad-password"
    assert "NUL" in str(error)
    assert READER.open(SealedKind.PFX, pfx(*USUAL), NUL) is Refusal.FAILURE
    assert capfd.readouterr().err == ""


def test_old_openssl_wrote_each_octet_as_a_letter() -> None:
    """A PFX with the UTF-8 password read as Latin-1, as in OpenSSL before 1.1, is opened."""  # R18
    safes = (clear(key_bag(EC), certificate_bag(EC)),)
    password = BEYOND_ASCII.encode().decode("latin-1")
    assert holds(read_bundle(pfx(*safes, mac_data=mac(sequence(*safes), password=password)), BEYOND_ASCII), EC)


@pytest.mark.parametrize(
    ("safes", "code"),
    [((clear(key_bag(EC)),), "no-certificate"), ((clear(certificate_bag(EC)),), "no-key"), ((), "no-certificate")],
)
def test_half_a_pair(safes: tuple[bytes, ...], code: str) -> None:
    """A file without a key or without a certificate is refused."""  # R18
    assert bundle_error(pfx(*safes), PASSWORD).code == code


def test_unknown_bags_are_skipped() -> None:
    """A bag of an unknown type does not matter."""  # R18
    assert holds(read_bundle(pfx(clear(key_bag(EC), certificate_bag(EC), bag(9, sequence()))), PASSWORD), EC)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (sequence(integer(3), sequence(oid("1.2.840.113549.1.7.2"), tlv(0xA0, sequence()))), "by a signature"),
        (pfx(sequence(oid("1.2.840.113549.1.7.3"), tlv(0xA0, sequence()))), "encrypted for a certificate"),
    ],
    ids=["signed", "enveloped"],
)
def test_an_unsupported_file_is_refused_with_the_reason(data: bytes, hint: str) -> None:
    """The error names each unsupported protection of a file."""  # R18
    error = bundle_error(data, PASSWORD)
    assert error.code == "unreadable"
    assert hint in str(error)


@pytest.mark.parametrize(
    "data",
    [
        pfx(*USUAL).replace(oid("2.16.840.1.101.3.4.2.1"), oid("2.16.840.1.101.3.4.2.9")),
        pfx(*USUAL).replace(oid("1.2.840.113549.1.5.12"), oid("1.2.840.113549.1.5.99")),
        pfx(clear(bag(2, sequence(sequence(oid("1.2.3"), sequence()), octets(b"x"))))),
    ],
    ids=["mac", "derivation", "scheme"],
)
def test_an_unsupported_method_is_a_possible_reason(data: bytes) -> None:
    """The library does not distinguish a wrong password from an unsupported method, and the error names both."""  # R18
    assert "not supported" in str(bundle_error(data, PASSWORD))


def test_the_makers_agree_with_openssl(tmp_path: Path) -> None:
    """Files that the tests write by hand are valid: OpenSSL opens them, too."""
    (tmp_path / "made.p12").write_bytes(pfx(*USUAL))
    command = ("openssl", "pkcs12", "-in", "made.p12", "-passin", "env:PASSWORD", "-passout", "env:PASSWORD")
    assert b"ENCRYPTED PRIVATE KEY" in run(tmp_path, *command, password=PASSWORD)
