"""Tests of delivering a profile: in batches, once to each device, and continued after a failure."""

from __future__ import annotations

import plistlib
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from ios_mdm.adapters.clock import FixedClock
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger, open_ledger
from ios_mdm.app.delivery.distributor import Delivery, Distributor
from ios_mdm.app.devices import devices_digest, known_devices, listed_devices, no_devices_advice, read_devices
from ios_mdm.core.ledger.values import AnswerStatus, DeviceState
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.profile import trust_profile
from ios_mdm.core.x509.issuing import issue
from ios_mdm.errors import BatchTooLargeError, DefinitionError, DeliveryError
from ios_mdm.settings import DistributionSettings
from tests.support.events import record_answer, record_authenticate, record_device, record_sent, statuses_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START = datetime(2040, 1, 1, tzinfo=UTC)
DEVICES = tuple(f"device-{number}" for number in range(7))


@dataclass(slots=True)
class RecordingChannel:
    """Stands in for the port ``MdmChannel``. The real NanoMDM is used in tests/adapters and tests/engine.

    Args:
        batch_size: number of devices in a batch.
        takes: maximum number of devices in a call; a larger batch is refused.
        fails_at: number of the call that the server refuses, from 1; 0 for none.
        batches_taken: accepted batches: CommandUUID, devices and profile of each.
    """

    batch_size: int = 3
    takes: int = 1000
    fails_at: int = 0
    notices: tuple[str, ...] = ()
    calls: int = 0
    batches_taken: list[tuple[str, tuple[str, ...], bytes]] = field(default_factory=list)

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Split the devices into batches of the same size."""
        return [enrollment_ids[at : at + self.batch_size] for at in range(0, len(enrollment_ids), self.batch_size)]

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Accept a command, or fail."""
        self.calls += 1
        if len(enrollment_ids) > self.takes:
            raise BatchTooLargeError("a proxy takes no URL of this length")
        if self.calls == self.fails_at:
            raise DeliveryError("the MDM server is down")
        parsed = plistlib.loads(command)
        assert parsed["Command"]["RequestType"] == "InstallProfile"
        self.batches_taken.append((parsed["CommandUUID"], tuple(enrollment_ids), parsed["Command"]["Payload"]))
        return self.notices

    @property
    def devices(self) -> list[str]:
        """Return the devices in the order in which they were reached."""
        return [device for _, batch, _ in self.batches_taken for device in batch]

    @property
    def uuids(self) -> list[str]:
        """Return the CommandUUIDs in order."""
        return [uuid for uuid, _, _ in self.batches_taken]


def profile() -> bytes:
    """Return a profile with a unique certificate."""
    credential = issue("mdm.example.com", key=KeyType.EC_P256, validity_days=30, now=START)
    return trust_profile([credential.chain], identifier="com.example.t", server="berlin", host="mdm.example.com")


@pytest.fixture
def delivery() -> Delivery:
    """A first profile for seven devices."""
    return Delivery(server="berlin", profile=profile(), enrollment_ids=DEVICES)


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """A real ledger."""
    return SqliteLedger(tmp_path / "ledger.db")


def distribute(
    delivery: Delivery, ledger: SqliteLedger | None, channel: RecordingChannel, reports: list[str] | None = None
) -> int:
    """Distribute the profile, with a clock at START."""
    lines, numbers = [] if reports is None else reports, count(1)
    return Distributor(
        channel,
        ledger,
        FixedClock(time=START),
        report=lines.append,
        random_uuid=lambda: UUID(int=next(numbers)),
    ).distribute(delivery)


def ledger_with_history(ledger: SqliteLedger) -> SqliteLedger:
    """Return the ledger after an earlier profile was sent."""
    for server in ("berlin", "paris"):
        record_sent(ledger, f"{server}-1", server=server, enrollment_ids=["gone"], at=START)
    return ledger


@pytest.fixture
def other_ledger(tmp_path: Path) -> SqliteLedger:
    """Another ledger, which has only an earlier profile."""
    return ledger_with_history(SqliteLedger(tmp_path / "other.db"))


def test_every_device_gets_it_once_in_batches(delivery: Delivery, ledger: SqliteLedger) -> None:
    """Seven devices in batches of three need three commands, each with a unique CommandUUID and a record."""
    # R15
    channel, reports = RecordingChannel(notices=("push failed for 1",)), list[str]()
    assert distribute(delivery, ledger, channel, reports) == 7
    assert [len(batch) for _, batch, _ in channel.batches_taken] == [3, 3, 1]
    assert sorted(channel.devices) == sorted(DEVICES)
    assert len(set(channel.uuids)) == 3
    assert {payload for _, _, payload in channel.batches_taken} == {delivery.profile}
    assert reports == ["push failed for 1", "profile queued for 7 of 7 devices"]
    devices = statuses_of(ledger, DEVICES, profile=delivery.digest)
    assert {device.state for device in devices} == {DeviceState.QUEUED}


