"""The profile, the request for certificates and repetitions, from `up` to devices through a real NanoMDM."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.app.delivery.distributor import Delivery, Distributor
from ios_mdm.app.delivery.due import DueCounts, due_counts
from ios_mdm.core.ledger.overdue import LedgerRules
from ios_mdm.core.ledger.values import AnswerStatus
from ios_mdm.core.profile import trust_profile
from tests.support.distribution import pems
from tests.support.events import record_answer, record_device
from tests.support.nanomdm_server import nanomdm_server
from tests.support.pairs import HandClock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.nanomdm_server import Device

START = datetime(2040, 1, 1, tzinfo=UTC)
RULES = LedgerRules(is_proof_configured=True)


def commands_of(device: Device, ledger: SqliteLedger, status: AnswerStatus, at: datetime) -> list[dict[str, Any]]:
    """Answer all commands of a device, record the answers to its profiles, and return the commands."""
    found = []
    command = device.put(Status="Idle")
    while command is not None:
        found.append(command)
        is_profile = command["Command"]["RequestType"] == "InstallProfile"
        if is_profile:
            record_answer(ledger, command["CommandUUID"], device.udid, status, at=at)
        answer = "Error" if is_profile and status is AnswerStatus.ERROR else "Acknowledged"
        command = device.put(Status=answer, CommandUUID=command["CommandUUID"])
    return found


def kinds(commands: list[dict[str, Any]]) -> list[str]:
    """Return the request types of commands."""
    return [one["Command"]["RequestType"] for one in commands]


def test_devices_get_profile_request_and_repetitions(tmp_path: Path) -> None:
    """Each device gets each command once, also if a run is interrupted before the ledger records it."""
    # R44 R45
    ledger, clock = SqliteLedger(tmp_path / "ledger.db"), HandClock(START)
    profile = trust_profile([pems()[1]], identifier="com.example.t", server="berlin", host="mdm.example.com")
    with nanomdm_server() as server:
        willing, failing, silent = (server.device(udid) for udid in ("willing", "failing", "silent"))
        delivery = Delivery(server="berlin", profile=profile, enrollment_ids=("failing", "silent", "willing"))

        def up(into: SqliteLedger) -> None:
            with contextlib.closing(NanoMdm(url=server.url, api_key=server.api_key, push=False)) as channel:
                Distributor(channel, into, clock, report=lambda _line: None, rules=RULES).distribute(delivery)

        def due() -> DueCounts:
            return due_counts(ledger, "berlin", delivery.digest, delivery.enrollment_ids, rules=RULES, now=clock.moment)

        record_device(ledger, "silent", enrolled=True, at=START - timedelta(days=1))
        up(ledger)
        first = commands_of(willing, ledger, AnswerStatus.ACKNOWLEDGED, START)
        assert kinds(first) == ["InstallProfile", "CertificateList"]
        assert first[0]["Command"]["Payload"] == profile
        assert first[1]["Command"]["ManagedOnly"] is True
        assert kinds(commands_of(failing, ledger, AnswerStatus.ERROR, START)) == ["InstallProfile", "CertificateList"]
        clock.moment = START + timedelta(days=8)
        assert due() == DueCounts(resent=2, asked=1)
        interrupted = SqliteLedger(tmp_path / "interrupted.db")
        interrupted.path.write_bytes(ledger.path.read_bytes())
        interrupted.path.chmod(0o600)
        up(interrupted)
        up(ledger)
        assert due() == DueCounts()
        assert kinds(commands_of(willing, ledger, AnswerStatus.ACKNOWLEDGED, clock.moment)) == ["CertificateList"]
        again = commands_of(failing, ledger, AnswerStatus.ACKNOWLEDGED, clock.moment)
        assert kinds(again) == ["InstallProfile", "CertificateList"]
        assert kinds(commands_of(silent, ledger, AnswerStatus.ACKNOWLEDGED, clock.moment)) == [
            *("InstallProfile", "CertificateList"),
            *("InstallProfile", "CertificateList"),
        ]
