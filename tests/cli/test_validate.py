"""``validate``: its exit codes, its JSON, its checklist, its JUnit report and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from ios_mdm.__main__ import app
from ios_mdm.core.bundle.model import Code
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.rules import RULES
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.issuing import issue
from tests.support.bundles import pem as block
from tests.support.certificates import HOST, ISSUING, LEAF, NOW, ROOT, Chain, SelfSigned, pem, private_pem
from tests.support.command_line import Result, run
from tests.support.defects import DEFECTS
from tests.support.definition_files import MADE, write_bundle
from tests.support.odd_certificates import DEFECTS as ODD_FIELDS
from tests.support.odd_certificates import MADE as ODD
from tests.support.odd_certificates import changed_certificate, with_serial_number
from tools.toolchain import ROOT as PROJECT

if TYPE_CHECKING:
    from pathlib import Path


AT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
PASSWORD = "päss wörd"  # noqa: S105 - of a file that the test makes
BROKEN = Chain(
    leaf=LEAF.but(sans=("other.example.com",), purposes=None), root=ROOT.but(key="rsa-2048", days=(-1800, 30))
).make()


def validate(bundle: Path, *arguments: str | Path, address: str = HOST, at: str = AT) -> Result:
    """Run validate in this process."""
    command = ["validate", str(bundle), "--address", address, "--at", at, *map(str, arguments)]
    result = CliRunner().invoke(app, command)
    assert "Traceback" not in result.output
    assert "PRIVATE KEY" not in result.output
    return Result(result.exit_code, result.stdout, result.stderr)


def answer(bundle: Path, *arguments: str | Path, **options: str) -> dict[str, Any]:
    """Run validate with `--json`, and return the parsed output."""
    result = validate(bundle, *arguments, "--json", **options)
    assert result.err == ""
    found: dict[str, Any] = json.loads(result.out)
    assert found["valid"] == (not found["violations"]) == (result.code == 0)
    assert result.code in {0, 1}
    return found


def codes(bundle: Path, *arguments: str | Path, **options: str) -> set[str]:
    """Return the codes of the violations."""
    return {one["code"] for one in answer(bundle, *arguments, **options)["violations"]}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A bundle that breaks no rule."""
    return write_bundle(MADE, tmp_path / "good.pem")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A bundle that breaks three rules, and a fourth rule for a reserve."""
    return write_bundle(BROKEN, tmp_path / "broken.pem")


def test_a_good_bundle_is_valid(good: Path) -> None:
    """The exit code is 0, and the JSON has the details of the certificate."""  # R14
    found = answer(good)
    assert found == {
        "valid": True,
        "violations": [],
        "notices": [],
        "certificate": {
            "source": "installed",
            "subject": "CN=mdm.example.com",
            "issuer": "CN=Issuing",
            "sans": [HOST],
            "serialNumber": f"{MADE.leaf.serial_number:x}",
            "sha256": found["certificate"]["sha256"],
            "root": "CN=Root",
            "rootSha256": fingerprint(MADE.root),
            "key": "EC P-256",
            "notBefore": "2041-02-19T12:30:15Z",
            "notAfter": "2042-03-26T12:30:15Z",
            "daysLeft": 390,
        },
    }
    assert len(found["certificate"]["sha256"]) == 64


def test_the_type_of_a_key_is_shown_as_clients_see_it(tmp_path: Path) -> None:
    """An RSASSA-PSS key is not shown as RSA, because no TLS server can load it."""  # R28
    made = Chain().but(leaf={"key": "rsa-2048", "form": "pss"}).make()
    found = answer(write_bundle(made, tmp_path / "pss.pem"))
    assert found["certificate"]["key"] == "RSASSA-PSS 2048"
    assert [one["code"] for one in found["violations"]] == ["key-type"]


def test_all_violations_are_reported_together(broken: Path) -> None:
    """The exit code is 1. Each violation has the found and the required value, and what to do."""  # R19 R23 R26
    found = answer(broken)["violations"]
    assert [one["code"] for one in found] == ["san-mismatch", "eku-missing", "root-rsa-too-small"]
    for one in found:
        assert one.keys() == {"code", "subject", "found", "required", "message"}
        assert all(one.values())
    assert codes(broken, "--for", "reserve", "--apply-at", "2041-04-15T00:00:00Z") >= {"expires-too-early"}


def test_a_person_gets_a_checklist(broken: Path) -> None:
    """Each rule is listed with its outcome and requirement, and each failed rule with the remedy."""
    result = validate(broken)
    assert result.code == 1
    lines = result.out.splitlines()
    assert lines[0] == "broken.pem for mdm.example.com at 2041-03-01 12:30:15 UTC: 3 rules broken"
    assert all(f"R{number}" in result.out for number in range(18, 29))
    outcomes = [line.split()[0] for line in lines if line.startswith(("  pass  ", "  FAIL  ", "  n/a   "))]
    assert (outcomes.count("FAIL"), outcomes.count("n/a")) == (3, 3)
    assert "eku-missing: CN=mdm.example.com has no extended key usage" in result.out
    assert max(map(len, lines)) <= 120
    assert "valid" in validate(write_bundle(MADE, broken.parent / "good.pem")).out.splitlines()[0]


def test_a_junit_report_is_an_additional_output(broken: Path, tmp_path: Path) -> None:
    """The report has a case for each rule, with failures and skipped cases. The output stays the same."""
    assert validate(broken, "--junit", tmp_path / "junit.xml", "--json").code == 1
    suite = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - our own
    cases = list(suite.iter("testcase"))
    assert suite.attrib["tests"] == str(len(cases)) == str(len(RULES) + 2)  # the file and the handshake
    assert suite.attrib["failures"] == str(len(list(suite.iter("failure")))) == "3"
    assert suite.attrib["skipped"] == str(len(list(suite.iter("skipped")))) == "3"
    assert [one.attrib["type"] for one in suite.iter("failure")] == [
        "san-mismatch",
        "eku-missing",
        "root-rsa-too-small",
    ]


def test_names_cannot_break_what_is_printed(tmp_path: Path) -> None:
    """Markup, terminal codes and characters that XML cannot represent have no effect in a subject."""
    odd = Chain(leaf=LEAF.but(name="[red]<a>\x1b[2J\x00 &", sans=("[bold]*.example.com",))).make()
    bundle = write_bundle(odd, tmp_path / "odd.pem")
    result = validate(bundle, "--junit", tmp_path / "junit.xml")
    assert result.code == 1
    assert "CN=[red]" in result.out
    assert "[bold]*.example.com" in result.out
    assert "\x1b" not in result.out
    assert ET.parse(tmp_path / "junit.xml").getroot().tag == "testsuite"  # noqa: S314 - our own


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path: Path, encoding: str) -> None:
    """The exit code is that of the check, and each character outside the encoding of stdout is an escape."""
    made = Chain(leaf=LEAF.but(name="日本 é")).make()
    bundle = write_bundle(made, tmp_path / "日本.pem")
    done = subprocess.run(
        [sys.executable, "-m", "ios_mdm", "validate", str(bundle), "--address", HOST, "--at", AT],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    shown = "日本 é".encode(encoding, "backslashreplace")
    assert b"subject  CN=" + shown in done.stdout
    assert done.stdout.startswith(rb"\u65e5\u672c.pem for")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_password_comes_from_a_file(tmp_path: Path, end: str) -> None:
    """A P12 is opened with the password in a file, with or without a line end."""  # R18 R29
    bundle, password = tmp_path / "main.p12", tmp_path / "password"
    key: Any = MADE.keys[0]
    encryption = BestAvailableEncryption(PASSWORD.encode())
    bundle.write_bytes(pkcs12.serialize_key_and_certificates(b"mdm", key, MADE.leaf, list(MADE.chain[1:]), encryption))
    password.write_bytes((PASSWORD + end).encode())
    assert answer(bundle, "--password-file", password)["valid"]
    password.write_bytes(f"wrong{end}".encode())
    assert codes(bundle, "--password-file", password) == {"bad-password"}
    assert codes(bundle) == {"bad-password"}


def test_a_file_that_is_no_certificate_is_a_violation(tmp_path: Path) -> None:
    """The exit code is 1, and the JSON has no certificate."""  # R18
    bundle = tmp_path / "letter.txt"
    bundle.write_text("Dear administrator", encoding="utf-8")
    found = answer(bundle)
    assert [one["code"] for one in found["violations"]] == ["unreadable"]
    assert found["certificate"] is None
    bundle.write_bytes(pem(*MADE.chain))
    assert codes(bundle) == {"no-key"}
    bundle.write_bytes(private_pem(MADE.keys[0]))
    assert codes(bundle) == {"no-certificate"}
    assert validate(bundle).code == 1


def test_a_doubtful_certificate_in_trust_is_a_notice(tmp_path: Path) -> None:
    """The readable certificate counts. The notice names the option, the file, the number and the field."""  # R22
    bundle, trust, alone = tmp_path / "leaf.pem", tmp_path / "trust.pem", tmp_path / "alone.pem"
    bundle.write_bytes(private_pem(MADE.keys[0]) + pem(MADE.leaf))
    odd = changed_certificate(ODD.leaf, ROOT, ODD_FIELDS["extension twice"][0])
    trust.write_bytes(block("CERTIFICATE", odd) + pem(*MADE.chain[1:]))
    found = answer(bundle, "--trust", trust)
    assert found["valid"]
    (notice,) = (one for one in found["notices"] if one.startswith(f"--trust {trust}: not readable by the library"))
    assert notice.endswith("ignored: certificate 1: extension basicConstraints (it occurs twice)")
    alone.write_bytes(odd)
    result = validate(bundle, "--trust", alone)
    assert result.code == 2
    assert f"--trust {alone}: certificate 1 of the file cannot be read because of its extension" in result.err


def test_the_library_prints_no_warning(tmp_path: Path) -> None:
    """Stderr is empty for a serial number of 0. The JSON has a notice."""  # R28
    odd = changed_certificate(ODD.leaf, ROOT, with_serial_number(b"\0"))
    bundle = tmp_path / "odd.pem"
    bundle.write_bytes(private_pem(ODD.keys[0]) + block("CERTIFICATE", odd) + pem(ODD.root))
    result = run("validate", str(bundle), "--address", HOST, "--at", AT, "--json", cwd=tmp_path, environment={})
    assert (result.code, result.err) == (0, "")
    assert "has a serial number that is zero" in json.loads(result.out)["notices"][0]


def test_the_forgotten_certificate_of_the_server_is_the_only_violation(tmp_path: Path) -> None:
    """No rule about the CAs is reported."""  # R18
    bundle = tmp_path / "forgotten.pem"
    bundle.write_bytes(private_pem(MADE.keys[0]) + pem(*MADE.chain[1:]))
    assert codes(bundle) == {"no-certificate"}


def test_root_and_trust_complete_the_chain(tmp_path: Path) -> None:
    """A bundle that has only the leaf passes with --trust and --root, in PEM or DER."""  # R22
    bundle, issuing, root = tmp_path / "leaf.pem", tmp_path / "issuing.pem", tmp_path / "root.der"
    bundle.write_bytes(private_pem(MADE.keys[0]) + pem(MADE.leaf))
    issuing.write_bytes(b"subject=CN = Issuing\n" + pem(MADE.chain[1]))
    root.write_bytes(MADE.root.public_bytes(Encoding.DER))
    assert codes(bundle) == {"chain-incomplete"}
    assert codes(bundle, "--trust", issuing) == {"chain-incomplete"}
    found = answer(bundle, "--trust", issuing, "--root", root)
    assert found["valid"]
    assert len(found["notices"]) == 2
    assert answer(bundle, "--trust", issuing, "--trust", root)["valid"]


def test_the_current_certificate_is_compared(tmp_path: Path, good: Path) -> None:
    """Root and expiry are compared with the current chain, in any order of its certificates."""  # R21 R24
    current = tmp_path / "current.pem"
    older = Chain(leaf=LEAF.but(days=(-300, 60))).make()
    for order in (older.chain, older.chain[::-1], older.chain[:-1]):
        current.write_bytes(pem(*order))
        assert answer(good, "--for", "reserve", "--current", current)["valid"]
    longer = Chain(leaf=LEAF.but(days=(-300, 500)), issuing=(ISSUING.but(owner="b"),), root=ROOT.but(name="B")).make()
    current.write_bytes(pem(*longer.chain))
    assert codes(good, "--for", "reserve", "--current", current) == {"expires-too-early", "root-mismatch"}
    assert codes(good, "--for", "main", "--current", current) == {"root-mismatch"}


def test_an_issued_main_lets_any_root_follow(tmp_path: Path, good: Path) -> None:
    """If main is issued, R24 does not apply, and a notice names the step that happens first."""  # R24
    current = tmp_path / "current.pem"
    ours = issue(HOST, key=KeyType.EC_P256, validity_days=200, now=NOW - timedelta(days=30))
    current.write_text(ours.chain, encoding="ascii")
    found = answer(good, "--for", "reserve", "--current", current)
    assert found["valid"]
    assert [one for one in found["notices"] if "distributed to the devices first" in one]
    current.write_text(ours.certificate, encoding="ascii")  # as the server presents it
    (found,) = answer(good, "--for", "reserve", "--current", current)["violations"]
    assert found["code"] == "root-mismatch"
    assert "provide the complete chain of the current certificate, or its root" in found["message"]


def test_the_time_of_judgment_can_be_set(good: Path) -> None:
    """`--at` sets a past or future time. The default is now, when this certificate is not valid yet."""  # R21
    assert codes(good, at="2040-01-01T00:00:00Z") == {"not-yet-valid"}
    assert codes(good, at="2043-01-01T01:00:00+01:00") == {"expired"}
    result = CliRunner().invoke(app, ["validate", str(good), "--address", HOST, "--json"])
    assert "not-yet-valid" in result.stdout


def test_the_address_is_read_as_in_a_definition(tmp_path: Path) -> None:
    """A port is ignored, and non-ASCII letters become A-labels."""  # R19
    bundle = write_bundle(Chain(leaf=LEAF.but(sans=("xn--bcher-kva.example",))).make(), tmp_path / "idn.pem")
    assert answer(bundle, address="Bücher.example:8443")["valid"]
    own = write_bundle(SelfSigned().make(), tmp_path / "own.pem")
    assert answer(own)["valid"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.pem", "--address", HOST), "missing.pem cannot be read: No such file"),
        ((".", "--address", HOST), "cannot be read: Is a directory"),
        (("good.pem", "--address", "192.0.2.1"), "not the IP address"),
        (("good.pem", "--address", "not a name"), "is not a DNS name"),
        (("good.pem",), "--address"),
        (("good.pem", "--address", HOST, "--for", "spare"), "spare"),
        (("good.pem", "--address", HOST, "--at", "tomorrow"), "--at 'tomorrow' is not a date and time of RFC 3339"),
        (("good.pem", "--address", HOST, "--for", "reserve", "--apply-at", "2041-01-01"), "--apply-at '2041-01-01'"),
        (("good.pem", "--address", HOST, "--apply-at", "2041-06-01T00:00:00Z"), "add --for reserve, or remove"),
        (("good.pem", "--address", HOST, "--at", AT, "--at", AT), "'--at': the option has 2 values: use it once"),
        (("good.pem", "--address", HOST, "--root", "leaf.pem", "--root", "good.pem"), "'--root': the option has 2"),
        (("good.pem", "--address", HOST, "--password-file", "missing"), "--password-file missing cannot be read"),
        (("good.pem", "--address", HOST, "--password-file", "lines"), "--password-file lines has text in line 3: keep"),
        (("good.pem", "--address", HOST, "--password-file", "latin-1"), "is not UTF-8"),
        (
            ("good.pem", "--address", HOST, "--current", "latin-1"),
            "--current latin-1: the file is neither PEM nor",
        ),
        (("good.pem", "--address", HOST, "--root", "good.pem"), "--root good.pem holds 3 certificates"),
        (("good.pem", "--address", HOST, "--root", "leaf.pem"), "--root leaf.pem is not self-signed"),
        (("good.pem", "--address", HOST, "--trust", "missing"), "--trust missing cannot be read"),
        (
            ("good.pem", "--address", HOST, "--junit", "missing/junit.xml"),
            "--junit missing/junit.xml cannot be written",
        ),
    ],
)
def test_a_usage_error_is_one_line(good: Path, arguments: tuple[str, ...], words: str) -> None:
    """The exit code is 2, stderr has the error, and no result is printed."""
    (good.parent / "leaf.pem").write_bytes(pem(MADE.leaf))
    (good.parent / "lines").write_bytes(b"one\n\ntwo")
    (good.parent / "latin-1").write_bytes("pässword".encode("latin-1"))
    result = run("validate", *arguments, cwd=good.parent, environment={})
    assert (result.code, result.out) == (2, "")
    assert words in " ".join(result.err.replace("│", " ").split())


def test_a_deleted_current_folder_is_named(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The problem is in the shell, and not in the program."""  # R18
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = validate(good)
    assert (found.code, found.err) == (2, "error: the current folder was deleted: change to another folder\n")


