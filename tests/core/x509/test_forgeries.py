"""A thief of a server's key can sign nothing that a device with the profile accepts.

Controls show that the same forgeries would be accepted if the key of the one-time root existed.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.x509.issuing import issue
from tests.support.tls_clients import (
    HOST,
    memory_handshake,
    openssl_client,
    python_handshake,
    root_of,
    served_by,
)
from tests.support.verifiers import OWN_CLOCK, VERIFIERS, Key, Question, Served, refusal
from tests.support.x509_pairs import NOW, UNTIL_BOTH_ARE_VALID, pair_for, pair_of

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.core.x509.values import Credential
    from tests.support.tls_clients import Pair

ELSEWHERE = "bank.example.org"
BEFORE_THE_SWITCH = NOW + UNTIL_BOTH_ARE_VALID


def _question(
    served: Served, trusted: tuple[x509.Certificate, ...], host: str, issued: datetime, folder: Path
) -> Question:
    return Question(chain=served.chain, trusted=trusted, host=host, moment=issued + UNTIL_BOTH_ARE_VALID, folder=folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signer:
    """The issuer in whose name a thief signs: subject, key identifier and signing key."""

    subject: x509.Name
    identifier: x509.SubjectKeyIdentifier
    key: Key
    not_before: datetime
    not_after: datetime


def _signer(certificate: x509.Certificate, key: Key) -> _Signer:
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return _Signer(
        subject=certificate.subject,
        identifier=identifier,
        key=key,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _signed_certificate(
    signer: _Signer, host: str, *, key: Key | None = None, ca: bool = False, subject: x509.Name | None = None
) -> Served:
    """Return a certificate for *host* in the signer's name, with its key."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    name: x509.GeneralName = x509.DNSName(host)
    if host[0].isdigit():
        name = x509.IPAddress(ip_address(host))
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    constraints = x509.BasicConstraints(ca=ca, path_length=None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
        .issuer_name(signer.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(signer.not_before)
        .not_valid_after(signer.not_after)
        .add_extension(constraints, critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=False, decipher_only=False, **usage),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer.identifier), critical=False
        )
    )
    return Served(chain=(builder.sign(signer.key, hashes.SHA256()),), key=own)


def _forgery(kind: str, leaf: x509.Certificate, root: x509.Certificate, stolen: Key) -> tuple[Served, str]:
    """Return the forgery that a thief of the leaf's key presents, and the impersonated host."""
    thief, as_root = _signer(leaf, stolen), _signer(root, stolen)
    if kind == "the stolen key itself, for another host":
        made, host = _signed_certificate(thief, ELSEWHERE, key=stolen), ELSEWHERE
    elif kind == "the root's name over the same host":
        made, host = _signed_certificate(as_root, HOST), HOST
    elif kind == "the root's name over another host":
        made, host = _signed_certificate(as_root, ELSEWHERE), ELSEWHERE
    elif kind == "the leaf again, as a CA":
        middle = _signed_certificate(as_root, HOST, key=stolen, ca=True, subject=leaf.subject)
        made, host = _under(middle, ELSEWHERE), ELSEWHERE
    elif kind == "the root again, with the stolen key":
        middle = _signed_certificate(as_root, HOST, key=stolen, ca=True, subject=root.subject)
        made, host = _under(middle, HOST), HOST
    elif kind.startswith("an intermediate"):
        host = HOST if kind.endswith("the same host") else ELSEWHERE
        made = _under(_signed_certificate(thief, "Middle", ca=True), host)
    else:
        host = {"the same host": HOST, "a subdomain": f"sub.{HOST}", "another host": ELSEWHERE}[kind]
        made = _signed_certificate(thief, host)
    return Served(chain=(*made.chain, leaf, root), key=made.key), host


def _under(middle: Served, host: str) -> Served:
    made = _signed_certificate(_signer(middle.chain[0], middle.key), host)
    return Served(chain=(*made.chain, *middle.chain), key=made.key)


FORGERIES = (
    "the same host",
    "a subdomain",
    "another host",
    "the stolen key itself, for another host",
    "the root's name over the same host",
    "the root's name over another host",
    "the leaf again, as a CA",
    "the root again, with the stolen key",
    "an intermediate, and under it the same host",
    "an intermediate, and under it another host",
)


def _forgery_of_main(kind: str, pair: Pair) -> tuple[Served, str]:
    main = served_by(pair.main)
    return _forgery(kind, main.chain[0], root_of(pair.main), main.key)


@pytest.fixture(params=FORGERIES)
def forgery(request: pytest.FixtureRequest, small_pair: Pair) -> tuple[Served, str]:
    """Return each forgery that a thief of main's key could try."""
    return _forgery_of_main(request.param, small_pair)


