"""Custom certificates with the real engine: installed from files, promoted, replaced only by name, never leaked."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ios_mdm.core.x509.digests import fingerprint
from tests.support import chains
from tests.support.custom_files import DAY, HOST, PASSWORD, START, Custom, Leaf, authority, custom_server
from tests.support.engine import check_safety
from tests.support.engine_aws import Aws
from tests.support.tls_server import serving
from tools.services.handshake import visit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import World


def at(days: float) -> dict[str, str]:
    """Return the variable that sets the clock to a number of days after the start."""
    return {"IOS_MDM_CLOCK": f"{START + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"}


@pytest.fixture
def custom(world: World) -> Iterator[Custom]:
    """A server with certificates from files."""
    with custom_server(world) as one:
        yield one


def test_a_custom_pair_from_two_files_is_promoted_and_nothing_leaks(custom: Custom, tmp_path: Path) -> None:
    """Main comes from a PFX, the reserve from a PEM file with an encrypted key; devices have one root for both."""
    # R1 R2 R4 R5 R16 R18 R24 R29
    world = custom.world
    custom.define()
    first = world.stack.up("--logtostderr", "-v=9", **at(0)).ok().output
    assert "there is no reserve: install one" in first
    assert (custom.server_outputs["main"]["sha256"], custom.server_outputs["main"]["source"]) == (
        custom.main.sha256,
        "installed",
    )
    profile = custom.server_outputs["profile"]
    custom.define(**custom.reserve_definition())
    second = world.stack.up("--logtostderr", "-v=9", **at(310)).ok().output
    assert "installing certificate 2 (reserve)" in second
    assert custom.server_outputs["reserve"]["sha256"] == custom.reserve.sha256
    assert custom.server_outputs["profile"] == profile, "the root is what devices trust, and it is there already"
    assert f"the profile was already queued for all {profile['deviceCount']} devices" in second
    world.services.fleet.poll()
    roots = [authority().root.public_bytes(Encoding.DER)]
    labels = world.labels()
    for label, moment in (("AWSCURRENT", START + 320 * DAY), ("RESERVE", START + 400 * DAY)):
        with serving(world.value(labels[label]), tmp_path) as endpoint:
            assert visit(int(endpoint.rpartition(":")[2]), HOST, roots, moment).accepted
    assert world.stack.run("preview", "--expect-no-changes", **at(330)).ok()
    Aws(world).fire(world)
    world.stack.up(**at(395.5)).ok()
    assert custom.server_outputs["main"]["sha256"] == custom.reserve.sha256
    assert custom.server_outputs["profile"] == profile
    again = world.stack.run("up", "--yes", **at(396)).ok().output
    assert "reserve.install is already applied; main.install is superseded: its certificate was main before" in again
    assert "4 unchanged" not in first
    files = [path for path in tmp_path.rglob("*") if path.is_file() and ".venv" not in path.parts]
    ours = {"main.pfx", "reserve.pem", "tls.key"}
    kept = [path.read_bytes() for path in files if path.name not in ours and "provider" not in path.parts]
    searched = [*kept, first.encode(), second.encode(), world.stack.export().encode()]
    assert any(b"BEGIN CERTIFICATE" in text for text in searched), "the search finds certificates"
    for needle in (*custom.main.needles(), *custom.reserve.needles(), PASSWORD.encode()):
        assert not any(needle in text for text in searched)
    held = json.loads(world.value(labels["RESERVE"]))
    assert any(
        needle in base64.b64decode("".join(held["tls.key"].splitlines()[1:-1])) for needle in custom.reserve.needles()
    )


def test_every_broken_rule_is_reported_in_the_preview_and_nothing_is_written(custom: Custom) -> None:
    """Another host, another root and a short validity are reported together; a wrong password by its code."""
    # R18 R19 R21 R24
    world = custom.world
    custom.define()
    world.stack.up(**at(0)).ok()
    bad = Leaf(START, 100, by=authority("Another Root"), host="other.example.com")
    custom.write("reserve.pem", bad.pem() + bad.by.pem())
    custom.define(**custom.reserve_definition())
    world.forget_calls()
    refused = world.stack.run("preview", **at(10))
    assert refused.code != 0
    for code in ("san-mismatch", "expires-too-early", "root-mismatch"):
        assert f"reserve.install: {code}: " in refused.output, refused.output
    assert "Traceback" not in refused.output
    wrong = world.stack.run("preview", RESERVE_PASSWORD="wrong", **at(10))  # noqa: S106 - wrong on purpose
    assert "reserve.install: bad-password: " in wrong.output
    assert world.aws.writes() == []


def test_a_file_that_is_missing_is_a_warning_while_nothing_has_to_change(custom: Custom) -> None:
    """A pipeline without the files continues. A missing file that must be installed is an error."""  # R30
    world = custom.world
    custom.define()
    world.stack.up(**at(0)).ok()
    (world.stack.directory / "main.pfx").unlink()
    shown = world.stack.run("up", "--yes", **at(10)).ok().output
    assert "main.install.bundle: main.pfx cannot be read: No such file or directory" in shown
    assert "4 unchanged" in shown
    custom.define(reserve={"install": {"bundle": "not-there.pem"}})
    missing = world.stack.run("preview", **at(10))
    assert missing.code != 0
    assert "reserve.install.bundle: not-there.pem cannot be read" in missing.output


def test_a_file_with_another_chain_is_installed_again(custom: Custom) -> None:
    """A CA renewed its intermediate certificate: the preview names a new number, and the certificate stays."""
    # R20 R30
    world, leaf = custom.world, chains.Leaf(390)
    install = {"bundle": custom.write("main.pem", leaf.file(chains.FIRST))}
    custom.define(main={"install": install})
    world.stack.up(**at(0)).ok()
    assert world.stack.run("preview", "--expect-no-changes", **at(1)).ok()
    custom.write("main.pem", leaf.file(chains.RENEWED))
    shown = world.stack.run("preview", "--diff", **at(1)).ok().output
    assert "the certificate is installed again with the same key" in " ".join(shown.split())
    assert '"certificate 1" => "certificate 2"' in shown
    world.stack.up(**at(1)).ok()
    main = custom.server_outputs["main"]
    assert (main["certificate"], main["sha256"]) == ("certificate 2", fingerprint(leaf.certificate))
    held = x509.load_pem_x509_certificates(json.loads(world.value(world.labels()["AWSCURRENT"]))["tls.crt"].encode())
    assert held == [leaf.certificate, chains.RENEWED.intermediate()]
    assert world.stack.run("preview", "--expect-no-changes", **at(1)).ok()


def test_a_healthy_main_is_replaced_only_by_its_fingerprint(custom: Custom) -> None:
    """Another file as main is refused with the value to confirm. Confirmed, it replaces a custom or an issued main."""
    # R4 R32
    world = custom.world
    custom.define()
    world.stack.up(**at(0)).ok()
    other = Leaf(START - DAY, 390)
    custom.write("main.pfx", other.pfx())
    refused = world.stack.run("preview", **at(10))
    assert refused.code != 0
    said = " ".join(refused.output.split())
    assert f"main.confirm: {custom.main.sha256}" in said
    assert "devices trust the root of the new main already" in said
    custom.write("main.pfx", Leaf(START - DAY, 390, by=authority("Another Root")).pfx())
    said = " ".join(world.stack.run("preview", **at(10)).output.split())
    assert "the 5 devices trust the new main only after they get the next profile" in said
    custom.write("main.pfx", other.pfx())
    install = {"bundle": "main.pfx", "passwordSecret": f"pfx-{world.server}"}
    custom.define(main={"install": install, "replaceNow": True, "confirm": custom.main.sha256})
    assert "devices trust the root of the next main" in " ".join(world.stack.up(**at(10)).ok().output.split())
    assert custom.server_outputs["main"]["sha256"] == other.sha256
    assert world.stack.run("preview", "--expect-no-changes", **at(10)).ok()
    custom.define(main={"issue": {"key": "ec-p256"}}, reserve={"issue": {"when": "now", "apply": {"afterDays": 30}}})
    asked = world.stack.run("preview", **at(11))
    assert "a reserve is never issued for it" in " ".join(asked.output.split())
    custom.define(main={"issue": {"key": "ec-p256"}, "replaceNow": True, "confirm": other.sha256})
    world.stack.up(**at(11)).ok()
    assert custom.server_outputs["main"]["sha256"] == other.sha256, "it is sent and applied; the next run shows it"
    world.stack.up(**at(11)).ok()
    assert custom.server_outputs["main"]["source"] == "issued"


def test_the_certificate_that_a_server_uses_is_adopted(custom: Custom) -> None:
    """A certificate that violates rules is adopted unchanged, with warnings and the way out. No key is replaced."""
    # R19 R26
    world = custom.world
    poor = Leaf(START - DAY, 397, host="old.example.com")
    custom.write("main.pfx", poor.pfx())
    install = {"bundle": "main.pfx", "passwordSecret": f"pfx-{world.server}"}
    custom.define(main={"install": install})
    assert "san-mismatch" in world.stack.run("preview", **at(0)).output
    custom.define(main={"install": {**install, "adopt": True}})
    shown = world.stack.up(**at(0)).ok().output
    assert "main.install: san-mismatch: " in shown
    assert "install a reserve that fulfills the rules" in " ".join(shown.split())
    assert custom.server_outputs["main"]["sha256"] == poor.sha256


def test_a_foreign_certificate_at_the_endpoint_neither_stops_an_adoption_nor_is_trusted(
    custom: Custom, tmp_path: Path
) -> None:
    """A CDN or TLS inspection presents a foreign certificate: each run warns, and no profile contains it."""  # R35
    world, foreign = custom.world, Leaf(START - DAY, 90, by=authority("Another Root"))
    key = foreign.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    presented = {"tls.crt": foreign.certificate.public_bytes(Encoding.PEM).decode(), "tls.key": key}
    install = {"bundle": "main.pfx", "passwordSecret": f"pfx-{world.server}", "adopt": True}
    with serving(json.dumps(presented), tmp_path) as endpoint:
        custom.define(main={"install": install}, endpoints=[endpoint])
        preview = " ".join(world.stack.run("preview", **at(0)).ok().output.split())
        assert f"{endpoint} presents the certificate {foreign.sha256}, which is not in this new pair" in preview
        world.stack.up(**at(0)).ok()
        custom.define(
            main={"install": install}, endpoints=[endpoint], **custom.reserve_definition(apply={"afterDays": 60})
        )
        shown = " ".join(world.stack.up(**at(310)).ok().output.split())
        assert f"{endpoint} presents an unknown certificate, but main is certificate 1" in shown
        assert world.stack.run("preview", "--expect-no-changes", **at(310)).ok()
    trusted = {root for roots in world.trusted_roots().values() for root in roots}
    assert not trusted & {foreign.sha256, fingerprint(foreign.by.root)}
    assert custom.main.sha256 == custom.server_outputs["main"]["sha256"]
    check_safety(world)


def test_an_issued_main_is_followed_by_a_custom_reserve(custom: Custom) -> None:
    """A notice says that its root is new to the devices. The profile contains the root before the switch."""  # R15 R24
    world = custom.world
    custom.define(main={"issue": {"key": "ec-p256"}})
    world.stack.up(**at(300)).ok()
    custom.define(
        main={"issue": {"key": "ec-p256"}}, **custom.reserve_definition(apply={"afterDays": 60}, trust=["root.pem"])
    )
    custom.write("root.pem", authority().pem())
    custom.reserve = Leaf(START + 300 * DAY, 700)
    custom.write("reserve.pem", custom.reserve.pem())
    shown = world.stack.up(**at(310)).ok().output
    assert "devices do not know the reserve's root yet" in shown
    assert custom.server_outputs["applyAt"] == f"{START + 370 * DAY:%Y-%m-%dT%H:%M:%SZ}"
    profile = custom.server_outputs["profile"]["sha256"]
    world.stack.up(**at(371)).ok()
    assert custom.server_outputs["main"]["sha256"] == custom.reserve.sha256
    assert custom.server_outputs["profile"]["sha256"] == profile
