"""``readiness``: its verdict, its reasons, its lists, its JSON and its exit codes."""

from __future__ import annotations

import json
import socket
import uuid
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.core.ledger.values import DeviceEvent
from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.pair.schedule import Kind, schedule_names
from ios_mdm.core.profile import certificate_digests
from tests.support.aws import AWS
from tests.support.command_line import DEVICES, START, Pair, Result
from tests.support.events import record_authenticate, record_device
from tests.support.tls_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ios_mdm.app.pair.values import PairResult

ALL = dict.fromkeys(DEVICES, "acknowledged")


def run(pair: Pair, *arguments: str, days: float = 0, **environment: str) -> Result:
    """Run the command in this process, at a number of days after the start."""
    variables = {**pair.environment(days), **environment}
    ran = CliRunner().invoke(app, ["readiness", "--definition", str(pair.file), *arguments], env=variables)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return Result(ran.exit_code, ran.stdout, ran.stderr)


def report(pair: Pair, *, code: int, days: float = 0, **environment: str) -> dict[str, Any]:
    """Return the JSON about the server, after the exit code is checked."""
    found = run(pair, "--json", days=days, **environment)
    assert found.code == code, found.out + found.err
    (server,) = json.loads(found.out)["servers"]
    assert isinstance(server, dict)
    return server


def codes(server: dict[str, Any]) -> list[tuple[str, str]]:
    """Return level and code of each reason."""
    return [(one["level"], one["code"]) for one in server["reasons"]]


def define(pair: Pair, *, endpoint: str | None, proof: bool = True, devices: Any = None, **changes: Any) -> None:
    """Write the definition with an endpoint, and with proofs."""
    server = pair.define(endpoints=[] if endpoint is None else [endpoint], **changes)
    if proof:
        server["distribution"]["proof"] = {"certificateList": True}
    if devices is not None:
        server["distribution"]["devices"] = devices
    pair.file.write_text(yaml.safe_dump({"config": {"ios-mdm:servers": [server]}}), encoding="utf-8")


def prove(pair: Pair, made: PairResult, *devices: str) -> None:
    """Record that devices have the certificates of the profile."""
    certificates = certificate_digests(pair.profile(made))
    events = [
        DeviceEvent(
            identity=uuid.uuid4().bytes, at=START, topic="mdm.Connect", enrollment_id=one, certificates=certificates
        )
        for one in devices
    ]
    pair.ledger.record_events(events, now=START)


@contextmanager
def server(pair: Pair, folder: Path, *, certificate: int = 1, ciphers: str = "") -> Iterator[str]:
    """Serve a certificate of the pair; yield the endpoint."""
    value = SecretsManager(aws=AWS).read(pair.secret, version_id(pair.secret, certificate))
    assert value is not None
    with serving(value, folder, ciphers=ciphers) as endpoint:
        yield endpoint


def test_a_pair_whose_devices_proved_the_reserve_is_ready(pair: Pair, tmp_path: Path) -> None:
    """Devices, endpoint, schedule and alarms are in order. The text has all facts."""  # R44 R48
    made = pair.make()
    pair.deliver(made, ALL)
    prove(pair, made, *DEVICES)
    with server(pair, tmp_path) as endpoint:
        define(pair, endpoint=endpoint)
        found, text = report(pair, code=0), run(pair)
    assert (found["verdict"], found["reasons"], found["scheduled"]) == ("ready", [], True)
    assert (found["applyAt"], found["latestAt"]) == ("2040-01-31T00:00:00Z", None)
    assert found["devices"]["states"]["proved"] == 5
    assert (found["devices"]["lost"], found["devices"]["notProved"]) == ([], [])
    (shown,) = found["endpoints"]
    assert (shown["presents"], shown["connection"], shown["findings"]) == ("main", "ready", [])
    assert [(one["slot"], one["certificate"]) for one in found["anchors"]] == [("main", 1), ("reserve", 2)]
    for one in found["anchors"]:
        assert one["sha256"] == made.certificates[one["certificate"]].details.root_sha256
        assert one["pem"] in made.certificates[one["certificate"]].pem
    assert text.code == 0
    assert text.out.splitlines()[0].startswith(f"{pair.name} (mdm.example.com): READY")
    for words in ("5 of 5 devices proved", "presents main", "anchor_certs", "schedule, role and queue are in order"):
        assert words in text.out