@pytest.mark.parametrize("kind", FORGERIES)
@pytest.mark.parametrize("verifier", VERIFIERS)
def test_every_verifier_refuses_what_a_stolen_key_signs(verifier: str, kind: str, tmp_path: Path) -> None:
    """No certificate signed with the leaf's key is accepted, not even one for the same host."""  # R31
    pair = pair_for(verifier)
    served, host = _forgery_of_main(kind, pair)
    assert refusal(verifier, _question(served, pair.trusted, host, pair.now, tmp_path))


def test_the_openssl_client_refuses_what_a_stolen_key_signs(
    forgery: tuple[Served, str], small_pair: Pair, tmp_path: Path
) -> None:
    """A handshake with ``s_client`` fails because of the chain."""  # R31
    served, host = forgery
    refused = openssl_client(served, small_pair.trusted, host, BEFORE_THE_SWITCH, tmp_path)
    assert refused.returncode != 0
    assert "verify error" in refused.stderr.lower() or "verify failed" in refused.stderr.lower()


def test_a_handshake_refuses_what_a_stolen_key_signs(forgery: tuple[Served, str], small_pair: Pair) -> None:
    """The handshake of a TLS client that trusts the profile fails."""  # R31
    served, _ = forgery
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        memory_handshake(served, small_pair.trusted, BEFORE_THE_SWITCH)


@pytest.mark.parametrize("kind", FORGERIES)
def test_pythons_client_refuses_what_a_stolen_key_signs(kind: str, tmp_path: Path) -> None:
    """Python's ssl refuses it, even if it accepts any certificate of the profile as the end of a chain."""  # R31
    pair = pair_of(KeyType.EC_P256, present=True)
    served, host = _forgery_of_main(kind, pair)
    with pytest.raises(ssl.SSLCertVerificationError):
        python_handshake(served, pair.trusted, host, tmp_path)


# The controls: the same checks with a root key that was kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A certificate of which the root's key was kept, against R31."""

    credential: Credential
    root_key: ec.EllipticCurvePrivateKey
    now: datetime

    @property
    def trusted_roots(self) -> tuple[x509.Certificate, ...]:
        """The root, as a device trusts it."""
        return (root_of(self.credential),)

    @property
    def signer(self) -> _Signer:
        """The root with its own key."""
        return _signer(root_of(self.credential), self.root_key)


@cache
def _issue_with_recorded_keys(*, present: bool) -> Kept:
    """Issue a certificate while every new EC key is recorded."""
    made: list[ec.EllipticCurvePrivateKey] = []
    generate = ec.generate_private_key
    now = pair_of(KeyType.EC_P256, present=present).now

    def recorded(curve: ec.EllipticCurve, backend: object = None) -> ec.EllipticCurvePrivateKey:
        made.append(generate(curve, backend))
        return made[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ec, "generate_private_key", recorded)
        credential = issue(HOST, key=KeyType.RSA_2048, validity_days=397, now=now)
    (root_key,) = made
    assert root_key.public_key() == root_of(credential).public_key()
    return Kept(credential=credential, root_key=root_key, now=now)


def _kept_for(verifier: str) -> Kept:
    return _issue_with_recorded_keys(present=verifier in OWN_CLOCK)


@pytest.mark.parametrize("host", [HOST, f"sub.{HOST}"])
@pytest.mark.parametrize("verifier", VERIFIERS)
def test_a_kept_root_key_would_forge_the_connection_address(verifier: str, host: str, tmp_path: Path) -> None:
    """Control for the refusals above: with the root's key, every verifier accepts the forgery."""  # R31
    kept = _kept_for(verifier)
    served = _signed_certificate(kept.signer, host)
    assert refusal(verifier, _question(served, kept.trusted_roots, host, kept.now, tmp_path)) == ""


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("host", [ELSEWHERE, "192.0.2.1"])
def test_name_constraints_would_limit_a_kept_root_key(verifier: str, host: str, tmp_path: Path) -> None:
    """Even with the root's key, no certificate for another host or an IP address is accepted."""  # R31
    kept = _kept_for(verifier)
    served = _signed_certificate(kept.signer, host)
    assert refusal(verifier, _question(served, kept.trusted_roots, host, kept.now, tmp_path))


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_the_path_length_would_limit_a_kept_root_key(verifier: str, tmp_path: Path) -> None:
    """Even with the root's key, no further CA is accepted."""  # R31
    kept = _kept_for(verifier)
    served = _under(_signed_certificate(kept.signer, "Middle", ca=True), HOST)
    assert refusal(verifier, _question(served, kept.trusted_roots, HOST, kept.now, tmp_path))
