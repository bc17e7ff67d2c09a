"""Wiring of hooks with the test's adapters: a store and a scheduler in memory, and a clock that tests set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ios_mdm.wiring import Wiring
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler

if TYPE_CHECKING:
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.ports import Clock, MdmChannel, SecretStore, SecretValues
    from ios_mdm.settings import DistributionSettings

__all__ = ["TestWiring"]


class NoValues:
    """A source of secrets that has none."""

    def current_bytes(self, _name: str) -> bytes | None:
        """Return None."""
        return None

    def describe(self, _name: str) -> SecretDescription | None:
        """Return None."""
        return None

    def labeled_value(self, _name: str, _label: str) -> str | None:
        """Return None."""
        return None


class Everything:
    """Roles, queues and topics, all of which exist."""

    def exists(self, _arn: str) -> bool:
        """Return True."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TestWiring(Wiring):
    """Returns the adapters of a test.

    Args:
        memory: store of pairs.
        hand_clock: the clock.
        schedules: the scheduler.
        roles_and_queues: roles and queues of the schedules.
        mdm: channel to devices; None if nothing is sent.
    """

    __test__ = False  # pytest collects classes with this prefix

    memory: SecretStore
    hand_clock: Clock
    schedules: MemoryScheduler = field(default_factory=MemoryScheduler)
    roles_and_queues: MemoryPrerequisites = field(default_factory=MemoryPrerequisites)
    mdm: MdmChannel | None = None

    def clock(self) -> Clock:
        """Return the test's clock."""
        return self.hand_clock

    def store(self, region: str | None) -> SecretStore:
        """Return the test's store."""
        del region
        return self.memory

    def values(self, region: str | None) -> SecretValues:
        """Return a source without secrets."""
        del region
        return NoValues()

    def scheduler(self, region: str | None) -> MemoryScheduler:
        """Return the test's scheduler."""
        del region
        return self.schedules

    def prerequisites(self, region: str | None) -> MemoryPrerequisites:
        """Return roles and queues in memory."""
        del region
        return self.roles_and_queues

    def check_channel(self, settings: DistributionSettings, region: str | None) -> None:
        """Accept every channel."""

    def given_resources(self, region: str | None) -> Everything:
        """Return a resource check that finds everything that a definition names."""
        del region
        return Everything()

    def channel(self, settings: DistributionSettings, region: str | None) -> MdmChannel:
        """Return the test's channel."""
        del settings, region
        assert self.mdm is not None
        return self.mdm
