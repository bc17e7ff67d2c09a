"""Reads the password in a file or a secret."""

from __future__ import annotations

from ios_mdm.core.bundle.encoding import utf16_encoding
from ios_mdm.errors import IosMdmError

__all__ = ["MAX_PASSWORD_BYTES", "PasswordError", "decoded_text", "password_text"]

MAX_PASSWORD_BYTES = 4 << 10
"""Size limit of a password file in bytes."""


class PasswordError(IosMdmError):
    """The data holds no usable password. The message continues the name of the file, and quotes nothing of it."""


def password_text(data: bytes) -> str:
    """Return the password: the first line of the text, with its spaces and without its line end.

    Raises:
        PasswordError: The data is not text, or another line has text, too.
    """
    text = decoded_text(data)
    if text is None:
        raise PasswordError("is not UTF-8 text: save the password as UTF-8 text")
    first, *others = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(others, 2):
        if line.strip():
            raise PasswordError(
                f"has text in line {number}: keep only the password, in the first line, and remove all other lines"
            )
    return first


def decoded_text(data: bytes) -> str | None:
    """Return the text of UTF-8 or UTF-16, with or without a byte order mark, or None if the data is not such text."""
    try:
        return data.decode(utf16_encoding(data) or "utf-8-sig")
    except UnicodeDecodeError:
        return None
