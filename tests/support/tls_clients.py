"""TLS clients that trust the certificates of a profile, and pairs for the servers that they connect to."""

from __future__ import annotations

import plistlib
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from OpenSSL import SSL, crypto

from ios_mdm.core.profile import trust_profile
from ios_mdm.core.x509.issuing import issue
from tests.support.verifiers import LIMIT, Key, Served, pem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from ios_mdm.core.pair.definition import KeyType
    from ios_mdm.core.x509.values import Credential

__all__ = [
    "HOST",
    "PYTHON_3_11",
    "PYTHON_3_13",
    "Pair",
    "made_pair",
    "memory_handshake",
    "openssl_client",
    "python_handshake",
    "root_of",
    "served_by",
]

HOST = "mdm.example.com"

PYTHON_3_11 = ssl.VERIFY_X509_TRUSTED_FIRST
PYTHON_3_13 = PYTHON_3_11 | ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pair whose main was issued at *now*, and the certificates that a device trusts."""

    now: datetime
    main: Credential
    reserve: Credential
    trusted: tuple[x509.Certificate, ...]


def made_pair(kind: KeyType, now: datetime) -> Pair:
    """Return a pair whose reserve was issued 60 days before main expires."""
    main = issue(HOST, key=kind, validity_days=397, now=now)
    reserve = issue(HOST, key=kind, validity_days=397, now=now + timedelta(days=337))
    profile = trust_profile([main.chain, reserve.chain], identifier="com.example.trust", server="berlin", host=HOST)
    payloads = plistlib.loads(profile)["PayloadContent"]
    trusted = tuple(x509.load_der_x509_certificate(payload["PayloadContent"]) for payload in payloads)
    return Pair(now=now, main=main, reserve=reserve, trusted=trusted)


def served_by(credential: Credential) -> Served:
    """Return the chain and key of a server with this credential."""
    return Served(chain=(x509.load_pem_x509_certificate(credential.certificate.encode()),), key=_key(credential))


def _key(credential: Credential) -> Key:
    key = load_pem_private_key(credential.private_key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, Key)
    return key


def root_of(credential: Credential) -> x509.Certificate:
    """Return the root of a credential."""
    return x509.load_pem_x509_certificate(credential.root.encode())


def memory_handshake(served: Served, trusted: Sequence[x509.Certificate], moment: datetime) -> None:
    """Do a handshake in memory at a given time; raise SSL.Error if the client refuses."""
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
    raise AssertionError("the handshake does not end")


def python_handshake(
    served: Served, trusted: Sequence[x509.Certificate], host: str, folder: Path, *, flags: int = PYTHON_3_13
) -> None:
    """Do a handshake with Python's TLS client; raise ssl.SSLError if the client refuses."""
    client_context = ssl.create_default_context(cadata=pem(trusted))
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
    raise AssertionError("the handshake does not end")


def _server_context(served: Served, folder: Path) -> ssl.SSLContext:
    """Return a server's context; Python loads keys from files only."""
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
        listener.settimeout(LIMIT)

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(LIMIT)
            try:
                with connection, context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1)
            except (ssl.SSLError, OSError):
                pass  # the client refused and reports the reason

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(LIMIT)


def openssl_client(
    served: Served, trusted: Sequence[x509.Certificate], host: str, moment: datetime, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Do a handshake with ``openssl s_client``, which checks chain and host name at a given time."""
    with _listening(served, folder) as port:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", host]
        command += ["-verify_hostname", host, "-verify_return_error", "-brief"]
        command += _trust_options(trusted, moment, folder)
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LIMIT
        )


def _trust_options(trusted: Sequence[x509.Certificate], moment: datetime, folder: Path) -> list[str]:
    roots = folder / "roots.pem"
    roots.write_text(pem(trusted), encoding="ascii")
    options = ["-x509_strict", "-attime", f"{moment.timestamp():.0f}", "-CAfile", str(roots)]
    return [*options, "-no-CApath", "-no-CAstore"]
