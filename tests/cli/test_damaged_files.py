"""No bytes of a file that an option or a definition names cause another error than the project's errors (R18, R29)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.__main__ import app
from ios_mdm.app.bundles import BundleReader, Circumstances
from ios_mdm.core.pair.definition import Slot
from ios_mdm.errors import IosMdmError
from ios_mdm.settings import InstallReserveSettings
from tests.support.bundles import PASSWORD
from tests.support.certificates import HOST, NOW, pem, private_pem
from tests.support.long import bounds
from tests.support.mutations import WHOLE, bundles, certificate_files, password_files
from tests.support.sealed import READER

if TYPE_CHECKING:
    from pathlib import Path

AT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
BY = Circumstances(host=HOST, now=NOW, slot=Slot.RESERVE)
OPTIONS = ("trust", "root", "current", "password-file")
GOOD = {
    "bundle": private_pem(WHOLE.keys[0]) + pem(*WHOLE.chain),
    "trust": pem(*WHOLE.chain[1:]),
    "root": pem(WHOLE.root),
    "current": pem(*WHOLE.chain),
    "password-file": PASSWORD.encode(),
}
many = settings(
    max_examples=bounds(300, long=5000),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that pass."""
    made = tmp_path_factory.mktemp("files")
    for name, data in GOOD.items():
        (made / name).write_bytes(data)
    return made


def use(folder: Path, name: str, data: bytes) -> int:
    """Read the files with `validate` and as the files of a definition, one of them changed; return the exit code."""
    (folder / name).write_bytes(data)
    try:
        options = [part for option in OPTIONS for part in (f"--{option}", str(folder / option))]
        form = ["--json"] if len(data) % 2 else []
        command = ["validate", str(folder / "bundle"), "--address", HOST, "--at", AT, *options, *form]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code in {0, 1, 2}
        assert "this is a bug" not in result.output
        assert PASSWORD not in result.output
        install = {"bundle": "bundle", "trust": ["trust", "root"], "passwordFile": "password-file"}
        with contextlib.suppress(IosMdmError):
            BundleReader(base=folder, environ={}, sealed=READER).read(
                InstallReserveSettings.model_validate(install), BY
            )
    finally:
        (folder / name).write_bytes(GOOD[name])
    return result.exit_code


@pytest.mark.parametrize("name", ["bundle", "trust"])
def test_the_unchanged_files_pass(folder: Path, name: str) -> None:
    """The mutations start from files that pass."""  # R18
    assert use(folder, name, GOOD[name]) == 0


@many
@given(data=bundles)
def test_a_changed_bundle_is_a_verdict_or_an_error(folder: Path, data: bytes) -> None:
    """A changed bundle is a verdict or an error of the project."""  # R18
    use(folder, "bundle", data)


@many
@given(name=st.sampled_from(["trust", "root", "current"]), data=certificate_files)
def test_changed_certificates_are_a_verdict_or_an_error(folder: Path, name: str, data: bytes) -> None:
    """A changed file of certificates is a verdict or an error of the project."""  # R22
    use(folder, name, data)


@settings(many, max_examples=bounds(60, long=5000))  # tests/core/bundle/test_password.py reads 300 changed files
@given(data=password_files)
def test_a_changed_password_is_a_verdict_or_an_error(folder: Path, data: bytes) -> None:
    """A changed password file is a verdict or an error of the project."""  # R18
    use(folder, "password-file", data)
