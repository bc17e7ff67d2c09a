"""Files that are refused before they are read: of another kind, endless, or too large."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MARK", "ODD_FILES", "odd_file"]

MARK: Final = "f00dfeed"
"""Content of the file that is too large. No message may contain it."""

ODD_FILES: Final[Mapping[str, str]] = {
    "folder": "cannot be read: Is a directory",
    "pipe": "cannot be read: it is a named pipe, not a file",
    "device": "cannot be read: it is a device, not a file",
    "large": "is larger than",
    "missing": "cannot be read: No such file or directory",
}
"""For each kind of file, the part of the error that follows the file's name."""


def odd_file(kind: str, path: Path) -> None:
    """Create a file of this kind."""
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "large":
            path.write_text(MARK)
            os.truncate(path, 1 << 30)  # sparse: uses no space
