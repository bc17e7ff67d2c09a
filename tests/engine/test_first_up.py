"""First runs with the real engine, up to devices that trust the reserve."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from ios_mdm.core.x509.digests import fingerprint
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.engine import World


def _on_devices(world: World) -> list[set[str]]:
    """Return, for each device, the fingerprints of the certificates in the profile of this test's server."""
    identifier = world.profile()
    return [
        {
            fingerprint(load_der_x509_certificate(der))
            for profile in profiles
            if profile.identifier == identifier
            for der in profile.roots()
        }
        for profiles in world.services.fleet.all_profiles().values()
    ]


def test_one_up_brings_main_and_reserve_to_every_device(world: World) -> None:
    """After one `up` and a check-in, each device has both certificates, and the stack shows them."""  # R1 R2 R14 R15
    world.stack.define([world.definition(distribution=world.distribution())])
    preview = world.stack.run("preview").ok().output
    assert "CertificatePair" in preview
    assert re.search(r'phase *: "overlap"', preview), preview
    assert world.aws.writes() == [], "a preview writes nothing"
    result = world.stack.up().ok()
    assert "profile queued for 5 of 5 devices" in result.output
    shown = world.stack.outputs()["servers"][world.server]
    assert shown["main"]["certificate"] == "certificate 1"
    assert shown["reserve"]["certificate"] == "certificate 2"
    for slot in ("main", "reserve"):
        assert shown[slot]["subject"] == "CN=mdm.example.com"
        assert shown[slot]["sans"] == ["mdm.example.com"]
        assert set(shown[slot]) == {
            *("certificate", "subject", "issuer", "sans", "serialNumber", "sha256", "root", "rootSha256", "key"),
            *("notBefore", "notAfter", "source", "pem"),
        }
    assert shown["applyAt"] is not None
    poll = world.services.fleet.poll()
    assert not poll.failed
    expected = {shown["main"]["rootSha256"], shown["reserve"]["rootSha256"]}
    assert _on_devices(world) == [expected] * 5


def test_a_second_up_says_unchanged_and_writes_nothing(world: World) -> None:
    """If nothing is due, neither AWS nor the MDM server gets a write, and preview can serve as an alarm."""  # R30
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up().ok()
    world.forget_calls()
    result = world.stack.run("up", "--yes").ok()
    assert re.search(r"Resources:\n +4 unchanged\n", result.output), result.output
    assert world.stack.run("preview", "--expect-no-changes").ok()
    assert world.aws.calls, "the proxy records the reads"
    assert world.aws.writes() == []
    assert world.mdm.calls == []


def test_changing_only_the_apply_time_reissues_nothing(world: World) -> None:
    """Key, serial number and fingerprint do not change if the apply time of the reserve changes."""  # R9
    world.stack.define([world.definition()])
    world.stack.up().ok()
    before = world.stack.outputs()["servers"][world.server]
    later = {"issue": {"when": "now", "apply": {"afterDays": 40}}}
    world.stack.define([world.definition(reserve=later)])
    world.stack.up().ok()
    after = world.stack.outputs()["servers"][world.server]
    assert after["reserve"] == before["reserve"]
    assert after["applyAt"] > before["applyAt"]


def test_a_removed_reserve_block_keeps_the_reserve_and_none_deletes_it(world: World) -> None:
    """A removed setting deletes nothing. `none: true` deletes the reserve, and the profile follows."""  # R10 R17
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up().ok()
    world.stack.define([world.definition(reserve=None, distribution=world.distribution())])
    world.stack.up().ok()
    assert "RESERVE" in world.labels()
    world.stack.define([world.definition(reserve={"none": True}, distribution=world.distribution())])
    world.stack.up().ok()
    assert set(world.labels()) == {"AWSCURRENT"}
    world.services.fleet.poll()
    main = world.stack.outputs()["servers"][world.server]["main"]["rootSha256"]
    assert _on_devices(world) == [{main}] * 5


