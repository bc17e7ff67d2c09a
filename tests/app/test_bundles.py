"""Tests of reading bundles and passwords from files, secrets and variables, and of the errors."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.app.bundles import Circumstances
from ios_mdm.core.bundle import BundleError
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.x509.credential import credential_from_json, credential_to_json
from ios_mdm.errors import DefinitionError
from tests.support.bundles import pem as block
from tests.support.certificates import LEAF, NOW, ROOT, Chain, pem, private_pem
from tests.support.custom_files import BY, HOST, PASSWORD, START, Leaf, authority
from tests.support.desk import Desk, desk, leaf
from tests.support.key_forms import private_key_in_form
from tests.support.odd_certificates import DEFECTS as ODD_FIELDS
from tests.support.odd_certificates import MADE as ODD
from tests.support.odd_certificates import changed_certificate

__all__ = ["desk", "leaf"]


@pytest.mark.parametrize(("kind", "form"), [("rsa-2048", "pss"), ("p256", "explicit")])
def test_the_stored_key_has_the_form_of_its_certificate(desk: Desk, kind: str, form: str) -> None:
    """A file with an odd form of the private key passes, and the stored key has the form that TLS servers load."""
    # R28
    made = Chain(leaf=LEAF.but(key=kind)).make()
    odd = b64encode(private_key_in_form(made.keys[0], form))
    data = b"-----BEGIN PRIVATE KEY-----\n" + odd + b"\n-----END PRIVATE KEY-----\n" + pem(*made.chain)
    (desk.folder / "b.pem").write_bytes(data)
    read = desk.read(Circumstances(host=HOST, now=NOW, slot=Slot.MAIN), bundle="b.pem")
    assert read.report.violations == ()
    assert read.credential().private_key.encode() == private_pem(made.keys[0])
    assert read.problem is None


def test_a_certificate_that_is_too_large_for_a_secret_is_refused(desk: Desk) -> None:
    """The check refuses it, and so the preview. AWS would refuse it during the run."""
    # R40
    names = [HOST, *(f"{number}.{'long-name' * 6}.example.com" for number in range(900))]
    large = Leaf(START, 397, names=tuple(names))
    (desk.folder / "b.pem").write_bytes(large.pem() + authority().pem())
    (desk.folder / "p").write_text(PASSWORD, encoding="utf-8")
    with pytest.raises(
        DefinitionError,
        match=r"^reserve\.install: certificate, chain and private key need [0-9,]{6} bytes, but .* at most 65,536",
    ):
        desk.read(bundle="b.pem", passwordFile="p")


def test_a_bundle_from_a_secret_with_a_password_from_one(desk: Desk, leaf: Leaf) -> None:
    """Bytes and password are read from Secrets Manager. The stored form can be read, and a repr shows no key."""
    # R18 R29
    desk.vault.values = {"bundles/next": leaf.pfx(), "bundles/password": PASSWORD.encode() + b"\n"}
    read = desk.read(bundle="secret:bundles/next", passwordSecret="bundles/password")
    assert read.report.is_valid, read.report.violations
    credential = read.credential()
    assert credential.sha256 == leaf.sha256
    assert credential.root == authority().pem().decode()
    assert credential.certificate.count("BEGIN CERTIFICATE") == 1, "the root is stored separately"
    assert credential_from_json(credential_to_json(credential), where="here") == credential
    assert "PRIVATE" not in repr(read) + repr(credential)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n"])
def test_a_password_file_has_it_in_its_first_line(desk: Desk, leaf: Leaf, start: bytes, ending: bytes) -> None:
    """A byte order mark, line endings and blank lines do not matter, in a file and in a secret."""  # R18
    (desk.folder / "b.pfx").write_bytes(leaf.pfx())
    (desk.folder / "p").write_bytes(start + PASSWORD.encode() + ending)
    desk.vault.values = {"p": start + PASSWORD.encode() + ending}
    assert desk.read(bundle="b.pfx", passwordFile="p").offered_certificate.sha256 == leaf.sha256
    assert desk.read(bundle="b.pfx", passwordSecret="p").offered_certificate.sha256 == leaf.sha256


def test_the_root_may_come_from_elsewhere(desk: Desk, leaf: Leaf) -> None:
    """It is read from a trust file or from the records of main. Without either, the chain is incomplete."""  # R22 R24
    (desk.folder / "b.pem").write_bytes(leaf.pem())
    desk.environ = {"P": PASSWORD}
    given: dict[str, Any] = {"bundle": "b.pem", "passwordEnv": "P"}
    assert [one.code for one in desk.read(**given).report.violations] == ["chain-incomplete"]
    (desk.folder / "root.pem").write_bytes(authority().pem())
    trusted = desk.read(**given, trust=["root.pem"])
    assert trusted.report.is_valid
    root = trusted.offered_certificate.root
    known = Circumstances(host=HOST, now=BY.now, slot=Slot.RESERVE, root=root, known_root=authority().pem().decode())
    assert desk.read(known, **given).report.is_valid
    foreign = Circumstances(host=HOST, now=BY.now, slot=Slot.RESERVE, root="0" * 64)
    with pytest.raises(DefinitionError, match="root-mismatch"):
        desk.read(foreign, **given, trust=["root.pem"])


def test_trust_files_are_read_as_validate_reads_them(desk: Desk, leaf: Leaf) -> None:
    """DER is accepted, and a certificate that cannot be read is a notice with the file and its number."""  # R22
    (desk.folder / "b.pem").write_bytes(leaf.pem())
    root = x509.load_pem_x509_certificate(authority().pem())
    (desk.folder / "root.cer").write_bytes(root.public_bytes(Encoding.DER))
    desk.environ = {"P": PASSWORD}
    given: dict[str, Any] = {"bundle": "b.pem", "passwordEnv": "P"}
    assert desk.read(**given, trust=["root.cer"]).report.is_valid
    twice = changed_certificate(ODD.leaf, ROOT, ODD_FIELDS["extension twice"][0])
    (desk.folder / "both.pem").write_bytes(block("CERTIFICATE", twice) + authority().pem())
    report = desk.read(**given, trust=["both.pem"]).report
    assert report.is_valid
    assert [one for one in report.notices if one.startswith("both.pem: not readable by the library")]
    (desk.folder / "odd.cer").write_bytes(twice)
    with pytest.raises(DefinitionError, match=r"^reserve\.install\.trust: odd\.cer: certificate 1 of the file"):
        desk.read(**given, trust=["odd.cer"])


def test_a_reserve_must_outlive_main(desk: Desk, leaf: Leaf) -> None:
    """Its dates are checked against main's expiry, or against the apply time if that is later."""  # R21
    (desk.folder / "b.pfx").write_bytes(leaf.pfx())
    desk.environ = {"P": PASSWORD}
    late = Circumstances(host=HOST, now=BY.now, slot=Slot.RESERVE, outlives=START + timedelta(days=400))
    found = desk.read(late, bundle="b.pfx", passwordEnv="P")
    assert "expires-too-early" in [one.code for one in found.report.violations]


