"""Makes TLS handshakes in memory with a certificate and its key, as they are stored.

The server is OpenSSL by pyOpenSSL, which takes a private key from memory. Each of the two clients checks something that
the other one cannot check: pyOpenSSL takes the time of the check, and Python's ``ssl`` compares the host name. Both
verify the chain and the signature of the private key, without ``X509_V_FLAG_X509_STRICT``.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto

from ios_mdm.core.x509.credential import credential_problem
from ios_mdm.core.x509.extensions import extension
from ios_mdm.core.x509.openssl_contexts import CIPHERS, compare_name, openssl_context
from ios_mdm.core.x509.pem import chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ios_mdm.core.x509.values import Credential

__all__ = ["HandshakeFailure", "Handshakes", "handshake_failure"]

_MAX_TURNS = 10
"""Limit for the turns of each side. A complete handshake needs three."""
_MAX_FLIGHT = 1 << 20
"""Limit for the bytes that one side sends in a turn. A chain of 200 certificates needs less."""
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""``X509_V_FLAG_NO_CHECK_TIME`` of OpenSSL: ``ssl`` has no name for it, and passes it on."""
_INVALID_PURPOSE = 26
"""``X509_V_ERR_INVALID_PURPOSE`` of OpenSSL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeFailure:
    """Reason why a handshake fails.

    Args:
        reason: OpenSSL's reason, one line, without any part of the private key.
        number: number of OpenSSL's verification error (``X509_V_ERR_…``); None if the verification did not fail.
        certificate: certificate that OpenSSL refuses; the leaf if OpenSSL does not name one.
    """

    reason: str
    number: int | None
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshakes:
    """A certificate as it is stored, and the two handshakes with it.

    Args:
        certificates: leaf and its issuers; the root is included only if the leaf is the root.
        private_key: unencrypted PKCS#8 PEM.
        root: only certificate that the clients trust.
        host: connection address without its port, in A-labels.
        at: time at which the certificate must be valid, aware UTC.
    """

    certificates: tuple[x509.Certificate, ...]
    private_key: str
    root: x509.Certificate
    host: str
    at: datetime

    def failure(self) -> HandshakeFailure | None:
        """Return why one of the clients refuses the certificate, or None if both accept it."""
        try:
            server = self.server_context(self.certificates)
            return self._failure_at_time(server) or self._failure_of_name(server)
        except (SSL.Error, crypto.Error, ssl.SSLError, ValueError, TypeError) as error:
            return HandshakeFailure(reason=_reason(error), number=None, certificate=self.certificates[0])

    def server_context(self, certificates: tuple[x509.Certificate, ...]) -> SSL.Context:
        """Return the context of a server that presents *certificates*, leaf first."""
        context = openssl_context(SSL.TLS_SERVER_METHOD)
        context.set_verify(SSL.VERIFY_NONE)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_certificate(certificates[0])
        for issuer in certificates[1:]:
            context.add_extra_chain_cert(issuer)
        key = load_pem_private_key(self.private_key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        context.use_privatekey(key)  # type: ignore[arg-type] # a key of another type raises TypeError
        return context

    def client_context_at_time(self) -> SSL.Context:
        """Return the context of the client that has the time of the check, and compares no host name."""
        context = openssl_context(SSL.TLS_CLIENT_METHOD)
        if (store := context.get_cert_store()) is not None:
            store.add_cert(crypto.X509.from_cryptography(self.root))
            store.set_time(self.at)
        return context

    def client_context_with_name(self, anchor: x509.Certificate) -> ssl.SSLContext:
        """Return the context of the client that trusts *anchor*, compares the host name and ignores all dates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with suppress(ssl.SSLError):  # Python can be built with a library that has no security levels
            context.set_ciphers(CIPHERS)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED
        context.hostname_checks_common_name = False
        context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        context.load_verify_locations(cadata=anchor.public_bytes(Encoding.DER))
        return context

    def _failure_at_time(self, server: SSL.Context, *, compares_name: bool = False) -> HandshakeFailure | None:
        """Return why a client refuses the certificate at the time of the check, or else, if asked, for the host."""
        refused: list[HandshakeFailure] = []

        def is_accepted(
            _connection: SSL.Connection, found: crypto.X509, number: int, _depth: int, is_good: int
        ) -> bool:
            certificate = found.to_cryptography()
            if is_good or (number == _INVALID_PURPOSE and _is_for_any_purpose(certificate)):
                return True
            refused.append(HandshakeFailure(reason=_verification_error(number), number=number, certificate=certificate))
            return False

        context = self.client_context_at_time()
        context.set_verify(SSL.VERIFY_PEER, is_accepted)
        client = SSL.Connection(context)
        client.set_tlsext_host_name(self.host.encode())
        if compares_name:
            compare_name(client, self.host)
        client.set_connect_state()
        try:
            _shake_hands(partial(_openssl_turn, client), server)
        except SSL.Error:
            if not refused:
                raise
        return refused[0] if refused else None

    def _failure_of_name(self, server: SSL.Context) -> HandshakeFailure | None:
        """Return why a client refuses the certificate for the host."""
        anchor, presenter = self.root, server
        if any(map(_is_for_any_purpose, (*self.certificates[1:], self.root))):
            # OpenSSL refuses these issuers, and `ssl` cannot tolerate it. The other client has verified the chain.
            anchor, presenter = self.certificates[0], self.server_context(self.certificates[:1])
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.client_context_with_name(anchor).wrap_bio(received, sent, server_hostname=self.host)
        try:
            _shake_hands(partial(_python_turn, client, received, sent), presenter)
        except ssl.SSLCertVerificationError as error:
            return HandshakeFailure(
                reason=error.verify_message, number=error.verify_code, certificate=self.certificates[0]
            )
        except (ssl.SSLError, SSL.Error):
            # The other client completed a handshake with this server, so the reason is the configuration of OpenSSL,
            # of which `ssl` can set only a part.
            return self._failure_at_time(server, compares_name=True)
        return None


