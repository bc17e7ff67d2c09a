"""`ios-mdm receive --definition` with a gate: the switch moves with the answers of devices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.switch_mover import SHORTEST_TIME
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.core.pair.layout import GATE_TAG, SENT_TAG, gate_value, sent_value
from ios_mdm.core.pair.observed import RecordedGate
from ios_mdm.core.pair.schedule import Kind, schedule_names
from tests.cli.receiving import SECRET, definition, eventually, receiving, server
from tests.support.dynamic_provider import engine_on
from tests.support.engine_aws import client
from tests.support.events import event, record_device, record_sent, status_of
from tests.support.nanomdm_server import free_port

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tools.services.testing import MdmServices


def test_the_switch_moves_with_the_answers_of_devices(
    tmp_path: Path, mdm_services: MdmServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start of the collector evaluates the gate: it is closed without an answer, and opens after it."""  # R46
    port, file, now, aws_url = free_port(), tmp_path / "servers.yaml", datetime.now(UTC), mdm_services.services.aws_url
    arguments = ["--definition", str(file), "--listen", f"127.0.0.1:{port}"]
    with engine_on(aws_url, monkeypatch) as engine:
        engine.up()
        name, secret = engine.program["server"], engine.program["secret"]
        one = server(name, "http://127.0.0.1:9") | engine.program["definition"]
        definition(file, one | {"promotion": {"minimumCoverage": 100}})
    schedules, secrets = client("scheduler", aws_url), client("secretsmanager", aws_url)

    def tag(key: str, value: str) -> None:
        secrets.tag_resource(SecretId=secret, Tags=[{"Key": key, "Value": value}])

    def scheduled() -> str:
        return str(schedules.get_schedule(Name=schedule_names(name, secret)[Kind.PROMOTE])["ScheduleExpression"])

    secrets.create_secret(Name=f"{SECRET}-of-{name}", SecretString="a-key")
    file.write_text(file.read_text().replace(SECRET, f"{SECRET}-of-{name}"))
    tag(SENT_TAG, sent_value([1, 2]))
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    record_device(ledger, "D1", enrolled=True, at=now)
    record_sent(ledger, "C1", server=name, enrollment_ids=["D1"], at=now)
    early = scheduled()
    with receiving(*arguments, aws_url=aws_url, folder=tmp_path):
        eventually(lambda: scheduled() > early)
        answer = event(at=datetime.now(UTC), status="Acknowledged", command_uuid="C1")
        httpx.post(f"http://127.0.0.1:{port}/", content=answer, headers={"Content-Type": "application/json"})
        eventually(lambda: status_of(ledger, "D1", server=name).state is DeviceState.ACKNOWLEDGED)
    latest = scheduled()
    with receiving(*arguments, aws_url=aws_url, folder=tmp_path):
        pass
    assert scheduled() == latest, "an hour after the last decision at the earliest"
    closed = RecordedGate(certificate=2, is_open=False, since=now - 2 * SHORTEST_TIME)
    tag(GATE_TAG, gate_value(closed))
    with receiving(*arguments, aws_url=aws_url, folder=tmp_path):
        eventually(lambda: scheduled() == early)
    assert f"server {name}: the gate is open: 1 of 1 devices acknowledged" in (tmp_path / "log").read_text()
