"""``status``: its table, its JSON and its exit codes."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ios_mdm.adapters.prerequisites import AwsPrerequisites
from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.app.status.overview import overview
from ios_mdm.app.switch_reader import SwitchReader
from ios_mdm.cli import status as work
from ios_mdm.core.pair.layout import PAIR_ID_TAG, profile_tag, version_id
from ios_mdm.core.pair.schedule import Kind, queue_name, role_name, schedule_names
from ios_mdm.core.x509.credential import credential_from_json
from ios_mdm.errors import StoreError
from tests.support.aws import AWS
from tests.support.command_line import DEVICES, Pair, run
from tests.support.stack import recording_proxy
from tests.support.tls_server import serving
from tools.services import ministack

if TYPE_CHECKING:
    from pathlib import Path

    from ios_mdm.app.status.overview import Overview

ALL = dict.fromkeys(DEVICES, "acknowledged")


def test_a_healthy_pair_is_ok(pair: Pair) -> None:
    """The table has all details of a pair in overlap. If all devices acknowledged it, the code is 0."""  # R14 R15
    made = pair.make()
    digest = pair.deliver(made, ALL)
    result = pair.status()
    assert result.code == 0, result.out + result.err
    assert "5 of 5 devices acknowledged the profile (proof is not configured)" in result.out
    assert digest in result.out
    for certificate in made.certificates.values():
        details = certificate.details
        for shown in (details.subject, details.issuer, details.serial_number, details.sha256, details.key):
            assert shown in result.out
        assert f"{details.not_after:%Y-%m-%d %H:%M:%S} UTC" in result.out
    assert "certificate 2, issued" in result.out
    assert "396 days left" in result.out
    assert "2040-01-31 00:00:00 UTC" in result.out
    assert "becomes main" in result.out
    assert "ok" in result.out.splitlines()[0]


def test_servers_are_read_in_parallel_and_shown_in_their_order(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """All servers are read at the same time. A server that cannot be read keeps its place and its error."""  # R40
    made = pair.make(distributed=False)
    names_ = [pair.name, *(f"{pair.name}-{number}" for number in range(work.MAX_THREADS - 1))]
    server = pair.define(distributed=False)
    config = {"ios-mdm:servers": [{**server, "name": name} for name in reversed(names_)]}
    pair.file.write_text(yaml.safe_dump({"encryptionsalt": "v1:x", "config": config}), encoding="utf-8")
    barrier = threading.Barrier(work.MAX_THREADS, timeout=60)

    def waits(*arguments: Any, **more: Any) -> Overview:
        barrier.wait()
        return overview(*arguments, **more)

    monkeypatch.setattr(work, "overview", waits)
    result = pair.status("--json")
    assert result.code == 3
    shown = json.loads(result.out)["servers"]
    assert [one["name"] for one in shown] == list(reversed(names_))
    assert shown[-1]["main"]["sha256"] == made.certificates[1].facts.sha256
    assert all("there is no secret " in one["notices"][0]["message"] for one in shown[:-1])
    assert re.findall(r"^error: server (\S+):", result.err, re.MULTILINE) == list(reversed(names_[1:]))


def test_the_parts_of_a_pair_are_read_in_parallel(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Main, reserve, switch and failed calls do not wait for each other."""
    pair.make(distributed=False)
    barrier = threading.Barrier(4, timeout=60)

    def at_once(owner: object, name: str) -> None:
        call = getattr(owner, name)

        def waits(*arguments: Any, **more: Any) -> Any:
            barrier.wait()
            return call(*arguments, **more)

        monkeypatch.setattr(owner, name, waits)

    at_once(SecretsManager, "read")
    at_once(SwitchReader, "findings")
    at_once(AwsPrerequisites, "queue_messages")
    assert pair.status().code == 0


def test_status_reads_each_answer_of_aws_once(pair: Pair) -> None:
    """The queue is checked, and its messages are counted: both need its URL."""  # R36
    pair.make(distributed=False)
    with recording_proxy(pair.url) as proxy:
        assert pair.status(AWS_ENDPOINT_URL=proxy.url).code == 0
    assert Counter(call.partition(" /")[0] for call in proxy.calls) == {
        "DescribeSecret": 1,
        "GetSecretValue": 2,  # main and reserve
        "GET": 1,  # the schedule
        "GetRole": 1,
        "GetRolePolicy": 1,
        "GetQueueUrl": 1,
        "GetQueueAttributes": 1,
    }


