"""Custom certificates in the hooks of the provider: when a run needs their files, and the data that the state keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ios_mdm.adapters.clock import VARIABLE
from ios_mdm.core.pair.layout import facts_tag, version_id
from tests.support.chains import DAY, FIRST, Leaf
from tests.support.pairs import START
from tools.services import ministack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dynamic_provider import Engine


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the project folder with the files, with the clock at the time of the certificates."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, (START + DAY).isoformat())
    return tmp_path


def _without_root(leaf: Leaf) -> bytes:
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key + b"".join(one.public_bytes(Encoding.PEM) for one in (leaf.certificate, FIRST.intermediate()))


def test_a_reserve_is_installed_without_the_file_of_main(engine: Engine, project: Path) -> None:
    """The state keeps enough of main, including its root, to check and store a reserve."""
    # R18 R22 R24 R29
    main, reserve = Leaf(390), Leaf(700)
    (project / "main.pem").write_bytes(main.file(FIRST))
    definition = engine.program["definition"]
    definition["main"] = {"install": {"bundle": "main.pem"}}
    del definition["reserve"]
    assert engine.up() == "create"
    (project / "main.pem").unlink()
    assert engine.up() == "unchanged"
    (project / "reserve.pem").write_bytes(_without_root(reserve))
    definition["reserve"] = {"install": {"bundle": "reserve.pem", "apply": {"afterDays": 30}}}
    assert engine.up() == "update"
    assert engine.outputs is not None
    pem = engine.outputs["certificates"]["certificate 2"]["pem"]
    assert x509.load_pem_x509_certificates(pem.encode()) == [
        reserve.certificate,
        FIRST.intermediate(),
        FIRST.authority(),
    ]
    (project / "reserve.pem").unlink()
    assert engine.up() == "unchanged"


def test_the_root_of_a_promoted_reserve_is_remembered_without_its_file(
    engine: Engine, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promoted custom reserve follows an issued main, and the definition names no file any more. R24 holds."""
    # R22 R24
    definition = engine.program["definition"]
    (project / "first.pem").write_bytes(Leaf(700).file(FIRST))
    definition["reserve"] = {"install": {"bundle": "first.pem", "apply": {"at": (START + 2 * DAY).isoformat()}}}
    assert engine.up() == "create"
    monkeypatch.setenv(VARIABLE, (START + 3 * DAY).isoformat())
    assert engine.up() == "update"
    del definition["reserve"]
    assert engine.up() == "update"
    assert engine.up() == "unchanged"
    (project / "second.pem").write_bytes(_without_root(Leaf(800)))
    definition["reserve"] = {"install": {"bundle": "second.pem"}}
    assert engine.up() == "update"
    assert engine.outputs is not None
    assert engine.outputs["desired"]["main"] == "certificate 2"
    assert engine.outputs["desired"]["reserve"] == "certificate 3"
    assert "roots" not in engine.outputs["bundles"]


def test_a_secret_that_a_pipeline_may_not_read_is_a_warning(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    """Previews work without the permission while the file needs no change. A warning has the reason."""
    # R18 R29
    name = f"{engine.program['server']}-bundle"
    client = boto3.client("secretsmanager", region_name=ministack.REGION)
    client.create_secret(Name=name, SecretString=Leaf(390).file(FIRST).decode())
    client.close()
    definition = engine.program["definition"]
    definition["main"] = {"install": {"bundle": f"secret:{name}"}}
    del definition["reserve"]
    assert engine.up() == "create"
    engine.aws.denied = {"GetSecretValue"}
    capfd.readouterr()
    assert engine.up() == "unchanged"
    assert "This run does not need the file" in capfd.readouterr().err


def test_a_reserve_is_checked_against_the_main_that_it_will_follow(engine: Engine, project: Path) -> None:
    """If one run creates main and installs a reserve, the preview reports that the reserve expires first."""
    # R21 R32
    (project / "reserve.pem").write_bytes(Leaf(390).file(FIRST))
    definition = engine.program["definition"]
    definition["reserve"] = {"install": {"bundle": "reserve.pem"}}
    assert [text for text in engine.failures() if "expires-too-early" in text]
    assert not engine.aws.writes()
    (project / "reserve.pem").write_bytes(Leaf(400).file(FIRST))
    assert engine.up() == "create"
    assert engine.outputs is not None
    assert engine.outputs["desired"]["reserve"] == "certificate 2"


def test_a_reserve_that_got_lost_cannot_be_installed_without_its_file(engine: Engine, project: Path) -> None:
    """The label and the tag of the reserve were removed, and so was the file, which the preview names."""  # R18
    secret = engine.program["secret"]
    (project / "main.pem").write_bytes(Leaf(390).file(FIRST))
    (project / "reserve.pem").write_bytes(Leaf(700).file(FIRST))
    definition = engine.program["definition"]
    definition["main"] = {"install": {"bundle": "main.pem"}}
    definition["reserve"] = {"install": {"bundle": "reserve.pem"}}
    assert engine.up() == "create"
    version = version_id(secret, 2)
    client = boto3.client("secretsmanager", region_name=ministack.REGION)
    client.update_secret_version_stage(SecretId=secret, VersionStage="RESERVE", RemoveFromVersionId=version)
    client.untag_resource(SecretId=secret, TagKeys=[facts_tag(version)])
    client.close()
    (project / "reserve.pem").unlink()
    assert engine.failures() == ["reserve.install.bundle: reserve.pem cannot be read: No such file or directory"]
