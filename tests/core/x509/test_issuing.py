"""The fields of an issued certificate and of its one-time root."""

from __future__ import annotations

import sys
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_network
from typing import TYPE_CHECKING, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.pair.certificate_times import max_validity_days
from ios_mdm.core.pair.definition import MAX_VALIDITY_DAYS, KeyType
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.x509.details import facts
from ios_mdm.core.x509.issuing import is_issued, issue, key_type, validity
from ios_mdm.core.x509.pem import chain
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from ios_mdm.core.x509.values import Credential

HOST = "mdm.example.com"
NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
LONG_HOST = ".".join(["a-rather-long-label-of-a-host"] * 3 + ["example.com"])

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


def _issue(host: str = HOST, *, key: KeyType = KeyType.EC_P256, days: int = 397, now: datetime = NOW) -> Credential:
    return issue(host, key=key, validity_days=days, now=now)


def _parsed_certificate(credential: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credential.certificate.encode())


def _root(credential: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credential.root.encode())


def _extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> tuple[ExtensionT, bool]:
    extension = certificate.extensions.get_extension_for_class(kind)
    return extension.value, extension.critical


@pytest.fixture(scope="module", params=list(KeyType), ids=str)
def issued(request: pytest.FixtureRequest) -> tuple[KeyType, Credential]:
    """Return one certificate of each key type; shared, because generating an RSA-4096 key takes a second."""
    return request.param, _issue(key=request.param)


def test_the_key_is_the_one_asked_for(issued: tuple[KeyType, Credential]) -> None:
    """The key has the type and size that the definition names, and is unencrypted PKCS#8."""
    kind, credential = issued
    assert credential.private_key.startswith("-----BEGIN PRIVATE KEY-----\n")
    key = load_pem_private_key(credential.private_key.encode(), password=None)
    assert key.public_key() == _parsed_certificate(credential).public_key()
    if kind is KeyType.EC_P256:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
    else:
        assert isinstance(key, rsa.RSAPrivateKey)
        assert f"rsa-{key.key_size}" == kind
        assert key.public_key().public_numbers().e == 65537
    assert key_type(credential.certificate) is kind


def test_the_key_can_sign_a_handshake_but_no_certificate(issued: tuple[KeyType, Credential]) -> None:
    """KeyUsage is critical and has digitalSignature and, if RFC 8813 allows it, keyEncipherment only."""  # R31
    kind, credential = issued
    usage, critical = _extension(_parsed_certificate(credential), x509.KeyUsage)
    assert critical
    assert usage == x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=kind is not KeyType.EC_P256,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def test_leaf_and_root_are_signed_by_the_roots_key_with_sha_384(issued: tuple[KeyType, Credential]) -> None:
    """Both signatures are those of the root's EC P-384 key."""  # R27, R31
    leaf, root = _parsed_certificate(issued[1]), _root(issued[1])
    key = root.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP384R1)
    for certificate in (leaf, root):
        certificate.verify_directly_issued_by(root)
        assert certificate.version is x509.Version.v3
        assert certificate.issuer == root.subject
        assert certificate.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA384


def test_names_are_the_connection_address() -> None:
    """Subject and SAN contain the connection address only."""  # R31
    certificate = _parsed_certificate(_issue())
    assert certificate.subject.rfc4514_string() == f"CN={HOST}"
    names, critical = _extension(certificate, x509.SubjectAlternativeName)
    assert list(names) == [x509.DNSName(HOST)]
    assert not critical


def test_each_root_has_another_subject() -> None:
    """The subject is the address and the start of the key identifier, so that two roots have different names."""  # R31
    roots = [_root(_issue()) for _ in range(2)]
    for root in roots:
        identifier, _ = _extension(root, x509.SubjectKeyIdentifier)
        assert root.subject.rfc4514_string() == f"OU=One-time root {identifier.digest.hex()[:16]},CN={HOST}"
    assert roots[0].subject != roots[1].subject


def test_the_root_may_issue_leaves_and_the_leaf_nothing() -> None:
    """BasicConstraints is critical: CA:FALSE in the leaf, CA:TRUE with pathLen 0 in the root."""  # R31
    credential = _issue()
    assert _extension(_parsed_certificate(credential), x509.BasicConstraints) == (
        x509.BasicConstraints(False, None),
        True,
    )
    assert _extension(_root(credential), x509.BasicConstraints) == (x509.BasicConstraints(True, 0), True)


