"""Tests of sending the published profile to devices whose enrollment began."""

from __future__ import annotations

import logging
import plistlib
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.collector.background import Background
from ios_mdm.app.collector.handler import Collector
from ios_mdm.app.collector.newcomers import RETRIES, Newcomers
from ios_mdm.core.http import Request
from ios_mdm.core.ledger.values import EnqueuedCommand
from ios_mdm.errors import BatchTooLargeError, DefinitionError, DeliveryError, StoreError
from tests.support.events import event
from tests.support.long import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ios_mdm.core.ledger.values import Publication

START = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://mdm.example.com/nanomdm"
SEED = UUID(int=7)


def profile(kind: str = "com.apple.security.root", content: bytes = b"der") -> bytes:
    """Return a profile with one payload."""
    payload = {"PayloadType": kind, "PayloadContent": content}
    return plistlib.dumps({"PayloadType": "Configuration", "PayloadContent": [payload]})


@dataclass(slots=True)
class FakeChannel:
    """An MDM server that records commands.

    Args:
        batch_size: number of devices in a batch.
        takes: maximum number of devices in a call; a larger batch is refused.
        failures: errors of the next calls.
        failures_after: an error of the call after this number of accepted commands.
        on_enqueue: called with the devices of each accepted InstallProfile.
        before_next: called once before the next command is accepted.
        commands: accepted commands: request type, CommandUUID, devices and profile.
    """

    batch_size: int = 1000
    takes: int = 1000
    failures: list[Exception] = field(default_factory=list)
    failures_after: dict[int, Exception] = field(default_factory=dict)
    on_enqueue: Callable[[Sequence[str]], None] = lambda _ids: None
    before_next: Callable[[], object] | None = None
    commands: list[tuple[str, str, tuple[str, ...], bytes | None]] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    closed: int = 0

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return batches of the same size; no call is made without a device."""
        assert enrollment_ids
        return [enrollment_ids[at : at + self.batch_size] for at in range(0, len(enrollment_ids), self.batch_size)]

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Accept a command, or fail."""
        parsed = plistlib.loads(command)
        kind, uuid = parsed["Command"]["RequestType"], parsed["CommandUUID"]
        self.tried.append(uuid)
        if self.before_next is not None:
            before, self.before_next = self.before_next, None
            before()
        if self.failures:
            raise self.failures.pop(0)
        if (error := self.failures_after.pop(len(self.commands), None)) is not None:
            raise error
        if len(enrollment_ids) > self.takes:
            raise BatchTooLargeError("the MDM server refuses a URL of this length")
        self.commands.append((kind, uuid, tuple(enrollment_ids), parsed["Command"].get("Payload")))
        if kind == "InstallProfile":
            self.on_enqueue(enrollment_ids)
        return ()

    def close(self) -> None:
        """Count the call."""
        self.closed += 1

    @property
    def profiles(self) -> list[tuple[tuple[str, ...], bytes | None]]:
        """Devices and profile of each accepted InstallProfile."""
        return [(ids, sent) for kind, _, ids, sent in self.commands if kind == "InstallProfile"]


@dataclass(slots=True)
class FakeClock:
    """A clock that a test moves."""

    time: datetime = START

    def now(self) -> datetime:
        """Return the time."""
        return self.time


