"""Random lives of a pair with devices: the report before the switch says which devices are lost, and the gate holds.

The decisions, the ledger, the delivery, the gate, the collector's sender and its mover are the real ones. Secrets
Manager, EventBridge Scheduler and the MDM server are in memory. A device trusts the certificates of the profile that it
installed last, or the main of its enrollment. A life ends at its first switch.
"""

from __future__ import annotations

import json
import plistlib
import tempfile
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.collector.newcomers import Newcomers
from ios_mdm.app.delivery.content import ProfileContent
from ios_mdm.app.delivery.service import DeliveryRequest, DeliveryService
from ios_mdm.app.gate import GateService
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import PairRequest
from ios_mdm.app.reconcile import Reconciler
from ios_mdm.app.switch_mover import SwitchMover
from ios_mdm.app.switch_request import switch_request
from ios_mdm.app.switching import SwitchService
from ios_mdm.core.ledger.overdue import LedgerRules
from ios_mdm.core.ledger.registers import NEVER, microseconds
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import Answer, AnswerStatus, DeviceEvent, DeviceState, StatePolicy
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.schedule import Kind, schedule_names
from ios_mdm.core.profile import trust_anchors
from ios_mdm.settings import AwsSettings, parse_server
from tests.support.long import examples
from tests.support.memory import MemorySecretStore
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler
from tests.support.pairs import KNOWN, OWNER, SECRET, START, HandClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ios_mdm.core.ledger.values import DeviceStatus
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.settings import ServerSettings

DEVICES = ("D1", "D2", "D3", "D4")
URL = "https://mdm.example.com"
PROMOTE = schedule_names("berlin", SECRET)[Kind.PROMOTE]
SECOND = timedelta(seconds=1)
DEVICE = st.sampled_from(DEVICES)
LATE = st.sampled_from([False, False, False, True])


@dataclass(slots=True)
class Phone:
    """A simulated device.

    Args:
        is_enrolled: whether the device is enrolled.
        trusted: digests of the roots that the device trusts.
        queue: CommandUUID and profile of each command that the MDM server holds for the device.
    """

    is_enrolled: bool = False
    trusted: frozenset[str] = frozenset()
    queue: list[tuple[str, bytes]] = field(default_factory=list)

    def can_connect(self, main: CertificateFacts) -> bool:
        """Return whether the device can connect to the MDM server that presents this certificate."""
        return self.is_enrolled and main.anchor in self.trusted


@dataclass(slots=True)
class Queues:
    """The MDM server: it holds commands for enrolled devices, and ignores a repeated CommandUUID."""

    phones: dict[str, Phone]
    known: set[tuple[str, str]] = field(default_factory=set)

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return one batch."""
        return [enrollment_ids] if enrollment_ids else []

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Queue an InstallProfile."""
        parsed = plistlib.loads(command)
        for one in enrollment_ids:
            if (one, parsed["CommandUUID"]) not in self.known and self.phones[one].is_enrolled:
                self.phones[one].queue.append((parsed["CommandUUID"], parsed["Command"]["Payload"]))
            self.known.add((one, parsed["CommandUUID"]))
        return ()

    def close(self) -> None:
        """Close nothing: no connection is open."""