def test_the_roots_key_may_sign_certificates_and_nothing_else() -> None:
    """KeyUsage of the root is critical and has keyCertSign only."""  # R31
    usage, critical = _extension(_root(_issue()), x509.KeyUsage)
    assert critical
    assert usage == x509.KeyUsage(False, False, False, False, False, True, False, False, False)


def test_name_constraints_of_the_root_permit_the_connection_address_only() -> None:
    """NameConstraints is critical, permits the address and excludes every IP address."""  # R31
    constraints, critical = _extension(_root(_issue()), x509.NameConstraints)
    assert critical
    assert constraints.permitted_subtrees == [x509.DNSName(HOST)]
    assert constraints.excluded_subtrees == [
        x509.IPAddress(ip_network("0.0.0.0/0")),
        x509.IPAddress(ip_network("::/0")),
    ]


def test_a_leaf_is_for_tls_servers_only() -> None:
    """The extended key usage is serverAuth only."""  # R23, R31
    usage, _ = _extension(_parsed_certificate(_issue()), x509.ExtendedKeyUsage)
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_key_identifiers_name_the_root() -> None:
    """The authority key identifier of the leaf is the subject key identifier of the root."""
    credential = _issue()
    leaf, root = _parsed_certificate(credential), _root(credential)
    assert _extension(leaf, x509.SubjectKeyIdentifier)[0] == x509.SubjectKeyIdentifier.from_public_key(
        leaf.public_key()
    )
    identifier, _ = _extension(root, x509.SubjectKeyIdentifier)
    authority, _ = _extension(leaf, x509.AuthorityKeyIdentifier)
    assert authority == x509.AuthorityKeyIdentifier(identifier.digest, None, None)


def test_there_are_no_other_extensions() -> None:
    """The leaf has six extensions and the root has four, which the tests above check."""
    credential = _issue()
    assert [len(one.extensions) for one in (_parsed_certificate(credential), _root(credential))] == [6, 4]


def test_the_credential_is_leaf_and_root_apart() -> None:
    """tls.crt has the leaf only, as for a custom certificate; the fingerprint is the leaf's."""
    credential = _issue()
    assert len(chain(credential.certificate)) == len(chain(credential.root)) == 1
    assert credential.chain == credential.certificate + credential.root
    assert credential.sha256 == _parsed_certificate(credential).fingerprint(hashes.SHA256()).hex()


def test_the_root_is_valid_exactly_as_long_as_the_leaf() -> None:
    """No device trusts the root for longer than its leaf."""  # R31
    credential = _issue()
    leaf, root = _parsed_certificate(credential), _root(credential)
    assert root.not_valid_before_utc == leaf.not_valid_before_utc
    assert root.not_valid_after_utc == leaf.not_valid_after_utc


def test_only_the_test_that_recorded_the_roots_key_refers_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result, the modules and the frames of an error do not keep the key."""  # R31
    made: list[ec.EllipticCurvePrivateKey] = []
    generate = ec.generate_private_key

    def recorded(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        made.append(generate(curve))
        return made[-1]

    monkeypatch.setattr(ec, "generate_private_key", recorded)
    credential = _issue(key=KeyType.RSA_2048)
    (key,) = made
    assert key.public_key() == _root(credential).public_key()
    del key
    control = [generate(ec.SECP384R1())]
    references, in_a_list_only = sys.getrefcount(made[0]), sys.getrefcount(control[0])
    assert references == in_a_list_only

    def refused(_self: x509.CertificateBuilder, *_arguments: object, **_named: object) -> x509.Certificate:
        raise ValueError("no entropy")

    monkeypatch.setattr(x509.CertificateBuilder, "sign", refused)
    with pytest.raises(ValueError, match="no entropy") as caught:
        _issue(key=KeyType.RSA_2048)
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)]
    assert "_leaf_and_root" in {frame.f_code.co_name for frame in frames}
    ours = [frame for frame in frames if "ios_mdm" in frame.f_code.co_filename]
    holders = [frame.f_code.co_name for frame in ours if frame.f_locals.get("root_key") is made[-1]]
    assert not holders


def test_serial_numbers_are_random_and_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serial numbers differ, have up to 128 bits and are never zero (RFC 5280, 4.1.2.2)."""
    serials = [
        one.serial_number for _ in range(25) for made in [_issue()] for one in (_parsed_certificate(made), _root(made))
    ]
    assert len(set(serials)) == 50
    assert 2**96 < max(serials) < 2**128
    monkeypatch.setattr("ios_mdm.core.x509.issuing.secrets.randbits", lambda _bits: 0)
    assert _parsed_certificate(_issue()).serial_number == 1