@pytest.mark.parametrize(
    ("install", "said"),
    [
        ({"bundle": "not-there.pfx"}, "reserve.install.bundle: not-there.pfx cannot be read: No such file"),
        ({"bundle": "secret:none"}, "reserve.install.bundle: there is no secret none"),
        ({"bundle": "b.pfx", "passwordEnv": "NOT_SET"}, "the variable NOT_SET is not set"),
        ({"bundle": "b.pfx", "passwordFile": "none"}, "reserve.install.passwordFile: none cannot be read"),
        ({"bundle": "b.pfx", "passwordFile": "two"}, "reserve.install.passwordFile: two has text in line 2: keep only"),
        ({"bundle": "b.pfx", "passwordSecret": "none"}, "reserve.install.passwordSecret: there is no secret none"),
        (
            {"bundle": "b.pfx", "passwordEnv": "P", "trust": ["b.pfx"]},
            "install.trust: b.pfx: the file is a PFX",
        ),
    ],
)
def test_a_missing_file_or_secret_is_named(desk: Desk, leaf: Leaf, install: dict[str, Any], said: str) -> None:
    """The error is one line with the key of the definition, and does not quote a password."""  # R29
    (desk.folder / "b.pfx").write_bytes(leaf.pfx())
    (desk.folder / "two").write_text(f"{PASSWORD}\n{PASSWORD}", encoding="utf-8")
    desk.environ = {"P": PASSWORD}
    with pytest.raises(DefinitionError) as caught:
        desk.read(**install)
    assert said in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_wrong_password_has_its_code(desk: Desk, leaf: Leaf) -> None:
    """The code differs from that of a file that cannot be read."""  # R18
    (desk.folder / "b.pfx").write_bytes(leaf.pfx())
    desk.environ = {"P": "wrong"}
    with pytest.raises(BundleError) as caught:
        desk.read(bundle="b.pfx", passwordEnv="P")
    assert caught.value.code == "bad-password"
