"""Certificates are read from files in any form, and a file without one is named (R18)."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7

from ios_mdm.core.bundle import BundleError, read_certificates
from tests.support.bundle_reading import KEY, LEAF, bundle_error
from tests.support.bundles import EC, PASSWORD, ROOT, integer, oid, pem, read_bundle, samples, sequence, tlv
from tests.support.certificates import ROOT as AUTHORITY
from tests.support.odd_certificates import DEFECTS, MADE, changed_certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TWO = LEAF + pem("CERTIFICATE", ROOT.der)
PKCS7 = pkcs7.serialize_certificates([EC.certificate, ROOT.certificate], Encoding.DER)
NAME = sequence()
SPKI = EC.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
SIGNED = (sequence(oid("1.2.840.10045.4.3.2")), tlv(0x03, b"\0"))
REQUEST = sequence(sequence(integer(0), NAME, SPKI, tlv(0xA0)), *SIGNED)
REVOCATIONS = sequence(sequence(integer(1), SIGNED[0], NAME, tlv(0x17, b"410101000000Z")), *SIGNED)
PFX = samples()["pfx"][0]
FORMS: dict[str, bytes] = {
    "pem": TWO,
    "base64 of pem": base64.b64encode(TWO),
    "base64 of base64 of pem": base64.encodebytes(base64.b64encode(TWO)),
    "base64 for urls": base64.urlsafe_b64encode(TWO).rstrip(b"="),
    "base64 in utf-16": base64.encodebytes(TWO).decode().encode("utf-16-le"),
    "utf-16 without a mark": TWO.decode().encode("utf-16-le"),
    "utf-16-be without a mark": TWO.decode().encode("utf-16-be"),
    "base64 with a mark": b"\xef\xbb\xbf" + base64.encodebytes(TWO),
    "cr": TWO.replace(b"\n", b"\r"),
    "text around": b"Certificate:\n    Data:\n        Version: 3 (0x2)\n" + TWO + b"\n0 s:CN = x\n",
    "keys around": KEY + TWO,
    "pkcs7": PKCS7,
    "pkcs7 in ber": b"\x30\x80" + sequence(oid("1.2.840.113549.1.7.2"))[2:] + PKCS7[PKCS7.index(b"\xa0") :] + b"\0\0",
    "pkcs7 in pem": pem("PKCS7", PKCS7),
    "pkcs7 of exchange": pem("PKCS #7 SIGNED DATA", PKCS7),
    "pkcs7 as a certificate": pem("CERTIFICATE", PKCS7),
    "base64 of pkcs7": base64.encodebytes(PKCS7),
    "pem in a block": pem("CERTIFICATE", TWO),
    "certificates as keys": LEAF + pem("PRIVATE KEY", ROOT.der),
    "an unknown label": LEAF + pem("A CERTIFICATE", ROOT.der),
    "trusted": LEAF + pem("TRUSTED CERTIFICATE", ROOT.der + sequence(integer(1))),
}


@pytest.mark.parametrize("name", FORMS)
def test_certificates_are_read_in_any_form(name: str) -> None:
    """Encoding, line ends, labels and text around the certificates do not matter, with or without a private key."""
    data = FORMS[name]
    found = read_certificates(data)
    assert set(found.certificates) == {EC.certificate, ROOT.certificate}
    assert found.notices == ()
    if name == "keys around" or b"BEGIN" not in data:
        return
    assert set(read_bundle(data + KEY).certificates) == {EC.certificate, ROOT.certificate}


@pytest.mark.parametrize("wrap", [base64.encodebytes, lambda data: pem("CERTIFICATE", data), lambda data: data])
def test_a_pfx_is_recognized_by_its_content(wrap: Callable[[bytes], bytes]) -> None:
    """Base64, and a wrong label, do not matter. A file of certificates only is refused with the command to export."""
    data = wrap(PFX)
    assert read_bundle(data, PASSWORD).certificates == (EC.certificate,)
    with pytest.raises(BundleError, match=r"is a PFX .* openssl pkcs12 -in FILE -nokeys") as caught:
        read_certificates(data)
    assert caught.value.__context__ is None


def test_a_key_is_recognized_by_its_content() -> None:
    """A private key in a block with another label is a private key, and an unencrypted key may be labeled encrypted."""
    for label in ("CERTIFICATE", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "KEY"):
        assert read_bundle(LEAF + pem(label, EC.pkcs8)).keys


def test_a_single_der_certificate_is_read() -> None:
    """DER has no marks, and may have spaces behind it."""
    assert read_certificates(ROOT.der).certificates == (ROOT.certificate,)
    assert read_certificates(ROOT.der + b"\r\n").certificates == (ROOT.certificate,)
    assert read_certificates(base64.b64encode(ROOT.der)).certificates == (ROOT.certificate,)


KUBERNETES = {"apiVersion": "v1", "data": {"tls.crt": base64.b64encode(LEAF).decode()}, "kind": "Secret"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (json.dumps(KUBERNETES).encode(), "is a Kubernetes secret: write its values into one file"),
        (b"apiVersion: v1\ndata:\n  tls.key: " + base64.b64encode(KEY), "is a Kubernetes secret"),
        (b"ssh-rsa AAAA user", "is an OpenSSH key"),
        (b"\x1f\x8b\x08", "compressed with gzip"),
        (base64.b64encode(b"PK\x03\x04 and so on and on"), "is a ZIP archive"),
        (base64.b64encode(b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1"), "is a Java key store"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"<?xml version='1.0'?><plist>", "is XML"),
        (b"\0\0\0\0CERT", "SST"),
        (b"Dear administrator, the certificate follows", "neither PEM nor PFX"),
        (b"DearAdministratorTheCertificateFollows", "neither PEM nor PFX"),
        (b"\xff\xfe\r\0\n\0", "is empty"),
        (sequence(b"\x05\0"), "damaged or cut off"),
    ],
)
def test_a_file_of_another_format_is_named(data: bytes, words: str) -> None:
    """The error says what the file is and how to convert it, for a bundle and for a file of certificates."""
    assert words in str(bundle_error(data))
    with pytest.raises(BundleError) as caught:
        read_certificates(data)
    assert words in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (REQUEST, "but a certificate request: send the request to the CA"),
        (pem("CERTIFICATE", REQUEST) + KEY, "a private key and no certificate, but a certificate request"),
        (pem("CERTIFICATE REQUEST", REQUEST) + KEY, "but a certificate request"),
        (pem("PUBLIC KEY", SPKI) + KEY, "a private key and no certificate (other parts: public key)"),
        (pem("CERTIFICATE", REVOCATIONS) + KEY, "(other parts: revocation list)"),
        (pem("PGP MESSAGE", b"x" * 9).replace(b"\n-----END", b"\n=abcd\n-----END") + KEY, "block PGP MESSAGE"),
    ],
)
def test_a_bundle_without_a_certificate_names_what_it_has(data: bytes, words: str) -> None:
    """A request, a public key and a revocation list are recognized by their content."""
    error = bundle_error(data)
    assert error.code == "no-certificate"
    assert words in str(error)
    with pytest.raises(BundleError, match=r"holds no certificate, but: [a-zA-Z ,]+\. Use a file with certificates"):
        read_certificates(data)


def test_parts_that_are_not_needed_give_one_notice() -> None:
    """Requests, revocation lists and unknown blocks are ignored together."""
    others = pem("X509 CRL", REVOCATIONS) + pem("CERTIFICATE REQUEST", REQUEST) * 2 + pem("ODD", b"x")
    said = ("not needed, ignored: revocation list, certificate request (2 times), block ODD",)
    assert read_bundle(KEY + LEAF + others).notices == read_certificates(LEAF + others).notices == said


@pytest.mark.parametrize("name", DEFECTS)
def test_a_certificate_that_the_library_cannot_read_is_explained(name: str) -> None:
    """The error has the number of the certificate, the field, and the reason of the library."""
    change, field = DEFECTS[name]
    data = changed_certificate(MADE.leaf, AUTHORITY, change)
    with pytest.raises(BundleError) as caught:
        read_certificates(pem("CERTIFICATE", data))
    assert str(caught.value).startswith(f"certificate 1 of the file cannot be read because of its {field} (")
    assert caught.value.code == "unreadable"
    found = read_certificates(TWO + pem("CERTIFICATE", data))
    assert found.certificates == (EC.certificate, ROOT.certificate)
    (notice,) = found.notices
    assert notice.startswith(f"not readable by the library cryptography, ignored: certificate 3: {field} (")
    assert read_bundle(TWO + KEY + pem("CERTIFICATE", data)).notices == (notice,)


def test_many_unreadable_certificates_give_one_notice() -> None:
    """The notice names the first three and counts the others."""
    others = b"".join(pem("CERTIFICATE", ROOT.der[:-number]) for number in range(1, 9))
    (notice,) = read_certificates(LEAF + others).notices
    assert notice.endswith(", and 5 more")
    assert len(notice) < 600


def test_a_pfx_without_a_password_is_named(tmp_path: Path) -> None:
    """If a password is given for a PFX with an empty password, the error says so."""
    (tmp_path / "both.pem").write_bytes(LEAF + KEY)
    command = ("openssl", "pkcs12", "-export", "-in", "both.pem", "-passout", "pass:", "-out", "open.p12")
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    data = (tmp_path / "open.p12").read_bytes()
    assert read_bundle(data).certificates == (EC.certificate,)
    error = bundle_error(data, PASSWORD)
    assert error.code == "bad-password"
    assert "opens without a password, and the given password is wrong: remove the password" in str(error)