@given(
    now=st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    days=st.integers(1, MAX_VALIDITY_DAYS),
)
def test_validity_is_whole_days_from_five_minutes_ago(now: datetime, days: int) -> None:
    """NotBefore is five minutes before now, and the validity is whole days including notAfter; also after 2050."""
    now = now.replace(microsecond=0)
    certificate = _parsed_certificate(_issue(days=days, now=now))
    assert certificate.not_valid_before_utc == now - timedelta(minutes=5)
    assert certificate.not_valid_after_utc == certificate.not_valid_before_utc + timedelta(days=days, seconds=-1)


@given(main=st.integers(1, MAX_VALIDITY_DAYS), days=st.integers(1, MAX_VALIDITY_DAYS))
def test_a_reserve_is_not_valid_for_longer_than_main(main: int, days: int) -> None:
    """A reserve can be valid for as long as main; one more day is refused."""  # R8
    if days <= main:
        reserve = _parsed_certificate(
            issue(HOST, key=KeyType.EC_P256, validity_days=days, now=NOW, max_validity=validity(main))
        )
        assert reserve.not_valid_after_utc - reserve.not_valid_before_utc <= validity(main)
    else:
        with pytest.raises(DefinitionError, match=f"because the main certificate is valid for {main} days"):
            issue(HOST, key=KeyType.EC_P256, validity_days=days, now=NOW, max_validity=validity(main))


@given(days=st.integers(1, MAX_VALIDITY_DAYS))
def test_the_longest_reserve_is_as_long_as_main(days: int) -> None:
    """The maximum validity of a reserve is that of main, in whole days."""  # R8
    main = facts(_issue(days=days), ordinal=1, source=Source.ISSUED, generation=1)
    assert max_validity_days(main) == days
    assert max_validity_days(replace(main, not_after=main.not_after - timedelta(seconds=1))) == days - 1
    assert max_validity_days(replace(main, not_after=main.not_before + timedelta(days=5000))) == 824


@pytest.mark.parametrize("days", [-1, 0, 825, 10_000])
def test_a_validity_that_devices_refuse_is_refused(days: int) -> None:
    """Less than a day, or more than Apple's devices accept, is an error that names the limit."""
    with pytest.raises(DefinitionError, match="824"):
        _issue(days=days)


def test_a_host_too_long_for_a_common_name_becomes_domain_components() -> None:
    """For more than the 64 characters of a CN, the subject has the labels of the host, complete and in order."""
    assert len(LONG_HOST) > 64
    certificate = _parsed_certificate(_issue(LONG_HOST))
    assert not certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    components = [item.value for item in certificate.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)]
    assert ".".join(str(component) for component in reversed(components)) == LONG_HOST
    assert is_issued(chain(_issue(LONG_HOST).chain))
    assert list(_extension(certificate, x509.SubjectAlternativeName)[0]) == [x509.DNSName(LONG_HOST)]


@pytest.mark.parametrize("length", [63, 64, 65, 253])
def test_hosts_of_every_length_are_issued(length: int) -> None:
    """A host may have up to 253 characters; the subject changes at OpenSSL's limit for a CN."""
    host = (("a" * 49 + ".") * 6)[: length - 1] + "z"
    credential = _issue(host)
    certificate = _parsed_certificate(credential)
    assert is_issued(chain(credential.chain))
    assert bool(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)) is (length <= 64)


@pytest.mark.parametrize(
    "host",
    ["", ".", "a..b", "-a.example", "a_b.example", "*.example.com", "192.0.2.1", "2001:db8::1", "bücher.example",
     "mdm.example.com.", "mdm.example.com:443", "mdm.example.com\n", "a" * 64 + ".example", "a." * 127 + "example"],
)  # fmt: skip
def test_an_invalid_dns_name_gets_no_certificate(host: str) -> None:
    """An IP address, a wildcard, a port or a bad label is refused."""
    with pytest.raises(DefinitionError, match="must be a DNS name"):
        _issue(host)


@pytest.mark.parametrize(
    "now", [NOW.replace(tzinfo=None), NOW.astimezone(timezone(timedelta(hours=1))), NOW.replace(microsecond=1)]
)
def test_only_whole_seconds_of_utc_are_accepted(now: datetime) -> None:
    """A naive, local or fractional time is a programming error."""
    with pytest.raises(ValueError, match="aware UTC"):
        _issue(now=now)
