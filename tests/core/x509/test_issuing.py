"""What an issued certificate is, field by field."""

from __future__ import annotations

import shutil
import subprocess
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
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.core.pair.definition import LONGEST_VALIDITY_DAYS, KeyType
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.moments import longest_validity_days
from ios_mdm.core.x509.details import facts
from ios_mdm.core.x509.issuing import issue, key_type, validity
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

    from ios_mdm.core.x509.values import Credential

HOST = "mdm.example.com"
NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
LONG_HOST = ".".join(["a-rather-long-label-of-a-host"] * 3 + ["example.com"])

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


def _issue(host: str = HOST, *, key: KeyType = KeyType.EC_P256, days: int = 397, now: datetime = NOW) -> Credential:
    return issue(host, key=key, validity_days=days, now=now)


def _parsed(credential: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credential.certificate.encode())


def _extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> tuple[ExtensionT, bool]:
    extension = certificate.extensions.get_extension_for_class(kind)
    return extension.value, extension.critical


@pytest.fixture(scope="module", params=list(KeyType), ids=str)
def issued(request: pytest.FixtureRequest) -> tuple[KeyType, Credential]:
    """One certificate of each key type: an RSA-4096 key takes a second to make."""
    return request.param, _issue(key=request.param)


def test_the_key_is_the_one_asked_for(issued: tuple[KeyType, Credential]) -> None:
    """The key has the type and size that the definition names, and is unencrypted PKCS#8."""
    kind, credential = issued
    assert credential.private_key.startswith("-----BEGIN PRIVATE KEY-----\n")
    key = load_pem_private_key(credential.private_key.encode(), password=None)
    assert key.public_key() == _parsed(credential).public_key()
    if kind is KeyType.EC_P256:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
    else:
        assert isinstance(key, rsa.RSAPrivateKey)
        assert f"rsa-{key.key_size}" == kind
        assert key.public_key().public_numbers().e == 65537
    assert key_type(credential.certificate) is kind


def test_the_key_can_sign_a_handshake_but_no_certificate(issued: tuple[KeyType, Credential]) -> None:
    """KeyUsage is critical: digitalSignature, keyEncipherment where RFC 8813 allows it, and nothing else."""  # R31
    kind, credential = issued
    usage, critical = _extension(_parsed(credential), x509.KeyUsage)
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


def test_it_is_signed_by_its_own_key_with_sha_256(issued: tuple[KeyType, Credential]) -> None:
    """The signature is SHA-256, by the certificate's own key."""  # R27
    kind, credential = issued
    certificate = _parsed(credential)
    certificate.verify_directly_issued_by(certificate)
    assert certificate.version is x509.Version.v3
    assert certificate.issuer == certificate.subject
    assert certificate.signature_algorithm_oid == (
        SignatureAlgorithmOID.ECDSA_WITH_SHA256 if kind is KeyType.EC_P256 else SignatureAlgorithmOID.RSA_WITH_SHA256
    )


def test_openssl_takes_it_for_a_server_certificate(issued: tuple[KeyType, Credential], tmp_path: Path) -> None:
    """OpenSSL, as strict as it can be, accepts the certificate for the connection address and for no other."""  # R31
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command")
    file = tmp_path / "issued.pem"
    file.write_text(issued[1].certificate, encoding="ascii")
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-attime", f"{NOW.timestamp():.0f}"]
    command += ["-no-CApath", "-no-CAstore", "-CAfile", str(file), "-verify_hostname"]
    accepted = subprocess.run([*command, HOST, str(file)], capture_output=True, text=True, check=False)
    assert accepted.returncode == 0, accepted.stderr
    refused = subprocess.run([*command, f"x.{HOST}", str(file)], capture_output=True, text=True, check=False)
    assert "hostname mismatch" in refused.stderr.lower()


def test_names_are_the_connection_address() -> None:
    """Subject and SAN name the connection address and nothing else."""  # R31
    certificate = _parsed(_issue())
    assert certificate.subject.rfc4514_string() == f"CN={HOST}"
    names, critical = _extension(certificate, x509.SubjectAlternativeName)
    assert list(names) == [x509.DNSName(HOST)]
    assert not critical


def test_it_is_a_certificate_authority_without_path_length() -> None:
    """BasicConstraints is critical CA:TRUE; a path length without keyCertSign is forbidden by RFC 5280, 4.2.1.9."""
    assert _extension(_parsed(_issue()), x509.BasicConstraints) == (x509.BasicConstraints(True, None), True)  # R31


def test_name_constraints_permit_the_connection_address_only() -> None:
    """NameConstraints is critical, permits the address and excludes every IP address."""  # R31
    constraints, critical = _extension(_parsed(_issue()), x509.NameConstraints)
    assert critical
    assert constraints.permitted_subtrees == [x509.DNSName(HOST)]
    assert constraints.excluded_subtrees == [
        x509.IPAddress(ip_network("0.0.0.0/0")),
        x509.IPAddress(ip_network("::/0")),
    ]


def test_it_serves_tls_and_nothing_else() -> None:
    """The Extended Key Usage is serverAuth alone."""  # R23, R31
    usage, _ = _extension(_parsed(_issue()), x509.ExtendedKeyUsage)
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_key_identifiers_tell_main_from_reserve() -> None:
    """The authority key identifier is the certificate's own: main and reserve share a subject."""
    certificate = _parsed(_issue())
    own, _ = _extension(certificate, x509.SubjectKeyIdentifier)
    authority, _ = _extension(certificate, x509.AuthorityKeyIdentifier)
    assert own == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    assert authority == x509.AuthorityKeyIdentifier(own.digest, None, None)