def test_the_verdict_is_a_metric(pair: Pair, tmp_path: Path) -> None:
    """1 if the server is ready, 0 if not, and no value if that is unknown."""  # R44
    made = pair.make()
    pair.deliver(made, ALL)
    file = tmp_path / "ios.prom"

    def metric() -> list[str]:
        pair.status("--metrics", str(file))
        return [line for line in file.read_text(encoding="ascii").splitlines() if line.startswith("ios_mdm_ready{")]

    with server(pair, tmp_path) as endpoint:
        define(pair, endpoint=endpoint)
        assert metric() == [f'ios_mdm_ready{{server="{pair.name}"}} 0.0']
        prove(pair, made, *DEVICES)
        assert metric() == [f'ios_mdm_ready{{server="{pair.name}"}} 1.0']
    define(pair, endpoint=None)
    assert metric() == []


def test_without_proof_acknowledged_devices_are_a_warning(pair: Pair, tmp_path: Path) -> None:
    """The report never calls proved what devices only acknowledged."""  # R44
    pair.deliver(pair.make(), ALL)
    with server(pair, tmp_path) as endpoint:
        define(pair, endpoint=endpoint, proof=False)
        found, text = report(pair, code=1), run(pair)
    assert (found["verdict"], codes(found)) == ("ready", [("warning", "not-proved")])
    assert (found["devices"]["lostCount"], found["devices"]["notProvedCount"]) == (0, 5)
    assert "5 of 5 devices acknowledged a profile with the root of the reserve" in text.out
    assert "not proved" in text.out


def test_devices_that_lose_their_connection_are_named(pair: Pair, tmp_path: Path) -> None:
    """Each has its state, the reason of the device, and the time since which this is known."""  # R44 R45
    made = pair.make()
    for device in DEVICES:
        record_device(pair.ledger, device, enrolled=True, at=START - timedelta(days=30))
    pair.deliver(made, {"AAAA-1": "acknowledged", "AAAA-2": "error", "AAAA-3": "not-now", "AAAA-5": "acknowledged"})
    prove(pair, made, "AAAA-1")
    record_authenticate(pair.ledger, "AAAA-5", at=START + timedelta(hours=1))
    with server(pair, tmp_path) as endpoint:
        define(pair, endpoint=endpoint)
        found, text = report(pair, code=2, days=8), run(pair, days=8)
    assert found["verdict"] == "not-ready"
    assert ("critical", "lost-devices") in codes(found)
    lost = {one["id"]: (one["state"], one["since"], one["reason"]) for one in found["devices"]["lost"]}
    assert lost == {
        "AAAA-2": ("failed", "2040-01-01T00:00:00Z", "[bold]no\x1b[2J"),
        "AAAA-3": ("silent", "2039-12-02T00:00:00Z", None),
        "AAAA-4": ("silent", "2039-12-02T00:00:00Z", None),
        "AAAA-5": ("erased", "2040-01-01T01:00:00Z", None),
    }
    assert text.code == 2
    assert "NOT READY" in text.out
    assert "AAAA-2: failed since 2040-01-01 00:00 UTC ([bold]no?[2J)" in text.out
    assert "\x1b" not in text.out


def test_with_proof_an_acknowledgment_is_not_enough(pair: Pair, tmp_path: Path) -> None:
    """These devices have a separate list, and are an obstacle."""  # R44
    made = pair.make()
    pair.deliver(made, ALL)
    prove(pair, made, *DEVICES[1:])
    with server(pair, tmp_path) as endpoint:
        define(pair, endpoint=endpoint)
        found = report(pair, code=2)
    assert codes(found) == [("critical", "not-proved")]
    assert found["devices"]["lost"] == []
    assert [one["id"] for one in found["devices"]["notProved"]] == ["AAAA-1"]


