"""The life of a pair with the credentials of each documented principal, on an emulator that enforces its policies.

The emulator cannot enforce all of their parts: see ``LACKING``. test_policies.py evaluates the complete policies.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ios_mdm import wiring
from ios_mdm.adapters import aws
from ios_mdm.adapters.aws import QUEUE
from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.core.pair.layout import GATE_TAG, SENT_TAG, sent_value
from ios_mdm.core.pair.schedule import Kind, queue_name, schedule_names
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.references import URL_TAG
from ios_mdm.errors import StoreError
from ios_mdm.settings import AwsSettings, parse_server
from tests.permissions.documented import API_KEY_SECRET, DISTRIBUTION
from tests.permissions.enforcing import Iam, Play, session_arn
from tests.support.aws import AWS
from tests.support.dynamic_provider import engine_on, wire_form
from tests.support.recording import arn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ios_mdm.app.switch_mover import SwitchMover

ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.fixture
def play(enforcing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Play]:
    """Return a server without a reserve, whose pair does not exist yet, and the documented principals."""
    refused: list[str] = []
    connect = aws._connect

    def answered(*, model: Any, http_response: Any, **_rest: object) -> None:
        if http_response.status_code == 403:
            refused.append(model.name)

    def connected(*arguments: Any) -> Any:
        found = connect(*arguments)
        found.meta.events.register("after-call", answered)
        return found

    with engine_on(enforcing, monkeypatch) as engine:
        monkeypatch.setenv("IOS_MDM_CLOCK", "2040-01-01T00:00:00Z")
        monkeypatch.setattr(aws, "_connect", connected)
        found = Play(engine=engine, iam=Iam(url=enforcing, patch=monkeypatch), folder=tmp_path, refused=refused)
        found.definition["reserve"] = {"none": True}
        found.definition["promotion"] = {
            "alarmArn": arn("sns", "alarms"),
            "permissionsBoundaryArn": arn("iam", "policy/ios-mdm-boundary"),
        }
        yield found


def issue_reserve(play: Play) -> None:
    """Define a reserve that becomes main after 30 days."""
    play.definition["reserve"] = {"issue": {"when": "now", "apply": {"afterDays": 30}}}


def switch(play: Play) -> None:
    """Make the call of the schedule with the permissions of its role, as Scheduler does at the apply time."""
    root = play.iam.root("scheduler")
    found = root.get_schedule(Name=schedule_names(play.server, play.secret)[Kind.PROMOTE])
    with play.iam.acting(play.schedule_role()):
        AWS.secrets_manager().update_secret_version_stage(**json.loads(found["Target"]["Input"]))
    root.delete_schedule(Name=found["Name"])


def test_each_principal_plays_its_part_of_a_life(play: Play) -> None:
    """First up, no-op, preview, issue, arm, switch, status, consume, API key, destroy: AWS refuses nothing.

    A refused request that the project tolerates fails this test, too.
    """  # R36
    with play.acting("previewer"):
        play.engine.checked_inputs()
    assert play.up() == "create"
    assert play.up() == "unchanged"
    issue_reserve(play)
    with play.acting("previewer"):
        play.engine.checked_inputs()
    assert play.up() == "update"
    assert play.up() == "unchanged"
    shown = play.status("status")
    assert (shown.exit_code, "certificate 2 becomes main" in shown.output) == (0, True), shown.output
    before = play.consume(play.secret)
    switch(play)
    after = play.consume(play.secret)
    assert [one.exit_code for one in (before, after)] == [0, 0]
    assert before.output != after.output
    assert play.up() == "update"

    found = play.definition | {"distribution": DISTRIBUTION}
    settings = parse_server(found, play.server).distribution
    assert settings is not None
    with play.acting("previewer"):
        wiring.process_wiring().check_channel(settings, None)
    with play.acting("deployer"):
        wiring.process_wiring().channel(settings, None)

    play.definition["protect"] = False
    assert play.up() == "update"
    with play.acting("deployer"):
        play.engine.provider.delete(play.engine.id, wire_form(play.engine.outputs))
    assert play.iam.root("secretsmanager").describe_secret(SecretId=play.secret)["DeletedDate"]
    assert play.refused == []


def gate_mover(play: Play) -> SwitchMover:
    """Return the mover of the switch, as the collector with a gate uses it."""
    distribution = DISTRIBUTION | {"ledger": f"sqlite:///{play.folder / 'ledger.sqlite'}"}
    promotion = play.definition["promotion"] | {"minimumCoverage": 95}
    settings = parse_server(play.definition | {"distribution": distribution, "promotion": promotion}, play.server)
    found = wiring.process_wiring().switch_mover(settings, AwsSettings(), report=print, warn=print)
    assert found is not None
    return found


def test_a_collector_moves_a_switch_and_no_label(play: Play) -> None:
    """The gate is closed, so the switch moves to the latest time. Tags and schedule are the only writes."""  # R46
    issue_reserve(play)
    play.up()
    root, name = play.iam.root("scheduler"), schedule_names(play.server, play.secret)[Kind.PROMOTE]
    before = root.get_schedule(Name=name)["ScheduleExpression"]
    play.iam.root("secretsmanager").tag_resource(
        SecretId=play.secret, Tags=[{"Key": SENT_TAG, "Value": sent_value([1, 2])}]
    )
    with play.acting("gatekeeper"):
        assert gate_mover(play).move()
        assert not gate_mover(play).move()
    assert play.refused == []
    assert root.get_schedule(Name=name)["ScheduleExpression"] > before
    version = SecretsManager(aws=AWS).version_ids(play.secret)[0]
    with play.acting("gatekeeper"):
        store = SecretsManager(aws=AWS)
        with pytest.raises(StoreError) as caught:
            store.move_label(play.secret, Label.MAIN, to=version, current="0" * 32)
        assert denial(play, "gatekeeper", "secretsmanager:UpdateSecretVersionStage") in str(caught.value)
        with pytest.raises(StoreError) as caught:
            store.labeled_value(play.secret, Label.MAIN)
        assert denial(play, "gatekeeper", "secretsmanager:GetSecretValue") in str(caught.value)


@pytest.mark.parametrize("keys", [["ios-mdm:sent"], ["ios-mdm:gate", "ios-mdm:owner"]])
def test_a_collector_changes_no_other_tag(play: Play, keys: list[str]) -> None:
    """A tag of the gate in the same request does not help."""  # R46
    play.up()
    with play.acting("gatekeeper"):
        store = SecretsManager(aws=AWS)
        store.tag(play.secret, {GATE_TAG: "2 closed 20400101T000000Z"})
        with pytest.raises(StoreError) as caught:
            store.tag(play.secret, dict.fromkeys(keys, "x"))
        assert denial(play, "gatekeeper", "secretsmanager:TagResource") in str(caught.value)
        with pytest.raises(StoreError) as caught:
            store.untag(play.secret, keys)
        assert denial(play, "gatekeeper", "secretsmanager:UntagResource") in str(caught.value)


def denial(play: Play, principal: str, action: str) -> str:
    """Return the text in which a message reports a refusal by AWS, and the way to fix it."""
    return (
        f"access denied ({session_arn(play.name(principal))} is not authorized to perform {action} because no "
        f"identity-based policy allows it). Allow {action} on this"
    )


def test_a_previewer_cannot_deploy(play: Play) -> None:
    """The first write is refused and reported. No secret is created."""
    with play.acting("previewer"), pytest.raises(StoreError) as caught:
        play.engine.up()
    assert denial(play, "previewer", "secretsmanager:CreateSecret") in str(caught.value)
    assert play.refused == ["CreateSecret"]
    secrets = play.iam.root("secretsmanager")
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.describe_secret(SecretId=play.secret)


def test_a_previewer_cannot_read_a_custom_certificate(play: Play) -> None:
    """The preview fails if the state lacks the certificate. The error names the secret and the refused request."""
    name = f"bundles/{uuid4()}"
    play.iam.root("secretsmanager").create_secret(Name=name, SecretString="the private key")
    play.definition["main"] = {"install": {"bundle": f"secret:{name}"}}
    with play.acting("previewer"):
        (failure,) = play.engine.failures()
    assert name in failure
    assert denial(play, "previewer", "secretsmanager:DescribeSecret") in failure


def test_a_deployer_cannot_reach_a_secret_outside_the_prefix(play: Play) -> None:
    """No secret is created."""
    play.engine.program["secret"] = f"payroll/{play.server}"
    with play.acting("deployer"):
        (failure,) = play.engine.failures()
    assert denial(play, "deployer", "secretsmanager:DescribeSecret") in failure


def test_a_deployer_cannot_change_the_url_of_an_api_key(play: Play) -> None:
    """Only an administrator can set the tag."""  # R39
    with play.acting("deployer"), pytest.raises(StoreError) as caught:
        SecretsManager(aws=AWS).tag(API_KEY_SECRET, {URL_TAG: "https://attacker.example.com"})
    assert denial(play, "deployer", "secretsmanager:TagResource") in str(caught.value)


def test_a_deployer_cannot_remove_the_boundary_of_a_role(play: Play, capfd: pytest.CaptureFixture[str]) -> None:
    """A warning reports the removed setting. The role keeps its boundary, and the switch stays armed."""  # R36
    issue_reserve(play)
    play.up()
    boundary = play.definition["promotion"].pop("permissionsBoundaryArn")
    capfd.readouterr()
    play.up()
    assert denial(play, "deployer", "iam:DeleteRolePermissionsBoundary") in capfd.readouterr().err
    assert set(play.refused) == {"DeleteRolePermissionsBoundary"}
    assert play.role()["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert play.iam.root("scheduler").get_schedule(Name=schedule_names(play.server, play.secret)[Kind.PROMOTE])


def test_status_with_the_policy_of_the_previewer_shows_what_the_tags_have(play: Play) -> None:
    """A warning names the certificates that could not be read."""
    play.up()
    shown = " ".join(play.status("previewer").output.replace("│", " ").split())
    assert "certificate 1, issued" in shown
    assert "certificate 1 cannot be read: " in shown
    assert denial(play, "previewer", "secretsmanager:GetSecretValue") in shown
    assert set(play.refused) == {"GetSecretValue", "GetQueueAttributes"}
    assert "CN=mdm.example.com" in play.status("status").output


def test_status_cannot_change_a_pair(play: Play) -> None:
    """Status reads private keys, but can move no label."""
    play.up()
    version = SecretsManager(aws=AWS).version_ids(play.secret)[0]
    with play.acting("status"), pytest.raises(StoreError) as caught:
        SecretsManager(aws=AWS).move_label(play.secret, Label.RESERVE, to=version, current=None)
    assert denial(play, "status", "secretsmanager:UpdateSecretVersionStage") in str(caught.value)


def test_a_consumer_cannot_read_the_main_of_another_server(play: Play) -> None:
    """`ios-mdm consume` reports the refusal, and writes no file."""
    other = f"{play.secret}-other"
    play.iam.root("secretsmanager").create_secret(Name=other, SecretString="{}")
    done = play.consume(other)
    assert done.exit_code == 2
    assert denial(play, "consumer", "secretsmanager:GetSecretValue") in done.output
    assert not list((play.folder / "tls").glob("*.pem"))


def test_the_role_of_a_schedule_reads_no_key_and_changes_no_other_pair(play: Play) -> None:
    """The role has only the permissions that the schedule needs."""  # R36
    issue_reserve(play)
    play.up()
    name, other = play.schedule_role(), f"{play.secret}-other"
    queue = play.iam.root("sqs").create_queue(QueueName=queue_name("another", other))["QueueUrl"]
    with play.iam.acting(name):
        store = SecretsManager(aws=AWS)
        requests: dict[str, Callable[[], object]] = {
            "GetSecretValue": lambda: store.labeled_value(play.secret, Label.MAIN),
            "UpdateSecretVersionStage": lambda: store.move_label(other, Label.MAIN, to="0" * 32, current="1" * 32),
            "SendMessage": lambda: AWS.answer(
                "SendMessage", other, lambda: AWS.sqs().send_message(QueueUrl=queue, MessageBody="x"), QUEUE
            ),
        }
        for request in requests.values():
            with pytest.raises(StoreError, match=f"{session_arn(name)} is not authorized to perform"):
                request()
    assert play.refused == list(requests)


def test_a_role_that_a_deployer_creates_stays_within_the_boundary(play: Play) -> None:
    """The boundary also limits a role whose policy allows all actions."""  # R36
    play.up()
    name, other = play.name("bounded"), f"payroll/{play.server}"
    secrets = play.iam.root("secretsmanager")
    version = secrets.create_secret(Name=other, SecretString="a-password")["VersionId"]
    play.iam.create(name, {"all": ALL}, boundary=arn("iam", "policy/ios-mdm-boundary"))
    with play.iam.acting(name):
        with pytest.raises(StoreError, match="not authorized to perform secretsmanager:GetSecretValue"):
            SecretsManager(aws=AWS).labeled_value(play.secret, Label.MAIN)
        with pytest.raises(StoreError, match="not authorized to perform secretsmanager:UpdateSecretVersionStage"):
            SecretsManager(aws=AWS).move_label(other, "X", to=version, current="0" * 32)
