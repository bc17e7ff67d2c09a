"""Tests of a definition that names another MDM server: its devices were not sent the profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.app.delivery.content import ProfileContent
from ios_mdm.app.delivery.service import DeliveryRequest, DeliveryService
from ios_mdm.core.pair.layout import ARMED_TAG, SENT_TAG, armed_value
from ios_mdm.core.pair.observed import ArmedPromotion
from ios_mdm.errors import DeliveryError
from tests.support.crashes import CrashError
from tests.support.fleet import Fleet
from tests.support.pairs import SECRET

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ios_mdm.ports import Ledger

FORMER, OTHER = "https://former.example.com", "https://other.example.com"
DEVICES = ("D1", "D2")


@dataclass(slots=True)
class Server:
    """An MDM server that counts the devices of each command, and can be down."""

    is_down: bool = False
    devices: list[str] = field(default_factory=list)

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return one batch."""
        return [enrollment_ids]

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Accept a command, unless the server is down."""
        assert command
        if self.is_down:
            raise DeliveryError("the MDM server is down")
        self.devices += enrollment_ids
        return ()


@dataclass(slots=True)
class Desk:
    """A pair whose profile is sent through one MDM server or another.

    Args:
        ledger: the ledger; None for none.
        servers: MDM server of each URL.
        disarmed: whether the record was removed at each call that disarms the switch.
        is_killed: whether the run ends before the next call disarms the switch.
        warnings: warnings of all runs.
    """

    ledger: Ledger | None
    fleet: Fleet = field(default_factory=Fleet)
    servers: dict[str, Server] = field(default_factory=lambda: {FORMER: Server(), OTHER: Server()})
    disarmed: list[bool] = field(default_factory=list)
    is_killed: bool = False
    warnings: list[str] = field(default_factory=list)

    def disarm(self) -> None:
        """Record the call, or end the run."""
        if self.is_killed:
            raise CrashError
        self.disarmed.append(SENT_TAG not in self.fleet.tags)

    def run(self, url: str, *, identifier: str = "com.example.berlin", former: str | None = None) -> None:
        """Send the profile of the pair through the MDM server of a URL."""
        result = self.fleet.apply()
        service = DeliveryService(
            lambda: self.servers[url],
            self.fleet.store,
            self.ledger,
            self.fleet.clock,
            report=lambda _line: None,
            warn=self.warnings.append,
        )
        content = ProfileContent(
            server="berlin",
            host="mdm.example.com",
            identifier=identifier,
            organization=None,
            trusted=result.view.desired.trusted_ordinals,
            chains={ordinal: one.pem for ordinal, one in result.certificates.items()},
        )
        request = DeliveryRequest(
            content=content,
            secret=SECRET,
            secret_arn=self.fleet.arn,
            resource_id=None,
            enrollment_ids=DEVICES,
            former_identifier=former,
            channel=url,
        )
        service.deliver(request, self.disarm)


@pytest.fixture(params=["with a ledger", "without a ledger"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    """A pair whose profile was sent through the former MDM server."""
    made = Desk(SqliteLedger(tmp_path / "ledger.db") if request.param == "with a ledger" else None)
    made.run(FORMER)
    assert made.servers[FORMER].devices == [*DEVICES]
    assert made.disarmed == []
    return made


def test_the_devices_of_another_mdm_server_are_sent_the_profile(desk: Desk) -> None:
    """They may never have received a command of the former one, although their ids are the same."""  # R15 R36
    desk.run(OTHER)
    assert desk.servers[OTHER].devices == [*DEVICES]
    assert desk.disarmed == [True], "the switch is disarmed before the first command"
    assert SENT_TAG in desk.fleet.tags


def test_the_switch_stays_disarmed_while_another_mdm_server_is_down(desk: Desk) -> None:
    """No reserve is promoted that the devices of the new MDM server were not sent."""  # R36
    desk.servers[OTHER].is_down = True
    for _ in range(2):
        with pytest.raises(DeliveryError):
            desk.run(OTHER)
        assert SENT_TAG not in desk.fleet.tags
    assert desk.disarmed == [True]
    desk.servers[OTHER].is_down = False
    desk.run(OTHER)
    assert desk.servers[OTHER].devices == [*DEVICES]
    assert SENT_TAG in desk.fleet.tags


def test_a_return_to_the_former_mdm_server_is_another_change(desk: Desk) -> None:
    """Its devices may have been erased in between."""  # R15 R36
    desk.run(OTHER)
    desk.run(FORMER)
    assert desk.servers[FORMER].devices == [*DEVICES, *DEVICES]
    assert desk.disarmed == [True, True]


def test_a_run_that_is_killed_before_it_disarms_is_continued(desk: Desk) -> None:
    """The record of the sent profile is removed, and the schedule still exists."""  # R36
    promotion = ArmedPromotion(certificate=2, at=desk.fleet.clock.now())
    desk.fleet.store.tag(SECRET, {ARMED_TAG: armed_value(promotion)})
    desk.servers[OTHER].is_down = desk.is_killed = True
    with pytest.raises(CrashError):
        desk.run(OTHER)
    assert SENT_TAG not in desk.fleet.tags
    desk.is_killed = False
    with pytest.raises(DeliveryError):
        desk.run(OTHER)
    assert desk.disarmed == [True]


def test_two_definitions_with_one_ledger_and_server_name_are_reported(tmp_path: Path) -> None:
    """Each run of one definition replaces the profile of the other, and counts its devices as not sent."""  # R35 R41
    desk = Desk(SqliteLedger(tmp_path / "ledger.db"))
    desk.run(FORMER, identifier="com.example.berlin")
    desk.run(FORMER, identifier="com.example.berlin", former="com.example.berlin")
    desk.run(FORMER, identifier="com.example.renamed", former="com.example.berlin")
    assert desk.warnings == []
    desk.run(FORMER, identifier="com.example.other", former="com.example.other")
    (warning,) = desk.warnings
    assert "the ledger has the profile com.example.renamed of another pair under the name berlin" in warning
    desk.run(FORMER, identifier="com.example.other", former="com.example.other")
    assert len(desk.warnings) == 1