def test_the_text_names_twenty_devices(pair: Pair) -> None:
    """The last line of the list has the command for all. The JSON has all."""  # R45
    pair.deliver(pair.make(), ALL)
    define(pair, endpoint=None, devices=[f"D-{number:02}" for number in range(25)])
    found, text = report(pair, code=2), run(pair)
    assert len(found["devices"]["lost"]) == 25
    assert text.out.count("D-") == 20
    assert f"and 5 more: ios-mdm devices --server {pair.name} --state not-sent" in text.out


def test_a_coverage_that_the_definition_accepts_is_a_warning(pair: Pair, tmp_path: Path) -> None:
    """With `minimumCoverage`, some devices may lose their connection. Below it, they are an obstacle."""  # R46
    made = pair.make()
    pair.deliver(made, {"AAAA-1": "error"})
    prove(pair, made, *DEVICES[1:])
    with server(pair, tmp_path) as endpoint:
        for minimum, level in ((80, "warning"), (81, "critical")):
            define(pair, endpoint=endpoint, promotion={"minimumCoverage": minimum})
            found = json.loads(run(pair, "--json").out)["servers"][0]
            assert (level, "lost-devices") in codes(found)
            assert (found["devices"]["covered"], found["devices"]["counted"]) == (4, 5)
            assert found["latestAt"] == "2041-01-30T23:55:00Z"


def test_without_a_reserve_there_is_nothing_to_switch_to(pair: Pair, tmp_path: Path) -> None:
    """The devices are counted, and none of them is called lost."""
    made = pair.make(reserve={"none": True})
    pair.deliver(made, ALL)
    with server(pair, tmp_path) as endpoint:
        define(pair, endpoint=endpoint, reserve={"none": True})
        found, text = report(pair, code=2), run(pair)
    assert codes(found) == [("critical", "no-reserve")]
    assert "lost" not in found["devices"]
    assert "there is nothing to switch to" in text.out


def test_an_endpoint_that_does_not_present_main_is_an_obstacle(pair: Pair, tmp_path: Path) -> None:
    """Nothing shows that something on this server fetches the certificates of the pair."""  # R16
    made = pair.make()
    pair.deliver(made, ALL)
    prove(pair, made, *DEVICES)
    with server(pair, tmp_path, certificate=2) as endpoint:
        define(pair, endpoint=endpoint)
        found = report(pair, code=2)
    assert codes(found) == [("critical", "consumer-not-seen")]
    assert found["endpoints"][0]["presents"] == "reserve"


def test_a_connection_that_apple_might_refuse_is_an_obstacle(pair: Pair, tmp_path: Path) -> None:
    """The reason is the requirement of Apple's article."""  # R48
    made = pair.make()
    pair.deliver(made, ALL)
    prove(pair, made, *DEVICES)
    with server(pair, tmp_path, ciphers="ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256") as endpoint:
        define(pair, endpoint=endpoint)
        found = report(pair, code=2)
    assert codes(found) == [("critical", "tls-cipher")]


def test_an_unreachable_endpoint_is_unknown(pair: Pair) -> None:
    """So is a definition without endpoints."""  # R17
    made = pair.make()
    pair.deliver(made, ALL)
    prove(pair, made, *DEVICES)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        define(pair, endpoint=f"127.0.0.1:{bound.getsockname()[1]}")
        found = report(pair, code=3)
    assert (found["verdict"], codes(found)) == ("unknown", [("unknown", "endpoint-unread")])
    define(pair, endpoint=None)
    assert codes(report(pair, code=3)) == [("unknown", "no-endpoints")]