class GatedLife(RuleBasedStateMachine):
    """A pair with a reserve, and its devices, until the switch."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = HandClock(START)
        self.store = MemorySecretStore(clock=self.clock)
        self.scheduler = MemoryScheduler()
        self.pairs = PairService(self.store, self.clock)
        self.switches = SwitchService(self.scheduler, MemoryPrerequisites(), self.store, self.clock)
        self.ledger = SqliteLedger(Path(self.folder.name) / "ledger.sqlite")
        self.phones = {one: Phone() for one in DEVICES}
        self.queues = Queues(self.phones)
        self.late: list[DeviceEvent] = []
        self.has_switched = False
        self.minimum: int | None = None
        self.ignored: int | None = None
        self.server: ServerSettings | None = None
        self.newcomers = Newcomers(
            self.ledger,
            self.clock,
            url=URL,
            channel=lambda: self.queues,
            servers_with_proof=(),
            wait=lambda _seconds: True,
        )

    def teardown(self) -> None:
        """Let an armed switch happen: no run and no device comes until main's expiry. Then delete the ledger."""
        if self.server is not None:
            self._pass(timedelta(days=400))
        self.folder.cleanup()

    @initialize(
        minimum=st.sampled_from([50, 75, 100, None]),
        ignored=st.sampled_from([None, 10]),
        days=st.sampled_from([30, 200, 300]),
        enrolled=st.sets(DEVICE, min_size=3),
        is_sent=st.sampled_from([True, True, False]),
    )
    def begins(self, *, minimum: int | None, ignored: int | None, days: int, enrolled: set[str], is_sent: bool) -> None:
        """The first run issues main. Then devices enroll, and the user requests a reserve, which a run may send."""
        self.minimum, self.ignored = minimum, ignored
        program: dict[str, Any] = {
            "name": "berlin",
            "address": "mdm.example.com",
            "main": {"issue": {"key": "ec-p256"}},
            "reserve": {"none": True},
            "promotion": {},
            "distribution": {
                "profile": {"identifier": "com.example.mdm"},
                "channel": {"nanomdm": {"url": URL, "apiKeySecret": "mdm/api-key"}},
                "devices": {"ledger": True},
                "ledger": "sqlite:///ledger.sqlite",
            },
        }
        if minimum is not None:
            program["promotion"] = {"minimumCoverage": minimum}
            if ignored is not None:
                program["promotion"]["ignoreSilentDays"] = ignored
        self.server = parse_server(program, "berlin")
        self._secure()
        for one in sorted(enrolled):
            self.enroll(one, late=False)
        self.a_run()
        self.answer(enrolled, AnswerStatus.ACKNOWLEDGED, late=False)
        program["reserve"] = {"issue": {"when": "now", "apply": {"afterDays": days}}}
        self.server = parse_server(program, "berlin")
        if is_sent:
            self.a_run()
            self.answer(enrolled, AnswerStatus.ACKNOWLEDGED, late=False)

    # Runs and the collector.

    @precondition(lambda self: not self.has_switched)
    @rule()
    def a_run(self) -> None:
        """A run succeeds. It evaluates the gate after the delivery, and can promote a reserve that is due."""
        if not self.ledger.enrolled_ids():
            return  # `up` refuses an empty list of devices
        report, before = self._statuses(), self._pair()
        result = self._secure()
        if self._check_switch(report, before):
            return
        view = result.view
        assert view.observed is not None
        content = ProfileContent(
            server="berlin",
            host="mdm.example.com",
            identifier="com.example.mdm",
            organization=None,
            trusted=view.desired.trusted_ordinals,
            chains={ordinal: one.pem for ordinal, one in result.certificates.items()},
        )
        request = DeliveryRequest(
            content=content,
            secret=SECRET,
            secret_arn=view.observed.arn,
            resource_id=None,
            enrollment_ids=self.ledger.enrolled_ids(),
            channel=URL,
            is_for_all=True,
        )
        before = self._pair()
        switch = switch_request(self._pair_request(), self.settings.promotion, view)
        self._reconciler().deliver(request, switch)
        promote = switch.switch.promote
        if promote is not None and promote.gate is not None:
            gate = self._pair().gate
            assert gate is not None
            assert (gate.certificate, gate.is_open) == (promote.certificate, self._is_covered())
        self._check_switch(self._statuses(), before)

    @precondition(lambda self: not self.has_switched and self.minimum is not None)
    @rule()
    def the_collector_evaluates(self) -> None:
        """The collector moves the schedule. A decision that changes is that of the coverage now."""
        before = self._pair()
        gates = self._gates()
        assert gates is not None
        mover = SwitchMover(
            self.settings,
            AwsSettings(),
            store=self.store,
            clock=self.clock,
            gates=gates,
            switches=self.switches,
            devices=lambda: None,
        )
        had = PROMOTE in self.scheduler.schedules
        mover.move()
        gate = self._pair().gate
        assert (PROMOTE in self.scheduler.schedules) == had
        if gate is not None and gate != before.gate:
            assert gate.is_open == self._is_covered()
            assert before.gate is None or gate.since - before.gate.since >= timedelta(hours=1)

    @rule(days=st.sampled_from([0, 1, 5, 11, 29, 30, 170, 200]), minutes=st.integers(0, 90))
    def time_passes(self, days: int, minutes: int) -> None:
        """Time passes. AWS makes the call of the schedule at its time."""
        self._pass(timedelta(days=days, minutes=minutes))

    # Devices.

    @precondition(lambda self: not self.has_switched)
    @rule(
        devices=st.sets(DEVICE, min_size=1),
        status=st.sampled_from([*AnswerStatus, AnswerStatus.ACKNOWLEDGED]),
        late=LATE,
    )
    def answer(self, devices: set[str], status: AnswerStatus, *, late: bool) -> None:
        """Devices answer their first command: they install the profile, refuse it, or keep it for later."""
        for device in sorted(devices):
            phone = self.phones[device]
            if not self._goes_on() or not phone.queue:
                continue
            command, profile = phone.queue[0]
            if status is not AnswerStatus.NOT_NOW:
                phone.queue.pop(0)
            if status is AnswerStatus.ACKNOWLEDGED:
                phone.trusted = trust_anchors(profile)
            self._post(device, late=late, answer=Answer(command_uuid=command, status=status), topic="mdm.Connect")

    @precondition(lambda self: not self.has_switched)
    @rule(device=DEVICE, event=st.sampled_from(["connect", "erase", "enroll", "leave"]), late=LATE)
    def change(self, device: str, event: str, *, late: bool) -> None:
        """A device connects without an answer, is erased, enrolls, or leaves."""
        {"connect": self.connect, "erase": self.erase, "enroll": self.enroll, "leave": self.leave}[event](
            device, late=late
        )

    def connect(self, device: str, *, late: bool) -> None:
        """Connect without an answer."""
        if self._goes_on() and self.phones[device].is_enrolled:
            self._post(device, late=late, enrolled=True, topic="mdm.TokenUpdate")

    def erase(self, device: str, *, late: bool) -> None:
        """Lose all profiles, and request a new enrollment, which can stay incomplete."""
        if not self._goes_on():
            return
        self._forget(device)
        self._post(device, late=late, authenticated=True, topic="mdm.Authenticate")

    def enroll(self, device: str, *, late: bool) -> None:
        """Enroll, again if the device is enrolled, with the root of main."""
        main = self._pair().main
        assert main is not None
        assert main.facts is not None
        self.erase(device, late=late)
        if self._goes_on():
            self.phones[device].is_enrolled, self.phones[device].trusted = True, frozenset({main.facts.anchor})
            self._post(device, late=late, enrolled=True, topic="mdm.TokenUpdate")

    def leave(self, device: str, *, late: bool) -> None:
        """Remove the enrollment."""
        if self._goes_on() and self.phones[device].is_enrolled:
            self._forget(device)
            self._post(device, late=late, enrolled=False, topic="mdm.CheckOut")

    @precondition(lambda self: self.late and not self.has_switched)
    @rule(data=st.data())
    def the_webhook_posts(self, data: st.DataObject) -> None:
        """The late events arrive, in any order."""
        events, self.late = data.draw(st.permutations(self.late)), []
        for one in events:
            self._record(one)

    # Steps of the rules.

    @property
    def settings(self) -> ServerSettings:
        """The definition of the server."""
        assert self.server is not None
        return self.server

    def _post(self, device: str, *, late: bool, **fields: Any) -> None:
        """Report an event of a device, now or after later ones."""
        event = DeviceEvent(identity=uuid.uuid4().bytes, at=self.clock.now(), enrollment_id=device, **fields)
        if late or any(one.enrollment_id == device for one in self.late):
            self.late.append(event)
        else:
            self._record(event)

    def _goes_on(self) -> bool:
        """Let a second pass, so that no two events have the same time; return whether the life has not ended."""
        self._pass(SECOND)
        return not self.has_switched

    def _record(self, event: DeviceEvent) -> None:
        self.newcomers.send(self.ledger.record_events([event], now=self.clock.now()))

    def _forget(self, device: str) -> None:
        self.phones[device].is_enrolled, self.phones[device].trusted = False, frozenset()
        self.phones[device].queue.clear()

    def _pass(self, time: timedelta) -> None:
        """Move the clock. A schedule that is due before the end fires at its time."""
        end = self.clock.now() + time
        schedule = self.scheduler.schedules.get(PROMOTE)
        if schedule is not None and schedule.at <= end and not self.has_switched:
            self.clock.moment = max(schedule.at, self.clock.now())
            report, before = self._statuses(), self._pair()
            call = json.loads(self.scheduler.schedules.pop(PROMOTE).input)
            self.store.move_label(
                SECRET, call["VersionStage"], to=call["MoveToVersionId"], current=call["RemoveFromVersionId"]
            )
            assert self._check_switch(report, before)
        self.clock.moment = end

    def _secure(self) -> Any:
        result = self._reconciler().secure(self._pair_request(), self.settings.promotion).pair
        assert result is not None
        return result

    def _pair_request(self) -> PairRequest:
        known = None if self.store.describe(SECRET) is None else KNOWN
        definition = self.settings.definition(main=None, reserve=None)
        return PairRequest(definition=definition, secret=SECRET, owner=OWNER, known=known, tags={})

    def _reconciler(self) -> Reconciler:
        deliveries = DeliveryService(
            lambda: self.queues, self.store, self.ledger, self.clock, report=lambda _line: None, rules=LedgerRules()
        )
        return Reconciler(self.pairs, self.switches, deliveries, self._gates())

    def _gates(self) -> GateService | None:
        if self.minimum is None:
            return None
        return GateService(self.ledger, self.store, self.clock, rules=LedgerRules(), ignored_silent_days=self.ignored)

    def _pair(self) -> ObservedPair:
        pair = self.pairs.observe(SECRET)
        assert pair is not None
        return pair

    # Checks.

    def _statuses(self, silent_before: datetime | None = None) -> dict[str, DeviceStatus]:
        """Return the state of each device that the ledger knows."""
        publication = self.ledger.publication("berlin")
        policy = StatePolicy(
            revision=None if publication is None else publication.revision,
            silent_before=NEVER if silent_before is None else microseconds(silent_before),
        )
        return {one.enrollment_id: device_status(one, policy) for one in self.ledger.devices("berlin")}

    def _is_covered(self) -> bool:
        """Return whether enough devices have the profile, by the rules of the decision record."""
        days = self.ignored
        found = self._statuses(None if days is None else self.clock.now() - timedelta(days=days)).values()
        counted = [one for one in found if one.state not in {DeviceState.GONE, DeviceState.SILENT}]
        covered = [one for one in counted if one.state is DeviceState.ACKNOWLEDGED]
        return bool(counted) and len(covered) / len(counted) >= (self.minimum or 0) / 100

    def _check_switch(self, report: dict[str, DeviceStatus], before: ObservedPair) -> bool:
        """Check the devices after a switch, and the gate before it; return whether main has changed."""
        main, former = self._pair().main, before.main
        assert main is not None
        assert main.facts is not None
        assert former is not None
        assert former.facts is not None
        if main.version_id == former.version_id:
            return False
        self.has_switched = True
        publication = self.ledger.publication("berlin")
        is_reserve = before.reserve is not None and before.reserve.version_id == main.version_id
        if not is_reserve or publication is None or main.facts.anchor not in trust_anchors(publication.profile):
            assert self.clock.now() >= expiry(former.facts), "only an expired main is replaced without the devices"
            return True
        changed = {one.enrollment_id for one in self.late}
        for device, status in report.items():
            if device in changed:
                continue
            phone = self.phones[device]
            assert phone.can_connect(main.facts) == status.has_profile, (device, status)
            assert phone.is_enrolled or not status.has_profile
        if self.minimum is not None and self.clock.now() < expiry(former.facts) - timedelta(days=1):
            gate = self._pair().gate
            assert gate is not None
            assert (gate.certificate, gate.is_open) == (main.ordinal, True)
        return True


GatedLife.TestCase.settings = settings(
    max_examples=examples(20),
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # to shrink a life takes minutes
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestGatedLife(GatedLife.TestCase):  # type: ignore[misc, valid-type]  # hypothesis makes it
    """R44 R46: the rules of :class:`GatedLife`."""
