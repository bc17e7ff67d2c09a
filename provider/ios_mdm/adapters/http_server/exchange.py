"""One request and its answer on a connection."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from ios_mdm.core.http import MAX_BODY, Request, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tornado.httputil import HTTPConnection

    from ios_mdm.adapters.http_server.limits import Limits
    from ios_mdm.adapters.http_server.work import Work
    from ios_mdm.ports import HttpHandler

__all__ = ["Exchange"]

_LENGTH: Final = re.compile(r"[0-9]{1,18}")


@dataclass(slots=True)
class Exchange(HTTPMessageDelegate):
    """One request and its answer. A body is read only if the handler needs it, or if it is small."""

    _connection: HTTPConnection
    _handler: HttpHandler
    _work: Work
    _limits: Limits
    _large: asyncio.Semaphore
    _request: Request | None = None
    _response: Response | None = None
    _is_large: bool = False
    _body: bytearray = field(default_factory=bytearray)

    def headers_received(self, start_line: object, headers: HTTPHeaders) -> Awaitable[None] | None:
        """Decide from the head of the request whether its body is read."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - the connection of a server passes no other type
        named = {name.lower(): value for name, value in headers.items()}
        self._request = Request(method=start_line.method, path=start_line.path, headers=named)
        self._response = self._handler.answer_without_body(self._request)
        length = named.get("content-length", "0" if self._response and "transfer-encoding" not in named else "")
        if _LENGTH.fullmatch(length) is None:
            self._respond(self._response or Response(status=411, text="send the length of the body"))
        elif int(length) > MAX_BODY:
            self._respond(self._response or Response(status=413, text=f"more than {MAX_BODY} bytes"))
        elif int(length) > self._limits.small:
            if self._response is not None:
                self._respond(self._response)
            else:
                return self._wait_for_turn()
        return None

    async def _wait_for_turn(self) -> None:
        """Wait until fewer connections than the limit send large bodies."""
        try:
            async with asyncio.timeout(self._limits.patience):
                self._is_large = await self._large.acquire()
        except TimeoutError:
            self._respond(Response(status=503, text="too many large bodies at once"))

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, unless the answer does not depend on it."""
        if self._response is None:
            self._body += chunk

    def finish(self) -> None:
        """Answer a complete request."""
        assert self._request is not None  # noqa: S101 - its head came first
        if self._response is not None:
            self._respond(self._response)
            return
        one = self._request
        request = Request(method=one.method, path=one.path, headers=one.headers, body=bytes(self._body))
        self._body.clear()
        self._work.add(request, self._respond)

    def on_connection_close(self) -> None:
        """Forget a request whose sender has hung up, or was too slow."""
        self._body.clear()
        self._release()

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
        if self._is_large:
            self._is_large = False
            self._large.release()
