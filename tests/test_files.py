"""Files that a definition or an option names are read up to a size limit, without waiting."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from ios_mdm.errors import DefinitionError
from ios_mdm.files import KIB, file_content, file_start
from tests.support.odd_files import MARK, ODD_FILES, odd_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_of_the_limit_is_read(tmp_path: Path) -> None:
    """A file with one more byte is refused."""  # R40
    file = tmp_path / "file"
    file.write_bytes(b"x" * KIB)
    assert file_content(file, limit=KIB, named="key: file") == b"x" * KIB
    file.write_bytes(b"x" * (KIB + 1))
    with pytest.raises(DefinitionError, match=r"^key: file is larger than 1 KiB: check that this is the right file$"):
        file_content(file, limit=KIB, named="key: file")
    assert file_start(file, size=KIB, named="key: file") == b"x" * KIB


@pytest.mark.parametrize("kind", ODD_FILES)
def test_another_kind_of_file_is_one_error(kind: str, tmp_path: Path) -> None:
    """The error names the file and quotes nothing, and reading does not wait for a writer."""  # R39, R40
    odd_file(kind, tmp_path / "odd")
    with pytest.raises(DefinitionError, match=f"^key: odd {ODD_FILES[kind]}") as error:
        file_content(tmp_path / "odd", limit=KIB, named="key: odd")
    assert MARK not in str(error.value)
    assert error.value.__cause__ is None


def test_a_name_with_a_zero_byte_is_one_error(tmp_path: Path) -> None:
    """Python raises another type of error for such a name."""  # R39
    with pytest.raises(DefinitionError, match=r"^key cannot be read: its name has a zero byte$"):
        file_content(tmp_path / "a\0b", limit=KIB, named="key")


def test_an_option_may_name_a_pipe(tmp_path: Path) -> None:
    """A shell creates a pipe for ``<(command)``."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"secret",))
    writer.start()
    assert file_content(pipe, limit=KIB, named="--password-file pipe", allows_pipe=True) == b"secret"
    writer.join()
