"""Months of a profile: certificates and devices change, the MDM server is down, and runs are interrupted.

The hooks are called in the same way as by the engine, with a real ledger. The MDM server is a queue, which treats a
command with a known CommandUUID as a repetition, as NanoMDM does. After a failed run, the profile does not change
until a run succeeds. The cases that are not covered are in docs/decisions/0004-revision-of-a-profile.md.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ios_mdm import wiring
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.core.pair.layout import SENT_TAG, sent_value, version_id
from ios_mdm.core.pair.secret import Label, trusted_label
from ios_mdm.core.profile import trust_profile
from ios_mdm.core.x509.credential import credential_to_json
from ios_mdm.errors import DeliveryError
from ios_mdm.resources.profile_distribution import ProfileDistributionProvider
from tests.support.certificates import HOST
from tests.support.distribution import (
    ISSUED,
    PAIR_ID,
    RESOURCE_ID,
    SECRET,
    START,
    UNDER_ONE_ROOT,
    Queue,
    credentials,
    pems,
)
from tests.support.dynamic_provider import wire_form
from tests.support.events import record_authenticate
from tests.support.long import examples
from tests.support.memory import MemorySecretStore
from tests.support.pairs import HandClock
from tests.support.wiring import TestWiring

DEVICES = tuple(f"device-{number}" for number in range(5))
CERTIFICATES = (*ISSUED, *UNDER_ONE_ROOT)


class DownError(Exception):
    """Error that kills the run."""


class DistributionLife(RuleBasedStateMachine):
    """The profile of one server."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.queue = Queue()
        self.provider = ProfileDistributionProvider()
        self.store = MemorySecretStore()
        self.store.create(SECRET, tags={}, description="", kms_key=None)
        for number, credential in credentials().items():
            self.store.put(SECRET, version_id(SECRET, number), credential_to_json(credential))
        self.failed = False
        self.events, self.erased = 0, False
        self.ledger = SqliteLedger(Path("ledger.sqlite"))
        self.trusted: tuple[int, ...] = ISSUED[:1]
        self.organization = "Example"
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] | None = None
        self.patches = (
            patch.object(
                wiring,
                "process_wiring",
                lambda: TestWiring(
                    environ={}, base=Path.cwd(), memory=self.store, hand_clock=HandClock(START), mdm=self.queue
                ),
            ),
        )
        for one in self.patches:
            one.start()
        self.there = Path.cwd()
        os.chdir(self.folder.name)

    def teardown(self) -> None:
        """Restore the environment."""
        os.chdir(self.there)
        for one in self.patches:
            one.stop()
        self.folder.cleanup()

    @initialize(devices=st.sets(st.sampled_from(DEVICES), min_size=1))
    def begins(self, devices: set[str]) -> None:
        """The first run."""
        self.list_devices(devices)
        self.run()

    @rule(devices=st.sets(st.sampled_from(DEVICES), min_size=1))
    def list_devices(self, devices: set[str]) -> None:
        """The list of devices changes."""
        Path("devices.txt").write_text("\n".join(sorted(devices)), encoding="utf-8")

    @precondition(lambda self: not self.failed)
    @rule(trusted=st.sets(st.sampled_from(CERTIFICATES), min_size=1))
    def trust(self, trusted: set[int]) -> None:
        """The pair has other certificates, with the lowest number as main. The other trusted labels are removed."""
        described = self.store.describe(SECRET)
        assert described is not None
        for version, labels in described.labels.items():
            for label in labels & {trusted_label(number) for number in set(self.trusted) - trusted}:
                self.store.move_label(SECRET, label, to=None, current=version)
        (main,) = (version for version, labels in described.labels.items() if Label.MAIN in labels)
        self.store.move_label(SECRET, Label.MAIN, to=version_id(SECRET, min(trusted)), current=main)
        self.trusted = tuple(sorted(trusted))

    @precondition(lambda self: not self.failed)
    @rule(organization=st.sampled_from(["Example", "Example Ltd"]))
    def present(self, organization: str) -> None:
        """The name of the organization in the profile changes."""
        self.organization = organization

    @precondition(lambda self: not self.erased)
    @rule()
    def lose_the_ledger(self) -> None:
        """The disk is replaced. The profile is sent again when another one is due."""
        Path("ledger.sqlite").unlink(missing_ok=True)

    @precondition(lambda self: self.ledger.publication("berlin") is not None)
    @rule(device=st.sampled_from(DEVICES))
    def enroll_again(self, device: str) -> None:
        """A device is erased: it loses the profile, and the MDM server deletes its queue."""
        self.events, self.erased = self.events + 1, True
        record_authenticate(self.ledger, device, at=START + timedelta(seconds=self.events))
        self.queue.latest.pop(device, None)

    @rule(calls=st.integers(0, 2), taken=st.booleans())
    def the_server_is_down(self, calls: int, *, taken: bool) -> None:
        """A run reaches only some devices."""
        self._fail(DeliveryError, calls, taken=taken)

    @rule(calls=st.integers(0, 2), taken=st.booleans())
    def a_run_dies(self, calls: int, *, taken: bool) -> None:
        """A run is killed before the ledger records the queued commands."""
        self._fail(DownError, calls, taken=taken)

    @rule()
    def run(self) -> None:
        """After a run, each device has the profile in its queue, and another run changes nothing."""
        self._up()
        self.failed = self.erased = False
        wanted = self._profile()
        for device in Path("devices.txt").read_text(encoding="utf-8").splitlines():
            assert self.queue.latest[device] == wanted
        assert self.outputs is not None
        assert self.outputs["profileSha256"] == hashlib.sha256(wanted).hexdigest()
        assert (self._sent_record() or "").startswith(sent_value(self.trusted))
        commands = len(self.queue.known)
        assert self._up() == "unchanged"
        assert len(self.queue.known) == commands

    def _fail(self, failure: type[Exception], calls: int, *, taken: bool) -> None:
        self.queue.calls_left, self.queue.failure, self.queue.dies_after = calls, failure, taken
        before = self._sent_record()
        try:
            self._up()
        except (DeliveryError, DownError):
            self.failed = True
            assert self._sent_record() in {before, None}, (
                "only a profile that was sent to all devices is recorded (R36)"
            )
        finally:
            self.queue.calls_left = None

    def _sent_record(self) -> str | None:
        described = self.store.describe(SECRET)
        assert described is not None
        return described.tags.get(SENT_TAG)

    def _up(self) -> str:
        """Do the same as `pulumi up` for this resource. The state changes if the run succeeds."""
        checked = self.provider.check(wire_form(self.inputs), wire_form(self._program()))
        assert not checked.failures, [one.reason for one in checked.failures]
        inputs = dict(checked.inputs)
        if self.outputs is None:
            self.outputs = dict(self.provider.create(wire_form(inputs)).outs or {})
        elif not self.provider.diff("id", wire_form(self.outputs), wire_form(inputs)).changes:
            return "unchanged"
        else:
            self.outputs = dict(self.provider.update("id", wire_form(self.outputs), wire_form(inputs)).outs or {})
        self.inputs = inputs
        return "changed"

    def _program(self) -> dict[str, Any]:
        return {
            "server": "berlin",
            "secret": SECRET,
            "host": HOST,
            "aws": {},
            "distribution": {
                "profile": {"identifier": "com.example.mdm", "organization": self.organization},
                "channel": {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": "mdm/api-key"}},
                "devices": {"file": "devices.txt"},
                "ledger": "sqlite:///ledger.sqlite",
            },
            "trusted": list(self.trusted),
            "switch": {},
            "secretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ios-mdm/berlin-Mem0ry",
            "promotion": {},
            "pairId": PAIR_ID,
            "resourceId": RESOURCE_ID,
            "pems": {str(number): pems()[number] for number in self.trusted},
        }

    def _profile(self) -> bytes:
        chains = [pems()[number] for number in self.trusted]
        return trust_profile(
            chains,
            identifier=f"com.example.mdm.{PAIR_ID[:12]}",
            server="berlin",
            host=HOST,
            organization=self.organization,
        )


DistributionLife.TestCase.settings = settings(
    max_examples=examples(40),
    stateful_step_count=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestDistributionLife(DistributionLife.TestCase):  # type: ignore[misc, valid-type]  # hypothesis makes it
    """R15 R16 R17 R30: the rules of :class:`DistributionLife`."""
