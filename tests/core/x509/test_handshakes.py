"""Real TLS: devices that hold the profile accept main and then the reserve, and nothing that a stolen key signs.

Every client trusts exactly the certificates in the profile's payloads. OpenSSL's clients look from a fixed moment;
only Python's ssl, which knows no other clock than the machine's, gets material that is valid while the test runs.
"""

from __future__ import annotations

import plistlib
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from OpenSSL import SSL, crypto

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.profile import trust_profile
from ios_mdm.core.x509.issuing import issue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ios_mdm.core.x509.values import Credential

HOST = "mdm.example.com"
ELSEWHERE = "bank.example.org"
NOW = datetime(2041, 3, 1, 12, 30, 15, tzinfo=UTC)
BEFORE_THE_SWITCH = NOW + timedelta(days=350)
AFTER_MAIN_EXPIRED = NOW + timedelta(days=400)
TIMEOUT = 30

PYTHON_3_11 = ssl.VERIFY_X509_TRUSTED_FIRST
PYTHON_3_13 = PYTHON_3_11 | ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pair, and what a device knows of it."""

    main: Credential
    reserve: Credential
    trusted: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a server, ours or an impostor's, presents."""

    chain: tuple[x509.Certificate, ...]
    key: Key

    @property
    def pem(self) -> str:
        """The chain, leaf first."""
        return _pem(self.chain)


def _pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


def _pair(kind: KeyType, now: datetime) -> Pair:
    main = issue(HOST, key=kind, validity_days=397, now=now)
    reserve = issue(HOST, key=kind, validity_days=397, now=now + timedelta(days=337))
    profile = trust_profile(
        [main.certificate, reserve.certificate], identifier="com.example.trust", server="berlin", host=HOST
    )
    payloads = plistlib.loads(profile)["PayloadContent"]
    trusted = tuple(x509.load_der_x509_certificate(payload["PayloadContent"]) for payload in payloads)
    return Pair(main=main, reserve=reserve, trusted=trusted)


def _served(credential: Credential) -> Served:
    return Served(chain=(x509.load_pem_x509_certificate(credential.certificate.encode()),), key=_key(credential))


def _key(credential: Credential) -> Key:
    key = load_pem_private_key(credential.private_key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, Key)
    return key