class Fleet:
    """A collector, an MDM server and a ledger. New devices are sent the profile in the thread of the test."""

    def __init__(self, file: Path, *, servers_with_proof: Collection[str] = ()) -> None:
        """Create an empty ledger."""
        self.ledger, self.clock, self.channel = SqliteLedger(file), FakeClock(), FakeChannel()
        self.channels: list[Exception | None] = []
        self.waits: list[float] = []
        self.is_stopped = False
        self.newcomers = Newcomers(
            self.ledger,
            self.clock,
            url=URL,
            channel=self._new_channel,
            servers_with_proof=servers_with_proof,
            wait=self._wait,
        )
        self.collector = Collector(ledger=self.ledger, clock=self.clock, hmac_key=None, on_begun=self.newcomers.send)
        self._numbers = count()

    def _new_channel(self) -> FakeChannel:
        if self.channels and (error := self.channels.pop(0)) is not None:
            raise error
        return self.channel

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.is_stopped

    def publish(
        self, content: bytes | None = None, *, server: str = "berlin", channel: str = URL, is_for_all: bool = True
    ) -> Publication:
        """Publish a profile."""
        sent = profile() if content is None else content
        return self.ledger.publish(
            server, sent, certificates=(), seed=SEED, at=self.clock.now(), channel=channel, is_for_all=is_for_all
        )

    def up(self, publication: Publication, *ids: str) -> None:
        """Record that `up` queued a profile for devices."""
        epochs = {one.enrollment_id: one.enrollment.epoch for one in self.ledger.devices("berlin", enrollment_ids=ids)}
        uuid = f"up-{next(self._numbers)}"
        self.ledger.record_commands(
            [EnqueuedCommand(command_uuid=uuid, epochs=epochs, at=self.clock.now())], publication=publication
        )

    def event(self, topic: str, device: str = "D1", *, at: datetime | None = None) -> bytes:
        """Return an event with another id than the others; a second after the last one by default."""
        if at is None:
            self.clock.time += timedelta(seconds=1)
            at = self.clock.time
        ids = {"id": device, "type": "Device"}
        fields = {"status": "Idle"} if topic == "Connect" else {}
        return event(f"mdm.{topic}", at=at, event_id=str(next(self._numbers)), ids=ids, **fields)

    def post(self, *bodies: bytes) -> None:
        """Post events to the collector in one batch."""
        headers = {"host": "127.0.0.1", "content-type": "application/json"}
        requests = [Request(method="POST", path="/", headers=headers, body=one) for one in bodies]
        assert {one.status for one in self.collector.answers(requests)} == {200}

    def epoch(self, device: str) -> int:
        """Return the start of the current enrollment of a device."""
        (record,) = self.ledger.devices("berlin", enrollment_ids=[device])
        return record.enrollment.epoch

    def enroll(self, device: str = "D1") -> None:
        """Post the events of an enrollment."""
        self.post(self.event("Authenticate", device))
        self.post(self.event("TokenUpdate", device))


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A fleet without a device and a profile."""
    return Fleet(tmp_path / "ledger.db")


def test_a_new_device_is_sent_the_published_bytes(fleet: Fleet) -> None:
    """They are sent at the first TokenUpdate after the Authenticate, and not at later ones."""  # R43
    published = fleet.publish()
    fleet.post(fleet.event("Authenticate"))
    assert fleet.channel.commands == []
    fleet.post(fleet.event("TokenUpdate"))
    assert fleet.channel.profiles == [(("D1",), published.profile)]
    for topic in ("TokenUpdate", "Connect", "TokenUpdate"):
        fleet.post(fleet.event(topic))
    assert len(fleet.channel.commands) == 1
    assert not fleet.ledger.waiting("berlin", published.revision, enrollment_ids=["D1"])


def test_the_order_of_arrival_has_no_effect(fleet: Fleet) -> None:
    """NanoMDM posts events in any order. Copies of both events change nothing."""  # R42 R43
    fleet.publish()
    authenticate, token = fleet.event("Authenticate"), fleet.event("TokenUpdate")
    fleet.post(token)
    assert fleet.channel.commands == []
    fleet.post(authenticate)
    fleet.post(token, authenticate)
    assert [ids for ids, _ in fleet.channel.profiles] == [("D1",)]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_profile_that_up_replaces_meanwhile_is_not_the_last_one(fleet: Fleet, *, is_recorded: bool) -> None:
    """A device executes commands in their order. The former profile lacks the new reserve."""  # R16 R43
    fleet.publish(profile(content=b"former"))
    up: list[Publication] = []

    def publish_and_send() -> None:
        up.append(fleet.publish(profile(content=b"next")))
        fleet.channel.commands.append(("InstallProfile", "up", ("D1",), up[0].profile))
        if is_recorded:
            fleet.up(up[0], "D1")

    fleet.channel.before_next = publish_and_send
    fleet.enroll()
    assert [sent for _, sent in fleet.channel.profiles[1:]] == [profile(content=b"former"), up[0].profile]
    assert len({uuid for _, uuid, _, _ in fleet.channel.commands}) == 3
    assert not fleet.ledger.waiting("berlin", up[0].revision, enrollment_ids=["D1"])


def test_a_device_that_no_profile_is_for_any_more_is_sent_nothing_after_it(fleet: Fleet) -> None:
    """A run publishes the next profile for another MDM server while the former one is being sent."""  # R43
    fleet.publish(profile(content=b"former"))
    fleet.channel.before_next = lambda: fleet.publish(channel="https://other.example.com")
    fleet.enroll()
    assert [sent for _, sent in fleet.channel.profiles] == [profile(content=b"former")]


def test_devices_that_enroll_together_share_a_command(fleet: Fleet) -> None:
    """One call to the MDM server takes a batch of devices."""  # R43
    fleet.publish()
    devices = [f"D{number}" for number in range(5)]
    fleet.post(*(fleet.event("Authenticate", one) for one in devices))
    fleet.post(*(fleet.event("TokenUpdate", one) for one in devices))
    ((ids, _),) = fleet.channel.profiles
    assert sorted(ids) == devices


def test_an_erased_device_is_sent_the_profile_again_once(fleet: Fleet) -> None:
    """The MDM server drops a repeated CommandUUID, so the next enrollment has another one."""  # R42 R43
    fleet.publish()
    fleet.enroll()
    fleet.enroll()
    assert [ids for ids, _ in fleet.channel.profiles] == [("D1",), ("D1",)]
    assert len({uuid for _, uuid, _, _ in fleet.channel.commands}) == 2


def test_a_device_that_left_and_enrolled_again_is_sent_the_profile(fleet: Fleet) -> None:
    """A CheckOut alone sends nothing."""  # R42 R43
    fleet.publish()
    fleet.enroll()
    fleet.post(fleet.event("CheckOut"))
    assert len(fleet.channel.profiles) == 1
    fleet.enroll()
    assert len(fleet.channel.profiles) == 2


def test_a_device_that_left_at_once_is_sent_nothing(fleet: Fleet) -> None:
    """The events of an enrollment and of its end can arrive together."""  # R42 R43
    fleet.publish()
    fleet.post(*(fleet.event(topic) for topic in ("Authenticate", "TokenUpdate", "CheckOut")))
    assert fleet.channel.commands == []


def test_a_device_that_up_sent_the_profile_is_not_sent_it_again(fleet: Fleet) -> None:
    """An `up` between the enrollment and the push has already queued this revision in this epoch."""  # R43
    published = fleet.publish()
    fleet.collector = Collector(ledger=fleet.ledger, clock=fleet.clock, hmac_key=None)
    fleet.enroll()
    fleet.up(published, "D1")
    fleet.newcomers.send(["D1"])
    assert fleet.channel.commands == []


def test_a_list_of_devices_is_respected(fleet: Fleet) -> None:
    """If the definition lists the devices, only a device that was sent the profile before is sent it again."""  # R43
    published = fleet.publish(is_for_all=False)
    fleet.enroll("D1")
    assert fleet.channel.commands == []
    fleet.up(published, "D1", "D2")
    fleet.enroll("D1")
    fleet.enroll("D2")
    fleet.enroll("D3")
    assert [ids for ids, _ in fleet.channel.profiles] == [("D1",), ("D2",)]


def test_a_device_of_a_former_revision_is_sent_the_last_one(fleet: Fleet) -> None:
    """A definition that lists devices has sent it another profile before it was erased."""  # R42 R43
    former = fleet.publish(profile(content=b"former"), is_for_all=False)
    fleet.up(former, "D1")
    last = fleet.publish(is_for_all=False)
    fleet.enroll("D1")
    assert fleet.channel.profiles == [(("D1",), last.profile)]


@pytest.mark.parametrize("channel", ["", "https://other.example.com", f"{URL}/other"])
def test_a_profile_of_another_mdm_server_is_not_sent(fleet: Fleet, channel: str) -> None:
    """Each MDM server has a collector. A device of one MDM server is unknown to the others."""  # R43
    fleet.publish(channel=channel)
    fleet.publish(server="hamburg", channel=URL)
    fleet.enroll()
    assert len(fleet.channel.profiles) == 1


def test_without_a_publication_nothing_is_sent(fleet: Fleet) -> None:
    """Before the first `up`, there is no profile."""  # R43
    fleet.enroll()
    assert (fleet.channel.commands, fleet.waits) == ([], [])


@pytest.mark.parametrize("content", [profile("com.apple.mdm"), b"signed"])
def test_a_profile_with_another_payload_is_never_sent(
    fleet: Fleet, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """A profile that enrolls the device would be an endless loop. It is logged once."""  # R43
    fleet.publish(content)
    fleet.enroll()
    fleet.enroll()
    assert fleet.channel.commands == []
    (line,) = (one for one in caplog.messages if one.startswith("the profile of server berlin"))
    assert "is not sent to new devices, because it" in line


def test_a_device_that_enrolls_again_after_each_push_ends(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A device gets at most three pushes a day, also through several collectors and after a restart."""  # R43

    def enroll_again(ids: Sequence[str]) -> None:
        for one in ids:
            fleet.enroll(one)

    fleet.publish()
    fleet.channel.on_enqueue = enroll_again
    fleet.enroll()
    assert len(fleet.channel.profiles) == 3
    for _ in range(50):
        fleet.enroll()
    assert len(fleet.channel.profiles) == 3
    assert any("device D1 was sent three profiles within a day" in one for one in caplog.messages)
    fleet.channel.on_enqueue = lambda _ids: None
    fleet.enroll("D2")
    assert len(fleet.channel.profiles) == 4
    fleet.clock.time += timedelta(days=1)
    fleet.enroll()
    assert len(fleet.channel.profiles) == 5


