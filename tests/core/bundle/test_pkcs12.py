"""PKCS#12 files of many tools are read (R18)."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, PrivateFormat, pkcs12

from ios_mdm.core.bundle import ciphers, read_bundle
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
    sequence,
    tlv,
)
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
def test_an_unsupported_file_can_be_converted(folder: Path) -> None:
    """The error for an unusual cipher has a command that converts the file, and the command works."""  # R18
    data = openssl_export(folder, "rsa", "-keypbe", "camellia-256-cbc", "-certpbe", "camellia-256-cbc")
    error = bundle_error(data, PASSWORD)
    assert error.code == "unreadable"
    command = "openssl pkcs12 -in FILE -out bundle.pem"
    assert command in str(error)
    passwords = ("-passin", "env:PASSWORD", "-passout", "env:PASSWORD")
    run(folder, *command.replace("FILE", "rsa.p12").split(), *passwords, password=PASSWORD)
    assert holds(read_bundle((folder / "bundle.pem").read_bytes(), PASSWORD), RSA)


@needs("openssl")
@needs("keytool")
@pytest.mark.parametrize("options", ["", "-J-Dkeystore.pkcs12.legacy"], ids=["current", "legacy"])
def test_keytool(folder: Path, options: str) -> None:
    """Stores of Java's keytool are read, also with two keys, a trusted certificate and a secret."""  # R18
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
    assert holds(bundle, RSA, EC)
    assert bundle.notices == (
        "the file holds a secret that is no private key; it was skipped",
        'the file holds 2 private keys: "rsa", "ec"',
    )
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
    """Both encodings of a missing password are read."""  # R18
    (folder / "template").write_text('pkcs12_key_name = "one"\n', encoding="utf-8")
    files = ("--load-privkey", "rsa.key", "--load-certificate", "rsa.pem", "--template", "template")
    data = run(folder, "certtool", "--to-p12", *files, option, "--outder")
    assert holds(read_bundle(data, password), RSA)
    key = run(folder, "certtool", "--to-p8", "--load-privkey", "rsa.key", option)
    assert holds(read_bundle(key + pem("CERTIFICATE", RSA.der), password), RSA)


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
    """Bags may be in any order and any safe, also in a bag of bags; certificates keep the order of the file."""  # R18
    inner = bag(6, sequence(certificate_bag(ROOT), key_bag(EC)))
    bundle = read_bundle(
        pfx(encrypted_safe(certificate_bag(RSA)), clear(inner), encrypted_safe(certificate_bag(EC))), PASSWORD
    )
    assert bundle.certificates == (RSA.certificate, ROOT.certificate, EC.certificate)
    assert holds(bundle, EC)


@pytest.mark.parametrize(
    "safes",
    [
        (clear(encrypted_key_bag(EC, "old"), encrypted_key_bag(RSA, "new"), certificate_bag(EC)),),
        (encrypted_safe(key_bag(EC, "old"), certificate_bag(EC)), encrypted_safe(key_bag(RSA, "new"))),
        (encrypted_safe(encrypted_key_bag(EC, "old"), key_bag(RSA, "new"), certificate_bag(EC)),),
    ],
    ids=["shrouded", "two safes", "mixed"],
)
def test_two_keys_are_both_read(safes: tuple[bytes, ...]) -> None:
    """Both keys of a file are returned, and their friendly names are shown."""  # R18
    bundle = read_bundle(pfx(*safes), PASSWORD)
    assert holds(bundle, EC, RSA)
    assert 'the file holds 2 private keys: "old", "new"' in bundle.notices


def test_friendly_names_are_fit_to_be_shown() -> None:
    """A name cannot move the cursor, break the line or fill the screen; a name that is not text is ignored."""  # R18
    names = ("\x1b[2J\r\nold" + "x" * 100, "\ud800")
    notices = read_bundle(pfx(clear(key_bag(EC, names[0]), key_bag(RSA), certificate_bag(EC))), PASSWORD).notices
    assert notices == (f'the file holds 2 private keys: "[2Jold{"x" * 58}"',)


def test_the_mac_is_checked() -> None:
    """Without encryption, only the MAC shows a wrong password or a changed file."""  # R18
    safes = (clear(key_bag(EC), certificate_bag(EC)),)
    assert holds(read_bundle(pfx(*safes), PASSWORD), EC)
    assert bundle_error(pfx(*safes), "other").code == "bad-password"
    changed = pfx(*safes).replace(EC.der, RSA.der)
    assert bundle_error(changed, PASSWORD).code in {"bad-password", "unreadable"}