def test_a_profile_that_comes_back_is_sent_again(world: World) -> None:
    """Main alone, then with a reserve, then alone again: devices get each profile, also the repeated one."""
    # R17
    world.stack.define([world.definition(reserve=None, distribution=world.distribution())])
    world.stack.up().ok()
    world.services.fleet.poll()
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up().ok()
    world.services.fleet.poll()
    both = world.stack.outputs()["servers"][world.server]
    assert _on_devices(world) == [{both["main"]["rootSha256"], both["reserve"]["rootSha256"]}] * 5
    world.stack.define([world.definition(reserve={"none": True}, distribution=world.distribution())])
    assert "profile queued for 5 of 5 devices" in world.stack.up().ok().output
    world.services.fleet.poll()
    assert _on_devices(world) == [{both["main"]["rootSha256"]}] * 5


def test_a_raised_generation_gives_another_reserve_in_one_up(world: World) -> None:
    """The old reserve is replaced by a new one with a new number, and main does not change."""  # R10
    world.stack.define([world.definition()])
    world.stack.up().ok()
    before = world.labels()
    again = {"issue": {"when": "now", "apply": {"afterDays": 30}, "generation": 2}}
    world.stack.define([world.definition(reserve=again)])
    world.stack.up().ok()
    shown = world.stack.outputs()["servers"][world.server]
    assert shown["reserve"]["certificate"] == "certificate 3"
    assert world.labels()["AWSCURRENT"] == before["AWSCURRENT"]
    assert world.labels()["RESERVE"] != before["RESERVE"]


def test_an_mdm_server_that_is_down_loses_nothing(world: World) -> None:
    """The pair is stored, the error says how to continue, and the next `up` continues."""
    world.stack.define([world.definition(distribution=_unreachable(world))])
    failed = world.stack.up()
    assert failed.code != 0
    assert "run `pulumi up` again to continue with the others" in failed.output
    assert "Traceback" not in failed.output
    labels = world.labels()
    world.stack.define([world.definition(distribution=world.distribution())])
    assert "profile queued for 5 of 5 devices" in world.stack.up().ok().output
    assert world.labels() == labels


def _unreachable(world: World) -> dict[str, object]:
    channel = {"nanomdm": {"url": "http://127.0.0.1:9", "apiKeySecret": "mdm/api-key", "push": False}}
    return world.distribution(channel=channel)


def test_a_wrong_api_key_is_named_and_not_shown(world: World) -> None:
    """The error about a refused API key names the key of the definition, not the secret's value."""  # R29
    name, wrong = f"wrong-{world.server}", "a-wrong-api-key-value"
    world.client.create_secret(Name=name, SecretString=wrong)
    channel = {"nanomdm": {"url": world.mdm.url, "apiKeySecret": name, "push": False}}
    world.stack.define([world.definition(distribution=world.distribution(channel=channel))])
    failed = world.stack.up()
    assert failed.code != 0
    assert "apiKeySecret" in failed.output
    assert wrong not in failed.output
    assert "Traceback" not in failed.output


def test_no_byte_of_a_private_key_leaves_secrets_manager(world: World, tmp_path: Path) -> None:
    """State, checkpoints, output and verbose logs contain no private key in any encoding."""  # R29 R31
    rsa = {"issue": {"key": "rsa-2048"}}
    world.stack.define([world.definition(main=rsa, distribution=world.distribution())])
    verbose = world.stack.up("--logtostderr", "-v=9").ok().output
    refreshed = world.stack.run("refresh", "--yes", "--logtostderr", "-v=9").ok().output
    files = [path for path in tmp_path.rglob("*") if path.is_file() and ".venv" not in path.parts]
    files = [path for path in files if not path.is_relative_to(world.stack.directory / "provider")]
    haystacks = [verbose, refreshed, world.stack.export(), *(path.read_bytes().decode("latin-1") for path in files)]
    assert any("BEGIN CERTIFICATE" in text for text in haystacks), "the search finds certificates"
    for version in (world.labels()[label] for label in ("AWSCURRENT", "RESERVE")):
        for needle in _shapes(json.loads(world.value(version))["tls.key"]):
            assert len(needle) > 15
            assert not any(needle in text for text in haystacks)
    assert not any(_encoded_keys(text) for text in haystacks), (
        "no other private key either; keys of roots are unknown to the test"
    )
    for version in set(world.labels().values()):
        value = json.loads(world.value(version))
        key = load_pem_private_key(value.pop("tls.key").encode(), None)
        assert key.public_key() == load_pem_x509_certificate(value["tls.crt"].encode()).public_key()
        assert not _encoded_keys(json.dumps(value))
    assert not _encoded_keys(json.dumps(world.tags()))


