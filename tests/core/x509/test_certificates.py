"""Details and facts of certificates, and secret values."""

from __future__ import annotations

import json
import re
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.x509.credential import credential_from_json, credential_to_json
from ios_mdm.core.x509.details import details, facts
from ios_mdm.core.x509.digests import chain_digest, root_digest
from ios_mdm.core.x509.issuing import issue, key_type
from ios_mdm.core.x509.pem import CertificateError, chain
from ios_mdm.core.x509.signatures import is_self_signed
from ios_mdm.core.x509.values import CertificateDetails, Credential
from ios_mdm.errors import IosMdmError, StoreError

HOST = "mdm.example.com"
NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
ISSUED = issue(HOST, key=KeyType.EC_P256, validity_days=397, now=NOW)
OTHER = issue(HOST, key=KeyType.EC_P256, validity_days=397, now=NOW)


def _custom() -> Credential:
    """Return a certificate with an intermediate CA and a root."""
    root = trustme.CA()
    issuing = root.create_child_ca()
    leaf = issuing.issue_cert(HOST)
    blocks = [blob.bytes().decode() for blob in leaf.cert_chain_pems]
    key = _pkcs8(leaf.private_key_pem.bytes())
    return Credential(
        certificate="".join(blocks),
        private_key=key,
        root=root.cert_pem.bytes().decode(),
        sha256=chain(blocks[0])[0].fingerprint(hashes.SHA256()).hex(),
    )


def _pkcs8(pem: bytes) -> str:
    """Return a private key as PKCS#8."""
    key = load_pem_private_key(pem, password=None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


CUSTOM = _custom()


def _self_signed(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, **names: str) -> str:
    name = x509.Name([x509.NameAttribute(getattr(NameOID, oid), value) for oid, value in names.items()])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0xABC, NOW, NOW + timedelta(days=1))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode()


def test_details_show_what_a_person_compares() -> None:
    """The details of an issued certificate equal its fields."""  # R14
    certificate, root = chain(ISSUED.chain)
    name = root.subject.rfc4514_string()
    assert details(ISSUED.chain) == CertificateDetails(
        subject="CN=mdm.example.com",
        issuer=name,
        sans=(HOST,),
        serial_number=f"{certificate.serial_number:x}",
        sha256=ISSUED.sha256,
        root=name,
        root_sha256=root.fingerprint(hashes.SHA256()).hex(),
        key="EC P-256",
        not_before=NOW - timedelta(minutes=5),
        not_after=NOW + timedelta(days=397, minutes=-5, seconds=-1),
    )


def test_details_are_of_the_leaf() -> None:
    """The details are those of the first certificate of a chain, and of its root if the chain has one."""  # R14
    shown = details(CUSTOM.chain)
    assert shown.root == chain(CUSTOM.root)[0].subject.rfc4514_string() != shown.issuer
    without = details(CUSTOM.certificate)
    assert (without.root, without.root_sha256) == (None, None)
    leaf, issuer, *_ = chain(CUSTOM.certificate)
    assert shown.sha256 == CUSTOM.sha256
    assert shown.issuer == issuer.subject.rfc4514_string() != shown.subject
    assert shown.not_after == leaf.not_valid_after_utc


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (rsa.generate_private_key(65537, 2048), "RSA 2048"),
        (ec.generate_private_key(ec.SECP384R1()), "EC P-384"),
        (ec.generate_private_key(ec.SECP256K1()), "EC secp256k1"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
    ids=["rsa", "p-384", "other curve", "ed25519"],
)
def test_details_name_any_key(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, shown: str
) -> None:
    """The key is described by type and size; a certificate without a SAN has no names."""  # R14
    pem = _self_signed(key, COMMON_NAME="old")
    found = details(pem)
    assert (found.key, found.sans, found.serial_number) == (shown, (), "abc")
    assert key_type(pem) == (KeyType.RSA_2048 if shown == "RSA 2048" else None), "only types that are issued"


