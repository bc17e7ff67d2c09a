"""`status --metrics`: the text, and the file."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.app.status.coverage import Distribution
from ios_mdm.app.status.fleet import Fleet, fleet
from ios_mdm.app.status.lost import Lost
from ios_mdm.app.status.overview import Certificate, Overview
from ios_mdm.app.status.watched import Watched
from ios_mdm.cli.metrics import LAST_RUN, metrics_text, metrics_writer
from ios_mdm.core.ledger.values import AnswerStatus, DeviceState, StatePolicy
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.watch import WatchedCertificate
from ios_mdm.errors import DefinitionError, StoreError
from tests.support.command_line import DEVICES, Pair, run
from tests.support.events import record_answer, record_device, record_sent
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOW = datetime(2040, 1, 1, tzinfo=UTC)
GOLDEN = """\
# HELP ios_mdm_certificate_expiry_timestamp_seconds End of validity of the certificate in a slot of the pair.
# TYPE ios_mdm_certificate_expiry_timestamp_seconds gauge
ios_mdm_certificate_expiry_timestamp_seconds{server="berlin",slot="main"} 2.210716799e+09
ios_mdm_certificate_expiry_timestamp_seconds{server="berlin",slot="reserve"} 2.244931199e+09
# HELP ios_mdm_apply_timestamp_seconds Time at which the reserve becomes main.
# TYPE ios_mdm_apply_timestamp_seconds gauge
ios_mdm_apply_timestamp_seconds{server="berlin"} 2.2106304e+09
# HELP ios_mdm_switch_armed Whether schedules in AWS make the reserve main (1) or not (0).
# TYPE ios_mdm_switch_armed gauge
ios_mdm_switch_armed{server="berlin"} 1.0
# HELP ios_mdm_devices Devices of the definition by the state of the profile.
# TYPE ios_mdm_devices gauge
ios_mdm_devices{server="berlin",state="not-sent"} 0.0
ios_mdm_devices{server="berlin",state="queued"} 1.0
ios_mdm_devices{server="berlin",state="acknowledged"} 2.0
ios_mdm_devices{server="berlin",state="proved"} 0.0
ios_mdm_devices{server="berlin",state="not-now"} 0.0
ios_mdm_devices{server="berlin",state="failed"} 0.0
ios_mdm_devices{server="berlin",state="silent"} 0.0
ios_mdm_devices{server="berlin",state="erased"} 0.0
ios_mdm_devices{server="berlin",state="gone"} 1.0
# HELP ios_mdm_devices_without_profile Devices that lose their connection when the reserve becomes main.
# TYPE ios_mdm_devices_without_profile gauge
ios_mdm_devices_without_profile{server="berlin"} 1.0
# HELP ios_mdm_status_severity Worst notice of the server: 0 ok, 1 warning, 2 critical, 3 unknown.
# TYPE ios_mdm_status_severity gauge
ios_mdm_status_severity{server="berlin"} 1.0
ios_mdm_status_severity{server="paris"} 3.0
# HELP ios_mdm_last_run_timestamp_seconds Last run of status that could read the server.
# TYPE ios_mdm_last_run_timestamp_seconds gauge
ios_mdm_last_run_timestamp_seconds{server="berlin"} 2.2089888e+09
ios_mdm_last_run_timestamp_seconds{server="paris"} 2.2088e+09
# HELP ios_mdm_watched_expiry_timestamp_seconds End of validity of a watched certificate.
# TYPE ios_mdm_watched_expiry_timestamp_seconds gauge
ios_mdm_watched_expiry_timestamp_seconds{name="push"} 2.210716799e+09
# HELP ios_mdm_watched_severity Worst notice of the watched certificate: 0 ok, 1 warning, 2 critical.
# TYPE ios_mdm_watched_severity gauge
ios_mdm_watched_severity{name="push"} 0.0
ios_mdm_watched_severity{name="scep-ca"} 1.0
"""


def certificate(days: float) -> Certificate:
    """Return a certificate that expires this many days after NOW."""
    end = NOW + timedelta(days=days, seconds=-1)
    return Certificate(
        ordinal=1,
        source=Source.ISSUED,
        sha256="0" * 64,
        not_before=NOW,
        not_after=end,
        days_left=int(days) - 1,
        details=None,
    )


def distribution() -> Distribution:
    """Return the coverage of four devices, one of which checked out."""
    states = dict.fromkeys(DeviceState, 0) | {
        DeviceState.ACKNOWLEDGED: 2,
        DeviceState.QUEUED: 1,
        DeviceState.GONE: 1,
    }
    return Distribution(
        identifier="com.example.mdm", profile="0" * 64, is_proof_configured=False, fleet=fleet_in(states)
    )


def fleet_in(
    states: Mapping[DeviceState, int],
    *,
    is_proof_configured: bool = False,
    enrollment_ids: Sequence[str] | None = None,
) -> Fleet:
    """Return devices in these states, whose ledger is not read."""
    return Fleet(
        server="berlin",
        ledger=SqliteLedger(Path("unread.db")),
        policy=StatePolicy(revision=1, is_proof_configured=is_proof_configured),
        enrollment_ids=enrollment_ids,
        states=states,
    )


BERLIN = Overview(
    name="berlin",
    address="mdm.example.com",
    main=certificate(20),
    reserve=certificate(416),
    apply_at=NOW + timedelta(days=19),
    scheduled=True,
    notices=(Notice(reason="coverage", severity=Severity.WARNING, message="only 2 of 3 devices"),),
    distribution=distribution(),
    now=NOW,
)
PARIS = Overview(name="paris", address="mdm.example.org", problem="no answer from AWS", now=NOW)
WATCHED = (
    Watched(
        name="push",
        source="file push.pem",
        certificate=WatchedCertificate(not_after=NOW + timedelta(days=20, seconds=-1)),
        notices=(),
        now=NOW,
    ),
    Watched(
        name="scep-ca",
        source="SCEP CA, https://scep.example.com/scep",
        certificate=None,
        notices=(Notice(reason="watched-unreadable", severity=Severity.WARNING, message="is down"),),
        now=NOW,
    ),
)


def values(text: str) -> dict[tuple[str, ...], float]:
    """Return the value of each sample by its name and the values of its labels, as the official parser reads them."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_text_has_every_metric_in_one_order() -> None:
    """A server that cannot be read keeps the time of its last run, and has no other number."""
    assert metrics_text([BERLIN, PARIS], WATCHED, last_runs={"paris": 2208800000.0, "gone": 1.0}).decode() == GOLDEN


