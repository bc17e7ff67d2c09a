"""HTTP requests and answers as values, from any server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_BODY", "Request", "Response"]

MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes. The longest event is a device's list of its apps: about 1.4 MB for a thousand apps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request.

    Args:
        method: in capital letters.
        path: with its query.
        headers: by name in small letters; values of a repeated header are joined with a comma.
        body: at most ``MAX_BODY`` bytes; empty as long as it is not read.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The answer to a request: an HTTP status, and one line of plain text."""

    status: int
    text: str