def test_json_has_one_shape(pair: Pair) -> None:
    """The JSON has the content of the table. A second run prints the same JSON."""  # R14
    made = pair.make()
    digest = pair.deliver(made, {**ALL, "AAAA-2": "error", "AAAA-3": "not-now"})
    result = pair.status("--json", "--server", pair.name)
    assert result.code == 1
    assert result == pair.status("--json", "--server", pair.name)
    answer = json.loads(result.out)
    (server,) = answer["servers"]
    details = made.certificates[2].details
    assert answer["severity"] == "warning"
    assert list(server) == [
        *("name", "address", "phase", "main", "reserve", "applyAt", "scheduled", "notices", "endpoints"),
        "distribution",
    ]
    assert (server["name"], server["phase"], server["applyAt"]) == (pair.name, "overlap", "2040-01-31T00:00:00Z")
    assert server["main"]["certificate"] == 1
    assert server["reserve"] == {
        "certificate": 2,
        "source": "issued",
        "subject": "CN=mdm.example.com",
        "issuer": details.issuer,
        "sans": ["mdm.example.com"],
        "serialNumber": details.serial_number,
        "sha256": details.sha256,
        "root": details.issuer,
        "rootSha256": details.root_sha256,
        "key": "EC P-256",
        "notBefore": "2039-12-31T23:55:00Z",
        "notAfter": "2041-01-31T23:54:59Z",
        "daysLeft": 396,
    }
    missing = [
        {"id": "AAAA-2", "status": "failed", "detail": "[bold]no\x1b[2J"},
        {"id": "AAAA-3", "status": "not-now", "detail": ""},
    ]
    assert server["distribution"] == {
        "profile": digest,
        "proof": False,
        "devices": 5,
        "states": {
            **dict.fromkeys(("not-sent", "queued", "proved", "silent", "erased", "gone"), 0),
            "acknowledged": 3,
            "not-now": 1,
            "failed": 1,
        },
        "acknowledged": 3,
        "pending": 1,
        "errors": 1,
        "notSent": 0,
        "missing": missing,
        "lost": {"certificate": 2, "at": "2040-01-31T00:00:00Z", "count": 2, "devices": missing},
    }


def test_a_device_without_the_profile_is_a_warning(pair: Pair) -> None:
    """The table shows the device and its error. Markup and control characters in the error have no effect."""  # R15
    pair.deliver(pair.make(), {**ALL, "AAAA-2": "error"})
    result = pair.status()
    assert result.code == 1
    assert "4 of 5 devices acknowledged the profile" in result.out
    assert re.search(r"failed +│ AAAA-2: \[bold\]no\?\[2J", result.out)
    assert "\x1b" not in result.out


def test_with_proof_an_acknowledgement_does_not_count(pair: Pair) -> None:
    """Without proof in the definition, it counts, and the table says so."""  # R44
    pair.deliver(pair.make(), ALL)
    assert "5 of 5 devices acknowledged the profile (proof is not configured)" in pair.status().out
    server = pair.define()
    server["distribution"]["proof"] = {"certificateList": True}
    pair.file.write_text(json.dumps([server]), encoding="utf-8")
    result = pair.status()
    assert result.code == 1
    assert "0 of 5 devices proved that they have the profile" in result.out


def test_a_device_that_does_not_answer_becomes_silent(pair: Pair) -> None:
    """After resendDays."""  # R44 R45
    pair.deliver(pair.make(), {})
    assert "silent" not in pair.status(days=7).out
    assert len(re.findall(r"silent +│ AAAA-", pair.status(days=8).out)) == 5


def test_ten_devices_are_named_and_the_others_counted(pair: Pair) -> None:
    """A long list of devices does not hide the pair."""
    pair.make()
    server = pair.define()
    server["distribution"]["devices"] = [f"D-{number:02}" for number in range(13)]
    pair.file.write_text(json.dumps([server]), encoding="utf-8")  # JSON is YAML; a list of servers
    result = pair.status()
    assert result.code == 1
    assert "0 of 13 devices acknowledged the profile" in result.out
    assert len(re.findall(r"not-sent +│ D-", result.out)) == 10
    assert f"and 3 more: ios-mdm devices --server {pair.name} --state not-sent" in result.out


