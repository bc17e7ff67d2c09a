"""Tests of commands that are sent again, of the request for certificates, and of progress."""

from __future__ import annotations

import plistlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.delivery import due, recorder
from ios_mdm.app.delivery.distributor import Delivery, Distributor
from ios_mdm.app.delivery.due import DueCounts, due_counts
from ios_mdm.app.delivery.recorder import Recorder
from ios_mdm.core.ledger.overdue import LedgerRules
from ios_mdm.core.ledger.registers import NEVER, microseconds
from ios_mdm.core.ledger.values import AnswerStatus, DeviceEvent, EnqueuedCommand
from ios_mdm.core.profile import certificate_digests, trust_profile
from ios_mdm.errors import DeliveryError
from tests.support.distribution import pems
from tests.support.events import record_answer, record_authenticate, record_device
from tests.support.pairs import HandClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ios_mdm.core.ledger.values import Publication

START = datetime(2040, 1, 1, tzinfo=UTC)
DEVICES = tuple(f"device-{number}" for number in range(7))
PROOF = LedgerRules(is_proof_configured=True)


def profile() -> bytes:
    """Return a profile with one certificate."""
    return trust_profile([pems()[1]], identifier="com.example.t", server="berlin", host="mdm.example.com")


@dataclass(slots=True)
class Commands:
    """An MDM server that records each accepted command: its request type, CommandUUID and devices."""

    batch_size: int = 3
    fails_at: int = 0
    accepted: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Split the devices into batches of the same size."""
        return [enrollment_ids[at : at + self.batch_size] for at in range(0, len(enrollment_ids), self.batch_size)]

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Accept a command, or fail."""
        if len(self.accepted) + 1 == self.fails_at:
            raise DeliveryError("the MDM server is down")
        parsed = plistlib.loads(command)
        self.accepted.append((parsed["Command"]["RequestType"], parsed["CommandUUID"], tuple(enrollment_ids)))
        assert parsed["Command"].get("ManagedOnly", True) is True
        return ()

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def new_commands(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return the commands since the last call."""
        found, self.accepted = self.accepted, []
        return found

    def kinds(self) -> list[tuple[str, int]]:
        """Return request type and number of devices of the commands since the last call."""
        return [(kind, len(devices)) for kind, _, devices in self.new_commands()]


@dataclass(slots=True)
class Fleet:
    """Seven devices, a ledger, and a clock that tests set."""

    ledger: SqliteLedger
    rules: LedgerRules = field(default_factory=LedgerRules)
    clock: HandClock = field(default_factory=lambda: HandClock(START))
    mdm: Commands = field(default_factory=Commands)
    reports: list[str] = field(default_factory=list)
    delivery: Delivery = field(
        default_factory=lambda: Delivery(
            server="berlin", profile=profile(), enrollment_ids=DEVICES, channel="https://mdm.example.com"
        )
    )

    def up(self, *, days: float) -> int:
        """Distribute the profile a number of days after the start."""
        self.clock.moment = START + timedelta(days=days)
        self.reports.clear()
        numbers = count(1)
        return Distributor(
            self.mdm,
            self.ledger,
            self.clock,
            report=self.reports.append,
            rules=self.rules,
            random_uuid=lambda: UUID(int=next(numbers)),
            monotonic=lambda: 0.0,
        ).distribute(self.delivery)

    def due(self, *, days: float) -> DueCounts:
        """Return the numbers of due devices a number of days after the start."""
        now = START + timedelta(days=days)
        return due_counts(self.ledger, "berlin", self.delivery.digest, DEVICES, rules=self.rules, now=now)

    def answer(self, status: AnswerStatus, *devices: str, days: float) -> None:
        """Record the answers of devices to the last command of each."""
        for uuid, batch in ((uuid, batch) for kind, uuid, batch in self.mdm.new_commands() if kind == "InstallProfile"):
            for device in {*devices} & {*batch}:
                record_answer(self.ledger, uuid, device, status, detail="no", at=START + timedelta(days=days))

    def report_certificates(self, *devices: str, days: float, is_missing: bool = False) -> None:
        """Record lists of certificates, with those of the profile or without."""
        at = START + timedelta(days=days)
        found = frozenset() if is_missing else certificate_digests(self.delivery.profile)
        for device in devices:
            one = DeviceEvent(
                identity=uuid4().bytes, at=at, topic="mdm.Connect", enrollment_id=device, certificates=found
            )
            self.ledger.record_events([one], now=at)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Seven enrolled devices that were sent nothing."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    for device in DEVICES:
        record_device(ledger, device, enrolled=True, at=START - timedelta(days=1))
    return Fleet(ledger)


def test_failed_and_silent_devices_are_sent_the_profile_again(fleet: Fleet) -> None:
    """Each repetition is a new command. The devices that acknowledged the profile are sent nothing."""  # R45
    assert fleet.up(days=0) == 7
    first = {uuid for _, uuid, _ in fleet.mdm.accepted}
    sent, fleet.mdm.accepted = list(fleet.mdm.accepted), []
    fleet.mdm.accepted = list(sent)
    fleet.answer(AnswerStatus.ACKNOWLEDGED, *DEVICES[:4], days=1)
    fleet.mdm.accepted = sent
    fleet.answer(AnswerStatus.ERROR, DEVICES[4], days=1)
    for days in (1, 6, 7):
        assert fleet.due(days=days) == DueCounts()
        assert fleet.up(days=days) == 0
        assert fleet.mdm.new_commands() == []
    assert fleet.due(days=8) == DueCounts(resent=3)
    assert fleet.up(days=8) == 0
    assert fleet.reports == [
        "the profile was already queued for all 7 devices",
        "profile queued again for 3 devices that failed or did not answer",
    ]
    again = fleet.mdm.new_commands()
    assert [(kind, devices) for kind, _, devices in again] == [("InstallProfile", DEVICES[4:])]
    assert not {uuid for _, uuid, _ in again} & first
    assert fleet.due(days=8) == fleet.due(days=15) == DueCounts()
    assert fleet.up(days=8) == 0
    assert fleet.mdm.new_commands() == []
    assert fleet.due(days=17) == DueCounts(resent=3)


def test_one_silent_device_blocks_no_other(fleet: Fleet) -> None:
    """A device that enrolls again gets the profile, and a run that fails is continued."""  # R45
    fleet.up(days=0)
    fleet.answer(AnswerStatus.ACKNOWLEDGED, *DEVICES[1:], days=1)
    record_authenticate(fleet.ledger, DEVICES[6], at=START + timedelta(days=9))
    assert fleet.due(days=10) == DueCounts(unsent=1, resent=1)
    fleet.mdm.fails_at = 2
    assert fleet.up(days=10) == 1
    assert "is down. The profile is queued for all 7 devices, but not again for each device" in fleet.reports[0]
    assert [devices for _, _, devices in fleet.mdm.new_commands()] == [(DEVICES[6],)]
    fleet.mdm.fails_at = 0
    assert fleet.up(days=10) == 0
    assert [devices for _, _, devices in fleet.mdm.new_commands()] == [(DEVICES[0],)]


def test_a_run_that_dies_repeats_the_command_that_is_sent_again(fleet: Fleet, tmp_path: Path) -> None:
    """The MDM server drops the repetition."""  # R45
    fleet.up(days=0)
    fleet.mdm.new_commands()
    before = SqliteLedger(tmp_path / "before.db")
    before.path.write_bytes(fleet.ledger.path.read_bytes())
    fleet.up(days=8)
    lost = fleet.mdm.new_commands()
    fleet.ledger = before
    fleet.up(days=9)
    assert fleet.mdm.new_commands() == lost


def test_with_proof_each_device_is_asked_for_its_certificates(fleet: Fleet) -> None:
    """The request follows the profile in the queue. It is repeated until the device reports the certificates."""  # R44
    fleet.rules = PROOF
    fleet.up(days=0)
    sent = list(fleet.mdm.accepted)
    assert fleet.mdm.kinds() == [
        (kind, number) for number in (3, 3, 1) for kind in ("InstallProfile", "CertificateList")
    ]
    assert len({uuid for _, uuid, _ in sent}) == 6
    fleet.mdm.accepted = sent
    fleet.answer(AnswerStatus.ACKNOWLEDGED, *DEVICES, days=1)
    fleet.report_certificates(*DEVICES[:5], days=1)
    assert fleet.due(days=7) == DueCounts()
    assert fleet.due(days=8) == DueCounts(asked=2)
    fleet.up(days=8)
    assert "2 devices are asked again for their certificates" in fleet.reports
    (asked,) = fleet.mdm.new_commands()
    assert (asked[0], asked[2]) == ("CertificateList", DEVICES[5:])
    assert asked[1] not in {uuid for _, uuid, _ in sent}
    assert fleet.due(days=8) == DueCounts()
    fleet.report_certificates(DEVICES[5], days=9)
    fleet.report_certificates(DEVICES[6], days=9, is_missing=True)
    assert fleet.due(days=20) == DueCounts(resent=1)
    fleet.up(days=20)
    assert fleet.mdm.kinds() == [("InstallProfile", 1), ("CertificateList", 1)]


def test_a_fleet_is_asked_after_proof_is_configured(fleet: Fleet) -> None:
    """The profile was sent, and acknowledged, long ago."""  # R44
    fleet.up(days=0)
    fleet.answer(AnswerStatus.ACKNOWLEDGED, *DEVICES, days=1)
    assert fleet.due(days=30) == DueCounts()
    fleet.rules = PROOF
    assert fleet.due(days=30) == DueCounts(asked=7)
    fleet.up(days=30)
    assert fleet.mdm.kinds() == [("CertificateList", 3), ("CertificateList", 3), ("CertificateList", 1)]
    assert fleet.due(days=30) == DueCounts()


def test_the_published_profile_names_its_mdm_server(fleet: Fleet) -> None:
    """The collector of another MDM server must not send the profile."""  # R43
    fleet.up(days=0)
    found = fleet.ledger.publication("berlin")
    assert found is not None
    assert (found.channel, found.is_for_all) == ("https://mdm.example.com", False)


def test_devices_are_read_in_parts(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of a run does not grow with the number of devices. A failure counts all parts."""  # R40
    monkeypatch.setattr(due, "PART", 2)
    fleet.mdm.fails_at = 4
    with pytest.raises(DeliveryError, match="queued for 6 of 7 devices"):
        fleet.up(days=0)
    assert [len(devices) for _, _, devices in fleet.mdm.new_commands()] == [2, 2, 2]
    fleet.mdm.fails_at = 0
    assert fleet.up(days=0) == 1
    assert fleet.mdm.kinds() == [("InstallProfile", 1)]
    record_device(fleet.ledger, DEVICES[0], enrolled=True, at=START + timedelta(days=9))
    assert fleet.due(days=9) == DueCounts(resent=7)


def test_progress_is_reported_after_two_seconds(fleet: Fleet) -> None:
    """The first line is after 2 seconds, and the next one 10 seconds later."""
    seconds = iter([0.0, 1.9, 2.0, 11.9, 12.0, 13.0, 14.0, 15.0])
    fleet.mdm.batch_size = 1
    Distributor(
        fleet.mdm, fleet.ledger, fleet.clock, report=fleet.reports.append, monotonic=lambda: next(seconds)
    ).distribute(fleet.delivery)
    assert fleet.reports == [
        "queued for 2 of 7 devices so far",
        "queued for 4 of 7 devices so far",
        "profile queued for 7 of 7 devices",
    ]


class TestRecorder:
    """Writes in a thread."""

    @pytest.fixture
    def publication(self, fleet: Fleet) -> Publication:
        """A published profile."""
        return fleet.ledger.publish("berlin", fleet.delivery.profile, certificates=(), seed=UUID(int=1), at=START)

    def test_all_commands_are_recorded_when_the_block_ends(self, fleet: Fleet, publication: Publication) -> None:
        """There are more commands than may wait."""
        ids = [f"device-{number}" for number in range(3 * recorder.MAX_WAITING)]
        with Recorder(fleet.ledger, publication) as recording:
            for one in ids:
                recording.record(EnqueuedCommand(command_uuid=f"C-{one}", epochs={one: NEVER}, at=START))
                recording.record_asked([one], at=START)
        assert fleet.ledger.waiting("berlin", 1, enrollment_ids=ids) == {}
        found = fleet.ledger.devices("berlin", enrollment_ids=ids)
        assert {one.enrollment.asked for one in found} == {microseconds(START)}

    @pytest.mark.parametrize("commands", [1, 3 * recorder.MAX_WAITING])
    def test_the_error_of_a_write_ends_the_block(
        self, commands: int, fleet: Fleet, publication: Publication, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No later write hides it. The last write fails at the end of the block."""

        def fail(*_arguments: object, **_options: object) -> None:
            raise DeliveryError("the ledger is full")

        def record() -> None:
            with Recorder(fleet.ledger, publication) as recording:
                for number in range(commands):
                    recording.record(EnqueuedCommand(command_uuid=str(number), epochs={"a": NEVER}, at=START))

        monkeypatch.setattr(SqliteLedger, "record_commands", fail)
        with pytest.raises(DeliveryError, match="is full"):
            record()

    def test_the_error_of_the_block_is_raised_after_all_writes(self, fleet: Fleet, publication: Publication) -> None:
        """Accepted commands are recorded."""

        def send() -> None:
            with Recorder(fleet.ledger, publication) as recording:
                for one in DEVICES:
                    recording.record(EnqueuedCommand(command_uuid=f"C-{one}", epochs={one: NEVER}, at=START))
                raise DeliveryError("the MDM server is down")

        with pytest.raises(DeliveryError, match="is down"):
            send()
        assert fleet.ledger.waiting("berlin", 1, enrollment_ids=DEVICES) == {}
