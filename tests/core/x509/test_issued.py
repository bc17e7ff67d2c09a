"""Only a leaf and its one-time root exactly as the provider issues them count as issued (R31)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.x509.issuing import is_issued, issue, validity
from ios_mdm.core.x509.one_time_root import Form
from ios_mdm.core.x509.pem import chain

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "mdm.example.com"
NOW = datetime(2041, 3, 1, 12, 30, tzinfo=UTC)
KEY, ROOT_KEY, OTHER_KEY = (
    ec.generate_private_key(ec.SECP256R1()),
    *(ec.generate_private_key(ec.SECP384R1()) for _ in range(2)),
)
FORM: dict[str, Any] = {
    "host": HOST,
    "key": KEY.public_key(),
    "root_key": ROOT_KEY.public_key(),
    "not_before": NOW,
    "not_after": NOW + validity(397),
}


def _issued_chain(**changes: Any) -> list[x509.Certificate]:
    form = Form(**{**FORM, **changes})
    return [form.leaf(5, ROOT_KEY), form.root(6, ROOT_KEY)]


def _again(
    certificate: x509.Certificate, replaced: x509.ExtensionType, *, critical: bool, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Return the certificate with one extension replaced or added."""
    builder = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        certificate.public_key(),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
    kept = [(one.value, one.critical) for one in certificate.extensions]
    known = any(one.oid == replaced.oid for one, _ in kept)
    kept = [(replaced, critical) if one.oid == replaced.oid else (one, is_critical) for one, is_critical in kept]
    for extension, is_critical in kept if known else [*kept, (replaced, critical)]:
        builder = builder.add_extension(extension, critical=is_critical)
    return builder.sign(signer, hashes.SHA384())


def _leaf_with(replaced: x509.ExtensionType, *, critical: bool = True) -> list[x509.Certificate]:
    leaf, root = _issued_chain()
    return [_again(leaf, replaced, critical=critical, signer=ROOT_KEY), root]


def _root_with(replaced: x509.ExtensionType, *, critical: bool = True) -> list[x509.Certificate]:
    leaf, root = _issued_chain()
    return [leaf, _again(root, replaced, critical=critical, signer=ROOT_KEY)]


def _usage(**bits: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{**dict.fromkeys((*names, *more), False), **bits})


def _names(*hosts: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])


def _chain_signed_again(
    leaf_key: ec.EllipticCurvePrivateKey, root_key: ec.EllipticCurvePrivateKey
) -> list[x509.Certificate]:
    form = Form(**FORM)
    return [form.leaf(5, leaf_key), form.root(6, root_key)]


def _renamed_root() -> list[x509.Certificate]:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example CA")])
    made = []
    for certificate, subject in zip(_issued_chain(), (None, name), strict=True):
        builder = x509.CertificateBuilder(
            name,
            subject or certificate.subject,
            certificate.public_key(),
            certificate.serial_number,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )
        for one in certificate.extensions:
            builder = builder.add_extension(one.value, critical=one.critical)
        made.append(builder.sign(ROOT_KEY, hashes.SHA384()))
    return made


def _longer_root() -> list[x509.Certificate]:
    (leaf, _), (_, root) = _issued_chain(), _issued_chain(not_after=NOW + validity(398))
    return [leaf, root]


def _other_hash() -> list[x509.Certificate]:
    leaf, root = _issued_chain()
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, leaf.public_key(), 5, leaf.not_valid_before_utc, leaf.not_valid_after_utc
    )
    for one in leaf.extensions:
        builder = builder.add_extension(one.value, critical=one.critical)
    return [builder.sign(ROOT_KEY, hashes.SHA256()), root]


def _custom() -> list[x509.Certificate]:
    authority = trustme.CA()
    leaf = authority.issue_cert(HOST)
    return list(chain(leaf.cert_chain_pems[0].bytes().decode() + authority.cert_pem.bytes().decode()))