def test_the_text_is_read_by_the_official_parser() -> None:
    """Times are whole seconds without loss."""
    found = values(GOLDEN)
    assert (
        found["ios_mdm_certificate_expiry_timestamp_seconds", "berlin", "main"]
        == (NOW + timedelta(days=20, seconds=-1)).timestamp()
    )
    assert found["ios_mdm_devices", "berlin", "acknowledged"] == 2


def test_promtool_accepts_the_text() -> None:
    """It checks the format, and the names and units of the metrics."""
    promtool = Toolchain.verifier("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: run `python3 tools/bootstrap.py --only promtool`")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=GOLDEN, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_acknowledgement_is_no_proof() -> None:
    """If devices are asked for proof, an acknowledged profile does not count as installed."""  # R44
    states = dict.fromkeys(DeviceState, 0) | {DeviceState.ACKNOWLEDGED: 1, DeviceState.PROVED: 1}
    proving = replace(distribution(), fleet=fleet_in(states, is_proof_configured=True))
    found = values(metrics_text([replace(BERLIN, distribution=proving)], []).decode())
    assert found["ios_mdm_devices_without_profile", "berlin"] == 1


def test_a_device_that_checked_out_has_no_connection_to_lose() -> None:
    """The definition can still list it. Its state is counted."""  # R45
    states = dict.fromkeys(DeviceState, 0) | {DeviceState.GONE: 1, DeviceState.ACKNOWLEDGED: 1}
    listed = replace(distribution(), fleet=fleet_in(states, enrollment_ids=["A-1", "A-2"]))
    found = values(metrics_text([replace(BERLIN, distribution=listed)], []).decode())
    assert found["ios_mdm_devices", "berlin", "gone"] == 1
    assert found["ios_mdm_devices_without_profile", "berlin"] == 0


def test_devices_that_a_switch_loses_are_named(tmp_path: Path) -> None:
    """From 30 days before a switch, each device that loses its connection has a metric with its id."""  # R45
    ledger = SqliteLedger(tmp_path / "ledger.db")
    for one in ("A-1", "A-2", "A-3"):
        record_device(ledger, one, enrolled=one != "A-3", at=NOW)
    record_sent(ledger, "C1", enrollment_ids=["A-1", "A-2"], at=NOW)
    record_answer(ledger, "C1", "A-1", AnswerStatus.ACKNOWLEDGED, at=NOW)
    found = fleet("berlin", ledger, StatePolicy(revision=1), enrollment_ids=None)
    lost = Lost(certificate=2, at=NOW + timedelta(days=19), fleet=found)
    text = metrics_text([replace(BERLIN, distribution=replace(distribution(), lost=lost))], []).decode()
    named = [line for line in text.splitlines() if line.startswith("ios_mdm_lost_device{")]
    assert named == ['ios_mdm_lost_device{enrollment_id="A-2",server="berlin",state="queued"} 1.0']


def test_a_label_is_escaped() -> None:
    """Names have no special characters today. The text is valid also if they had."""
    (odd,) = (Overview(name='a"b\\c\nd', address="", problem="x", now=NOW),)
    found = values(metrics_text([odd], []).decode())
    assert found == {("ios_mdm_status_severity", 'a"b\\c\nd'): 3.0}


def test_nothing_to_report_is_an_empty_file() -> None:
    """A metric without a value has no header either."""
    assert metrics_text([], []) == b""


def test_the_file_is_readable_for_all_and_replaced_by_a_rename(tmp_path: Path) -> None:
    """node_exporter runs as another user, and never reads a part of a file."""
    file = tmp_path / "ios_mdm.prom"
    file.write_text("old", encoding="ascii")
    file.chmod(0o600)
    before = file.stat().st_ino
    umask = os.umask(0o077)
    try:
        metrics_writer(file)([BERLIN], [])
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert file.stat().st_ino != before
    assert [one.name for one in tmp_path.iterdir()] == ["ios_mdm.prom"]


