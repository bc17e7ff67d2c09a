"""Finds the PEM blocks of a text (RFC 7468), whatever encoding, line ends and text around them it has."""

from __future__ import annotations

import base64
import codecs
import re
from dataclasses import dataclass
from functools import partial

from ios_mdm.core.bundle.library import attempt
from ios_mdm.core.bundle.model import unreadable

__all__ = ["Block", "blocks"]

_MARKER = re.compile(r"-----(BEGIN|END) ([A-Z0-9 ]{1,64})-----")
_HEADERS = re.compile(r"\s*(?:[A-Za-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
_DEK_INFO = re.compile(r"^DEK-Info:(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Block:
    """A PEM block.

    Args:
        label: what its BEGIN line says, for example ``CERTIFICATE``.
        data: its contents without Base64.
        dek_info: how it is encrypted, by its headers.
    """

    label: str
    data: bytes
    dek_info: str | None


def blocks(data: bytes) -> list[Block]:
    """Return the blocks of a text, none where it is no PEM.

    Raises:
        BundleError: A block is cut off or damaged.
    """
    # split, not one expression for a whole block: that takes quadratic time where no block has an end.
    _, *pieces = _MARKER.split(_text(data))
    marks = list(zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True))
    found: list[Block] = []
    for number, ((begin, label, body), ending) in enumerate(zip(marks[::2], [*marks[1::2], None], strict=False), 1):
        if begin != "BEGIN" or ending is None or ending[:2] != ("END", label):
            raise unreadable(
                f"the PEM block {number} has no matching BEGIN and END line: "
                "the file is cut off or badly pasted, copy it again as a whole"
            )
        found.append(_block(number, label, body))
    return found


def _text(data: bytes) -> str:
    """Return the text. PEM is ASCII; what is around the blocks may be anything, and Latin-1 reads anything."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # PowerShell's redirection writes UTF-16
        return data.decode("utf-16", "replace")
    return data.decode("latin-1")


def _block(number: int, label: str, body: str) -> Block:
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    headers = _HEADERS.match(body)
    dek_info = _DEK_INFO.search(headers.group()) if headers else None
    text = "".join(body[headers.end() if headers else 0 :].split())
    data = attempt(partial(base64.b64decode, text, validate=True))
    if not data and r"\n" in text:  # as in JSON, which secrets are often kept in
        raise unreadable(
            r"the line ends of the PEM blocks are written as \n, as in JSON: take the text out of it, for example with "
            "jq -j, or write real line ends"
        )
    if not data:
        raise unreadable(f"the PEM block {number} ({label}) is not Base64: the file is damaged, copy it again")
    return Block(label=label, data=data, dek_info=dek_info.group(1) if dek_info else None)
