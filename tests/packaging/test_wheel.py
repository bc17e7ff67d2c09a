"""The wheel, and another Pulumi program that uses the wheel with the real engine."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from email.parser import Parser
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import boto3
import pytest
import yaml
from cryptography.x509 import load_pem_x509_certificate
from packaging.requirements import Requirement

import ios_mdm
from ios_mdm.core.x509.digests import fingerprint
from tests.support.custom_files import HOST, PASSWORD, START, Leaf
from tools.services import ministack
from tools.stack import make_stack
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

    from tests.support.installed import Installed
    from tools.services.local import LocalServices
    from tools.services.testing import MdmServices
    from tools.stack import Stack

API_KEY_SECRET = "mdm/api-key"  # noqa: S105 - the name of a secret


def contents(installed: Installed) -> dict[str, str]:
    """Return the text of each file in the wheel by its name."""
    with ZipFile(installed.wheel) as wheel:
        return {name: wheel.read(name).decode() for name in wheel.namelist()}


def metadata(installed: Installed) -> Message:
    """Return the wheel's METADATA."""
    (text,) = (text for name, text in contents(installed).items() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(text)


def readme() -> str:
    """Return the text of README.md."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_wheel_has_the_package_with_its_components_and_types(installed: Installed) -> None:
    """The wheel has the modules, the marker for type checkers, the template of a table, and no other files."""
    modules = {
        f"{prefix}/{path.relative_to(ROOT / folder)}"
        for folder, prefix in (("provider/ios_mdm", "ios_mdm"), ("components", "ios_mdm/components"))
        for path in (ROOT / folder).rglob("*.py")
    }
    found = contents(installed)
    info = f"ios_mdm-{ios_mdm.__version__}.dist-info"
    beside = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    template = "ios_mdm/adapters/ledgers/dynamodb/table.yaml"
    assert set(found) == modules | {"ios_mdm/py.typed", template} | {f"{info}/{name}" for name in beside}
    assert found[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "py3-none-any" in found[f"{info}/WHEEL"]
    assert found[f"{info}/entry_points.txt"].split("\n")[:2] == [
        "[console_scripts]",
        "ios-mdm = ios_mdm.__main__:app",
    ]


def test_the_metadata_says_what_it_is_and_needs(installed: Installed) -> None:
    """The dependencies are those of requirements.in. The pinned packages are within their bounds."""
    found = metadata(installed)
    assert (found["Name"], found["Version"]) == ("ios-mdm", ios_mdm.__version__)
    assert (found["License-Expression"], found["License-File"]) == ("Apache-2.0", "LICENSE")
    assert found["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in found.get_all("Classifier", [])
    assert found["Description-Content-Type"] == "text/markdown"
    assert found.get_payload() == readme()
    needed = {Requirement(line) for line in found.get_all("Requires-Dist", [])}
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    assert needed == {Requirement(line) for line in lines if line and not line.startswith("#")}
    for one in needed:
        assert [clause for clause in one.specifier if clause.operator == "=="] == [], one
        assert any(clause.operator == ">=" for clause in one.specifier), one
        assert one.specifier.contains(version(one.name)), one


def test_the_command_of_the_wheel_shows_its_version(installed: Installed) -> None:
    """`ios-mdm` and `python -m ios_mdm` run the installed code."""
    command, python = installed.venv / "bin" / "ios-mdm", installed.venv / "bin" / "python"
    for one in ([command], [python, "-m", "ios_mdm"]):
        shown = installed.run(*one, "--version")
        assert (shown.stdout, shown.stderr) == (f"ios-mdm {ios_mdm.__version__}\n", "")
    names = "ios_mdm", "ios_mdm.components", "components", "ios_mdm.resources.certificate_pair"
    code = f"import importlib\nfor name in {names}: print(importlib.import_module(name).__file__)"
    places = installed.run(python, "-c", code).stdout.splitlines()
    inside, own = f"{installed.packages}/ios_mdm", f"{installed.folder}/components/__init__.py"
    assert [place == own or place.startswith(inside) for place in places] == [True] * len(names)
    assert places[2] == own


def test_the_installed_command_opens_a_pfx(installed: Installed, tmp_path: Path) -> None:
    """The child process of an installed command runs and imports the library."""  # R18
    leaf = Leaf(START, 397)
    (tmp_path / "b.pfx").write_bytes(leaf.pfx())
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    options = ("--address", HOST, "--password-file", tmp_path / "password", "--json")
    done = installed.run(installed.venv / "bin" / "ios-mdm", "validate", tmp_path / "b.pfx", *options)
    assert json.loads(done.stdout)["certificate"]["sha256"] == leaf.sha256, done.stderr


WRONG = """\
from ios_mdm.components import IosMdmServer, IssueReserveSettings

server = IosMdmServer("berlin", address=3)  # arg-type
IosMdmServer("paris", address="mdm.example.com", reserve="none")  # arg-type
IosMdmServer("rome", adress="mdm.example.com")  # call-arg
IssueReserveSettings(beforeDays=60)  # call-arg
IssueReserveSettings(before_days="60")  # arg-type
server.reserve.apply(lambda reserve: reserve["sha256"])  # index
server.main.apply(lambda main: main["fingerprint"])  # typeddict-item
server.secretArn  # attr-defined
"""


def test_a_type_checker_reads_the_types_of_the_wheel(installed: Installed, tmp_path: Path) -> None:
    """The program and that of README.md pass mypy strict without a plugin. Each wrong use is an error."""
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    python = installed.venv / "bin" / "python"
    mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", python)
    cache = (f"--cache-dir={tmp_path / 'cache'}", "--no-error-summary")
    (shown,) = re.findall(r"^```python program\n(.*?)^```$", readme(), re.MULTILINE | re.DOTALL)
    (tmp_path / "shown.py").write_text(shown, encoding="utf-8")
    passed = installed.run(*mypy, *cache, ".", tmp_path / "shown.py")
    assert (passed.stdout, passed.returncode) == ("", 0), passed.stdout + passed.stderr
    refused = installed.run(*mypy, *cache, tmp_path / "wrong.py")
    found = set(re.findall(r"wrong\.py:(\d+): error: .*\[([a-z-]+)\]$", refused.stdout, re.MULTILINE))
    expected = {
        (str(number), line.partition("  # ")[2])
        for number, line in enumerate(WRONG.splitlines(), start=1)
        if "  # " in line
    }
    assert expected <= found, refused.stdout
    assert {number for number, _ in found} == {number for number, _ in expected}, refused.stdout


@pytest.fixture
def stack(installed: Installed, tmp_path: Path, mdm_services: MdmServices) -> Stack:
    """Create an empty stack of the other program."""
    services = mdm_services.services
    usual = make_stack(tmp_path, services.aws_url)
    engine, *_ = usual.environment["PATH"].split(os.pathsep)
    environment = {
        **{name: value for name, value in usual.environment.items() if not name.startswith("PYTHON")},
        "PATH": os.pathsep.join([engine, installed.environment["PATH"]]),
        "VIRTUAL_ENV": str(installed.venv),
    }
    made = replace(usual, directory=installed.folder, environment=environment)
    made.run("stack", "init", made.name).ok()
    file = made.directory / f"Pulumi.{made.name}.yaml"
    config = {"campus:nanomdm": services.mdm_url, "campus:devices": list(services.fleet.ids())}
    salt = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**salt, "config": config}), encoding="utf-8")
    return made


def secrets(services: LocalServices) -> Any:
    """Store the API key of the MDM server in the emulator's Secrets Manager; return the client."""
    client = boto3.client(
        "secretsmanager",
        endpoint_url=services.aws_url,
        region_name=ministack.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - an emulator takes any
    )
    if API_KEY_SECRET not in {found["Name"] for found in client.list_secrets()["SecretList"]}:
        client.create_secret(Name=API_KEY_SECRET, SecretString=services.api_key.read_text(encoding="utf-8"))
    return client


def test_another_program_declares_a_server_and_uses_its_outputs(stack: Stack, mdm_services: MdmServices) -> None:
    """The program has a folder `components`, which does not hide the components of the package."""  # R14 R30
    client = secrets(mdm_services.services)
    preview = stack.run("preview", "--diff").ok().output
    assert re.search(r'phase *: "overlap"', preview), preview
    assert not re.search(r"warnDays|takeOver|replaceNow|leadMinutes|beforeDays", preview), preview
    result = stack.up().ok().output
    assert "profile queued for 5 of 5 devices" in result
    found = stack.outputs()
    main = json.loads(client.get_secret_value(SecretId="campus/berlin", VersionStage="AWSCURRENT")["SecretString"])
    assert found["fingerprint"] == fingerprint(load_pem_x509_certificate(main["tls.crt"].encode()))
    reserve = json.loads(client.get_secret_value(SecretId="campus/berlin", VersionStage="RESERVE")["SecretString"])
    expiry = load_pem_x509_certificate(reserve["tls.crt"].encode()).not_valid_after_utc
    assert found["expiry"] == expiry.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found["secretArn"] == client.describe_secret(SecretId="campus/berlin")["ARN"]
    assert found["phase"] == "overlap"
    assert found["applyAt"] < found["expiry"]
    assert found["role"].startswith("arn:aws:iam::")
    assert re.fullmatch(r"[0-9a-f]{64}", found["profile"])
    _check_component(json.loads(stack.export()), found)
    again = stack.run("up", "--yes").ok().output
    assert re.search(r"Resources:\n +4 unchanged\n", again), again
    client.close()


def _check_component(state: dict[str, Any], outputs: dict[str, Any]) -> None:
    """Check that the state has the values of a server once, in the outputs of its pair and its distribution."""
    resources = {one["type"].rpartition(":")[2]: one for one in state["deployment"]["resources"]}
    assert "outputs" not in resources["IosMdmServer"]
    assert resources["CertificatePair"]["outputs"]["secretArn"] == outputs["secretArn"]
    assert resources["ProfileDistribution"]["outputs"]["deviceCount"] == 5
    certificates = resources["CertificatePair"]["outputs"]["certificates"]
    assert certificates["certificate 1"]["sha256"] == outputs["fingerprint"]
    assert certificates["certificate 2"]["notAfter"] == outputs["expiry"]