def test_the_last_run_survives_runs_that_cannot_read_the_server(tmp_path: Path) -> None:
    """It comes from the former file. A server that the definition no longer has is dropped."""
    file = tmp_path / "ios_mdm.prom"
    write = metrics_writer(file)
    write([BERLIN, PARIS], [])
    later = NOW + timedelta(days=3)
    for _ in range(2):
        write([Overview(name="berlin", address="", problem="no answer", now=later)], [])
    assert values(file.read_text(encoding="ascii")) == {
        ("ios_mdm_status_severity", "berlin"): 3.0,
        (LAST_RUN, "berlin"): NOW.timestamp(),
    }


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b'ios_mdm_last_run_timestamp_seconds{x="1"} 1\n', b"a b c d"])
def test_a_former_file_of_another_form_is_replaced(content: bytes, tmp_path: Path) -> None:
    """The content of the former file causes no error."""
    file = tmp_path / "ios_mdm.prom"
    file.write_bytes(content)
    metrics_writer(file)([PARIS], [])
    assert values(file.read_text(encoding="ascii")) == {("ios_mdm_status_severity", "paris"): 3.0}


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The error names the file, and no temporary file stays."""
    (tmp_path / "folder.prom").mkdir()
    for path in (tmp_path / "none" / "a.prom", tmp_path / "folder.prom"):
        with pytest.raises(DefinitionError, match="cannot be written"):
            metrics_writer(path)([PARIS], [])
    assert [one.name for one in tmp_path.iterdir()] == ["folder.prom"]


def test_status_writes_the_metrics(pair: Pair) -> None:
    """The numbers are those of the JSON."""
    made = pair.make()
    pair.deliver(made, {**dict.fromkeys(DEVICES, "acknowledged"), "AAAA-2": "error"})
    stack = yaml.safe_load(pair.file.read_text(encoding="utf-8"))
    stack["config"]["ios-mdm:watch"] = [{"name": "gone", "file": "gone.pem"}]
    pair.file.write_text(yaml.safe_dump(stack), encoding="utf-8")
    file = pair.folder / "ios_mdm.prom"
    result = pair.status("--metrics", str(file), "--json")
    assert result.code == 1
    assert result.out.startswith("{")
    found = values(file.read_text(encoding="ascii"))
    assert found["ios_mdm_certificate_expiry_timestamp_seconds", pair.name, "reserve"] == (
        made.certificates[2].details.not_after.timestamp()
    )
    assert found["ios_mdm_apply_timestamp_seconds", pair.name] == (NOW + timedelta(days=30)).timestamp()
    assert found["ios_mdm_switch_armed", pair.name] == 1
    assert found["ios_mdm_devices", pair.name, "acknowledged"] == 4
    assert found["ios_mdm_devices", pair.name, "failed"] == 1
    assert found["ios_mdm_devices_without_profile", pair.name] == 1
    assert found["ios_mdm_status_severity", pair.name] == 1
    assert found[LAST_RUN, pair.name] == NOW.timestamp()
    assert found["ios_mdm_watched_severity", "gone"] == 1


def test_a_server_that_cannot_be_read_is_in_the_metrics(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written, and the exit code stays 3."""
    pair.make(distributed=False)
    file = pair.folder / "ios_mdm.prom"
    assert pair.status("--metrics", str(file)).code == 0

    def refuses(*_arguments: object) -> None:
        raise StoreError("access denied")

    monkeypatch.setattr(SecretsManager, "describe", refuses)
    assert pair.status("--metrics", str(file), days=2).code == 3
    found = values(file.read_text(encoding="ascii"))
    assert found == {("ios_mdm_status_severity", pair.name): 3.0, (LAST_RUN, pair.name): NOW.timestamp()}


def test_an_unreadable_definition_leaves_the_file_as_it_is(pair: Pair) -> None:
    """The time of the last run then becomes too old, which an alert reports."""
    pair.make(distributed=False)
    file = pair.folder / "ios_mdm.prom"
    assert pair.status("--metrics", str(file)).code == 0
    before = file.read_bytes()
    pair.file.write_text("servers: [", encoding="utf-8")
    assert pair.status("--metrics", str(file), days=2).code == 3
    assert file.read_bytes() == before


def test_an_unwritable_file_hides_no_output(pair: Pair) -> None:
    """The JSON is printed before the error."""
    pair.make(distributed=False)
    result = pair.status("--json", "--metrics", str(pair.folder / "none" / "a.prom"))
    assert result.code == 3
    assert result.out.startswith("{")
    assert "--metrics: " in result.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--metrics", "a.txt"), "only files *.prom"),
        (("--metrics", "a.prom", "--server", "berlin"), "--metrics and --server exclude each other"),
    ],
)
def test_wrong_usage_is_unknown(arguments: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    """The exit code is 3, and the definition is not read."""
    result = run("status", *arguments, cwd=tmp_path, environment={})
    assert result.code == 3
    assert expected in result.err