def test_a_chain_has_a_digest() -> None:
    """The digest covers each certificate once, in order. An issued certificate has none: its root never changes."""
    certificates, root = chain(CUSTOM.certificate), chain(CUSTOM.root)[0]
    digest = chain_digest((*certificates, root))
    assert re.fullmatch(r"[0-9a-f]{16}", digest)
    assert chain_digest((*certificates, root, root)) == digest
    assert chain_digest(certificates) != digest
    assert chain_digest((*certificates[::-1], root)) != digest
    assert facts(CUSTOM, ordinal=1, source=Source.ISSUED, generation=1).chain == ""


def test_facts_are_those_of_leaf_and_root() -> None:
    """Dates and fingerprint are the leaf's, the digest is the root's; the private key is not read."""
    leaf = chain(CUSTOM.certificate)[0]
    assert facts(CUSTOM, ordinal=7, source=Source.INSTALLED, generation=3) == CertificateFacts(
        ordinal=7,
        source=Source.INSTALLED,
        generation=3,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        sha256=CUSTOM.sha256,
        root=root_digest(chain(CUSTOM.root)[0]),
        chain=chain_digest((*chain(CUSTOM.certificate), chain(CUSTOM.root)[0])),
    )


def test_devices_trust_a_certificate_by_its_root_or_by_itself() -> None:
    """A certificate that is its own root is trusted by its fingerprint, because it issued no other certificate."""
    # R36 R49
    custom = facts(CUSTOM, ordinal=1, source=Source.INSTALLED, generation=1)
    assert custom.anchor == custom.root
    own = facts(replace(CUSTOM, certificate=CUSTOM.root), ordinal=1, source=Source.INSTALLED, generation=1)
    assert own.anchor == own.sha256 != own.root
    assert replace(own, chain="").anchor == own.root, "an issued certificate"


def test_a_renewed_root_has_the_same_digest() -> None:
    """Another name or key makes another root; other dates and another serial number do not."""  # R24
    key, another = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = chain(_self_signed(key, COMMON_NAME="Root"))[0]
    renewed = x509.CertificateBuilder(root.subject, root.subject, key.public_key(), 2, NOW, NOW + timedelta(days=9))
    assert root_digest(renewed.sign(key, hashes.SHA384())) == root_digest(root)
    assert root_digest(chain(_self_signed(another, COMMON_NAME="Root"))[0]) != root_digest(root)
    assert root_digest(chain(_self_signed(key, COMMON_NAME="Other"))[0]) != root_digest(root)


def test_self_signed_is_what_its_own_key_signed() -> None:
    """A certificate whose issuer has its name but another key is not a root."""
    assert is_self_signed(chain(ISSUED.root)[0])
    assert not is_self_signed(chain(CUSTOM.certificate)[0])
    key, impostor = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    assert not is_self_signed(builder.sign(impostor, hashes.SHA256()))


@pytest.mark.parametrize("credential", [ISSUED, CUSTOM], ids=["issued", "custom"])
def test_a_secret_value_is_read_back_as_it_was_written(credential: Credential) -> None:
    """The value has exactly three keys, is always the same text, and is read as the same credential."""
    value = credential_to_json(credential)
    assert list(json.loads(value)) == ["ca.crt", "tls.crt", "tls.key"]
    assert credential_to_json(credential) == value
    assert credential_from_json(value) == credential


def test_a_chain_may_hold_its_root() -> None:
    """The credential is the same whether or not tls.crt repeats the root."""
    value = {"tls.crt": CUSTOM.certificate + CUSTOM.root, "tls.key": CUSTOM.private_key, "ca.crt": CUSTOM.root}
    assert credential_from_json(json.dumps(value)).sha256 == CUSTOM.sha256


def _encrypted_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")).decode()


def _traditional() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