@pytest.mark.parametrize(
    ("takes", "sizes", "calls"),
    [(7, [7], 1), (6, [4, 3], 3), (3, [2, 2, 2, 1], 6), (1, [1] * 7, 10)],
)
def test_a_batch_that_is_too_large_is_halved(
    delivery: Delivery, ledger: SqliteLedger, takes: int, sizes: list[int], calls: int
) -> None:
    """Batches are halved down to one device. Each accepted batch is a separate command with a record in the ledger."""
    # R40
    channel, reports = RecordingChannel(batch_size=7, takes=takes), list[str]()
    assert distribute(delivery, ledger, channel, reports) == 7
    assert [len(batch) for _, batch, _ in channel.batches_taken] == sizes
    assert channel.calls == calls
    assert channel.devices == list(DEVICES)
    assert reports == ["profile queued for 7 of 7 devices"]
    assert len(sizes) == len(set(channel.uuids))
    for uuid, (device, *_), _ in channel.batches_taken:
        record_answer(ledger, uuid, device, AnswerStatus.ACKNOWLEDGED, detail="", at=START)
    devices = statuses_of(ledger, DEVICES, profile=delivery.digest)
    answered = [device for device in devices if device.state is DeviceState.ACKNOWLEDGED]
    assert len(answered) == len(sizes)


def test_later_batches_are_halved_without_another_refusal(delivery: Delivery, ledger: SqliteLedger) -> None:
    """After the first refusal, larger batches are halved without a request."""
    channel = RecordingChannel(batch_size=3, takes=2)
    assert distribute(delivery, ledger, channel) == 7
    assert [len(batch) for _, batch, _ in channel.batches_taken] == [2, 1, 2, 1, 1]
    assert channel.calls == 6


def test_a_request_for_one_device_that_is_too_large_is_an_error(delivery: Delivery, ledger: SqliteLedger) -> None:
    """One device cannot be halved. The message is that of the channel."""
    with pytest.raises(DeliveryError, match=r"takes no URL of this length\. .* queued for 0 of 7 devices"):
        distribute(delivery, ledger, RecordingChannel(takes=0))


def test_a_run_that_dies_among_halves_is_continued(delivery: Delivery, ledger: SqliteLedger) -> None:
    """The devices of an accepted half stay queued, and the next run sends to the others."""
    first, second = RecordingChannel(batch_size=7, takes=4, fails_at=3), RecordingChannel(batch_size=7, takes=4)
    with pytest.raises(DeliveryError, match="queued for 4 of 7 devices"):
        distribute(delivery, ledger, first)
    assert distribute(delivery, ledger, second) == 3
    assert first.devices + second.devices == list(DEVICES)


def test_a_queued_command_is_not_queued_again(delivery: Delivery, ledger: SqliteLedger) -> None:
    """A second run makes no call. A new device gets the profile in a separate command."""
    distribute(delivery, ledger, RecordingChannel())
    again = RecordingChannel()
    assert distribute(delivery, ledger, again) == 0
    assert again.calls == 0
    assert distribute(replace(delivery, enrollment_ids=(*DEVICES, "new")), ledger, again) == 1
    assert again.devices == ["new"]


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_failure_is_reported_and_the_next_run_continues(
    delivery: Delivery, ledger: SqliteLedger, other_ledger: SqliteLedger, fails_at: int
) -> None:
    """The error has the number of devices that the profile is queued for. The next run sends to the others only."""
    first, done = RecordingChannel(fails_at=fails_at), 3 * (fails_at - 1)
    ledger_with_history(ledger)
    with pytest.raises(DeliveryError, match=rf"is down.*queued for {done} of 7 devices.*continue") as caught:
        distribute(delivery, ledger, first)
    assert "pair is stored" in str(caught.value)
    second, undisturbed = RecordingChannel(), RecordingChannel()
    assert distribute(delivery, ledger, second) == 7 - done
    assert sorted(first.devices + second.devices) == sorted(DEVICES)
    distribute(delivery, other_ledger, undisturbed)
    assert first.uuids + second.uuids == undisturbed.uuids


def test_a_failure_names_the_list_of_devices(delivery: Delivery) -> None:
    """The message has the path of the file, not its content."""  # R39
    listed = replace(delivery, listed="devices.txt")
    with pytest.raises(DeliveryError, match=r"queued for 3 of 7 devices in devices\.txt: run"):
        distribute(listed, None, RecordingChannel(fails_at=2))