def test_the_page_names_every_code_and_rule() -> None:
    """docs/custom-certificates.md has each code and the title of each rule."""
    page = (PROJECT / "docs" / "custom-certificates.md").read_text(encoding="utf-8")
    found = set(get_args(Code)) | {defect.code for defect in DEFECTS.values()}
    assert [code for code in sorted(found) if f"`{code}`" not in page] == []
    assert [rule.title for rule in RULES if f" {rule.title} " not in page] == []


HEAVY = (
    *("boto3", "cryptography", "httpx", "idna", "pulumi", "pydantic", "rich", "tenacity", "yaml"),
    *("ios_mdm.adapters.sealed_reader.process", "ios_mdm.adapters.sealed_reader.child"),
)


@pytest.mark.parametrize(("loaded", "option"), [([], "--help"), (["cryptography"], None), (["cryptography"], "--json")])
def test_a_judgment_loads_only_what_it_needs(good: Path, loaded: list[str], option: str | None) -> None:
    """`--help` imports no library, and a check only the library that reads certificates."""
    command = ["validate", str(good), "--address", HOST, "--at", "2041-03-01T00:00:00Z", *([option] if option else [])]
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom ios_mdm.__main__ import app\n"
        f"result = CliRunner().invoke(app, {command!r})\n"
        f"print(result.exit_code, *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", *loaded]


@pytest.mark.parametrize("start", ["00010101000000Z", "20180101000000Z"])
def test_a_certificate_without_an_end_has_a_verdict(tmp_path: Path, start: str) -> None:
    """A notAfter of 99991231235959Z means that there is no end (RFC 5280, 4.1.2.5)."""  # R21
    times = {"times": (start, "99991231235959Z")}
    made = Chain().but(leaf=times, issuing=times, root=times).make()
    shown = answer(write_bundle(made, tmp_path / "endless.pem"))["certificate"]
    assert shown["notAfter"] == "9999-12-31T23:59:59Z"
    assert shown["notBefore"] == ("0001-01-01T00:00:00Z" if start.startswith("0001") else "2018-01-01T00:00:00Z")
    assert shown["daysLeft"] > 2_900_000
    assert f"valid    {shown['notBefore'][:4]}-01-01 00:00:00 UTC" in validate(tmp_path / "endless.pem").out
