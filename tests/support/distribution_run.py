"""Calls the hooks of the distribution of one server as the engine does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm import wiring
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG, SENT_TAG, version_id
from ios_mdm.core.x509.credential import credential_to_json
from ios_mdm.resources.profile_distribution import ProfileDistributionProvider
from tests.support.certificates import HOST
from tests.support.distribution import PAIR_ID, RESOURCE_ID, SECRET, START, Queue, credentials, pems
from tests.support.dynamic_provider import wire_form
from tests.support.memory import MemorySecretStore
from tests.support.pairs import HandClock
from tests.support.wiring import TestWiring

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Run", "run"]


@dataclass(slots=True)
class Run:
    """Calls the hooks of the distribution of one server as the engine does."""

    folder: Path
    store: MemorySecretStore
    queue: Queue = field(default_factory=Queue)
    clock: HandClock = field(default_factory=lambda: HandClock(START))
    provider: ProfileDistributionProvider = field(default_factory=ProfileDistributionProvider)
    devices: object = field(default_factory=lambda: {"file": "devices.txt"})
    changes: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] | None = None

    def list_devices(self, *devices: str) -> None:
        """Write the list of devices."""
        (self.folder / "devices.txt").write_text("\n".join(devices), encoding="utf-8")

    def check(self) -> dict[str, Any]:
        """Return the checked inputs. Nothing may be refused."""
        checked = self.provider.check(wire_form(self.inputs), wire_form(self.program()))
        assert not checked.failures, [one.reason for one in checked.failures]
        return dict(checked.inputs)

    def up(self) -> str:
        """Do the same as `pulumi up`. The state changes if the run succeeds."""
        inputs = self.check()
        if self.outputs is None:
            self.outputs = dict(self.provider.create(wire_form(inputs)).outs or {})
        elif not self.provider.diff("id", wire_form(self.outputs), wire_form(inputs)).changes:
            return "unchanged"
        else:
            self.outputs = dict(self.provider.update("id", wire_form(self.outputs), wire_form(inputs)).outs or {})
        self.inputs = inputs
        return "changed"

    def program(self) -> dict[str, Any]:
        """Return the inputs of the program."""
        return {
            "server": "berlin",
            "secret": SECRET,
            "host": HOST,
            "aws": {},
            "distribution": {
                "profile": {"identifier": "com.example.mdm"},
                "channel": {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": "mdm/api-key"}},
                "devices": self.devices,
                "ledger": "sqlite:///ledger.sqlite",
            },
            "trusted": [1],
            "switch": {},
            "secretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ios-mdm/berlin-Mem0ry",
            "promotion": {},
            "pairId": PAIR_ID,
            "resourceId": RESOURCE_ID,
            "pems": {"1": pems()[1]},
            **self.changes,
        }

    def sent_record(self) -> str | None:
        """Return the record of the profile that devices were sent."""
        found = self.store.describe(SECRET)
        assert found is not None
        return found.tags.get(SENT_TAG)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a run with a pair of one certificate and a list of two devices."""
    store = MemorySecretStore()
    store.create(SECRET, tags={RESOURCE_ID_TAG: RESOURCE_ID}, description="", kms_key=None)
    store.put(SECRET, version_id(SECRET, 1), credential_to_json(credentials()[1]))
    one = Run(folder=tmp_path, store=store)
    monkeypatch.setattr(
        wiring,
        "process_wiring",
        lambda: TestWiring(environ={}, base=tmp_path, memory=store, hand_clock=one.clock, mdm=one.queue),
    )
    one.list_devices("a", "b")
    return one