def test_a_run_that_dies_before_the_ledger_repeats_the_same_command(
    delivery: Delivery, ledger: SqliteLedger, tmp_path: Path
) -> None:
    """A batch that was queued but not recorded is sent again with its CommandUUID, which the server has already."""
    with pytest.raises(DeliveryError):
        distribute(delivery, ledger, RecordingChannel(fails_at=1))
    before = SqliteLedger(tmp_path / "before.db")
    shutil.copy(ledger.path, before.path)
    lost, again = RecordingChannel(), RecordingChannel()
    distribute(delivery, ledger, lost)
    distribute(delivery, before, again)
    assert again.batches_taken == lost.batches_taken


def test_a_device_that_enrolls_again_is_sent_the_profile_again(delivery: Delivery, ledger: SqliteLedger) -> None:
    """The command is a new one, because the MDM server drops a repeated CommandUUID. An older event changes nothing."""
    # R42
    first, again = RecordingChannel(), RecordingChannel()
    record_authenticate(ledger, DEVICES[0], at=START)
    distribute(delivery, ledger, first)
    for uuid, batch, _ in first.batches_taken:
        for device in batch:
            record_answer(ledger, uuid, device, AnswerStatus.ACKNOWLEDGED, at=START + timedelta(seconds=1))
    record_authenticate(ledger, DEVICES[1], at=START - timedelta(seconds=1))
    assert distribute(delivery, ledger, again) == 0
    record_authenticate(ledger, DEVICES[0], at=START + timedelta(seconds=2))
    assert distribute(delivery, ledger, again) == 1
    assert again.devices == [DEVICES[0]]
    assert not set(again.uuids) & set(first.uuids)
    assert distribute(delivery, ledger, again) == 0


def test_without_a_ledger_every_command_is_new(delivery: Delivery) -> None:
    """A device may have lost the profile. Installing it again has no effect, but a repeated CommandUUID is dropped."""
    # R15
    channel = RecordingChannel()
    clock = FixedClock(time=START)
    for devices in (DEVICES, DEVICES[1:], DEVICES):
        Distributor(channel, None, clock, report=lambda _line: None).distribute(
            replace(delivery, enrollment_ids=devices)
        )
    assert len(channel.uuids) == len(set(channel.uuids)) == 3 + 2 + 3
    injected = RecordingChannel()
    distribute(delivery, None, injected)
    assert injected.uuids == [str(UUID(int=number)) for number in (1, 2, 3)]


def test_a_ledger_that_was_lost_counts_as_none(delivery: Delivery, tmp_path: Path) -> None:
    """A pipeline has another file in each run. A device that enrolled again gets the profile in a new command."""
    # R15
    first, second = RecordingChannel(), RecordingChannel()
    clock = FixedClock(time=START)
    for number, channel in enumerate((first, second)):
        ledger = SqliteLedger(tmp_path / f"{number}.db")
        record_sent(ledger, "other", server="paris", enrollment_ids=["gone"], at=START)
        assert Distributor(channel, ledger, clock, report=lambda _line: None).distribute(delivery) == 7
    assert first.devices == second.devices
    assert len({*first.uuids, *second.uuids}) == 6


def test_a_profile_that_returns_is_a_new_command(delivery: Delivery, ledger: SqliteLedger) -> None:
    """A former content that is sent again has other CommandUUIDs, because the server drops repeated ones."""
    # R17
    channel, clock = RecordingChannel(), FixedClock(time=START)
    other = replace(delivery, profile=profile())
    for one in (delivery, other, delivery, replace(delivery, server="paris")):
        assert Distributor(channel, ledger, clock, report=lambda _line: None).distribute(one) == 7
    assert len(set(channel.uuids)) == 12


def test_another_profile_goes_to_every_device(delivery: Delivery, ledger: SqliteLedger) -> None:
    """A device that has an older profile gets the next one, too."""
    # R17
    distribute(delivery, ledger, RecordingChannel())
    channel = RecordingChannel()
    assert distribute(replace(delivery, profile=profile()), ledger, channel) == 7