def test_a_missing_schedule_is_an_obstacle(pair: Pair) -> None:
    """The reserve does not become main automatically."""  # R36
    made = pair.make()
    pair.deliver(made, ALL)
    prove(pair, made, *DEVICES)
    EventBridgeScheduler(aws=AWS).delete(schedule_names(pair.name, pair.secret)[Kind.PROMOTE])
    define(pair, endpoint=None)
    found = report(pair, code=2)
    assert codes(found) == [("critical", "not-scheduled"), ("unknown", "no-endpoints")]
    assert found["scheduled"] is False


def test_missing_alarms_are_a_warning(pair: Pair) -> None:
    """The switch does not need its alarms. `status` does not check them."""  # R36
    made = pair.make()
    pair.deliver(made, ALL)
    define(pair, endpoint=None, promotion={"alarmArn": "arn:aws:sns:eu-central-1:000000000000:alarms"})
    (reason,) = [one for one in report(pair, code=2)["reasons"] if one["code"] == "alarms"]
    assert reason["level"] == "warning"
    for kind in (Kind.OVERDUE, Kind.EXPIRY):
        assert f"{schedule_names(pair.name, pair.secret)[kind]} is missing" in reason["message"]


@pytest.mark.parametrize(
    ("promotion", "code"), [({"hold": True}, "hold"), ({"schedule": False}, "no-schedule")], ids=["hold", "schedule"]
)
def test_a_switch_that_is_not_automatic_is_a_warning(pair: Pair, promotion: dict[str, Any], code: str) -> None:
    """The report says what must happen first."""  # R36
    made = pair.make(promotion=promotion)
    pair.deliver(made, ALL)
    prove(pair, made, *DEVICES)
    define(pair, endpoint=None, promotion=promotion)
    assert ("warning", code) in codes(report(pair, code=3))


def test_a_service_that_does_not_answer_is_unknown(pair: Pair) -> None:
    """So is a pair that cannot be read."""
    made = pair.make()
    pair.deliver(made, ALL)
    prove(pair, made, *DEVICES)
    define(pair, endpoint=None)
    found = report(pair, code=3, AWS_ENDPOINT_URL_SCHEDULER="http://127.0.0.1:9")
    assert ("unknown", "schedule-unknown") in codes(found)
    found = report(pair, code=3, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert codes(found) == [("unknown", "unread")]
    assert found["devices"] is None


def test_unknown_devices_are_unknown(pair: Pair) -> None:
    """Without a distribution, the report cannot say which devices trust the reserve."""
    pair.make(distributed=False)
    found = report(pair, code=3)
    assert ("unknown", "devices-unknown") in codes(found)
    server_ = pair.define(endpoints=[])
    del server_["distribution"]["ledger"]
    pair.file.write_text(yaml.safe_dump({"config": {"ios-mdm:servers": [server_]}}), encoding="utf-8")
    (reason,) = [one for one in report(pair, code=3)["reasons"] if one["code"] == "devices-unknown"]
    assert "name a ledger" in reason["message"]


def test_the_pages_have_the_facts_of_the_commands(pair: Pair) -> None:
    """The page of `status` has no verdict. Exit codes and output do not depend on a page."""
    made = pair.make()
    pair.deliver(made, {**ALL, "AAAA-2": "error"})
    define(pair, endpoint=None)
    ready, status = pair.folder / "ready.html", pair.folder / "status.html"
    assert run(pair, "--html", str(ready)) == run(pair)
    assert pair.status("--html", str(status)) == pair.status()
    texts = [file.read_text(encoding="utf-8") for file in (ready, status)]
    assert ["NOT READY" in text for text in texts] == [True, False]
    for text in texts:
        assert "AAAA-2" in text
        assert str(made.certificates[2].details.root_sha256) in text
        assert "PRIVATE KEY" not in text
    found = run(pair, "--html", str(pair.folder / "missing" / "page.html"))
    assert (found.code, "cannot be written" in found.err) == (3, True)


def test_wrong_usage_is_unknown(pair: Pair) -> None:
    """The exit code is 3, because 2 means that the switch is not ready."""
    assert run(pair, "--bogus").code == 3
    pair.define()
    assert run(pair, "--server", "paris").code == 3
