"""One request and its answer on a connection."""

from __future__ import annotations

import asyncio
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from ios_mdm.adapters.http_server.pace import Pace
from ios_mdm.core.http import MAX_BODY, Request, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from tornado.httputil import HTTPConnection

    from ios_mdm.adapters.http_server.limits import Limits
    from ios_mdm.adapters.http_server.work import Work
    from ios_mdm.ports import HttpHandler

__all__ = ["Exchange"]

_LENGTH: Final = re.compile(r"[0-9]{1,18}")

_log = logging.getLogger(__name__)


class Exchange(HTTPMessageDelegate):
    """Handles one request. A body is read only if the handler needs it, or if it is small."""

    def __init__(
        self, connection: HTTPConnection, handler: HttpHandler, work: Work, limits: Limits, places: asyncio.Semaphore
    ) -> None:
        self._connection = connection
        self._handler = handler
        self._work = work
        self._limits = limits
        self._places = places
        self._pace = Pace(asyncio.get_running_loop(), limits.rate, self._end_slow_sender)
        self._request: Request | None = None
        self._response: Response | None = None
        self._is_large = False
        self._has_place = False
        self._body = bytearray()

    def headers_received(self, start_line: object, headers: HTTPHeaders) -> None:
        """Decide whether the body is read, from the start line and the headers of the request."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - the connection of a server passes no other type
        named = {name.lower(): value for name, value in headers.items()}
        self._request = Request(method=start_line.method, path=start_line.path, headers=named)
        # Otherwise Tornado promises an HTTP/1.0 sender that asks for it to keep the connection, and then closes it.
        headers.pop("Connection", None)
        length = _body_length(named)
        self._is_large = length is not None and length > self._limits.small
        self._response = self._handler.answer_without_body(self._request) or _refusal(length)
        if self._response is None:
            self._pace.start(self._limits.grace if self._is_large else self._limits.patience)
        elif length is None or self._is_large or "expect" in named:
            self._respond(self._response)
        else:  # closing a connection with unread bytes resets it, and the sender loses the answer
            self._pace.start(self._limits.grace)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Keep a part of the body, unless the answer does not depend on it."""
        self._pace.add(len(chunk))
        if self._response is not None:
            return None
        self._body += chunk
        if self._is_large and not self._has_place and len(self._body) >= self._limits.first:
            return self._wait_for_place()
        return None

    async def _wait_for_place(self) -> None:
        """Read no more of a large body until one of the places for large bodies is free.

        The wait has no deadline: NanoMDM sends an event once, so a refusal loses it. The bodies that have a place have
        a deadline.
        """
        self._pace.stop()
        await self._places.acquire()
        self._has_place = True
        self._pace.start(self._limits.grace)

    def finish(self) -> None:
        """Answer a complete request."""
        assert self._request is not None  # noqa: S101 - Tornado calls headers_received first
        self._pace.stop()
        if self._response is not None:
            self._respond(self._response)
            return
        one = self._request
        request = Request(method=one.method, path=one.path, headers=one.headers, body=bytes(self._body))
        self._body.clear()
        self._work.add(request, self._respond)

    def on_connection_close(self) -> None:
        """Drop a request whose sender closed the connection or was too slow."""
        self._body.clear()
        self._release()

    def _end_slow_sender(self) -> None:
        if self._response is None:
            _log.warning("refused a request: 408 the body arrived too slowly")
        self._respond(self._response or Response(status=408, text="the body arrived too slowly"))

    def _respond(self, response: Response) -> None:
        self._response = response
        self._release()
        content = f"{response.text}\n".encode()
        headers = HTTPHeaders({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(content))})
        line = ResponseStartLine("HTTP/1.1", response.status, HTTPStatus(response.status).phrase)
        is_head = self._request is not None and self._request.method == "HEAD"
        self._connection.write_headers(line, headers, None if is_head else content)
        self._connection.finish()

    def _release(self) -> None:
        self._pace.stop()
        if self._has_place:
            self._has_place = False
            self._places.release()


def _body_length(headers: Mapping[str, str]) -> int | None:
    """Return the number of bytes of the body, or None if the headers do not state exactly one length."""
    found = _LENGTH.fullmatch(headers.get("content-length", ""))
    return None if found is None or "transfer-encoding" in headers else int(found[0])


def _refusal(length: int | None) -> Response | None:
    if length is None:
        return Response(status=411, text="send Content-Length, and no Transfer-Encoding")
    return Response(status=413, text=f"the body has more than {MAX_BODY} bytes") if length > MAX_BODY else None