def settings(devices: object, ledger: str | None = None) -> DistributionSettings:
    """Return settings with these devices."""
    return DistributionSettings.model_validate(
        {
            "profile": {"identifier": "com.example.t"},
            "channel": {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": "mdm/api-key"}},
            "devices": devices,
        }
        | ({"ledger": ledger} if ledger else {})
    )


class TestDevices:
    """The devices of a definition."""

    def test_devices_are_read_from_a_file(self, tmp_path: Path) -> None:
        """Ids are one per line. White space, empty lines and comments are ignored."""
        (tmp_path / "devices.txt").write_text("# fleet\n\n  b  \na\n   # later: c\n", encoding="utf-8")
        assert listed_devices(tmp_path / "devices.txt") == ("b", "a")
        assert read_devices(settings({"file": "devices.txt"}), None, base=tmp_path) == ("a", "b")

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_a_device_file_from_windows_is_read(self, tmp_path: Path, encoding: str) -> None:
        """A byte order mark and CRLF line endings are not part of an id."""
        (tmp_path / "devices.txt").write_bytes("# devices\r\nb\r\n\r\na\r\n".encode(encoding))
        assert listed_devices(tmp_path / "devices.txt") == ("b", "a")
        (tmp_path / "devices.txt").write_bytes("b\r\na\r\n".encode(encoding))
        assert listed_devices(tmp_path / "devices.txt") == ("b", "a")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_a_device_file_in_another_encoding_is_refused(self, tmp_path: Path, encoding: str) -> None:
        """The error names the expected encoding."""
        (tmp_path / "devices.txt").write_bytes("# devices\r\na\r\n".encode(encoding))
        with pytest.raises(DefinitionError, match=r"devices\.txt cannot be read, .* not UTF-8 text: .* as UTF-8"):
            listed_devices(tmp_path / "devices.txt")

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"a\nb\na \n", "devices.txt: lines 1 and 3 name the same device"),
            (b"\xff\xfe", "devices.txt cannot be read, because it is not UTF-8 text"),
        ],
    )
    def test_a_wrong_device_file_is_refused(self, tmp_path: Path, content: bytes, said: str) -> None:
        """A list that cannot be read, or has a duplicate, is one clear error."""
        (tmp_path / "devices.txt").write_bytes(content)
        with pytest.raises(DefinitionError, match=rf"^distribution\.devices\.file: {said}"):
            read_devices(settings({"file": "devices.txt"}), None, base=tmp_path)

    @pytest.mark.parametrize("content", [b"", b"# none\n"])
    def test_an_empty_device_file_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """A list without a device is a warning, not an error."""
        (tmp_path / "devices.txt").write_bytes(content)
        wanted = settings({"file": "devices.txt"})
        assert read_devices(wanted, None, base=tmp_path) == ()
        assert known_devices(wanted, partial(open_ledger, base=tmp_path), base=tmp_path) is None
        assert no_devices_advice(wanted) == (
            "distribution.devices.file: devices.txt names no device: write one enrollment id per line"
        )

    def test_a_missing_device_file_is_refused(self, tmp_path: Path) -> None:
        """The error has the path and the reason."""
        with pytest.raises(DefinitionError, match=r"none\.txt cannot be read: No such file"):
            listed_devices(tmp_path / "none.txt")
        with pytest.raises(DefinitionError, match="cannot be read: Is a directory"):
            listed_devices(tmp_path)

    def test_known_devices_are_counted(self, tmp_path: Path, ledger: SqliteLedger) -> None:
        """The number is that of the list, the file or the ledger. It is None if unknown."""
        (tmp_path / "devices.txt").write_text("a\nb\n", encoding="utf-8")
        from_ledger = settings({"ledger": True}, ledger="sqlite:///ledger.db")
        opened = partial(open_ledger, base=tmp_path)
        assert known_devices(settings(["a", "b", "c"]), opened, base=tmp_path) == 3
        assert known_devices(settings({"file": "devices.txt"}), opened, base=tmp_path) == 2
        assert known_devices(settings({"file": "none.txt"}), opened, base=tmp_path) is None
        assert known_devices(from_ledger, opened, base=tmp_path) is None
        record_device(ledger, "a", enrolled=True, at=START)
        assert known_devices(from_ledger, opened, base=tmp_path) == 1

    def test_an_id_that_no_device_can_have(self, tmp_path: Path) -> None:
        """A line that is not an enrollment id is an error before anything is sent."""
        (tmp_path / "devices.txt").write_text("a,b\n", encoding="utf-8")
        with pytest.raises(DefinitionError, match="line 1 is no enrollment id"):
            read_devices(settings({"file": "devices.txt"}), None, base=tmp_path)

    def test_a_list_is_sorted(self, tmp_path: Path) -> None:
        """The order of the devices in the definition has no effect."""
        assert read_devices(settings(["b", "a"]), None, base=tmp_path) == ("a", "b")
        assert devices_digest(["b", "a"]) == devices_digest(["a", "b"])
        assert devices_digest(["a", "b"]) != devices_digest(["a"])

    def test_the_inventory_of_the_ledger(self, tmp_path: Path, ledger: SqliteLedger) -> None:
        """With `ledger: true` the devices are the enrolled ones. If there are none, a warning has the remedy."""
        wanted = settings({"ledger": True}, "sqlite:///ledger.db")
        assert read_devices(wanted, ledger, base=tmp_path) == ()
        assert "has no enrolled device yet: start `ios-mdm receive`" in no_devices_advice(wanted)
        for device, enrolled in (("b", True), ("a", True), ("c", False)):
            record_device(ledger, device, enrolled=enrolled, at=START)
        assert read_devices(wanted, ledger, base=tmp_path) == ("a", "b")