def handshake_failure(credential: Credential, *, host: str, at: datetime) -> HandshakeFailure | None:
    """Return why a TLS client refuses a certificate as it is stored, or None if both clients accept it.

    Args:
        credential: certificate, key and root.
        host: connection address without its port, in A-labels.
        at: time at which the certificate must be valid, aware UTC.
    """
    certificates = chain(credential.certificate)
    (root,) = chain(credential.root)
    # OpenSSL can hang in a signature with an RSA key whose numbers do not fit together.
    if (problem := credential_problem(credential)) is not None:
        return HandshakeFailure(reason=problem, number=None, certificate=certificates[0])
    handshakes = Handshakes(certificates=certificates, private_key=credential.private_key, root=root, host=host, at=at)
    return handshakes.failure()


def _shake_hands(client: Callable[[bytes], tuple[bytes, bool]], context: SSL.Context) -> None:
    """Pass the bytes of a handshake between a client and a server until it is complete.

    Args:
        client: takes the bytes that the server sent, and returns the bytes for the server, and whether the handshake is
            complete for the client.
        context: context of the server.

    Raises:
        SSL.Error: A side of pyOpenSSL refuses the handshake.
        ssl.SSLError: A side of ``ssl`` refuses the handshake.
    """
    server = SSL.Connection(context)
    server.set_accept_state()
    flight = b""
    for _ in range(_MAX_TURNS):
        flight, is_client_done = client(flight)
        flight, is_server_done = _openssl_turn(server, flight)
        if is_client_done and is_server_done:
            return
    raise SSL.Error([("", "", "the handshake does not end")])


def _openssl_turn(connection: SSL.Connection, received: bytes) -> tuple[bytes, bool]:
    """Continue a handshake of pyOpenSSL. Return the bytes to send, and whether the handshake is complete."""
    is_done = False
    sent = b""
    if received:
        connection.bio_write(received)
    with suppress(SSL.WantReadError):
        connection.do_handshake()
        is_done = True
    with suppress(SSL.WantReadError):
        sent = connection.bio_read(_MAX_FLIGHT)
    return sent, is_done


def _python_turn(
    client: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, received: bytes
) -> tuple[bytes, bool]:
    """Continue a handshake of ``ssl``. Return the bytes to send, and whether the handshake is complete."""
    is_done = False
    incoming.write(received)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
        is_done = True
    return outgoing.read(), is_done


def _is_for_any_purpose(certificate: x509.Certificate) -> bool:
    """Return whether an extended key usage has any purpose instead of serverAuth; OpenSSL refuses that (R23)."""
    usage = extension(certificate, x509.ExtendedKeyUsage) or ()
    return ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage and ExtendedKeyUsageOID.SERVER_AUTH not in usage


def _verification_error(number: int) -> str:
    """Return OpenSSL's text of a verification error."""
    return str(Binding.ffi.string(Binding.lib.X509_verify_cert_error_string(number)), "ascii")


def _reason(error: Exception) -> str:
    """Return OpenSSL's reason in an error, without other texts, which could quote the input (R29)."""
    match error:
        case ssl.SSLError(reason=str(reason)):
            return reason.replace("_", " ").lower()
        case SSL.Error(args=([(_, _, str(reason)), *_],)) | crypto.Error(args=([(_, _, str(reason)), *_],)):
            return reason
    return "the private key or a certificate cannot be loaded"
