"""Reads the ServerHello at the start of the bytes that a server sends.

Python's ``ssl`` does not report whether a server supports the extended master secret. pyOpenSSL can, but it loads
cryptography, which a preview does not need otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EXTENDED_MASTER_SECRET", "ServerHello", "server_hello"]

EXTENDED_MASTER_SECRET = 0x0017
"""Number of the extension (RFC 7627, 5.1)."""
_SUPPORTED_VERSIONS = 0x002B
_ALERT_RECORD, _HANDSHAKE_RECORD = 0x15, 0x16
_WARNING = b"\1"
"""Level of an alert after which the handshake continues. Some servers send one if they do not know the server name."""
_MAX_ALERTS = 4
_MAJOR_VERSION = 3
_SERVER_HELLO = 2
_HEADER = 4
"""Octets of the type and of the length of a message."""
_MAX_RECORD = 1 << 14
_MAX_HELLO = 1 << 16
"""Limit for the length of the message. A ServerHello without extensions of unusual size needs about 100 bytes."""
_RANDOM = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHello:
    """The choices of a server (RFC 5246, 7.4.1.3; RFC 8446, 4.1.3).

    Args:
        version: chosen protocol version, ``0x0303`` for TLS 1.2 and ``0x0304`` for TLS 1.3.
        cipher: number of the chosen cipher suite.
        extensions: numbers of the extensions. In TLS 1.3, most extensions are encrypted and not in this message.
    """

    version: int
    cipher: int
    extensions: frozenset[int]


class _Reader:
    """Reads numbers and octets from bytes. An incomplete value is a ``ValueError``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def octets(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise ValueError("the message ends too early")
        found = self._data[self._position : end]
        self._position = end
        return found

    def number(self, count: int) -> int:
        return int.from_bytes(self.octets(count), "big")

    def rest(self) -> bytes:
        return self.octets(len(self._data) - self._position)

    def part(self, length_octets: int) -> _Reader:
        """Return a reader of the next octets, whose count is a number of *length_octets* octets before them."""
        return _Reader(self.octets(self.number(length_octets)))


def server_hello(received: bytes) -> ServerHello | None:
    """Return the first ServerHello of a server, or None if it is incomplete, malformed or not the first message.

    Args:
        received: bytes of the server since the start of the connection; more bytes can follow the message.
    """
    try:
        return _hello(_Reader(_first_message(received)))
    except ValueError:
        return None


def _first_message(received: bytes) -> bytes:
    """Return the content of the first handshake message, which can extend over several records."""
    records = _Reader(received)
    fragments = b""
    alerts = 0
    while True:
        kind, major, _minor, record = records.number(1), records.number(1), records.number(1), records.part(2)
        content = record.rest()
        if kind == _ALERT_RECORD and not fragments and content[:1] == _WARNING and alerts < _MAX_ALERTS:
            alerts += 1
            continue
        if kind != _HANDSHAKE_RECORD or major != _MAJOR_VERSION or not 0 < len(content) <= _MAX_RECORD:
            raise ValueError("not a handshake record")
        fragments += content
        if len(fragments) < _HEADER:
            continue
        message = _Reader(fragments)
        if message.number(1) != _SERVER_HELLO:
            raise ValueError("another message")
        size = message.number(3)
        if size > _MAX_HELLO:
            raise ValueError("a message of an invalid length")
        if len(fragments) - _HEADER >= size:
            return message.octets(size)


def _hello(message: _Reader) -> ServerHello:
    version = message.number(2)
    message.octets(_RANDOM)
    message.part(1)  # session id
    cipher = message.number(2)
    message.number(1)  # compression method
    found: set[int] = set()
    extensions = message.part(2) if message else _Reader(b"")
    if message:
        raise ValueError("octets after the message")
    while extensions:
        kind, content = extensions.number(2), extensions.part(2)
        if kind in found:
            raise ValueError("an extension occurs twice")
        found.add(kind)
        if kind == _SUPPORTED_VERSIONS:
            version = content.number(2)
    return ServerHello(version=version, cipher=cipher, extensions=frozenset(found))
