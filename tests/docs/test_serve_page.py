"""The examples of docs/serve.md are valid for the tools that read them, as far as the tests have these tools."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess

import pytest
import yaml
from click.testing import CliRunner

from ios_mdm.__main__ import app
from tools.toolchain import ROOT

PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(?P<kind>[^\n]+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [(found["kind"], found["text"]) for found in _BLOCK.finditer(PAGE)]


def of(kind: str) -> list[str]:
    """Return the code blocks of a kind. At least one exists."""
    found = [text for name, text in BLOCKS if name == kind]
    assert found
    return found


def options() -> set[str]:
    """Return the options of `consume`."""
    shown = CliRunner().invoke(app, ["consume", "--help"], env={"COLUMNS": "200"}).output
    return set(re.findall(r"--[a-z]+", shown))


@pytest.mark.parametrize(
    "line", [line for text in of("bash") for line in text.splitlines() if "ios-mdm consume" in line]
)
def test_shell_lines_use_options_that_there_are(line: str) -> None:
    """Every option of `consume` on the page exists."""
    assert set(re.findall(r"(?<!\S)--[a-z]+", line)) <= options()


@pytest.mark.parametrize("text", of("bash"))
def test_shell_blocks_are_shell(text: str) -> None:
    """`bash -n` accepts each block."""
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_unit_is_a_unit() -> None:
    """The unit has the expected sections, and its commands use existing options of `consume`."""
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(of("ini unit")[0])
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    for key in ("ExecStartPre", "ExecStart"):
        words = shlex.split(unit["Service"][key])
        assert words[0].endswith("/.venv/bin/ios-mdm")
        assert words[1] == "consume"
        assert {word for word in words if word.startswith("--")} <= options()
        assert words[words.index("--dir") + 1] == f"/var/lib/{unit['Service']['StateDirectory']}", (
            "the only writable folder"
        )
    assert unit["Service"]["ExecReload"].split()[1] == "-USR1", "the signal for an immediate check"


def test_the_drop_in_points_at_the_credential_that_it_loads() -> None:
    """The path consists of the names of the unit and of the credential."""
    service = configparser.ConfigParser(strict=True, interpolation=None)
    service.read_string(of("ini drop-in")[0])
    name = service["Service"]["LoadCredential"].partition(":")[0]
    path = f"/run/credentials/ios-mdm-consume.service/{name}"
    assert service["Service"]["Environment"] == f"AWS_SHARED_CREDENTIALS_FILE={path}"


@pytest.mark.parametrize("text", of("yaml kubernetes"))
def test_manifests_ask_for_awscurrent(text: str) -> None:
    """Each manifest is a Kubernetes object, and each reference in it has the version stage AWSCURRENT."""
    manifest = yaml.safe_load(text)
    assert {"apiVersion", "kind", "metadata", "spec"} <= set(manifest)
    if manifest["kind"] == "ExternalSecret":
        assert {one["remoteRef"]["version"] for one in manifest["spec"]["data"]} == {"AWSCURRENT"}
    else:
        objects = yaml.safe_load(manifest["spec"]["parameters"]["objects"])
        assert {one["objectVersionLabel"] for one in objects} == {"AWSCURRENT"}


def test_the_event_is_json() -> None:
    """The pattern names the pair's secret and the label that a promotion moves."""
    assert json.loads(of("json event")[0])["detail"] == {"name": ["ios-mdm/berlin"], "labelUpdated": ["AWSCURRENT"]}
