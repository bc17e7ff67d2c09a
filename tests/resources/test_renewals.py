"""A year of a pair with 47-day certificates of one CA: installed, promoted and renewed, with no push and no warning."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.runtime.proto import engine_pb2

from ios_mdm import wiring
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.pair.reader import PairReader
from ios_mdm.core.ledger.values import AnswerStatus
from ios_mdm.core.pair.certificate_times import expiry, is_valid_at
from ios_mdm.core.pair.layout import SENT_TAG
from ios_mdm.core.pair.schedule import Kind, schedule_names
from ios_mdm.core.pair.secret import Label
from ios_mdm.resources import engine as engine_messages
from ios_mdm.resources.certificate_pair import CertificatePairProvider
from ios_mdm.resources.profile_distribution import ProfileDistributionProvider
from tests.support.certificates import HOST, ISSUING, LEAF, NOW, Chain, pem, private_pem
from tests.support.distribution import Queue
from tests.support.dynamic_provider import Engine
from tests.support.events import record_answer
from tests.support.memory import MemorySecretStore
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler
from tests.support.pairs import HandClock
from tests.support.wiring import TestWiring

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from ios_mdm.core.pair.observed import ObservedPair

SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
PROMOTE = schedule_names("berlin", SECRET)[Kind.PROMOTE]
DISTRIBUTION = {
    "profile": {"identifier": "com.example.mdm"},
    "channel": {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": "mdm/api-key"}},
    "devices": ["device-1", "device-2"],
}
LEDGER = {"ledger": "sqlite:///ledger.sqlite"}


@cache
def issuers(issuing: str) -> tuple[x509.Certificate, x509.Certificate]:
    """Return an issuing CA with this name, and the root. All have the same root certificate."""
    made = Chain(issuing=(ISSUING.but(name=issuing, owner=issuing),)).make()
    return made.chain[1], made.root if issuing == "Issuing" else issuers("Issuing")[1]


@dataclass(slots=True)
class Messages:
    """Stands in for the engine, and keeps its warnings and its other messages."""

    warnings: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def Log(self, request: engine_pb2.LogRequest, timeout: float) -> None:  # noqa: N802 - the name in gRPC
        """Keep a message."""
        assert timeout
        kept = self.notices if request.severity == engine_pb2.INFO else self.warnings
        kept.append(request.message)


@dataclass(slots=True)
class Server:
    """A pair and its distribution, as the engine runs them."""

    folder: Path
    messages: Messages
    distribution: dict[str, Any]
    clock: HandClock = field(default_factory=lambda: HandClock(NOW))
    store: MemorySecretStore = field(init=False)
    scheduler: MemoryScheduler = field(default_factory=MemoryScheduler)
    roles_and_queues: MemoryPrerequisites = field(default_factory=MemoryPrerequisites)
    queue: Queue = field(default_factory=Queue)
    pair: Engine = field(init=False)
    profile: Engine = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        """Create the resources."""
        self.store = MemorySecretStore(clock=self.clock)
        definition: dict[str, Any] = {"name": "berlin", "address": HOST, "endpoints": []}
        common = {"server": "berlin", "secret": SECRET, "aws": {"secretPrefix": "ios-mdm"}}
        self.pair = Engine(
            provider=CertificatePairProvider(),
            aws=None,  # type: ignore[arg-type]  # nothing here goes to AWS
            program={
                **common,
                "owner": "organization/ios-mdm/test",
                "definition": definition | {"main": {"install": {"bundle": "main.pem"}}},
                "distributed": True,
            },
        )
        self.profile = Engine(
            provider=ProfileDistributionProvider(),  # type: ignore[arg-type]  # the engine calls both in the same way
            aws=None,  # type: ignore[arg-type]  # nothing here goes to AWS
            program={**common, "host": HOST, "promotion": {}},
        )

    @property
    def wiring(self) -> TestWiring:
        """The adapters of a run."""
        return TestWiring(
            environ={},
            base=self.folder,
            memory=self.store,
            hand_clock=self.clock,
            schedules=self.scheduler,
            roles_and_queues=self.roles_and_queues,
            mdm=self.queue,
        )

    @property
    def state(self) -> ObservedPair:
        """The observed pair."""
        found = PairReader(self.store, self.clock).observe(SECRET)
        assert found is not None
        assert found.main is not None
        return found

    def get_certificate(self, file: str, *, days: float = 47, issuing: str = "Issuing") -> None:
        """The administrator gets another certificate of the same CA, from this issuing CA."""
        self.count += 1
        start = (self.clock.moment - NOW) / timedelta(days=1)
        leaf = LEAF.but(owner=f"renewal {self.count}", days=(start - 0.1, start - 0.1 + days))
        made = Chain(leaf=leaf, issuing=(ISSUING.but(name=issuing, owner=issuing),)).make()
        (self.folder / file).write_bytes(pem(made.leaf, *issuers(issuing)) + private_pem(made.keys[0]))

    def get_reserve(self, **changes: Any) -> None:
        """The administrator puts the next certificate into the file of the reserve."""
        self.get_certificate("reserve.pem", **changes)
        self.pair.program["definition"]["reserve"] = {"install": {"bundle": "reserve.pem"}}

    def up(self) -> str:
        """Run both resources."""
        done = self.pair.up()
        outputs = self.pair.outputs
        assert outputs is not None
        self.profile.program |= {
            "distribution": self.distribution,
            "trusted": outputs["desired"]["trusted"],
            "switch": outputs["switch"],
            "pems": {str(int(one["number"])): one["pem"] for one in outputs["certificates"].values()},
            **{key: outputs[key] for key in ("pairId", "resourceId", "secretArn")},
        }
        return "unchanged" if {done, self.profile.up()} == {"unchanged"} else "changed"

    def pass_time(self, days: float) -> None:
        """Time passes, and AWS fires the schedule that is due."""
        self.clock.moment += timedelta(days=days)
        schedule = self.scheduler.schedules.get(PROMOTE)
        if schedule is not None and schedule.at <= self.clock.moment:
            del self.scheduler.schedules[PROMOTE]
            main, reserve = self.state.main, self.state.reserve
            assert main is not None
            assert reserve is not None
            self.store.move_label(SECRET, Label.MAIN, to=reserve.version_id, current=main.version_id)


@pytest.fixture(params=[False, True], ids=["without a ledger", "with a ledger"])
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Server:
    """Return a server with a custom main of 47 days, whose devices were sent the root."""
    messages = Messages()
    monkeypatch.setattr(engine_messages, "_engine", lambda _address: messages)
    monkeypatch.setattr(sys, "argv", ["test", "127.0.0.1:1"])
    monkeypatch.chdir(tmp_path)
    one = Server(tmp_path, messages, DISTRIBUTION | (LEDGER if request.param else {}))
    monkeypatch.setattr(wiring, "process_wiring", lambda: one.wiring)
    one.get_certificate("main.pem")
    assert one.up() == "changed"
    assert set(one.queue.latest) == {"device-1", "device-2"}
    if request.param:
        for device, uuid in one.queue.known:
            record_answer(
                SqliteLedger(tmp_path / "ledger.sqlite"), uuid, device, AnswerStatus.ACKNOWLEDGED, at=one.clock.moment
            )
    assert one.up() == "unchanged"
    return one


def test_a_year_of_renewals_needs_no_push_no_confirmation_and_no_warning(server: Server) -> None:
    """The MDM server is down all the year. Each reserve is installed, armed and promoted."""
    # R5 R11 R12 R36 R49
    commands, server.queue.calls_left = len(server.queue.known), 0
    mains = set()
    for _ in range(122):
        server.pass_time(3)
        main = server.state.main
        assert main is not None
        assert main.facts is not None
        assert is_valid_at(main.facts, server.clock.moment)
        mains.add(main.facts.sha256)
        if server.state.reserve is None and expiry(main.facts) - server.clock.moment <= timedelta(days=15):
            server.get_reserve()
            assert server.up() == "changed"
            assert PROMOTE in server.scheduler.schedules
        else:
            server.up()
    assert server.up() == "unchanged"
    assert len(mains) >= 365 // 47
    assert server.messages.warnings == []
    assert len(server.queue.known) == commands


def test_a_renewal_replaces_the_waiting_reserve_in_the_warning_window_without_a_confirmation(server: Server) -> None:
    """Devices trust the next certificate by the root that they have. So the request needs no fingerprint."""
    # R10 R49
    server.pass_time(35)
    server.get_reserve()
    server.up()
    server.pass_time(8)
    commands, server.queue.calls_left = len(server.queue.known), 0
    server.get_reserve()
    assert server.pair.failures() == []
    server.up()
    reserve = server.state.reserve
    assert reserve is not None
    assert reserve.ordinal == 3
    assert PROMOTE in server.scheduler.schedules
    assert len(server.queue.known) == commands


def test_another_issuing_ca_changes_the_profile_and_does_not_hold_the_switch(server: Server) -> None:
    """The profile has the issuing CAs, so it is sent again. Devices trust the root, so the switch does not wait for it.

    The next run sends the profile.
    """
    # R36 R49
    server.pass_time(35)
    server.get_reserve(issuing="Another issuing")
    server.queue.calls_left = 0
    with pytest.raises(server.queue.failure):
        server.up()
    assert PROMOTE in server.scheduler.schedules
    server.pass_time(13)
    main = server.state.main
    assert main is not None
    assert main.ordinal == 2
    server.queue.calls_left = None
    server.up()
    assert b"Another issuing" in server.queue.latest["device-1"]
    assert server.up() == "unchanged"


def test_the_record_of_a_profile_is_removed_before_another_profile_is_sent(server: Server) -> None:
    """After a failed run, some devices have the other profile. So the next run sends the former profile again."""
    # R35 R36 R49
    before = server.queue.latest["device-1"]
    server.pass_time(35)
    server.get_reserve(issuing="Another issuing")
    server.queue.calls_left, server.queue.dies_after = 0, True
    with pytest.raises(server.queue.failure):
        server.up()
    assert server.queue.latest["device-1"] != before
    found = server.store.describe(SECRET)
    assert found is not None
    assert "profile:" not in found.tags[SENT_TAG]
    server.queue.calls_left = None
    commands = len(server.queue.known)
    server.get_reserve()
    server.up()
    assert len(server.queue.known) > commands
    assert server.queue.latest["device-1"] == before
    found = server.store.describe(SECRET)
    assert found is not None
    assert ("profile:" in found.tags[SENT_TAG]) == ("ledger" not in server.distribution)


def test_another_mdm_server_is_sent_the_same_profile(server: Server) -> None:
    """Its devices were not sent it, also if a ledger has their records of the former server."""
    # R15 R49
    commands = len(server.queue.known)
    channel = {"nanomdm": {"url": "https://other.example.com", "apiKeySecret": "mdm/api-key"}}
    server.distribution = {**server.distribution, "channel": channel}
    server.up()
    assert len(server.queue.known) > commands


def test_a_profile_that_was_sent_through_another_mdm_server_is_sent_again(server: Server) -> None:
    """A state that was restored names the former MDM server, which was not sent the profile that the secret records."""
    # R15 R35 R49
    former, before = server.distribution, (server.profile.inputs, server.profile.outputs)
    channel = {"nanomdm": {"url": "https://other.example.com", "apiKeySecret": "mdm/api-key"}}
    server.distribution = {**former, "channel": channel}
    server.pass_time(35)
    server.get_reserve(issuing="Another issuing")
    server.up()
    server.distribution = former
    server.profile.inputs, server.profile.outputs = before
    commands = len(server.queue.known)
    server.up()
    assert len(server.queue.known) > commands