@pytest.mark.parametrize(
    ("days", "code", "words"), [(0, 1, "there is no reserve"), (380, 2, "16 days left"), (400, 2, "connection-lost")]
)
def test_no_reserve_is_a_warning_and_then_critical(pair: Pair, days: int, code: int, words: str) -> None:
    """The severity rises as the expiry of main approaches. The time is that of the rehearsal's clock."""  # R5 R13
    pair.make(reserve={"none": True}, distributed=False)
    result = pair.status(days=days)
    assert result.code == code, result.out
    assert words in result.out


@pytest.mark.parametrize(("days", "code"), [(395.9, 0), (396.1, 1), (396.999, 2)])
def test_a_passed_apply_time_is_overdue(pair: Pair, days: float, code: int) -> None:
    """A reserve that is not main after its apply time is a warning, and critical after the expiry of main."""  # R6
    for day in (0, 345):
        pair.make(days=day, reserve={"issue": {}}, distributed=False)
    result = pair.status("--json", days=days)
    assert result.code == code, result.out
    (server,) = json.loads(result.out)["servers"]
    assert server["phase"] == ("overlap" if code == 0 else "overdue")
    assert server["main"]["certificate"] == 1


def test_a_reserve_that_is_due_is_a_warning(pair: Pair) -> None:
    """Before the time, status shows when the reserve is issued. It warns if no daily `up` has issued it."""  # R3 R49
    pair.make(reserve={"issue": {}}, distributed=False)
    assert "2040-12-02 23:55 UTC: a reserve is issued" in pair.status(days=300).out
    due = 337 - 5 / 1440
    for days, code in ((due, 0), (due + 0.999, 0), (due + 1, 1)):
        result = pair.status(days=days)
        assert (result.code, "issue certificate 2" in result.out) == (code, True)
    result = pair.status("--json", days=340)
    assert result.code == 1
    (server,) = json.loads(result.out)["servers"]
    assert (server["phase"], server["reserve"]) == ("steady", None)
    assert "issue certificate 2" in result.out


