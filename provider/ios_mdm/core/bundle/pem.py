"""Finds the PEM blocks of a text (RFC 7468) with any line ends and any text around the blocks."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from functools import partial

from ios_mdm.core.bundle.model import unreadable_error
from ios_mdm.core.library import attempt

__all__ = ["Block", "blocks"]

_MARKER = re.compile(r"-----(BEGIN|END) ([A-Z0-9 #._/]{1,64})-----")
_HEADERS = re.compile(r"\s*(?:[A-Za-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
_DEK_INFO = re.compile(r"^DEK-Info:(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Block:
    """A PEM block.

    Args:
        label: label of the BEGIN line, for example ``CERTIFICATE``.
        data: contents, decoded from Base64.
        dek_info: value of the ``DEK-Info`` header, which names the encryption.
    """

    label: str
    data: bytes
    dek_info: str | None


def blocks(text: str) -> list[Block]:
    """Return the blocks of a text; empty if the text is not PEM.

    Raises:
        BundleError: A block is cut off or damaged.
    """
    # One expression for a whole block would take quadratic time if no block has an end.
    _, *pieces = _MARKER.split(text)
    marks = list(zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True))
    found: list[Block] = []
    for number, ((begin, label, body), ending) in enumerate(zip(marks[::2], [*marks[1::2], None], strict=False), 1):
        if begin != "BEGIN" or ending is None or ending[:2] != ("END", label):
            raise unreadable_error(
                f"the PEM block {number} has no matching BEGIN and END lines, so a part of the file is missing: "
                "copy the whole file again"
            )
        found.append(_block(number, label, body))
    return found


def _block(number: int, label: str, body: str) -> Block:
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    headers = _HEADERS.match(body)
    dek_info = _DEK_INFO.search(headers.group()) if headers else None
    text = "".join(body[headers.end() if headers else 0 :].split())
    data = attempt(partial(base64.b64decode, text, validate=True))
    if not data and r"\n" in text:  # copied from JSON, in which secrets are often stored
        raise unreadable_error(
            r"the PEM blocks contain the two characters \n instead of line ends, as in JSON: "
            "extract the text from the JSON, for example with jq -j, or write real line ends"
        )
    if not data and label.startswith("PGP "):  # has a checksum after the Base64
        return Block(label=label, data=b"", dek_info=None)
    if not data:
        raise unreadable_error(f"the PEM block {number} ({label}) is not Base64: the file is damaged, copy it again")
    return Block(label=label, data=data, dek_info=dek_info.group(1) if dek_info else None)