def test_the_profiles_of_all_servers_count_as_pushes(fleet: Fleet) -> None:
    """At most three commands with a profile a day are sent to a device, whatever is published."""  # R43
    for server in ("a", "b", "c", "d"):
        fleet.publish(server=server)
    fleet.enroll()
    assert len(fleet.channel.profiles) == 3


def test_a_failed_push_is_repeated_with_the_same_command_uuid(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """The MDM server drops the repetition of a command whose answer was lost. The repetition is no other push."""
    # R43
    fleet.publish()
    fleet.channel.failures = [DeliveryError("the MDM server is down"), DeliveryError("the MDM server is down")]
    fleet.enroll()
    assert len(fleet.channel.profiles) == 1
    assert len(fleet.channel.tried) == 3
    assert len(set(fleet.channel.tried)) == 1
    assert fleet.waits == [*RETRIES[:2]]
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    fleet.enroll()
    fleet.enroll()
    assert len(fleet.channel.profiles) == 3


def test_a_failure_is_logged_once_and_left_to_up(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """The event is recorded, so `up` knows that the device waits for the profile."""  # R43
    published = fleet.publish()
    fleet.channel.failures = [DeliveryError("the MDM server is down")] * 9
    fleet.enroll()
    assert fleet.waits == [*RETRIES]
    (line,) = (one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING)
    problem, _, advice = line.partition(": ")
    assert problem == "the profile of server berlin is not sent to a new device"
    assert advice == "the MDM server is down. The next `pulumi up` sends it"
    assert fleet.ledger.enrolled_ids() == ("D1",)
    assert list(fleet.ledger.waiting("berlin", published.revision, enrollment_ids=["D1"])) == ["D1"]


def test_an_attempt_continues_after_the_accepted_batches(fleet: Fleet) -> None:
    """The ledger knows the accepted batches. The repeated batch has the same devices and the same CommandUUID."""
    # R43
    fleet.publish()
    fleet.channel.batch_size = 2
    fleet.channel.failures_after = {1: DeliveryError("the MDM server is down")}
    devices = [f"D{number}" for number in range(5)]
    fleet.post(*(fleet.event("Authenticate", one) for one in devices))
    fleet.post(*(fleet.event("TokenUpdate", one) for one in devices))
    assert [len(ids) for ids, _ in fleet.channel.profiles] == [2, 2, 1]
    assert sorted(one for ids, _ in fleet.channel.profiles for one in ids) == devices
    first, failed, repeated, last = fleet.channel.tried
    assert failed == repeated
    assert len({first, failed, last}) == 3


def test_a_command_that_is_not_recorded_is_repeated(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """The MDM server drops the repetition, so the ledger can be written again."""  # R43
    published = fleet.publish()
    errors = [DeliveryError("the ledger cannot be used: it is locked")]

    class _Locked(SqliteLedger):
        def record_commands(self, commands: Sequence[EnqueuedCommand], *, publication: Publication) -> None:
            if errors:
                raise errors.pop()
            super().record_commands(commands, publication=publication)

    fleet.newcomers._ledger = _Locked(fleet.ledger.path)
    fleet.enroll()
    assert len({*fleet.channel.tried}) == 1
    assert not fleet.ledger.waiting("berlin", published.revision, enrollment_ids=["D1"])
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_stop_ends_the_repetitions(fleet: Fleet) -> None:
    """The process ends without the waits."""  # R43
    fleet.publish()
    fleet.is_stopped = True
    fleet.channel.failures = [DeliveryError("the MDM server is down")] * 9
    fleet.enroll()
    assert fleet.waits == [RETRIES[0]]


def test_the_api_key_is_read_again_after_a_failure(fleet: Fleet) -> None:
    """A rotated key needs no restart."""  # R43
    fleet.publish()
    fleet.newcomers.prepare()
    fleet.channels = [StoreError("AWS does not answer"), None]
    fleet.channel.failures = [DeliveryError("refuses the API key")]
    fleet.enroll()
    assert len(fleet.channel.profiles) == 1
    assert fleet.channels == []
    assert fleet.channel.closed == 1


def test_an_unknown_api_key_uses_no_push(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A device keeps its three pushes while AWS does not answer. A wrong definition is not retried."""  # R43
    fleet.publish()
    for _ in range(3):
        fleet.channels = [StoreError("AWS does not answer")] * (1 + len(RETRIES))
        fleet.enroll()
    assert fleet.channel.commands == []
    assert len([one for one in caplog.messages if "AWS does not answer. The next" in one]) == 3
    fleet.waits.clear()
    fleet.channels = [DefinitionError("there is no secret")]
    fleet.enroll()
    assert fleet.waits == []
    for _ in range(3):
        fleet.enroll()
    assert len(fleet.channel.profiles) == 3


def test_a_wrong_definition_is_an_error_at_the_start(fleet: Fleet) -> None:
    """The command ends before devices wait for a profile that is never sent."""
    fleet.channels = [DefinitionError("there is no secret")]
    with pytest.raises(DefinitionError):
        fleet.newcomers.prepare()


def test_a_batch_that_is_too_large_is_halved(fleet: Fleet) -> None:
    """Each device is sent the profile once, and uses one push."""  # R40 R43
    fleet.publish()
    fleet.channel.takes = 2
    devices = [f"D{number}" for number in range(5)]
    fleet.post(*(fleet.event("Authenticate", one) for one in devices))
    fleet.post(*(fleet.event("TokenUpdate", one) for one in devices))
    assert sorted(one for ids, _ in fleet.channel.profiles for one in ids) == devices
    for _ in range(2):
        fleet.enroll("D0")
    assert sum("D0" in ids for ids, _ in fleet.channel.profiles) == 3


def test_a_device_that_no_request_has_room_for_loses_no_other(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """The failure of a batch is logged, and the next batch is sent."""  # R45
    fleet.publish()
    fleet.channel.takes = 0
    fleet.enroll("D1")
    fleet.channel.takes = 1
    fleet.enroll("D2")
    assert [ids for ids, _ in fleet.channel.profiles] == [("D2",)]
    assert any("is not sent to a new device: the MDM server refuses" in one for one in caplog.messages)


def test_with_proof_a_device_is_asked_for_its_certificates(tmp_path: Path) -> None:
    """The request follows the profile, and both count as one push."""  # R43 R44
    fleet = Fleet(tmp_path / "ledger.db", servers_with_proof={"berlin"})
    fleet.publish()
    for _ in range(4):
        fleet.enroll()
    kinds = [kind for kind, *_ in fleet.channel.commands]
    assert kinds == ["InstallProfile", "CertificateList"] * 3
    assert len({uuid for _, uuid, *_ in fleet.channel.commands}) == 6
    (record,) = fleet.ledger.devices("berlin", enrollment_ids=["D1"])
    assert record.enrollment.asked > 0


def test_a_server_without_proof_asks_for_no_certificates(tmp_path: Path) -> None:
    """Servers with the same MDM server can have different settings."""  # R44
    fleet = Fleet(tmp_path / "ledger.db", servers_with_proof={"hamburg"})
    fleet.publish()
    fleet.publish(server="hamburg")
    fleet.enroll()
    assert [kind for kind, *_ in fleet.channel.commands] == ["InstallProfile", "InstallProfile", "CertificateList"]


@pytest.mark.parametrize("failures", [1, 9])
def test_a_failed_request_for_certificates_is_repeated(tmp_path: Path, failures: int) -> None:
    """The profile is recorded as queued before the request is sent, and is not queued again."""  # R44
    fleet = Fleet(tmp_path / "ledger.db", servers_with_proof={"berlin"})
    published = fleet.publish()
    fleet.channel.failures_after = {1: DeliveryError("is down")}
    if failures > 1:
        fleet.channel.on_enqueue = lambda _ids: fleet.channel.failures.extend([DeliveryError("is down")] * failures)
    fleet.enroll()
    assert not fleet.ledger.waiting("berlin", published.revision, enrollment_ids=["D1"])
    expected = ["InstallProfile", "CertificateList"] if failures == 1 else ["InstallProfile"]
    assert [kind for kind, *_ in fleet.channel.commands] == expected
    assert len({*fleet.channel.tried}) == 2


def test_a_ledger_that_fails_is_left_to_up(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """The thread goes on with the next devices."""  # R43
    broken = Newcomers(
        _Broken(fleet.ledger.path),
        fleet.clock,
        url=URL,
        channel=partial(lambda: fleet.channel),
        servers_with_proof=(),
        wait=lambda _seconds: False,
    )
    broken.send(["D1", "D2"])
    assert caplog.messages == [
        "the profile is not sent to 2 new devices: the ledger cannot be used: disk full. The next `pulumi up` sends it"
    ]


def test_an_mdm_server_that_hangs_delays_no_event(fleet: Fleet) -> None:
    """The webhook is answered with 200 while a command waits for the MDM server."""  # R43
    has_begun, is_over = threading.Event(), threading.Event()

    def hang(_ids: Sequence[str]) -> None:
        has_begun.set()
        assert is_over.wait(30)

    fleet.publish()
    fleet.channel.on_enqueue = hang
    with Background(fleet.newcomers.send, gather=0) as background:
        fleet.collector = replace(fleet.collector, on_begun=background.add)
        fleet.enroll("D1")
        assert has_begun.wait(30)
        fleet.enroll("D2")
        fleet.enroll("D3")
        assert fleet.ledger.enrolled_ids() == ("D1", "D2", "D3")
        assert len(fleet.channel.profiles) == 1
        is_over.set()
    assert [ids for ids, _ in fleet.channel.profiles] == [("D1",), ("D2", "D3")]


TOPICS = st.sampled_from(["Authenticate", "TokenUpdate", "Connect", "CheckOut"])


@settings(max_examples=examples(25))
@given(
    posted=st.lists(st.tuples(st.sampled_from(["D1", "D2"]), TOPICS, st.integers(0, 12)), max_size=14),
    copies=st.lists(st.integers(0, 13), max_size=4),
)
def test_any_events_cause_few_pushes(posted: list[tuple[str, str, int]], copies: list[int]) -> None:
    """In any order, with copies: one push in an enrollment, three in a day, and an enrolled device is not forgotten."""
    # R42 R43
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder) / "ledger.db")
        published = fleet.publish()
        fleet.clock.time += timedelta(hours=1)
        enrollments: list[tuple[str, int]] = []
        fleet.channel.on_enqueue = lambda ids: enrollments.extend((one, fleet.epoch(one)) for one in ids)
        bodies = [fleet.event(topic, one, at=START + timedelta(minutes=at)) for one, topic, at in posted]
        for body in bodies + [bodies[number] for number in copies if number < len(bodies)]:
            fleet.post(body)
        pushes = Counter(one for ids, _ in fleet.channel.profiles for one in ids)
        assert max(pushes.values(), default=0) <= 3
        assert len({*enrollments}) == len(enrollments)
        for record in fleet.ledger.devices("berlin", enrollment_ids=["D1", "D2"]):
            enrollment, device = record.enrollment, record.enrollment_id
            if enrollment.has_begun and enrollment.is_enrolled and pushes[device] < 3:
                assert not fleet.ledger.waiting("berlin", published.revision, enrollment_ids=[device])


class _Broken(SqliteLedger):
    def publications(self) -> Sequence[Publication]:
        raise DeliveryError("the ledger cannot be used: disk full")
