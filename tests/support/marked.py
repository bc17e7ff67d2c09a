"""Files and values with recognizable content, each of a kind that a definition can name by mistake."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

__all__ = ["MARKED", "Marked"]

_MARK = "hush"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Content that no output may quote.

    Args:
        content: content of the file or the secret.
        parts: texts to search for.
    """

    content: bytes
    parts: tuple[str, ...]

    def quoted_parts(self, output: str) -> list[str]:
        """Return the parts that are in *output*."""
        return [part for part in self.parts if part.casefold() in output.casefold()]


_BODY = [base64.b64encode(f"{_MARK} line {number} of a private key".encode()).decode() for number in range(1, 9)]
_PEM = "\n".join(["-----BEGIN PRIVATE KEY-----", *_BODY, "-----END PRIVATE KEY-----", ""])

MARKED = {
    "a private key": Marked(content=_PEM.encode(), parts=tuple(line[:12] for line in _BODY)),
    "a damaged private key": Marked(
        content="\n".join([*_BODY[:3], "?", *_BODY[3:]]).encode(), parts=tuple(line[:12] for line in _BODY)
    ),
    "the JSON of a pair": Marked(
        content=json.dumps({"tls.key": _PEM, f"{_MARK}.name": f"{_MARK} value"}).encode(),
        parts=(_MARK, *(line[:12] for line in _BODY)),
    ),
    "YAML": Marked(content=f"{_MARK}.1: {_MARK} value\nother: [{_MARK}\n".encode(), parts=(_MARK,)),
    "a YAML mapping": Marked(content=f"{_MARK}/1: {_MARK} value\nother: {_MARK} !\n".encode(), parts=(_MARK,)),
    "a password": Marked(content=f"{_MARK} and more {_MARK}!\n".encode(), parts=(_MARK,)),
    "bytes": Marked(content=b"\x30\x82\x01\x00" + _MARK.encode() * 64 + b"\xff\0", parts=(_MARK,)),
    "Latin-1": Marked(content=f"{_MARK} \xe4 {_MARK}\n".encode("latin-1"), parts=(_MARK,)),
}
"""By kind."""