CONSTRAINTS = [x509.DNSName(HOST)]
OTHERS: dict[str, Callable[[], list[x509.Certificate]]] = {
    "nothing": list,
    "the leaf alone": lambda: _issued_chain()[:1],
    "the root alone": lambda: _issued_chain()[1:],
    "in another order": lambda: _issued_chain()[::-1],
    "a third certificate": lambda: [*_issued_chain(), *_custom()[1:]],
    "a custom certificate": _custom,
    "a root under another name": _renamed_root,
    "a root that is valid for longer": _longer_root,
    "another hash": _other_hash,
    "a leaf that the root did not sign": lambda: _chain_signed_again(OTHER_KEY, ROOT_KEY),
    "a root that another key signed": lambda: _chain_signed_again(ROOT_KEY, OTHER_KEY),
    "another root of this form": lambda: [_issued_chain()[0], _issued_chain(root_key=OTHER_KEY.public_key())[1]],
    "no whole days": lambda: _issued_chain(not_after=NOW + timedelta(days=397)),
    "valid for too long": lambda: _issued_chain(not_after=NOW + validity(825)),
    "no DNS name": lambda: _issued_chain(host="mdm_1.example.com"),
    "an IP address": lambda: _issued_chain(host="192.0.2.1"),
    "a key of another curve": lambda: _issued_chain(key=OTHER_KEY.public_key()),
    "a key of another size": lambda: _issued_chain(key=rsa.generate_private_key(65537, 2560).public_key()),
    "another exponent": lambda: _issued_chain(key=rsa.generate_private_key(3, 2048).public_key()),
    "a leaf that is a CA": lambda: _leaf_with(x509.BasicConstraints(ca=True, path_length=None)),
    "a leaf that may sign certificates": lambda: _leaf_with(_usage(digital_signature=True, key_cert_sign=True)),
    "key encipherment of an EC key": lambda: _leaf_with(_usage(digital_signature=True, key_encipherment=True)),
    "a key usage that is not critical": lambda: _leaf_with(_usage(digital_signature=True), critical=False),
    "a second name": lambda: _leaf_with(_names(HOST, "bank.example.org"), critical=False),
    "another name": lambda: _leaf_with(_names("bank.example.org"), critical=False),
    "a purpose more": lambda: _leaf_with(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    ),
    "an extension more": lambda: _leaf_with(x509.OCSPNoCheck(), critical=False),
    "a root with a longer path": lambda: _root_with(x509.BasicConstraints(ca=True, path_length=1)),
    "a root without a path length": lambda: _root_with(x509.BasicConstraints(ca=True, path_length=None)),
    "a root that may sign lists": lambda: _root_with(_usage(key_cert_sign=True, crl_sign=True)),
    "a root without constraints on IP addresses": lambda: _root_with(x509.NameConstraints(CONSTRAINTS, None)),
    "a root for any host": lambda: _root_with(x509.NameConstraints(None, [x509.DNSName("bank.example.org")])),
    "constraints that are not critical": lambda: [
        _issued_chain()[0],
        _again(
            _issued_chain()[1],
            _issued_chain()[1].extensions.get_extension_for_class(x509.NameConstraints).value,
            critical=False,
            signer=ROOT_KEY,
        ),
    ],
    "a root for clients too": lambda: _root_with(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    ),
}


@pytest.mark.parametrize("kind", list(KeyType), ids=str)
def test_an_issued_certificate_is_recognized(kind: KeyType) -> None:
    """Leaf and root, as stored in the secret, are recognized."""  # R31, R38
    assert is_issued(chain(issue(HOST, key=kind, validity_days=397, now=NOW).chain))


def test_the_form_of_these_tests_is_recognized() -> None:
    """Control: without a change, the certificates of the test below are issued ones."""
    assert is_issued(_issued_chain())


@pytest.mark.parametrize("other", OTHERS)
def test_everything_else_is_not(other: str) -> None:
    """One deviation of the leaf, the root, a signature or the chain is enough."""  # R31, R38
    assert not is_issued(OTHERS[other]())