def test_without_permission_to_read_the_facts_come_from_the_tags(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """If GetSecretValue is denied, status shows dates and fingerprint from the tags, and reports the denial."""
    made = pair.make()

    def denied(_self: SecretsManager, name: str, _version: str) -> str:
        raise StoreError(f'GetSecretValue on secret "{name}" failed: access denied.')

    monkeypatch.setattr(SecretsManager, "read", denied)
    result = pair.status("--json")
    assert result.code == 1
    (server,) = json.loads(result.out)["servers"]
    assert server["main"]["sha256"] == made.certificates[1].details.sha256
    assert server["main"]["subject"] is None
    assert server["distribution"]["profile"] is None
    assert "access denied" in result.out


def test_a_pair_that_is_not_there_is_unknown(pair: Pair) -> None:
    """Without a secret the exit code is 3, and the error says what to do."""
    pair.define()
    result = pair.status()
    assert result.code == 3
    assert f"no secret ios-mdm/{pair.name}" in result.err
    assert "none" not in result.out
    assert json.loads(pair.status("--json").out)["severity"] == "unknown"


def test_aws_that_does_not_answer_is_unknown(pair: Pair) -> None:
    """With a closed port, a real process exits with 3 and prints one line."""
    pair.define()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        environment = {**pair.environment(), "AWS_ENDPOINT_URL": url, "AWS_MAX_ATTEMPTS": "1"}
        result = run("status", str(pair.file), "--json", cwd=pair.folder, environment=environment)
    assert result.code == 3
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert "no answer from" in result.err
    assert json.loads(result.out)["severity"] == "unknown"


def test_no_private_key_is_shown(pair: Pair) -> None:
    """The table, the JSON and the errors of a real process contain no line of a private key."""  # R29
    pair.make()
    outputs = [
        run("status", str(pair.file), *arguments, cwd=pair.folder, environment=pair.environment())
        for arguments in ((), ("--json",))
    ]
    assert [one.code for one in outputs] == [1, 1]
    for ordinal in (1, 2):
        secret = f"ios-mdm/{pair.name}"
        value = SecretsManager(aws=AWS).read(secret, version_id(secret, ordinal))
        assert value is not None
        lines = credential_from_json(value).private_key.splitlines()[1:-1]
        assert lines
        assert not any(line in one.out + one.err for line in lines for one in outputs)
    assert not any("PRIVATE KEY" in one.out + one.err for one in outputs)


@pytest.mark.parametrize("arguments", [("status", "--bogus"), ("status", "a.yaml", "b.yaml"), ("status", "--server")])
def test_wrong_usage_is_unknown(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """The exit code is 3, because 2 means a critical pair to a monitoring system."""
    result = run(*arguments, cwd=tmp_path, environment={})
    assert result.code == 3
    assert "Error" in result.err


def test_another_server_is_unknown(pair: Pair) -> None:
    """The error for an unknown name lists the servers of the definition."""
    pair.define()
    result = pair.status("--server", "paris")
    assert result.code == 3
    assert result.err == f"error: definition.yaml has no server 'paris'; its servers: {pair.name}\n"


def test_a_rehearsal_clock_off_the_emulator_is_unknown(pair: Pair) -> None:
    """The state of a real account must not be computed for a rehearsal's time."""
    pair.define()
    result = pair.status(AWS_ENDPOINT_URL="https://secretsmanager.example.com")
    assert result.code == 3
    assert "IOS_MDM_CLOCK" in result.err


def test_profiles_that_devices_keep_are_listed(pair: Pair) -> None:
    """Devices keep the profile with the former identifier in addition to the present one."""  # R35
    pair.deliver(pair.make(), ALL)
    SecretsManager(aws=AWS).tag(pair.secret, {profile_tag("com.example.former"): "com.example.former"})
    result = pair.status("--json")
    assert result.code == 0
    (notice,) = json.loads(result.out)["servers"][0]["notices"]
    assert notice["reason"] == "former-profile"
    assert "com.example.former" in notice["message"]


def test_a_copied_secret_is_no_pair(pair: Pair) -> None:
    """For a secret with the identity of another one, the status is unknown, and the message names both."""  # R33
    made = pair.make()
    assert made.view.observed is not None
    assert made.view.observed.identity is not None
    other = replace(made.view.observed.identity, secret="ios-mdm/other")  # noqa: S106 - a name
    SecretsManager(aws=AWS).tag(pair.secret, {PAIR_ID_TAG: other.text})
    result = pair.status("--json")
    assert result.code == 3
    (notice,) = json.loads(result.out)["servers"][0]["notices"]
    assert f"secret {pair.secret} in account" in notice["message"]
    assert "is a copy" in notice["message"]
    assert "ios-mdm/other" in notice["message"]


def test_a_missing_schedule_is_a_warning(pair: Pair) -> None:
    """With the schedule, status says that the reserve becomes main automatically. Without it, status warns."""  # R11
    pair.deliver(pair.make(), ALL)
    fine = pair.status()
    assert fine.code == 0
    assert "automatically, by a schedule in AWS" in fine.out
    EventBridgeScheduler(aws=AWS).delete(schedule_names(pair.name, pair.secret)[Kind.PROMOTE])
    result = pair.status("--json")
    assert result.code == 1
    (server,) = json.loads(result.out)["servers"]
    assert server["scheduled"] is False
    assert [notice["reason"] for notice in server["notices"]] == ["not-scheduled"]
    assert server["notices"][0]["due"] == "2040-01-31T00:00:00Z"


@pytest.mark.parametrize("part", ["role", "policy", "queue", "record"])
def test_all_needs_of_the_switch_are_checked(pair: Pair, part: str) -> None:
    """A missing role, policy, queue or record is a warning with its name and the repair."""  # R36
    pair.deliver(pair.make(), ALL)
    prerequisites, role = AwsPrerequisites(aws=AWS), role_name(pair.name, pair.secret, ministack.REGION)
    match part:
        case "role":
            prerequisites.delete_role(role)
            expected = f"the role {role} is missing"
        case "policy":
            AWS.iam().delete_role_policy(RoleName=role, PolicyName="switch")
            expected = f"the policy of the role {role} is missing"
        case "queue":
            prerequisites.delete_queue(queue_name(pair.name, pair.secret))
            expected = f"the queue {queue_name(pair.name, pair.secret)} is missing"
        case _:
            SecretsManager(aws=AWS).untag(pair.secret, ["ios-mdm:armed"])
            expected = "the tag ios-mdm:armed does not record the schedule"
    result = pair.status("--json")
    assert result.code == 1
    (server,) = json.loads(result.out)["servers"]
    assert server["scheduled"] is False
    (notice,) = server["notices"]
    assert (notice["reason"], notice["severity"]) == ("not-scheduled", "warning")
    assert notice["message"] == f"certificate 2 does not become main automatically: {expected}. Run `pulumi up`"


@pytest.mark.parametrize("service", ["SCHEDULER", "IAM", "SQS"])
def test_a_failed_check_is_unknown(pair: Pair, service: str) -> None:
    """If a service does not answer, there is a notice, and `scheduled` is null."""  # R36
    pair.deliver(pair.make(), ALL)
    variables: dict[str, Any] = {f"AWS_ENDPOINT_URL_{service}": "http://127.0.0.1:9"}
    result = pair.status("--json", **variables)
    assert result.code == 0
    (server,) = json.loads(result.out)["servers"]
    assert server["scheduled"] is None
    assert [(one["reason"], one["severity"]) for one in server["notices"]] == [("schedule-unknown", "notice")]


def test_without_schedules_status_says_when_to_run(pair: Pair) -> None:
    """With `promotion.schedule: false` the switch is not automatic, and a notice gives the time of the run."""  # R36
    made = pair.make()
    pair.deliver(made, ALL)
    pair.define(promotion={"schedule": False})
    result = pair.status("--json", AWS_ENDPOINT_URL_SCHEDULER="http://127.0.0.1:9")
    assert result.code == 0
    (server,) = json.loads(result.out)["servers"]
    assert server["scheduled"] is False
    (notice,) = server["notices"]
    assert (notice["reason"], notice["severity"], notice["due"]) == ("needs-run", "notice", "2040-01-31T00:00:00Z")


@pytest.mark.parametrize(("served", "code"), [(1, 0), (2, 2)], ids=["main", "another"])
def test_the_presented_certificate_is_checked(pair: Pair, tmp_path: Path, served: int, code: int) -> None:
    """If the server does not present main, this is critical, and the notice names both certificates."""  # R16 R17
    made = pair.make()
    pair.deliver(made, ALL)
    value = SecretsManager(aws=AWS).read(pair.secret, version_id(pair.secret, served))
    assert value is not None
    with serving(value, tmp_path) as endpoint:
        pair.define(endpoints=[endpoint])
        result = pair.status()
    assert result.code == code, result.out
    assert (f"{endpoint} presents certificate 2, but main is certificate 1" in result.out) == (served == 2)


def test_each_endpoint_has_its_verdict(pair: Pair, tmp_path: Path) -> None:
    """An endpoint that devices might refuse is a warning. The JSON has what the handshake showed."""  # R48
    pair.deliver(pair.make(), ALL)
    value = SecretsManager(aws=AWS).read(pair.secret, version_id(pair.secret, 1))
    assert value is not None
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    with (
        socket.socket() as bound,
        serving(value, tmp_path / "new") as new,
        serving(value, tmp_path / "old", ciphers="ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256") as old,
    ):
        bound.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{bound.getsockname()[1]}"
        pair.define(endpoints=[new, old, closed])
        text, result = pair.status(), pair.status("--json")
    assert (text.code, result.code) == (1, 1), text.out
    assert f"{new}: ready: TLS 1.3" in text.out
    assert f"{old}: at-risk (tls-cipher): TLS 1.2" in text.out
    assert f"{closed}: unknown: connection refused" in text.out
    (server,) = json.loads(result.out)["servers"]
    first, second, third = server["endpoints"]
    main = server["main"]["sha256"]
    assert (first["endpoint"], first["verdict"], first["sha256"], first["findings"]) == (new, "ready", main, [])
    assert (first["protocol"], first["extendedMasterSecret"], first["problem"]) == ("TLS 1.3", None, None)
    assert (second["verdict"], second["sha256"], second["extendedMasterSecret"]) == ("at-risk", main, True)
    assert [(one["demand"], one["article"]) for one in second["findings"]] == [("tls-cipher", "126655")]
    assert third == {
        **dict.fromkeys(("sha256", "protocol", "cipher", "extendedMasterSecret")),
        "endpoint": closed,
        "verdict": "unknown",
        "problem": "connection refused",
        "findings": [],
    }
    (notice,) = [one for one in server["notices"] if one["reason"] == "tls-cipher"]
    assert notice["severity"] == "warning"
    assert f"OS 27 might refuse connections to {old} (Apple 126655)" in notice["message"]


def test_a_server_that_cannot_be_seen_does_not_worry(pair: Pair) -> None:
    """An unreachable endpoint is only a notice, because a pipeline might not be in the server's network."""  # R17
    pair.deliver(pair.make(), ALL)
    with socket.socket() as bound:  # a port that is taken, without a listener
        bound.bind(("127.0.0.1", 0))
        pair.define(endpoints=[f"127.0.0.1:{bound.getsockname()[1]}"])
        result = pair.status()
    assert result.code == 0
    assert "connection refused" in result.out


def test_a_lost_connection_names_the_devices_to_reenroll(pair: Pair) -> None:
    """The notice says what to do and lists all devices of the server."""  # R13
    pair.make(reserve={"none": True})
    result = pair.status("--json", days=400)
    assert result.code == 2
    (server,) = json.loads(result.out)["servers"]
    (notice,) = [notice for notice in server["notices"] if notice["reason"] == "reenrol"]
    assert all(device in notice["message"] for device in DEVICES)


def test_a_main_that_is_replaced_waits_until_devices_were_sent_the_next_one(pair: Pair) -> None:
    """Status names the next main, the reason why it is not main yet, and what to do."""  # R14 R32
    made = pair.make()
    pair.deliver(made, ALL)
    sha256 = made.certificates[1].facts.sha256
    pair.make(main={"issue": {"key": "ec-p256"}, "replaceNow": True, "confirm": sha256}, days=1)
    result = pair.status(days=1)
    shown = " ".join(result.out.split())
    assert result.code == 1, result.out + result.err
    assert "now, by `pulumi up`: send certificate 3 to the devices, then make it main" in shown
    (server,) = json.loads(pair.status("--json", days=1).out)["servers"]
    messages = [notice["message"] for notice in server["notices"] if notice["reason"] in {"replaced", "up-due"}]
    (message,) = messages
    assert message == (
        "certificate 1 is replaced by the next main, which is sent to the devices first: certificate 3 is stored, but "
        "the MDM server has not accepted the profile yet"
    )


def test_an_api_key_that_is_for_another_url_is_a_warning(pair: Pair) -> None:
    """The URL is in a tag of the secret. Status warns before the next distribution, and shows how to change the tag."""
    # R39
    result = pair.make()
    pair.deliver(result, dict.fromkeys(DEVICES, "acknowledged"))
    assert "API key" not in pair.status().out
    definition = pair.file.read_text(encoding="utf-8")
    pair.file.write_text(definition.replace("url: https://mdm.example.com", "url: https://mdm.example.net"))
    changed = pair.status("--json")
    assert changed.code == 1
    assert "allows sending its API key only to https://mdm.example.com, so" in changed.out
    assert "aws secretsmanager tag-resource --secret-id mdm/api-key" in changed.out


def test_a_topic_that_does_not_exist_is_a_warning(pair: Pair) -> None:
    """A topic of this account is looked up. A topic of another account is reported without a call."""
    # R36
    pair.make(distributed=False)
    for account, said in (("000000000000", "does not exist"), ("999988887777", "is in account 999988887777")):
        arn = f"arn:aws:sns:eu-west-1:{account}:none"
        pair.define(distributed=False, promotion={"alarmArn": arn})
        result = pair.status("--json")
        assert f"promotion.alarmArn: {arn} {said}" in result.out, result.out + result.err


def test_a_call_of_a_schedule_that_failed_is_reported(pair: Pair) -> None:
    """The notice counts the messages in the dead-letter queue, and has the command that shows them."""
    # R36
    pair.make(distributed=False)
    sqs = AWS.sqs()
    (url,) = (one for one in sqs.list_queues()["QueueUrls"] if f"ios-mdm-{pair.name}-" in one)
    assert "schedules failed" not in pair.status().out
    for _ in range(2):
        sqs.send_message(QueueUrl=url, MessageBody="{}")
    result = pair.status("--json")
    assert "2 calls of schedules failed in the last 14 days" in result.out
    assert f"Read the reason (ERROR_MESSAGE) in the queue ios-mdm-{pair.name}-" in result.out
    assert "aws sqs receive-message" in result.out