@pytest.fixture(scope="module", params=[KeyType.EC_P256, KeyType.RSA_4096], ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    """A pair of 2041, made once a key type."""
    return _pair(request.param, NOW)


@pytest.fixture(scope="module")
def small_pair() -> Pair:
    """A pair of 2041 with EC keys, for what does not depend on the key."""
    return _pair(KeyType.EC_P256, NOW)


# Clients


def _memory_handshake(served: Served, trusted: Sequence[x509.Certificate], moment: datetime) -> None:
    """Shake hands over memory at *moment*; raise SSL.Error where the client refuses."""
    server_context = SSL.Context(SSL.TLS_SERVER_METHOD)
    server_context.use_certificate(served.chain[0])
    for issuer in served.chain[1:]:
        server_context.add_extra_chain_cert(issuer)
    server_context.use_privatekey(served.key)
    client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    client_context.set_verify(SSL.VERIFY_PEER)
    store = client_context.get_cert_store()
    assert store is not None
    for certificate in trusted:
        store.add_cert(crypto.X509.from_cryptography(certificate))
    store.set_time(moment)
    store.set_flags(crypto.X509StoreFlags.X509_STRICT)
    client, server = SSL.Connection(client_context), SSL.Connection(server_context)
    client.set_connect_state()
    server.set_accept_state()
    client.set_tlsext_host_name(HOST.encode())
    done = {client: False, server: False}
    for _ in range(10):
        for here, there in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                here.do_handshake()
                done[here] = True
            with suppress(SSL.WantReadError):
                there.bio_write(here.bio_read(2**16))
        if all(done.values()):
            return
    raise AssertionError("the handshake never ended")


def _python_handshake(
    served: Served, trusted: Sequence[x509.Certificate], host: str, folder: Path, *, flags: int = PYTHON_3_13
) -> None:
    """Shake hands with Python's own client; raise ssl.SSLError where it refuses."""
    client_context = ssl.create_default_context(cadata=_pem(trusted))
    client_context.verify_flags = ssl.VerifyFlags(flags)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = _server_context(served, folder).wrap_bio(to_server, to_client, server_side=True)
    done = {client: False, server: False}
    for _ in range(10):
        for here in (client, server):
            with suppress(ssl.SSLWantReadError):
                here.do_handshake()
                done[here] = True
        if all(done.values()):
            return
    raise AssertionError("the handshake never ended")


def _server_context(served: Served, folder: Path) -> ssl.SSLContext:
    """Return a server's context; Python takes keys from files only."""
    file = folder / "server.pem"
    file.touch(mode=0o600)
    key = served.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file.write_text(served.pem + key, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    file.unlink()
    return context


@contextmanager
def _listening(served: Served, folder: Path) -> Iterator[int]:
    """Serve one TLS connection on a free port of the loopback interface."""
    context = _server_context(served, folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(TIMEOUT)
            try:
                with connection, context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1)
            except (ssl.SSLError, OSError):
                pass  # the client refused us, which it tells itself

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(TIMEOUT)


def _openssl_client(
    served: Served, trusted: Sequence[x509.Certificate], host: str, moment: datetime, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Shake hands with ``openssl s_client``, which checks chain and host name at *moment*."""
    with _listening(served, folder) as port:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", host]
        command += ["-verify_hostname", host, "-verify_return_error", "-brief"]
        command += _trust_options(trusted, moment, folder)
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )


def _openssl_verify(
    served: Served, trusted: Sequence[x509.Certificate], host: str, moment: datetime, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Verify what is served with ``openssl verify`` at *moment*."""
    leaf, chain = folder / "leaf.pem", folder / "chain.pem"
    leaf.write_text(_pem(served.chain[:1]), encoding="ascii")
    chain.write_text(_pem(served.chain), encoding="ascii")
    command = ["openssl", "verify", "-purpose", "sslserver", "-verify_hostname", host, "-untrusted", str(chain)]
    command += [*_trust_options(trusted, moment, folder), str(leaf)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def _trust_options(trusted: Sequence[x509.Certificate], moment: datetime, folder: Path) -> list[str]:
    roots = folder / "roots.pem"
    roots.write_text(_pem(trusted), encoding="ascii")
    options = ["-x509_strict", "-attime", f"{moment.timestamp():.0f}", "-CAfile", str(roots)]
    return [*options, "-no-CApath", "-no-CAstore"]


def _python_verify(served: Served, trusted: Sequence[x509.Certificate], host: str, moment: datetime) -> None:
    """Verify what is served with cryptography's own verifier; raise VerificationError where it refuses.

    Its defaults take no CA for a server. Being lenient in this is what a device has to be.
    """
    lenient = ExtensionPolicy.webpki_defaults_ee()
    for kind in (x509.BasicConstraints, x509.NameConstraints):
        lenient = lenient.may_be_present(kind, Criticality.AGNOSTIC, None)
    builder = PolicyBuilder().store(Store(list(trusted))).time(moment)
    builder = builder.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=lenient)
    builder.build_server_verifier(x509.DNSName(host)).verify(served.chain[0], list(served.chain[1:]))


# The pair


def test_a_device_with_the_profile_accepts_main_and_then_the_reserve(pair: Pair) -> None:
    """With both as trust roots, strict OpenSSL accepts main before the switch and the reserve after it."""  # R16
    _memory_handshake(_served(pair.main), pair.trusted, BEFORE_THE_SWITCH)
    _memory_handshake(_served(pair.reserve), pair.trusted, BEFORE_THE_SWITCH)
    _memory_handshake(_served(pair.reserve), pair.trusted, AFTER_MAIN_EXPIRED)


def test_a_device_refuses_main_once_it_has_expired(pair: Pair) -> None:
    """What the reserve is for: main is refused after its expiry, profile or not."""  # R16
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        _memory_handshake(_served(pair.main), pair.trusted, AFTER_MAIN_EXPIRED)


def test_a_device_without_the_reserve_refuses_it(pair: Pair) -> None:
    """Main alone vouches for no reserve: the profile has to be there before the switch."""  # R15, R16
    main = _served(pair.main).chain
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        _memory_handshake(_served(pair.reserve), main, BEFORE_THE_SWITCH)


@needs_openssl
@pytest.mark.parametrize("slot", ["main", "reserve"])
def test_the_openssl_client_accepts_both_for_their_host(pair: Pair, slot: str, tmp_path: Path) -> None:
    """``openssl s_client`` accepts each of the pair over a socket, host name included."""  # R16, R31
    served = _served(getattr(pair, slot))
    accepted = _openssl_client(served, pair.trusted, HOST, BEFORE_THE_SWITCH, tmp_path)
    assert accepted.returncode == 0, accepted.stderr
    assert "Verification: OK" in accepted.stderr


@needs_openssl
def test_the_openssl_client_refuses_another_host(small_pair: Pair, tmp_path: Path) -> None:
    """The same certificate is refused where another host, or a subdomain, was meant."""  # R31
    for host in (ELSEWHERE, f"sub.{HOST}"):
        refused = _openssl_client(_served(small_pair.main), small_pair.trusted, host, BEFORE_THE_SWITCH, tmp_path)
        assert refused.returncode != 0
        assert "hostname mismatch" in refused.stderr.lower()


@pytest.mark.parametrize("flags", [PYTHON_3_11, PYTHON_3_13], ids=["3.11", "3.13"])
@pytest.mark.parametrize("slot", ["main", "reserve"])
def test_pythons_client_accepts_both_for_their_host(slot: str, flags: int, tmp_path: Path) -> None:
    """Python's ssl, as old and new versions set it up, accepts both for the address and for no other."""  # R16, R31
    both_valid = datetime.now(UTC).replace(microsecond=0) - timedelta(days=360)
    pair = _pair(KeyType.EC_P256, both_valid)
    served = _served(getattr(pair, slot))
    _python_handshake(served, pair.trusted, HOST, tmp_path, flags=flags)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _python_handshake(served, pair.trusted, f"sub.{HOST}", tmp_path, flags=flags)


def test_cryptographys_verifier_accepts_both(pair: Pair) -> None:
    """The verifier of pyca/cryptography accepts both, once it is told that a server may be a CA."""  # R31
    for credential in (pair.main, pair.reserve):
        _python_verify(_served(credential), pair.trusted, HOST, BEFORE_THE_SWITCH)
    with pytest.raises(VerificationError):
        _python_verify(_served(pair.main), pair.trusted, ELSEWHERE, BEFORE_THE_SWITCH)


# A stolen key


def _signed(
    signer: x509.Certificate, stolen: Key, host: str, *, key: Key | None = None, ca: bool = False, twin: bool = False
) -> Served:
    """Return what a thief of *signer*'s key makes: a certificate for *host* that the key signed."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    name: x509.GeneralName = x509.DNSName(host)
    if host[0].isdigit():
        name = x509.IPAddress(ip_address(host))
    signer_id = x509.SubjectKeyIdentifier.from_public_key(stolen.public_key())
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(signer.subject if twin else subject)
        .issuer_name(signer.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(signer.not_valid_before_utc)
        .not_valid_after(signer.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=False, decipher_only=False, **usage),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer_id), critical=False)
    )
    return Served(chain=(builder.sign(stolen, hashes.SHA256()), signer), key=own)


def _forgery(kind: str, signer: x509.Certificate, stolen: Key) -> tuple[Served, str]:
    """Return an impostor's certificate, and the host that it is an impostor of."""
    if kind == "another host":
        return _signed(signer, stolen, ELSEWHERE), ELSEWHERE
    if kind == "the same host under a fresh key":
        return _signed(signer, stolen, HOST), HOST
    if kind == "a subdomain":
        return _signed(signer, stolen, f"sub.{HOST}"), f"sub.{HOST}"
    if kind == "the stolen key itself, for another host":
        return _signed(signer, stolen, ELSEWHERE, key=stolen), ELSEWHERE
    if kind == "a twin: same name and key, without constraints":
        return _signed(signer, stolen, ELSEWHERE, key=stolen, ca=True, twin=True), ELSEWHERE
    middle = _signed(signer, stolen, "Middle", ca=True)
    leaf = _signed(middle.chain[0], middle.key, ELSEWHERE)
    return Served(chain=(*leaf.chain, signer), key=leaf.key), ELSEWHERE


FORGERIES = (
    "another host",
    "the same host under a fresh key",
    "a subdomain",
    "the stolen key itself, for another host",
    "a twin: same name and key, without constraints",
    "an intermediate, and under it another host",
)


@pytest.fixture(params=FORGERIES)
def forgery(request: pytest.FixtureRequest, small_pair: Pair) -> tuple[Served, str]:
    """What a thief of main's key could try."""
    main = _served(small_pair.main)
    return _forgery(request.param, main.chain[0], main.key)


@needs_openssl
def test_openssl_refuses_what_a_stolen_key_signs(forgery: tuple[Served, str], small_pair: Pair, tmp_path: Path) -> None:
    """``openssl verify -x509_strict`` and a handshake with ``s_client`` refuse the forged certificate."""  # R31
    served, host = forgery
    verified = _openssl_verify(served, small_pair.trusted, host, BEFORE_THE_SWITCH, tmp_path)
    assert verified.returncode != 0
    assert any(
        reason in verified.stderr
        for reason in ("key usage does not include certificate signing", "self-signed certificate", "invalid CA")
    ), verified.stderr
    refused = _openssl_client(served, small_pair.trusted, host, BEFORE_THE_SWITCH, tmp_path)
    assert refused.returncode != 0
    assert "verify error" in refused.stderr.lower() or "verify failed" in refused.stderr.lower()


def test_a_handshake_refuses_what_a_stolen_key_signs(forgery: tuple[Served, str], small_pair: Pair) -> None:
    """A TLS client that trusts the profile ends the handshake with the impostor."""  # R31
    served, _ = forgery
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        _memory_handshake(served, small_pair.trusted, BEFORE_THE_SWITCH)


def test_cryptography_refuses_what_a_stolen_key_signs(forgery: tuple[Served, str], small_pair: Pair) -> None:
    """The verifier of pyca/cryptography refuses it as well."""  # R31
    served, host = forgery
    with pytest.raises(VerificationError):
        _python_verify(served, small_pair.trusted, host, BEFORE_THE_SWITCH)


@pytest.mark.parametrize("kind", FORGERIES)
def test_pythons_client_refuses_what_a_stolen_key_signs(kind: str, tmp_path: Path) -> None:
    """Python's ssl refuses it, even where it takes any certificate of the profile for the end of a chain."""  # R31
    pair = _pair(KeyType.EC_P256, datetime.now(UTC).replace(microsecond=0) - timedelta(days=360))
    main = _served(pair.main)
    served, host = _forgery(kind, main.chain[0], main.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        _python_handshake(served, pair.trusted, host, tmp_path)


def _loosened(issued: Served, *, constrained: bool) -> Served:
    """Return the issued certificate made again with keyCertSign, and on demand without name constraints."""
    original = issued.chain[0]
    builder = x509.CertificateBuilder(
        original.issuer,
        original.subject,
        original.public_key(),
        original.serial_number,
        original.not_valid_before_utc,
        original.not_valid_after_utc,
    )
    for extension in original.extensions:
        value = extension.value
        if isinstance(value, x509.NameConstraints) and not constrained:
            continue
        if isinstance(value, x509.KeyUsage):
            bits = {name: getattr(value, name) for name in ("digital_signature", "key_encipherment", "crl_sign")}
            value = x509.KeyUsage(
                content_commitment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                encipher_only=False,
                decipher_only=False,
                **bits,
            )
        builder = builder.add_extension(value, critical=extension.critical)
    return Served(chain=(builder.sign(issued.key, hashes.SHA256()),), key=issued.key)


@needs_openssl
def test_without_its_narrowing_the_key_would_vouch_for_any_host(small_pair: Pair, tmp_path: Path) -> None:
    """The control: as an ordinary CA the same key impersonates any host; so the refusals mean something."""  # R31
    loose = _loosened(_served(small_pair.main), constrained=False)
    served = _signed(loose.chain[0], loose.key, ELSEWHERE)
    assert _openssl_verify(served, loose.chain, ELSEWHERE, BEFORE_THE_SWITCH, tmp_path).returncode == 0
    _python_verify(served, loose.chain, ELSEWHERE, BEFORE_THE_SWITCH)
    _memory_handshake(served, loose.chain, BEFORE_THE_SWITCH)


@needs_openssl
@pytest.mark.parametrize("host", [ELSEWHERE, "192.0.2.1"])
def test_name_constraints_refuse_other_names_by_themselves(small_pair: Pair, host: str, tmp_path: Path) -> None:
    """Even with keyCertSign the key could not vouch for another host or an IP address."""  # R31
    loose = _loosened(_served(small_pair.main), constrained=True)
    served = _signed(loose.chain[0], loose.key, host)
    refused = _openssl_verify(served, loose.chain, host, BEFORE_THE_SWITCH, tmp_path)
    assert "subtree violation" in refused.stderr
    with pytest.raises(SSL.Error, match="certificate verify failed"):
        _memory_handshake(served, loose.chain, BEFORE_THE_SWITCH)
    own = _signed(loose.chain[0], loose.key, HOST)
    assert _openssl_verify(own, loose.chain, HOST, BEFORE_THE_SWITCH, tmp_path).returncode == 0