def test_no_mac() -> None:
    """A file without a MAC is read, and a notice explains the consequence."""  # R18
    bundle = read_bundle(pfx(*USUAL, mac_data=b""), PASSWORD)
    assert holds(bundle, EC)
    assert bundle.notices == ("the file has no MAC: a changed file cannot be detected",)
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
    """A NUL in the password is an ordinary character and causes no panic of the library."""  # R18
    safes = (clear(key_bag(EC), certificate_bag(EC)),)
    data = pfx(*safes, mac_data=mac(sequence(*safes), password=NUL))
    assert holds(read_bundle(data, NUL), EC)
    assert bundle_error(data, "a").code == "bad-password"
    assert capfd.readouterr().err == ""


def test_old_nss_wrote_the_password_in_utf_16() -> None:
    """PBES2 with the password in UTF-16, as written by NSS before 3.36, is decrypted."""  # R18
    safe = encrypted_safe(key_bag(EC), certificate_bag(EC), password=PASSWORD.encode("utf-16-be") + b"\0\0")
    assert holds(read_bundle(pfx(safe), PASSWORD), EC)


def test_old_openssl_wrote_each_octet_as_a_letter() -> None:
    """A PKCS#12 scheme with the UTF-8 password read as Latin-1, as in OpenSSL before 1.1, is decrypted."""  # R18
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


def test_bags_that_do_not_matter_are_named() -> None:
    """A revocation list, a certificate of another type and an unknown bag are skipped with a notice."""  # R18
    sdsi = bag(3, sequence(oid("1.2.840.113549.1.9.22.2"), tlv(0xA0, octets(b"x"))))
    others = (bag(4, sequence()), sdsi, bag(9, sequence()))
    notices = read_bundle(pfx(clear(key_bag(EC), certificate_bag(EC), *others)), PASSWORD).notices
    assert [notice.removesuffix("; it was skipped") for notice in notices] == [
        "the file holds a revocation list",
        "the file holds a certificate that is not X.509",
        "the file holds something of the type 1.2.840.113549.1.12.10.1.9",
    ]


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (sequence(integer(3), sequence(oid("1.2.840.113549.1.7.2"), tlv(0xA0, sequence()))), "by a signature"),
        (pfx(sequence(oid("1.2.840.113549.1.7.3"), tlv(0xA0, sequence()))), "encrypted for a certificate"),
        (pfx(*USUAL).replace(oid("2.16.840.1.101.3.4.2.1"), oid("2.16.840.1.101.3.4.2.9")), "2.16.840.1.101.3.4.2.9"),
        (pfx(*USUAL).replace(oid("1.2.840.113549.1.5.12"), oid("1.2.840.113549.1.5.99")), "1.2.840.113549.1.5.99"),
        (pfx(clear(bag(2, sequence(sequence(oid("1.2.3"), sequence()), octets(b"x"))))), "1.2.3"),
    ],
    ids=["signed", "enveloped", "mac", "derivation", "scheme"],
)
def test_an_unsupported_file_is_refused_with_the_reason(data: bytes, hint: str) -> None:
    """The error names each unsupported protection of a file."""  # R18
    error = bundle_error(data, PASSWORD)
    assert error.code == "unreadable"
    assert hint in str(error)


@pytest.mark.parametrize(
    ("key", "bits", "ciphertext"),
    [
        ("88bca90e90875a7f0f79c384627bafb2", 128, "2269552ab0f85ca6"),
        ("88", 64, "61a8a244adacccf0"),
        ("0000000000000000", 63, "ebb773f993278eff"),
    ],
)
def test_rc2(key: str, bits: int, ciphertext: str) -> None:
    """RC2 decrypts the test vectors of RFC 2268, 5."""
    words = ciphers._rc2_words(bytes.fromhex(key), bits)
    assert ciphers._rc2_block(words, bytes.fromhex(ciphertext)) == bytes(8)


def test_the_makers_agree_with_openssl(tmp_path: Path) -> None:
    """Files that the tests write by hand are valid: OpenSSL opens them, too."""
    (tmp_path / "made.p12").write_bytes(pfx(*USUAL))
    command = ("openssl", "pkcs12", "-in", "made.p12", "-passin", "env:PASSWORD", "-passout", "env:PASSWORD")
    assert b"ENCRYPTED PRIVATE KEY" in run(tmp_path, *command, password=PASSWORD)