_GOOD = {"tls.crt": ISSUED.certificate, "tls.key": ISSUED.private_key, "ca.crt": ISSUED.root}
_DAMAGED = ISSUED.private_key.replace("\n", "\nAAAA", 1)
BAD_VALUES = {
    "no JSON": ISSUED.private_key,
    "cut off": json.dumps(_GOOD)[:-9],
    "too deep": "[" * 100_000,
    "a list": json.dumps([_GOOD]),
    "a key missing": json.dumps({key: _GOOD[key] for key in ("tls.crt", "tls.key")}),
    "a key too many": json.dumps({**_GOOD, "password": "x"}),
    "no text": json.dumps({**_GOOD, "tls.key": [ISSUED.private_key]}),
    "the key of another certificate": json.dumps({**_GOOD, "tls.key": OTHER.private_key}),
    "the key of another type": json.dumps({**_GOOD, "tls.key": _pkcs8(trustme.CA().private_key_pem.bytes())}),
    "an encrypted key": json.dumps({**_GOOD, "tls.key": _encrypted_key()}),
    "a key that is not PKCS#8": json.dumps({**_GOOD, "tls.key": _traditional()}),
    "two keys": json.dumps({**_GOOD, "tls.key": ISSUED.private_key + OTHER.private_key}),
    "a damaged key": json.dumps({**_GOOD, "tls.key": _DAMAGED}),
    "a key after the certificate": json.dumps({**_GOOD, "tls.crt": ISSUED.certificate + ISSUED.private_key}),
    "a key for a root": json.dumps({**_GOOD, "ca.crt": ISSUED.private_key}),
    "two roots": json.dumps({**_GOOD, "ca.crt": ISSUED.root + OTHER.root}),
    "a root that is not self-signed": json.dumps({**_GOOD, "ca.crt": CUSTOM.certificate}),
    "the root of another chain": json.dumps({**_GOOD, "ca.crt": CUSTOM.root}),
    "a chain out of order": json.dumps({**_GOOD, "tls.crt": ISSUED.certificate + CUSTOM.certificate}),
    "an empty certificate": json.dumps({**_GOOD, "tls.crt": ""}),
}


def _visible(error: BaseException) -> str:
    """Return everything that a log, a traceback or a debugger could show of an error."""
    attributes = [repr(vars(error)), repr(error.args), repr(error.__context__), repr(error.__cause__)]
    return "".join([*traceback.format_exception(error), *attributes])


@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_value_of_other_making_is_refused_without_repeating_it(value: str) -> None:
    """The error names the version and the problem; neither its message nor its context has a line of any key."""  # R29
    with pytest.raises(StoreError, match=r"^version 1 of secret ios-mdm/berlin") as caught:
        credential_from_json(value, where="version 1 of secret ios-mdm/berlin")
    assert caught.value.__context__ is None
    shown = _visible(caught.value)
    for pem in (ISSUED.private_key, OTHER.private_key, _DAMAGED):
        assert not [line for line in pem.splitlines()[1:-1] if line in shown]


@given(st.text(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_no_value_makes_reading_fail_otherwise(value: str) -> None:
    """Any text in the secret gives a credential or a StoreError."""
    with pytest.raises(StoreError):
        credential_from_json(value)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(position=st.integers(0, len(ISSUED.certificate) - 1), character=st.characters())
def test_no_damage_to_a_certificate_makes_reading_fail_otherwise(position: int, character: str) -> None:
    """A certificate with one changed character is read, or refused with an error of the project."""
    pem = ISSUED.certificate[:position] + character + ISSUED.certificate[position + 1 :]
    try:
        details(pem)
    except IosMdmError as error:
        assert error.__context__ is None  # noqa: PT017


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        ("", "nothing else"),
        ("mdm.example.com", "nothing else"),
        ("Subject: me\n" + ISSUED.certificate, "nothing else"),
        (ISSUED.certificate + "trailing", "nothing else"),
        (ISSUED.certificate.replace("CERTIFICATE", "X509 CRL"), "nothing else"),
        (ISSUED.certificate + ISSUED.private_key, "private key"),
        (ISSUED.certificate + _encrypted_key(), "private key"),
        (ISSUED.certificate + _traditional(), "private key"),
        (ISSUED.certificate.replace("M", "A", 1), "cannot be read"),
    ],
)
def test_a_chain_is_certificates_and_nothing_else(pem: str, message: str) -> None:
    """Text, private keys, other PEM blocks and damage are refused."""  # R15
    with pytest.raises(CertificateError, match=message):
        chain(pem)


def test_a_credential_shows_no_key() -> None:
    """The repr of a credential is a fingerprint."""  # R29
    assert repr(credential_from_json(credential_to_json(ISSUED))) == f"Credential(sha256={ISSUED.sha256})"
