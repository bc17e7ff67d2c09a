"""A definition may name any file: an endless file, a pipe, a folder or a large file is one error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.app.devices import listed_devices
from ios_mdm.core.bundle import BundleError
from ios_mdm.errors import DefinitionError
from tests.support.custom_files import PASSWORD
from tests.support.desk import Desk, desk, leaf
from tests.support.odd_files import MARK, ODD_FILES, odd_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.custom_files import Leaf

__all__ = ["desk", "leaf"]


@pytest.mark.parametrize("kind", ODD_FILES)
def test_a_list_of_devices(kind: str, tmp_path: Path) -> None:
    """One error with the name of the file."""  # R39, R40
    odd_file(kind, tmp_path / "odd")
    with pytest.raises(DefinitionError, match=rf"^distribution\.devices\.file: odd {ODD_FILES[kind]}") as error:
        listed_devices(tmp_path / "odd")
    assert MARK not in str(error.value)


def test_a_list_of_a_hundred_thousand_devices_is_read(tmp_path: Path) -> None:
    """The limit is far above any fleet."""  # R40
    ids = [f"{number:040x}" for number in range(100_000)]
    (tmp_path / "devices.txt").write_text("\n".join(ids), encoding="ascii")
    assert listed_devices(tmp_path / "devices.txt") == tuple(ids)


@pytest.mark.parametrize("kind", ODD_FILES)
@pytest.mark.parametrize("key", ["bundle", "passwordFile", "trust"])
def test_a_file_of_a_custom_certificate(desk: Desk, leaf: Leaf, key: str, kind: str) -> None:
    """The error has the key and the name of the file. A large bundle has an error with a code of R18."""  # R39, R40
    odd_file(kind, desk.folder / "odd")
    (desk.folder / "b.pfx").write_bytes(leaf.pfx())
    desk.environ = {"P": PASSWORD}
    password = {} if key == "passwordFile" else {"passwordEnv": "P"}
    install: dict[str, Any] = {"bundle": "b.pfx", **password, key: ["odd"] if key == "trust" else "odd"}
    words = rf"^reserve\.install\.{key}: odd {ODD_FILES[kind]}"
    if (key, kind) == ("bundle", "large"):
        words = "^the file is larger than 1024 KiB"
    with pytest.raises((DefinitionError, BundleError), match=words) as error:
        desk.read(**install)
    assert MARK not in str(error.value)