MARKS = {
    "EC, 256 bits": bytes.fromhex("0201010420"),
    "EC, 384 bits": bytes.fromhex("0201010430"),
    "RSA": bytes.fromhex("300d06092a864886f70d01010105000482"),
    "RSA, PKCS #1": bytes.fromhex("0201000282"),
}
"""Parts of the DER of each private key of this type that are in no certificate."""


def _encoded_keys(text: str) -> set[str]:
    """Return the types of the private keys in a text, in PEM, DER, base64 or hex."""
    found = {"PEM"} if re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY", text) else set()
    flat = re.sub(r"\\+n|\s", "", text)
    runs = [text.encode("latin-1", "replace")]
    for run in re.findall(r"[A-Za-z0-9+/]{40,}", flat):
        runs += [base64.b64decode(run[at : at + (len(run) - at) // 4 * 4]) for at in range(4)]
    found |= {name for name, mark in MARKS.items() if any(mark in run for run in runs)}
    return found | {name for name, mark in MARKS.items() if mark.hex() in flat.lower()}


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("curve", [SECP256R1(), SECP384R1(), None], ids=["256", "384", "RSA"])
def test_the_search_finds_a_key_that_is_not_known(curve: EllipticCurve | None, form: PrivateFormat) -> None:
    """Control test: a key in each encoding, within other text, is found."""  # R29
    key = generate_rsa_key(65537, 2048) if curve is None else generate_private_key(curve)
    name = f"EC, {key.key_size} bits"
    if curve is None:
        name = "RSA" if form is PrivateFormat.PKCS8 else "RSA, PKCS #1"
    der, pem = (key.private_bytes(encoding, form, NoEncryption()) for encoding in (Encoding.DER, Encoding.PEM))
    assert "PEM" in _encoded_keys(pem.decode())
    bodies = [json.dumps("".join(pem.decode().splitlines(keepends=True)[1:-1])), der.hex(), der.hex().upper()]
    bodies += [base64.b64encode(b"x" * shift + der).decode() for shift in range(3)]
    for text in (*bodies, der.decode("latin-1")):
        assert name in _encoded_keys(f'{{"some": "{text}"}}'), text
    assert not _encoded_keys(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def _shapes(pem: str) -> set[str]:
    """Return the forms of a private key in PEM, DER, base64, hex, and as its secret numbers.

    Parts that the public key contains are left out, because certificates contain them, too.
    """
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey)
    numbers = key.private_numbers()
    is_rsa = isinstance(numbers, RSAPrivateNumbers)
    secret = [getattr(numbers, name) for name in (("d", "p", "q") if is_rsa else ("private_value",))]
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    shapes = {line for line in pem.splitlines()[1:-1] if base64.b64decode(line) not in public}
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        der = key.private_bytes(Encoding.DER, form, NoEncryption())
        start = len(der) // 2 if is_rsa else der.index(secret[0].to_bytes(32, "big"))
        middle = der[start : start + 32]
        assert middle not in public
        shapes |= {middle.hex(), middle.hex().upper(), middle.decode("latin-1")}
        # Base64 of an inner part has three alignments.
        shapes |= {base64.b64encode(der[start : start + 96]).decode()[:120] for start in (30, 31, 32)}
    for number in secret:
        shapes |= {str(number), f"{number:x}", f"{number:X}"}
    return shapes


def test_the_outputs_are_what_the_page_says(world: World) -> None:
    """The keys on the page `docs/outputs.md` are those that the engine prints."""  # R14
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up().ok()
    shown = world.stack.outputs()["servers"][world.server]
    page = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
    server, certificate, profile, promotion = (
        set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) for table in page.split("|---|---|---|")[1:]
    )
    assert set(shown) == server
    assert set(shown["main"]) == set(shown["reserve"]) == certificate
    assert set(shown["profile"]) == profile
    assert set(shown["promotion"]) == promotion
