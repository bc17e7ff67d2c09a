"""HTTP/1.1 connections to an MDM server. They stay open, and carry one request after the other."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from ios_mdm.address import is_loopback

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Address", "Connection"]

_OK: Final = 200
_CHECK_IN: Final = "application/x-apple-aspen-mdm-checkin"
_COMMAND: Final = "application/x-apple-aspen-mdm"
_MAX_HEAD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Address:
    """The address of an MDM server.

    Args:
        host: IP address or ``localhost``.
        port: TCP port.
        path: path of the endpoint for check-ins and commands.
        cert_header: name of the header with the identity certificate of a device, NanoMDM's ``-cert-header``.
    """

    host: str
    port: int
    path: str
    cert_header: str

    @classmethod
    def parse(cls, url: str, cert_header: str) -> Self:
        """Return the address in an ``http://`` URL.

        Raises:
            ValueError: The URL has another scheme, no port, or a host that is not a loopback address.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None or parts.port is None:
            raise ValueError(f"{url!r} is not the URL of an MDM server on loopback: use http://127.0.0.1:PORT/mdm")
        if not is_loopback(parts.hostname):
            raise ValueError(f"{url!r} is not on loopback: simulated devices connect to this machine only")
        return cls(parts.hostname, parts.port, parts.path or "/mdm", cert_header)

    def request(self, identity: bytes, message: bytes, *, is_check_in: bool = False) -> bytes:
        """Return the complete HTTP request of a message.

        Args:
            identity: identity certificate of the device, DER.
            message: message of the device, plist.
            is_check_in: whether the message is a check-in, not an answer to a command.
        """
        lines = [
            f"PUT {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Content-Type: {_CHECK_IN if is_check_in else _COMMAND}",
            f"{self.cert_header}: :{base64.b64encode(identity).decode()}:",
            f"Content-Length: {len(message)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + message


class Connection:
    """An asynchronous context manager with one open connection."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def __aenter__(self) -> Self:
        """Open the connection."""
        self._reader, self._writer = await asyncio.open_connection(
            self._address.host, self._address.port, limit=_MAX_HEAD
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._writer.close()

    async def exchange(self, request: bytes) -> bytes:
        """Send a request, and return the body of the answer 200.

        Raises:
            ConnectionError: The server closed the connection, or sent another status.
        """
        self._writer.write(request)
        try:
            status, body = await self._answer()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
            raise ConnectionError(f"the MDM server sent no complete answer: {error!r}") from error
        if status != _OK:
            raise ConnectionError(f"the MDM server answered {status}: {body[:200]!r}")
        return body

    async def _answer(self) -> tuple[int, bytes]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if fields.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        else:
            body = await self._reader.readexactly(int(fields["content-length"]))
        return int(head[0].split()[1]), body

    async def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readuntil(b"\r\n")
        return b"".join(parts)
