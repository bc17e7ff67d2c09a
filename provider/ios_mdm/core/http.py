"""HTTP requests and responses as values, independent of the HTTP server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_BODY", "Request", "Response"]

MAX_BODY: Final = 2 * 1024 * 1024
"""Size limit of a request body in bytes. The longest event, a list of a thousand apps, has about 1.4 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request.

    Args:
        method: HTTP method in capital letters.
        path: path with its query.
        headers: values by lower-case name; values of a repeated header are joined with a comma.
        body: at most ``MAX_BODY`` bytes; empty until it is read.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP status and one line of plain text."""

    status: int
    text: str
