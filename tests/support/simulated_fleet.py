"""Thousands of simulated devices, a real NanoMDM, the command ``ios-mdm receive`` and a ledger, all on loopback.

A test sends a profile in its own process, as `pulumi up` does, lets devices connect, and reads the ledger::

    with simulated_fleet(tmp_path, devices=300) as fleet:
        fleet.deliver()
        answered = fleet.devices.answer_at_once()
        fleet.wait_for(answered)
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.clock import SystemClock
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.app.delivery.distributor import Delivery, Distributor
from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.ledger.state import device_status
from ios_mdm.core.ledger.values import DeviceState, StatePolicy
from ios_mdm.core.profile import certificate_digests, trust_profile
from tests.support.certificates import HOST
from tests.support.distribution import pems
from tests.support.nanomdm_server import NanoMdmServer, free_port, nanomdm_server
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ios_mdm.ports import Ledger
    from tools.devices import Fleet, Round

__all__ = [
    "DESCRIPTORS",
    "PATIENCE",
    "SERVER",
    "WEBHOOK_KEY",
    "Receiver",
    "SimulatedFleet",
    "new_profile",
    "simulated_fleet",
    "wait",
]

SERVER: Final = "berlin"
DESCRIPTORS: Final = 1024
"""Limit of open files of the receiver: the default of most Linux systems."""
PATIENCE: Final = 120.0
"""Seconds after which a test fails. NanoMDM gives up an event whose connection is not made in 30 seconds."""
_MIN_EVENTS_PER_SECOND: Final = 20
"""Speed of a receiver on a machine with much other load."""
WEBHOOK_KEY: Final = "webhook-key"
_ACKNOWLEDGED: Final = frozenset({DeviceState.ACKNOWLEDGED, DeviceState.PROVED})


def wait(condition: Callable[[], bool], description: str, *, patience: float = PATIENCE) -> None:
    """Wait until *condition* holds.

    Raises:
        TimeoutError: The condition does not hold after *patience* seconds.
    """
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {patience:.0f} s: {description}")
        time.sleep(0.2)


@dataclass(slots=True, kw_only=True)
class Receiver:
    """The command ``ios-mdm receive``. It has the same port after each start.

    Args:
        folder: folder of its ledger, its key and its log.
        descriptors: limit of open files of the process.
    """

    folder: Path
    descriptors: int = DESCRIPTORS
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[str] | None = None

    @property
    def ledger(self) -> Path:
        """Path of the ledger file."""
        return self.folder / "ledger.db"

    @property
    def url(self) -> str:
        """URL of the webhook."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def process(self) -> subprocess.Popen[str]:
        """The running process."""
        assert self._process is not None, "the receiver was not started"
        return self._process

    def start(self) -> None:
        """Start the command, and wait until it listens."""
        key = self.folder / "key"
        key.write_text(WEBHOOK_KEY, encoding="ascii")
        arguments = ["--ledger", f"sqlite:///{self.ledger}", "--hmac-key-file", str(key)]
        limited = ["sh", "-c", f'ulimit -n {self.descriptors} && exec "$@"', "sh"]
        command = [sys.executable, "-m", "ios_mdm", "receive", "--listen", f"127.0.0.1:{self.port}", *arguments]
        with (self.folder / "receiver.log").open("a") as log:
            self._process = subprocess.Popen(
                [*limited, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("listening on "), self.log()

    def kill(self) -> None:
        """End the process without notice (SIGKILL), and wait for its end."""
        with self.process as process:
            process.kill()

    @contextlib.contextmanager
    def suspension(self) -> Iterator[None]:
        """Suspend the process, so that all events of the block wait at the same time."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """Return the output of the process."""
        return (self.folder / "receiver.log").read_text(encoding="utf-8")


@dataclass(slots=True, kw_only=True)
class SimulatedFleet:
    """A running MDM server whose events a receiver records, and its devices.

    Args:
        server: the MDM server.
        receiver: the receiver of its events.
        devices: the devices. Those of the scenario are enrolled.
        ledger: the ledger of the receiver.
        profile: the profile that the scenario sends. Tests may replace it.
    """

    server: NanoMdmServer
    receiver: Receiver
    devices: Fleet
    ledger: Ledger
    profile: bytes = field(default_factory=lambda: new_profile(1, 2), repr=False)

    def deliver(self, udids: Sequence[str] | None = None) -> int:
        """Send the profile to devices (default: all), as `pulumi up` does; return the number of these devices."""
        ids = sorted(self.devices.devices) if udids is None else udids
        with contextlib.closing(NanoMdm(url=self.server.url, api_key=self.server.api_key, push=False)) as channel:
            distributor = Distributor(channel, self.ledger, SystemClock(), report=lambda _: None)
            return distributor.distribute(Delivery(server=SERVER, profile=self.profile, enrollment_ids=ids))

    def states(self, policy: StatePolicy | None = None) -> dict[str, DeviceState]:
        """Return the state of each device, according to the ledger and a policy (default: that of `policy`)."""
        records = self.ledger.devices(SERVER, enrollment_ids=list(self.devices.devices))
        return {one.enrollment_id: device_status(one, policy or self.policy()).state for one in records}

    def policy(self, *, is_proof_configured: bool = False, silent_before: int = NEVER) -> StatePolicy:
        """Return the policy for the profile, as ``status`` computes it.

        Args:
            is_proof_configured: whether the definition requires lists of certificates.
            silent_before: time in microseconds since 1970; see ``StatePolicy``.
        """
        publication = self.ledger.publication(SERVER)
        is_published = publication is not None and publication.profile == self.profile
        return StatePolicy(
            revision=publication.revision if publication is not None and is_published else None,
            certificates=certificate_digests(self.profile),
            is_proof_configured=is_proof_configured,
            silent_before=silent_before,
        )

    def acknowledged_ids(self) -> set[str]:
        """Return the devices that have acknowledged the profile, according to the ledger."""
        return {udid for udid, state in self.states().items() if state in _ACKNOWLEDGED}

    def missing(self, answered: Round) -> set[str]:
        """Return the devices whose acknowledgment NanoMDM accepted, and which the ledger does not have."""
        return _accepted_ids(answered) - self.acknowledged_ids()

    def wait_for(self, answered: Round, *, patience: float = PATIENCE) -> None:
        """Wait until the ledger has all acknowledgments that NanoMDM accepted.

        Raises:
            TimeoutError: Acknowledgments are missing after *patience* seconds.
        """
        count = len(_accepted_ids(answered))
        # The count is one query, and does not slow the receiver as the records of thousands of devices do.
        wait(
            lambda: self._acknowledged_count() >= count and not self.missing(answered),
            "acknowledgments are missing",
            patience=patience,
        )

    def _acknowledged_count(self) -> int:
        counts = self.ledger.counts(SERVER, self.policy())
        return sum(counts[one] for one in _ACKNOWLEDGED)


def _accepted_ids(answered: Round) -> set[str]:
    """Return the devices whose acknowledgment the MDM server accepted."""
    return {
        udid for udid, answers in answered.answers.items() if any(status == "Acknowledged" for _, status in answers)
    }


def new_profile(*numbers: int) -> bytes:
    """Return the profile for the certificates of ``distribution.pems`` with these numbers."""
    chains = [pems()[number] for number in numbers]
    return trust_profile(chains, identifier=f"com.example.{SERVER}", server=SERVER, host=HOST)


@contextlib.contextmanager
def simulated_fleet(
    folder: Path, *, devices: int = 0, descriptors: int = DESCRIPTORS, storage: str = "inmem"
) -> Iterator[SimulatedFleet]:
    """Run NanoMDM and a receiver until the block ends, with a number of enrolled devices that the ledger knows."""
    receiver = Receiver(folder=folder, descriptors=descriptors)
    receiver.start()
    try:
        with nanomdm_server(storage=storage, webhook_url=receiver.url, webhook_hmac_key=WEBHOOK_KEY) as server:
            ledger = SqliteLedger(receiver.ledger)
            made = SimulatedFleet(server=server, receiver=receiver, devices=server.fleet(), ledger=ledger)
            made.devices.add(devices)
            assert made.devices.enroll().failures == {}
            patience = PATIENCE + devices / _MIN_EVENTS_PER_SECOND
            wait(lambda: len(made.ledger.enrolled_ids()) == devices, "enrollments are missing", patience=patience)
            yield made
    finally:
        receiver.kill()
