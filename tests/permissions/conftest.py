"""The life of a pair on the emulator; all requests to AWS are recorded for the principal that makes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from ios_mdm import wiring
from ios_mdm.__main__ import app
from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.app import confirm
from ios_mdm.core.pair.layout import GATE_TAG, HIGHEST_TAG, SENT_TAG, sent_value, version_id
from ios_mdm.core.pair.schedule import Kind, role_name, schedule_names
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.references import URL_TAG
from ios_mdm.errors import StoreError
from ios_mdm.settings import AwsSettings, parse_server
from tests.permissions.documented import API_KEY_SECRET, DISTRIBUTION
from tests.permissions.enforcing import Iam, policies
from tests.support.dynamic_provider import Engine, engine_on, wire_form
from tests.support.engine_aws import client
from tests.support.recording import Lives, Recorder, arn
from tools.services import ministack, process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ios_mdm.core.pair.schedule import Schedule
    from tools.services import local
    from tools.services.testing import MdmServices

ALARMS = arn("sns", "alarms")
BOUNDARY = arn("iam", "policy/ios-mdm-boundary")
ROLE = arn("iam", "role/mdm-schedules")
QUEUE = arn("sqs", "mdm-dead-letters")


class Hand:
    """An administrator in the console, whose requests are not recorded."""

    def __init__(self, engine: Engine, recorder: Recorder) -> None:
        self.recorder = recorder
        self._url = engine.aws.target
        self.secret: str = engine.program["secret"]
        self.role = role_name(engine.program["server"], self.secret, ministack.REGION)
        self.schedule = schedule_names(engine.program["server"], self.secret)[Kind.PROMOTE]

    def _client(self, service: str) -> Any:
        return client(service, self._url)

    def untag(self) -> None:
        """Remove the tag that records the highest number of a certificate."""
        self._client("secretsmanager").untag_resource(SecretId=self.secret, TagKeys=[HIGHEST_TAG])

    def damage_role(self) -> None:
        """Remove the boundary, and change the trust policy and the permissions policy."""
        iam = self._client("iam")
        iam.delete_role_permissions_boundary(RoleName=self.role)
        trust = iam.get_role(RoleName=self.role)["Role"]["AssumeRolePolicyDocument"]
        changed = json.dumps(trust).replace("scheduler.amazonaws.com", "lambda.amazonaws.com")
        iam.update_assume_role_policy(RoleName=self.role, PolicyDocument=changed)
        iam.delete_role_policy(RoleName=self.role, PolicyName="switch")

    def delete_role(self) -> None:
        """Delete the role with its policy."""
        iam = self._client("iam")
        iam.delete_role_policy(RoleName=self.role, PolicyName="switch")
        iam.delete_role(RoleName=self.role)
        self.recorder.roles.pop(self.role)

    def record_sent(self) -> None:
        """Record that devices were sent the first certificates."""
        tags = [{"Key": SENT_TAG, "Value": sent_value(range(1, 9))}]
        self._client("secretsmanager").tag_resource(SecretId=self.secret, Tags=tags)

    def move_reserve(self, *, to: str | None, current: str | None) -> None:
        """Move the label of the reserve between versions; None is no version."""
        arguments = {"MoveToVersionId": to, "RemoveFromVersionId": current}
        self._client("secretsmanager").update_secret_version_stage(
            SecretId=self.secret,
            VersionStage=Label.RESERVE.value,
            **{name: version for name, version in arguments.items() if version is not None},
        )

    def forget_gate(self) -> None:
        """Remove the tags of the delivery and of the gate."""
        self._client("secretsmanager").untag_resource(SecretId=self.secret, TagKeys=[SENT_TAG, GATE_TAG])

    def fire(self) -> None:
        """Do what Scheduler does at the time of the schedule."""
        scheduler = self._client("scheduler")
        found = scheduler.get_schedule(Name=self.schedule)
        self._client("secretsmanager").update_secret_version_stage(**json.loads(found["Target"]["Input"]))
        scheduler.delete_schedule(Name=self.schedule)


def _live(engine: Engine, recorder: Recorder, patch: pytest.MonkeyPatch, folder: Path) -> str:
    """Run the life of a pair from its first preview to its take-over, and return its ARN."""
    hand, definition = Hand(engine, recorder), engine.program["definition"]
    definition["promotion"] = {"alarmArn": ALARMS, "permissionsBoundaryArn": BOUNDARY}
    engine.program["aws"]["kmsKey"] = arn("kms", "key/KEY-ID")

    def up(*expected: str) -> None:
        with recorder.acting("deployer"):
            assert engine.up() in expected

    def look() -> None:
        with recorder.acting("previewer"):
            engine.checked_inputs()
        _show_status(engine, recorder, folder)

    with recorder.acting("previewer"):
        engine.checked_inputs()
    up("create")
    look()
    up("unchanged")
    with recorder.acting("deployer"):
        assert engine.outputs is not None
        engine.provider.read(engine.id, wire_form(engine.outputs))

    for damage in (hand.untag, hand.damage_role, hand.delete_role):
        damage()
        look()
        up("update")

    definition["reserve"]["issue"]["apply"] = {"afterDays": 28}
    up("update")
    for hold in (True, False):
        definition["promotion"]["hold"] = hold
        up("update")
    engine.program["aws"]["kmsKey"] = "alias/pairs"
    up("update")
    _consume(engine, recorder, folder)
    _use_api_key(engine, recorder, folder)
    _move_switch(hand, engine.program, folder)

    up("update")
    hand.fire()
    up("update")
    patch.setenv("IOS_MDM_CLOCK", "2041-01-20T00:00:00Z")
    up("update")
    _consume(engine, recorder, folder)

    secret_arn = str((engine.outputs or {})["secretArn"])
    _take_over(engine, up)
    definition["protect"] = False
    up("update")
    with recorder.acting("deployer"):
        engine.provider.delete(engine.id, wire_form(engine.outputs))
    engine.inputs, engine.outputs = None, None
    up("create")

    definition["promotion"] = {"alarmArn": ALARMS, "roleArn": ROLE, "deadLetterArn": QUEUE}
    look()
    with recorder.acting("deployer"):
        engine.checked_inputs()
    return secret_arn


def _take_over(engine: Engine, up: Callable[..., None]) -> None:
    """Take the pair over with another state, which does not have it."""
    pair_id = (engine.outputs or {})["pairId"]
    engine.inputs, engine.outputs = None, None
    engine.program["definition"]["takeOver"] = pair_id
    up("create")
    del engine.program["definition"]["takeOver"]


def _show_status(engine: Engine, recorder: Recorder, folder: Path) -> None:
    """Run `ios-mdm status`."""
    file = folder / "stack.yaml"
    settings = {"kmsKey": engine.program["aws"]["kmsKey"]}
    config = {"ios-mdm:servers": [engine.program["definition"]], "ios-mdm:aws": settings}
    file.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    with recorder.acting("status"):
        shown = CliRunner().invoke(app, ["status", str(file)])
    assert "certificate " in shown.output, shown.output


def _consume(engine: Engine, recorder: Recorder, folder: Path) -> None:
    """Run `ios-mdm consume`."""
    with recorder.acting("consumer"):
        consume = ["consume", "--once", "--secret", engine.program["secret"], "--dir", str(folder / "tls")]
        served = CliRunner().invoke(app, consume)
    assert served.exit_code == 0, served.output


def _use_api_key(engine: Engine, recorder: Recorder, folder: Path) -> None:
    """Check the URL of the API key as a preview does, and read the key as a delivery and the collector do."""
    definition = engine.program["definition"] | {"distribution": DISTRIBUTION}
    settings = parse_server(definition, engine.program["server"]).distribution
    assert settings is not None
    with recorder.acting("previewer"):
        wiring.process_wiring().check_channel(settings, None)
    with recorder.acting("deployer"):
        wiring.process_wiring().channel(settings, None)
    with recorder.acting("collector"):
        wired = wiring.process_wiring()
        ledger = wired.ledger(f"sqlite:///{folder / 'ledger.sqlite'}", None)
        newcomers = wired.newcomers(settings, None, ledger, servers_with_proof=(), wait=lambda _seconds: True)
        newcomers.prepare()
        newcomers.send(["AAAA-1"])


def _move_switch(hand: Hand, program: dict[str, Any], folder: Path) -> None:
    """Move the switch as the collector does. The pair changes at the same time, so its schedule is deleted."""
    distribution = DISTRIBUTION | {"ledger": f"sqlite:///{folder / 'ledger.sqlite'}"}
    promotion = program["definition"]["promotion"] | {"minimumCoverage": 95}
    definition = program["definition"] | {"distribution": distribution, "promotion": promotion}
    mover = wiring.process_wiring().switch_mover(
        parse_server(definition, program["server"]), AwsSettings(), report=print, warn=print
    )
    reserve = version_id(hand.secret, 2)
    put = EventBridgeScheduler.put
    assert mover is not None

    def put_while_the_pair_changes(self: EventBridgeScheduler, schedule: Schedule) -> None:
        put(self, schedule)
        hand.move_reserve(to=None, current=reserve)

    hand.record_sent()
    with pytest.MonkeyPatch.context() as patch, hand.recorder.acting("gatekeeper"):
        patch.setattr(EventBridgeScheduler, "put", put_while_the_pair_changes)
        patch.setattr(confirm, "pause", lambda _seconds: None)
        with pytest.raises(StoreError, match="the pair was changed concurrently"):
            mover.move()
    hand.move_reserve(to=reserve, current=None)
    hand.forget_gate()


@pytest.fixture(scope="package")
def lives(mdm_services: MdmServices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """Record whole lives once for all tests of this folder."""
    with pytest.MonkeyPatch.context() as patch, engine_on(mdm_services.services.aws_url, patch) as engine:
        patch.setenv("IOS_MDM_CLOCK", "2040-01-01T00:00:00Z")
        recorder = Recorder()
        recorder.install(patch)
        prepare = SecretsManager._prepare_put  # its requests are needed on emulators only

        def prepared(self: SecretsManager, name: str, version_id: str) -> bool:
            with recorder.acting(None):
                return prepare(self, name, version_id)

        patch.setattr(SecretsManager, "_prepare_put", prepared)
        secrets = client("secretsmanager", engine.aws.target)
        api_key = mdm_services.services.api_key.read_text(encoding="utf-8")
        tags = [{"Key": URL_TAG, "Value": DISTRIBUTION["channel"]["nanomdm"]["url"]}]
        secrets.create_secret(Name=API_KEY_SECRET, SecretString=api_key, Tags=tags)
        secret_arn = _live(engine, recorder, patch, tmp_path_factory.mktemp("lives"))
        yield Lives(recorder=recorder, server=engine.program["server"], secret_arn=secret_arn)


@pytest.fixture(scope="package")
def enforcing(tmp_path_factory: pytest.TempPathFactory, executables: local.Executables) -> Iterator[str]:
    """Run an emulator that enforces IAM policies, with the boundary, the topic and the API key of the page."""
    state = tmp_path_factory.mktemp("enforcing")
    service = ministack.service(executables.ministack, state / "data", is_enforcing=True)
    try:
        url = process.ensure(state, service).url
        with pytest.MonkeyPatch.context() as patch:
            root = Iam(url=url, patch=patch).root
            document = json.dumps(policies(("boundary",), "berlin")["boundary"])
            root("iam").create_policy(PolicyName="ios-mdm-boundary", PolicyDocument=document)
            root("sns").create_topic(Name="alarms")
            tags = [{"Key": URL_TAG, "Value": DISTRIBUTION["channel"]["nanomdm"]["url"]}]
            root("secretsmanager").create_secret(Name=API_KEY_SECRET, SecretString="a-key", Tags=tags)
            yield url
    finally:
        process.stop(state, service.name)
