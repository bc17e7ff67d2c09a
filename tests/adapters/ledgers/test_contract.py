"""Contract of the port ``Ledger``: each test runs with each database."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.core.ledger.registers import NEVER, Enrollment, Finality, LastAnswer, Progress, microseconds, time_of
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import (
    Answer,
    AnswerStatus,
    DeviceEvent,
    DeviceRecord,
    DeviceState,
    DeviceStatus,
    EnqueuedCommand,
    Publication,
    StatePolicy,
)
from ios_mdm.errors import DeliveryError
from tests.support.events import (
    PROFILE,
    record_answer,
    record_authenticate,
    record_device,
    record_sent,
    status_of,
    statuses_of,
)
from tests.support.long import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ios_mdm.ports import Ledger

OTHER_PROFILE = b"another profile"
OTHER = hashlib.sha256(OTHER_PROFILE).hexdigest()
START = datetime(2040, 1, 1, tzinfo=UTC)
FIRST, SECOND, FOREIGN = (bytes([number]) * 32 for number in (1, 2, 3))
ANSWERS = (AnswerStatus.ACKNOWLEDGED, AnswerStatus.ERROR, AnswerStatus.NOT_NOW)


def later(seconds: int) -> datetime:
    """Return a time after the start."""
    return START + timedelta(seconds=seconds)


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    """An empty ledger."""
    return new_ledger()


def send(
    ledger: Ledger, uuid: str = "c1", *, to: Sequence[str] = ("a",), at: int = 0, profile: bytes = b"a profile"
) -> None:
    """Record that a command with the profile was queued."""
    record_sent(ledger, uuid, profile=profile, enrollment_ids=to, at=later(at))


def status(ledger: Ledger, device: str = "a", *, profile: str = PROFILE, server: str = "berlin") -> DeviceStatus:
    """Return the state of the profile on one device."""
    return status_of(ledger, device, server=server, profile=profile)


def acknowledge(ledger: Ledger, uuid: str = "c1", device: str = "a", *, at: int) -> None:
    """Record an acknowledgement."""
    record_answer(ledger, uuid, device, AnswerStatus.ACKNOWLEDGED, at=later(at))


class TestDeliveries:
    """Commands and answers."""

    def test_a_command_without_answer_is_pending(self, ledger: Ledger) -> None:
        """A device that has not answered is pending since its command was queued."""  # R15
        send(ledger, at=5)
        assert status(ledger) == DeviceStatus(enrollment_id="a", state=DeviceState.QUEUED, at=later(5))

    def test_an_answer_replaces_pending(self, ledger: Ledger) -> None:
        """The devices have the requested order. A device without a command is `not-sent`."""
        send(ledger, to=["a", "b"])
        acknowledge(ledger, device="b", at=9)
        assert statuses_of(ledger, ["b", "c", "a"]) == [
            DeviceStatus(enrollment_id="b", state=DeviceState.ACKNOWLEDGED, has_profile=True, at=later(9)),
            DeviceStatus(enrollment_id="c", state=DeviceState.NOT_SENT),
            DeviceStatus(enrollment_id="a", state=DeviceState.QUEUED, at=START),
        ]

    def test_an_answer_may_arrive_before_its_command_is_recorded(self, ledger: Ledger) -> None:
        """A device can answer before `up` records the command."""
        acknowledge(ledger, at=1)
        assert status(ledger).state == DeviceState.NOT_SENT
        send(ledger, at=2)
        assert status(ledger) == DeviceStatus(
            enrollment_id="a", state=DeviceState.ACKNOWLEDGED, has_profile=True, at=later(1)
        )

    def test_an_error_has_the_explanation_of_the_device(self, ledger: Ledger) -> None:
        """The detail of the last error is returned, also if it arrived before its command was recorded."""
        record_answer(ledger, "c1", "a", AnswerStatus.ERROR, detail="no space (X 1)", at=later(1))
        send(ledger)
        assert status(ledger).detail == "no space (X 1)"
        record_answer(ledger, "c1", "a", AnswerStatus.ERROR, detail="no power (X 2)", at=later(2))
        assert status(ledger).detail == "no power (X 2)"

    def test_a_resent_profile_is_pending_again_until_it_is_acknowledged(self, ledger: Ledger) -> None:
        """The last command counts, unless a device has acknowledged an earlier one."""
        send(ledger, "c1")
        record_answer(ledger, "c1", "a", AnswerStatus.ERROR, detail="x", at=later(1))
        send(ledger, "c2", at=10)
        assert status(ledger) == DeviceStatus(enrollment_id="a", state=DeviceState.QUEUED, at=later(10))
        acknowledge(ledger, "c1", at=11)
        assert status(ledger).state == DeviceState.ACKNOWLEDGED
        record_answer(ledger, "c2", "a", AnswerStatus.ERROR, detail="y", at=later(12))
        assert status(ledger).state == DeviceState.ACKNOWLEDGED

    def test_the_last_command_is_the_one_that_was_queued_last(self, ledger: Ledger) -> None:
        """Neither the CommandUUID nor the order of the records decides which command is later."""
        send(ledger, "c1", at=10)
        send(ledger, "c2", at=0)
        record_answer(ledger, "c2", "a", AnswerStatus.ERROR, detail="", at=later(1))
        assert status(ledger) == DeviceStatus(enrollment_id="a", state=DeviceState.QUEUED, at=later(10))

    @pytest.mark.parametrize("order", list(itertools.permutations(ANSWERS, 2)))
    def test_the_most_final_answer_counts(self, ledger: Ledger, order: tuple[AnswerStatus, ...]) -> None:
        """An acknowledgement counts before an error, and an error before NotNow, in any order of arrival."""
        send(ledger)
        for second, answer in enumerate(order):
            record_answer(ledger, "c1", "a", answer, at=later(second))
        states = (DeviceState.ACKNOWLEDGED, DeviceState.FAILED, DeviceState.NOT_NOW)
        assert status(ledger).state == states[min(map(ANSWERS.index, order))]

    def test_servers_and_profiles_are_separate(self, ledger: Ledger) -> None:
        """An answer counts only for the profile and the server of its command."""
        send(ledger)
        acknowledge(ledger, at=1)
        record_sent(ledger, "c2", server="paris", profile=OTHER_PROFILE, enrollment_ids=["a"], at=later(2))
        assert status(ledger).state == DeviceState.ACKNOWLEDGED
        assert status(ledger, profile=OTHER).state == DeviceState.NOT_SENT
        assert status(ledger, server="paris").state == DeviceState.NOT_SENT
        assert status(ledger, server="paris", profile=OTHER).state == DeviceState.QUEUED

    def test_a_repeated_record_of_a_command_changes_nothing(self, ledger: Ledger) -> None:
        """A command that `up` repeats after a crash keeps its time and its profile."""
        send(ledger, at=1)
        send(ledger, at=9)
        assert status(ledger).at == later(1)

    def test_a_profile_that_another_one_replaced_is_not_sent(self, ledger: Ledger) -> None:
        """After B is published, A must be sent again, whatever devices answered before."""  # R15 R17
        for second, (uuid, profile) in enumerate([("c9", b"a profile"), ("c1", OTHER_PROFILE)]):
            send(ledger, uuid, at=second, profile=profile)
            acknowledge(ledger, uuid, at=second)
        assert status(ledger) == DeviceStatus(enrollment_id="a", state=DeviceState.NOT_SENT)
        assert status(ledger, profile=OTHER).state == DeviceState.ACKNOWLEDGED
        send(ledger, "c5", at=2)
        assert status(ledger) == DeviceStatus(enrollment_id="a", state=DeviceState.QUEUED, at=later(2))
        assert status(ledger, profile=OTHER).state == DeviceState.NOT_SENT
        acknowledge(ledger, "c1", at=3)
        assert status(ledger).state == DeviceState.QUEUED
        acknowledge(ledger, "c5", at=3)
        assert status(ledger).state == DeviceState.ACKNOWLEDGED

    def test_a_time_without_zone_is_an_error_of_the_caller(self, ledger: Ledger) -> None:
        """Only aware times are recorded."""
        with pytest.raises(ValueError, match="zone"):
            record_device(ledger, "a", enrolled=True, at=START.replace(tzinfo=None))

    def test_times_are_in_utc(self, ledger: Ledger) -> None:
        """A time in another zone is the same time."""
        berlin = START.astimezone(timezone(timedelta(hours=1)))
        record_sent(ledger, "c1", enrollment_ids=["a"], at=berlin)
        assert status(ledger).at == START

    def test_many_devices_are_covered_in_one_call(self, ledger: Ledger, many: int) -> None:
        """In SQLite, these are more devices than one statement takes parameters."""
        ids = [str(number) for number in range(3 * many)]
        send(ledger, to=ids)
        assert {one.state for one in statuses_of(ledger, ids)} == {DeviceState.QUEUED}

    def test_several_commands_are_recorded_at_once(self, ledger: Ledger) -> None:
        """As one after the other: a repetition has no effect, and an earlier answer counts."""  # R15
        publication = ledger.publish("berlin", b"a profile", certificates=(), seed=UUID(int=1), at=START)
        record_answer(ledger, "C2", "D3", AnswerStatus.ACKNOWLEDGED, at=START)
        first = EnqueuedCommand(command_uuid="C1", epochs={"D1": NEVER, "D2": NEVER}, at=START)
        second = EnqueuedCommand(command_uuid="C2", epochs={"D3": NEVER}, at=START + timedelta(seconds=1))
        ledger.record_commands([first, second], publication=publication)
        later = replace(first, at=START + timedelta(days=1))
        ledger.record_commands([later], publication=publication)
        states = [one.state for one in statuses_of(ledger, ["D1", "D2", "D3"])]
        assert states == [DeviceState.QUEUED, DeviceState.QUEUED, DeviceState.ACKNOWLEDGED]
        queued = [one.progress.queued for one in ledger.devices("berlin", enrollment_ids=["D1", "D3"]) if one.progress]
        assert queued == [microseconds(START), microseconds(second.at)]
        record_answer(ledger, "C1", "D1", AnswerStatus.ERROR, at=START)
        assert status_of(ledger, "D1").state is DeviceState.FAILED
        ledger.record_commands([], publication=publication)


class TestPublications:
    """Published profiles."""

    def test_a_profile_is_published_once(self, ledger: Ledger) -> None:
        """The same profile keeps its revision and its seed. A former profile that returns gets another revision."""
        assert ledger.publication("berlin") is None
        first = ledger.publish("berlin", b"a profile", certificates=[FIRST], seed=UUID(int=1), at=later(1))
        assert first == Publication(
            server="berlin",
            revision=1,
            profile=b"a profile",
            certificates=frozenset({FIRST}),
            seed=UUID(int=1),
            at=later(1),
        )
        assert first.digest == PROFILE
        assert ledger.publish("berlin", b"a profile", certificates=[FIRST], seed=UUID(int=2), at=later(2)) == first
        assert ledger.publication("berlin") == first
        other = ledger.publish("berlin", OTHER_PROFILE, certificates=[], seed=UUID(int=3), at=later(3))
        again = ledger.publish("berlin", b"a profile", certificates=[FIRST], seed=UUID(int=4), at=later(4))
        assert [(one.revision, one.seed.int) for one in (other, again)] == [(2, 3), (3, 4)]
        assert ledger.publication("berlin") == again
        assert ledger.publication("paris") is None

    def test_the_source_of_the_devices_changes_without_a_new_revision(self, ledger: Ledger) -> None:
        """It is not part of the profile."""  # R43
        first = ledger.publish("berlin", b"a profile", certificates=[FIRST], seed=UUID(int=1), at=later(1))
        assert (first.channel, first.is_for_all) == ("", False)
        send(ledger)
        for is_for_all in (True, False, True):
            made = ledger.publish(
                "berlin",
                b"a profile",
                certificates=[FIRST],
                seed=UUID(int=2),
                at=later(2),
                is_for_all=is_for_all,
            )
            assert made == replace(first, is_for_all=is_for_all)
            assert ledger.publication("berlin") == made
            acknowledge(ledger, at=3)
        assert status(ledger).state == DeviceState.ACKNOWLEDGED

    def test_another_mdm_server_is_another_revision(self, ledger: Ledger) -> None:
        """Its devices were not sent the profile, and no command of the former one counts for them."""  # R36 R42
        first = ledger.publish("berlin", b"a profile", certificates=[FIRST], seed=UUID(int=1), at=later(1))
        send(ledger)
        for number, channel in enumerate(("https://mdm.example.com", "https://other.example.com", ""), 2):
            made = ledger.publish(
                "berlin", b"a profile", certificates=[FIRST], seed=UUID(int=number), at=later(number), channel=channel
            )
            assert made == replace(
                first, revision=number, seed=UUID(int=number), at=later(number), channel=channel, is_for_all=False
            )
            assert ledger.publication("berlin") == made
            assert list(ledger.waiting("berlin", made.revision, enrollment_ids=["a"])) == ["a"]

    def test_all_publications_are_sorted_by_server(self, ledger: Ledger) -> None:
        """The collector finds the profiles of all servers."""  # R43
        assert ledger.publications() == ()
        for server in ("paris", "berlin"):
            ledger.publish(server, b"a profile", certificates=[FIRST], seed=uuid4(), at=START)
        assert ledger.publications() == (ledger.publication("berlin"), ledger.publication("paris"))


class TestEnrollments:
    """Devices that enroll, leave and return."""

    @pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
    def test_the_last_enrollment_or_checkout_counts(self, ledger: Ledger, order: tuple[int, ...]) -> None:
        """Events count by their own time, in any order of arrival. At the same time, the enrollment counts."""  # R42
        half = timedelta(microseconds=500_000)
        events = [
            ("left", True, later(1)),
            ("left", False, later(1) + half),
            ("returned", False, later(1) + half),
            ("returned", True, later(1) + half),
        ]
        for number in order:
            device, enrolled, at = events[number]
            record_device(ledger, device, enrolled=enrolled, at=at)
        assert ledger.enrolled_ids() == ("returned",)

    def test_an_authenticate_ends_the_records_of_a_device(self, ledger: Ledger) -> None:
        """An erased device is not covered. The next command counts in the new enrollment."""  # R42
        record_device(ledger, "a", enrolled=True, at=START)
        send(ledger, to=["a", "b"])
        acknowledge(ledger, at=1)
        record_authenticate(ledger, "a", at=later(2))
        assert status(ledger) == DeviceStatus(
            enrollment_id="a", state=DeviceState.ERASED, at=later(2), epoch=microseconds(later(2))
        )
        assert status(ledger, "b").state == DeviceState.QUEUED
        assert ledger.enrolled_ids() == ("a",)
        send(ledger, "c2", at=3)
        assert status(ledger).state == DeviceState.QUEUED
        acknowledge(ledger, "c2", at=4)
        assert status(ledger).state == DeviceState.ACKNOWLEDGED

    def test_an_older_authenticate_changes_nothing(self, ledger: Ledger) -> None:
        """The time in the event decides, not its arrival."""  # R42
        send(ledger)
        acknowledge(ledger, at=1)
        record_authenticate(ledger, "a", at=START)
        assert status(ledger).state == DeviceState.ACKNOWLEDGED

    def test_a_command_of_a_former_enrollment_does_not_count(self, ledger: Ledger) -> None:
        """A device enrolled again between the start of `up` and its command: the MDM server deleted the command."""
        publication = ledger.publish("berlin", b"a profile", certificates=(), seed=uuid4(), at=START)
        record_authenticate(ledger, "a", at=later(5))
        ledger.record_commands(
            [EnqueuedCommand(command_uuid="c1", epochs={"a": NEVER}, at=later(9))], publication=publication
        )
        assert status(ledger).state == DeviceState.ERASED
        acknowledge(ledger, at=10)
        assert status(ledger).state == DeviceState.ACKNOWLEDGED

    def test_a_checkout_ends_the_records_of_a_device(self, ledger: Ledger) -> None:
        """A device that left and enrolled again is not covered, even if its Authenticate was lost."""  # R42
        send(ledger)
        acknowledge(ledger, at=1)
        record_device(ledger, "a", enrolled=False, at=later(2))
        record_device(ledger, "a", enrolled=True, at=later(3))
        assert status(ledger).state == DeviceState.NOT_SENT

    def test_an_event_older_than_its_device_changes_nothing(self, ledger: Ledger) -> None:
        """A CheckOut that is replayed after a year does not remove a device, and opens no epoch."""  # R42
        record_device(ledger, "a", enrolled=False, at=later(0))
        record_device(ledger, "a", enrolled=True, at=later(5))
        checkout = DeviceEvent(
            identity=b"1" * 16, at=later(-1), topic="mdm.CheckOut", enrollment_id="a", enrolled=False
        )
        ledger.record_events([checkout], now=later(365 * 86_400))
        assert ledger.enrolled_ids() == ("a",)
        assert status(ledger).epoch == microseconds(START)

    def test_an_old_event_does_not_restore_a_deleted_device(self, ledger: Ledger) -> None:
        """A copy of an event from before the deletion is ignored, unless the device is known again."""  # R42
        event = DeviceEvent(identity=b"1" * 16, at=START, topic="mdm.TokenUpdate", enrollment_id="a", enrolled=True)
        ledger.record_events([event], now=START)
        record_device(ledger, "a", enrolled=False, at=later(1))
        assert ledger.delete_devices(left_before=later(2)) == 1
        ledger.record_events([event], now=later(8 * 86_400))
        ledger.record_events([replace(event, identity=b"2" * 16, enrollment_id="b")], now=later(8 * 86_400))
        assert ledger.enrolled_ids() == ()
        record_device(ledger, "a", enrolled=True, at=later(2))
        record_authenticate(ledger, "a", at=later(1))
        assert ledger.enrolled_ids() == ("a",)
        assert status(ledger).epoch == microseconds(later(1))

    def test_records_of_devices_that_left_are_deleted(self, ledger: Ledger) -> None:
        """A device that left before the time is unknown afterwards. The other devices keep their records."""
        ledger.publish("berlin", b"a profile", certificates=[FIRST], seed=uuid4(), at=START)
        for device in ("gone", "left later", "returned", "here"):
            record_device(ledger, device, enrolled=True, at=START)
            record_list(ledger, device, FIRST, at=3)
        for device, at in (("gone", 5), ("left later", 10), ("returned", 5)):
            record_device(ledger, device, enrolled=False, at=later(at))
        record_device(ledger, "returned", enrolled=True, at=later(6))
        ids = ["gone", "left later", "returned", "here"]
        send(ledger, to=ids, at=7)
        assert ledger.delete_devices(left_before=later(10)) == 1
        assert [(one.state, one.epoch) for one in statuses_of(ledger, ids)] == [
            (DeviceState.NOT_SENT, NEVER),
            (DeviceState.GONE, microseconds(later(10))),
            (DeviceState.QUEUED, microseconds(later(5))),
            (DeviceState.QUEUED, NEVER),
        ]
        assert proofs(ledger, FIRST, ids) == {"here": later(3)}
        assert ledger.delete_devices(left_before=later(10)) == 0

    def test_a_device_that_a_definition_lists_stays_gone(self, ledger: Ledger) -> None:
        """Without its CheckOut, it would count as a device that must be sent the profile."""  # R42 R46
        send(ledger, to=["listed", "other"], at=0)
        for device in ("listed", "other"):
            record_device(ledger, device, enrolled=False, at=later(5))
        assert ledger.delete_devices(left_before=later(10), kept={"listed"}) == 1
        states = [one.state for one in statuses_of(ledger, ["listed", "other"])]
        assert states == [DeviceState.GONE, DeviceState.NOT_SENT]
        assert ledger.delete_devices(left_before=later(10)) == 1, "it was removed from the definition"


def proofs(
    ledger: Ledger, certificate: bytes, devices: Sequence[str], *, server: str = "berlin"
) -> dict[str, datetime]:
    """Return the devices whose last list of certificates has a certificate, with the time of the list."""
    found = {one.enrollment_id: one for one in ledger.devices(server, enrollment_ids=devices)}
    reported = {device: one.reported.get(certificate, NEVER) for device, one in found.items()}
    return {device: time_of(at) for device, at in reported.items() if found[device].enrollment.is_proved(at)}


def record_list(ledger: Ledger, device: str, *certificates: bytes, at: int) -> None:
    """Record a list of certificates of a device."""
    event = DeviceEvent(
        identity=uuid4().bytes,
        at=later(at),
        topic="mdm.Connect",
        enrollment_id=device,
        certificates=frozenset(certificates),
    )
    ledger.record_events([event], now=later(at))


class TestProofs:
    """Certificates that devices report."""

    @pytest.fixture
    def ledger(self, new_ledger: Callable[[], Ledger]) -> Ledger:
        """A ledger with a published profile of two certificates."""
        ledger = new_ledger()
        ledger.publish("berlin", b"a profile", certificates=[FIRST, SECOND], seed=uuid4(), at=START)
        return ledger

    def test_a_certificate_in_the_last_list_is_proved(self, ledger: Ledger) -> None:
        """A proof has the time of the list. A later list without the certificate withdraws it."""  # R44
        record_list(ledger, "a", FIRST, SECOND, at=1)
        record_list(ledger, "b", SECOND, at=1)
        assert proofs(ledger, FIRST, ["a", "b", "c"]) == {"a": later(1)}
        record_list(ledger, "a", SECOND, at=3)
        assert proofs(ledger, FIRST, ["a", "b"]) == {}
        assert proofs(ledger, SECOND, ["a"]) == {"a": later(3)}
        record_list(ledger, "a", FIRST, at=2)
        assert proofs(ledger, FIRST, ["a"]) == {}
        record_list(ledger, "a", FIRST, at=4)
        assert proofs(ledger, FIRST, ["a"]) == {"a": later(4)}

    def test_a_proof_ends_with_its_enrollment(self, ledger: Ledger) -> None:
        """An erased device must prove the certificate again."""  # R42 R44
        record_list(ledger, "a", FIRST, at=1)
        record_authenticate(ledger, "a", at=START)
        assert proofs(ledger, FIRST, ["a"]) == {"a": later(1)}
        record_authenticate(ledger, "a", at=later(2))
        assert proofs(ledger, FIRST, ["a"]) == {}
        record_list(ledger, "a", FIRST, at=3)
        assert proofs(ledger, FIRST, ["a"]) == {"a": later(3)}

    def test_only_published_certificates_are_recorded(self, ledger: Ledger) -> None:
        """Other certificates on a device are private. A certificate that no profile has any more is deleted."""
        record_list(ledger, "a", FIRST, SECOND, FOREIGN, at=1)
        ledger.publish("paris", b"a profile", certificates=[FOREIGN], seed=uuid4(), at=START)
        assert proofs(ledger, FOREIGN, ["a"], server="paris") == {}
        ledger.publish("berlin", OTHER_PROFILE, certificates=[SECOND], seed=uuid4(), at=START)
        ledger.publish("berlin", b"a profile", certificates=[FIRST, SECOND], seed=uuid4(), at=START)
        assert proofs(ledger, FIRST, ["a"]) == {}
        assert proofs(ledger, SECOND, ["a"]) == {"a": later(1)}

    @pytest.mark.parametrize("kept", [FIRST, SECOND], ids=["first", "second"])
    def test_a_new_certificate_has_no_proof_of_a_former_one(self, kept: bytes, ledger: Ledger) -> None:
        """The reports of a certificate are deleted with it, so that they never count for another one."""  # R44
        record_list(ledger, "a", FIRST, SECOND, at=1)
        ledger.publish("berlin", OTHER_PROFILE, certificates=[kept], seed=uuid4(), at=START)
        ledger.publish("berlin", b"a third profile", certificates=[kept, FOREIGN], seed=uuid4(), at=START)
        assert proofs(ledger, FOREIGN, ["a"]) == {}
        assert proofs(ledger, kept, ["a"]) == {"a": later(1)}


class TestEvents:
    """Copies, order and atomicity."""

    def test_an_event_counts_once(self, ledger: Ledger) -> None:
        """A second event with the identity and the time of a first one is a copy, in the same or a later call."""
        # R42
        send(ledger)
        answer = Answer(command_uuid="c1", status=AnswerStatus.ERROR)
        first = DeviceEvent(
            identity=b"1" * 16, at=later(1), topic="mdm.Connect", enrollment_id="a", enrolled=True, answer=answer
        )
        ledger.record_events([first, replace(first, enrollment_id="b")], now=later(1))
        copy = replace(first, answer=replace(answer, status=AnswerStatus.ACKNOWLEDGED))
        ledger.record_events([copy], now=later(2))
        assert status(ledger).state == DeviceState.FAILED
        assert ledger.enrolled_ids() == ("a",)

    def test_events_are_recorded_together_or_not_at_all(self, ledger: Ledger) -> None:
        """An event that cannot be recorded removes the others, and a repetition records them."""
        good = DeviceEvent(identity=b"1" * 16, at=later(1), topic="mdm.Connect", enrollment_id="a", enrolled=True)
        bad = replace(good, identity=b"2" * 16, enrollment_id=None)  # type: ignore[arg-type]
        with pytest.raises(DeliveryError):
            ledger.record_events([good, bad], now=later(1))
        assert ledger.enrolled_ids() == ()
        ledger.record_events([good], now=later(1))
        assert ledger.enrolled_ids() == ("a",)


@dataclass(frozen=True)
class Report:
    """A report about device a: a queued command, an answer, or another event.

    Args:
        kind: `queued`, a status of a device, or a field of ``Enrollment``.
        command: index of the command in COMMANDS, for `queued` and answers.
        second: time of the event.
        detail: explanation of an error.
    """

    kind: str
    command: int
    second: int
    detail: str


COMMANDS = (("c1", 1, 0, NEVER), ("c2", 2, 1, NEVER), ("c3", 2, 2, microseconds(later(2))))
"""CommandUUID, revision, time and known epoch of each command."""
REPORTS = st.builds(
    Report,
    kind=st.sampled_from(["queued", *map(str, ANSWERS), "authenticated", "seen", "gone"]),
    command=st.integers(0, 2),
    second=st.integers(0, 4),
    detail=st.sampled_from(["", "x", "é"]),
)


def record(ledger: Ledger, report: Report, publications: Sequence[Publication]) -> None:
    """Record a report in a ledger."""
    uuid, revision, queued, epoch = COMMANDS[report.command]
    if report.kind == "queued":
        publication = publications[revision - 1]
        ledger.record_commands(
            [EnqueuedCommand(command_uuid=uuid, epochs={"a": epoch}, at=later(queued))], publication=publication
        )
    elif report.kind == "authenticated":
        record_authenticate(ledger, "a", at=later(report.second))
    elif report.kind in {"seen", "gone"}:
        record_device(ledger, "a", enrolled=report.kind == "seen", at=later(report.second))
    else:
        record_answer(ledger, uuid, "a", AnswerStatus(report.kind), detail=report.detail, at=later(report.second))


def expected_status(reports: Sequence[Report]) -> DeviceStatus:
    """Return the state of revision 2 on device a, from the pure rules."""
    enrollment, progresses = Enrollment(), list[Progress]()
    known = {one.command for one in reports if one.kind == "queued"}
    for one in reports:
        _, revision, queued, epoch = COMMANDS[one.command]
        at, queued = microseconds(later(one.second)), microseconds(later(queued))
        if one.kind == "queued":
            progresses.append(Progress(revision=revision, queued=queued, epoch=epoch))
        elif one.kind in {"authenticated", "seen", "gone"}:
            enrollment = enrollment.union(Enrollment(**{one.kind: at}))
        elif one.command in known:
            is_acknowledged = one.kind == AnswerStatus.ACKNOWLEDGED
            finality = Finality.ERROR if one.kind == AnswerStatus.ERROR else Finality.NOT_NOW
            progresses.append(
                Progress(revision=revision, acknowledged=at)
                if is_acknowledged
                else Progress(revision=revision, answer=LastAnswer(queued, finality, at, one.detail))
            )
    progress = reduce(Progress.union, progresses) if progresses else None
    record = DeviceRecord(enrollment_id="a", enrollment=enrollment, progress=progress)
    return device_status(record, StatePolicy(revision=2))


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    orders=st.lists(REPORTS, min_size=1, max_size=7).flatmap(
        lambda one: st.tuples(st.just(one), st.permutations(one + one[:2]))
    )
)
def test_each_order_and_copies_give_the_state_of_the_pure_rules(
    new_ledger: Callable[[], Ledger], orders: tuple[list[Report], list[Report]]
) -> None:
    """After reports in any order, also repeated ones, the ledger has the state of ``core.ledger``."""  # R42
    for reports in orders:
        ledger = new_ledger()
        profiles = (b"a profile", OTHER_PROFILE)
        publications = [ledger.publish("berlin", one, certificates=(), seed=uuid4(), at=START) for one in profiles]
        for one in reports:
            record(ledger, one, publications)
        assert status(ledger, profile=OTHER) == expected_status(orders[0])
