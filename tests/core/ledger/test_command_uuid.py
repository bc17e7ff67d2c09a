"""Tests of CommandUUIDs."""

from __future__ import annotations

from uuid import UUID

from ios_mdm.core.ledger.command_uuid import command_uuid
from ios_mdm.core.ledger.registers import NEVER

SEED = UUID(int=1)


def test_a_repetition_has_the_same_command_uuid() -> None:
    """The order of the devices has no effect."""  # R15
    one = command_uuid(SEED, "profile", {"D1": (5, NEVER), "D2": (6, NEVER)})
    assert one == command_uuid(SEED, "profile", {"D2": (6, NEVER), "D1": (5, NEVER)})
    assert str(UUID(one)).upper() == one


def test_every_other_command_has_another_command_uuid() -> None:
    """The MDM server drops a repeated CommandUUID."""  # R42 R45
    found = [
        command_uuid(SEED, "profile", {"D1": (5, NEVER)}),
        command_uuid(UUID(int=2), "profile", {"D1": (5, NEVER)}),
        command_uuid(SEED, "list", {"D1": (5, NEVER)}),
        command_uuid(SEED, "profile", {"D2": (5, NEVER)}),
        command_uuid(SEED, "profile", {"D1": (6, NEVER)}),
        command_uuid(SEED, "profile", {"D1": (5, 7)}),
        command_uuid(SEED, "profile", {"D1": (5, NEVER), "D2": (5, NEVER)}),
    ]
    assert len(set(found)) == len(found)