def test_there_are_no_other_extensions() -> None:
    """The certificate carries the seven extensions above."""
    assert len(_parsed(_issue()).extensions) == 7


def test_the_credential_is_its_own_root() -> None:
    """A self-signed certificate is leaf and root; its fingerprint is the DER's SHA-256."""
    credential = _issue()
    assert credential.root == credential.certificate
    assert credential.sha256 == _parsed(credential).fingerprint(hashes.SHA256()).hex()


def test_serial_numbers_are_random_and_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serial numbers differ, have up to 128 bits and are never zero (RFC 5280, 4.1.2.2)."""
    serials = [_parsed(_issue()).serial_number for _ in range(50)]
    assert len(set(serials)) == 50
    assert 2**96 < max(serials) < 2**128
    monkeypatch.setattr("ios_mdm.core.x509.issuing.secrets.randbits", lambda _bits: 0)
    assert _parsed(_issue()).serial_number == 1


@settings(deadline=None)
@given(
    now=st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    days=st.integers(1, LONGEST_VALIDITY_DAYS),
)
def test_validity_is_whole_days_from_five_minutes_ago(now: datetime, days: int) -> None:
    """NotBefore is five minutes before now; notAfter, which is inclusive, makes whole days; also past 2050."""
    now = now.replace(microsecond=0)
    certificate = _parsed(_issue(days=days, now=now))
    assert certificate.not_valid_before_utc == now - timedelta(minutes=5)
    assert certificate.not_valid_after_utc == certificate.not_valid_before_utc + timedelta(days=days, seconds=-1)


@settings(deadline=None)
@given(main=st.integers(1, LONGEST_VALIDITY_DAYS), days=st.integers(1, LONGEST_VALIDITY_DAYS))
def test_a_reserve_is_not_valid_for_longer_than_main(main: int, days: int) -> None:
    """A reserve of up to main's validity is issued; one day more is refused."""  # R8
    if days <= main:
        reserve = _parsed(issue(HOST, key=KeyType.EC_P256, validity_days=days, now=NOW, longest=validity(main)))
        assert reserve.not_valid_after_utc - reserve.not_valid_before_utc <= validity(main)
    else:
        with pytest.raises(DefinitionError, match=f"which is for {main} days"):
            issue(HOST, key=KeyType.EC_P256, validity_days=days, now=NOW, longest=validity(main))


@settings(deadline=None)
@given(days=st.integers(1, LONGEST_VALIDITY_DAYS))
def test_the_longest_reserve_is_as_long_as_main(days: int) -> None:
    """What may be issued at most for a reserve is main's own validity, whole days of it."""  # R8
    main = facts(_issue(days=days), ordinal=1, source=Source.ISSUED, generation=1)
    assert longest_validity_days(main) == days
    assert longest_validity_days(replace(main, not_after=main.not_after - timedelta(seconds=1))) == days - 1
    assert longest_validity_days(replace(main, not_after=main.not_before + timedelta(days=5000))) == 824


@pytest.mark.parametrize("days", [-1, 0, 825, 10_000])
def test_a_validity_that_devices_refuse_is_refused(days: int) -> None:
    """Less than a day, and more than Apple's devices accept, is an error that names the limit."""
    with pytest.raises(DefinitionError, match="824"):
        _issue(days=days)


def test_a_host_too_long_for_a_common_name_becomes_domain_components() -> None:
    """Beyond the 64 characters of a CN the subject is the host's labels, never empty and never shortened."""
    assert len(LONG_HOST) > 64
    certificate = _parsed(_issue(LONG_HOST))
    assert not certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    components = [item.value for item in certificate.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)]
    assert ".".join(str(component) for component in reversed(components)) == LONG_HOST
    assert list(_extension(certificate, x509.SubjectAlternativeName)[0]) == [x509.DNSName(LONG_HOST)]


@pytest.mark.parametrize("length", [63, 64, 65, 253])
def test_hosts_of_every_length_are_issued(length: int) -> None:
    """A host may have up to 253 characters; OpenSSL's limit for a CN is where the subject changes."""
    host = (("a" * 49 + ".") * 6)[: length - 1] + "z"
    certificate = _parsed(_issue(host))
    assert bool(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)) is (length <= 64)


@pytest.mark.parametrize(
    "host",
    ["", ".", "a..b", "-a.example", "a_b.example", "*.example.com", "192.0.2.1", "2001:db8::1", "bücher.example",
     "mdm.example.com.", "mdm.example.com:443", "mdm.example.com\n", "a" * 64 + ".example", "a." * 127 + "example"],
)  # fmt: skip
def test_what_is_no_dns_name_gets_no_certificate(host: str) -> None:
    """An IP address, a wildcard, a port or a bad label is refused."""
    with pytest.raises(DefinitionError, match="must be a DNS name"):
        _issue(host)


@pytest.mark.parametrize(
    "now", [NOW.replace(tzinfo=None), NOW.astimezone(timezone(timedelta(hours=1))), NOW.replace(microsecond=1)]
)
def test_only_whole_seconds_of_utc_are_a_moment(now: datetime) -> None:
    """A naive, local or fractional moment is a programming error."""
    with pytest.raises(ValueError, match="aware UTC"):
        _issue(now=now)
