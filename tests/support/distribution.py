"""Certificates, devices and answers for tests of a distribution."""

from __future__ import annotations

import plistlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.issuing import issue
from ios_mdm.core.x509.values import Credential
from ios_mdm.errors import DeliveryError
from tests.support.certificates import HOST, LEAF, Chain, pem, private_pem

if TYPE_CHECKING:
    from collections.abc import Sequence

START = datetime(2040, 1, 1, tzinfo=UTC)
ISSUED = (1, 2, 3)
UNDER_ONE_ROOT = (4, 5)
SECRET = "ios-mdm/berlin"  # noqa: S105 - a name


@cache
def credentials() -> dict[int, Credential]:
    """Return five certificates with their keys and chains; the last two share one root."""
    issued = {
        number: issue(HOST, key=KeyType.EC_P256, validity_days=300, now=START + timedelta(days=number))
        for number in ISSUED
    }
    above = Chain().make().chain[1:]
    made = [Chain(leaf=LEAF.but(owner=f"leaf {number}")).make() for number in UNDER_ONE_ROOT]
    under_one_root = {
        number: Credential(
            certificate=pem(one.leaf, *above[:-1]).decode(),
            private_key=private_pem(one.keys[0]).decode(),
            root=pem(above[-1]).decode(),
            sha256=fingerprint(one.leaf),
        )
        for number, one in zip(UNDER_ONE_ROOT, made, strict=True)
    }
    return issued | under_one_root


@cache
def pems() -> dict[int, str]:
    """Return the five certificates with their chains, PEM."""
    return {number: credential.chain for number, credential in credentials().items()}


PAIR_ID, RESOURCE_ID = "5a" * 16, "7e" * 16


@dataclass(slots=True)
class Queue:
    """The queue of an MDM server.

    Args:
        latest: the profile in the last new command, by device.
        known: the UUIDs of the commands that were queued for each device.
        asked: the devices that a CertificateList was queued for, in order.
        calls_left: number of calls that succeed before *failure*; None for all.
        failure: error of the failing call.
        dies_after: whether the failing call queues its command, and only its answer is lost.
    """

    batch_size: int = 2
    latest: dict[str, bytes] = field(default_factory=dict)
    known: set[tuple[str, str]] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    calls_left: int | None = None
    failure: type[Exception] = DeliveryError
    dies_after: bool = False

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Split the devices into batches of equal size."""
        return [enrollment_ids[at : at + self.batch_size] for at in range(0, len(enrollment_ids), self.batch_size)]

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Queue a command, unless it is queued already."""
        parsed = plistlib.loads(command)
        fails = self.calls_left == 0
        if not fails or self.dies_after:
            for device in enrollment_ids:
                if (device, parsed["CommandUUID"]) not in self.known:
                    self.known.add((device, parsed["CommandUUID"]))
                    if parsed["Command"]["RequestType"] == "InstallProfile":
                        self.latest[device] = parsed["Command"]["Payload"]
                    else:
                        self.asked.append(device)
        if fails:
            raise self.failure("the MDM server is down")
        if self.calls_left is not None:
            self.calls_left -= 1
        return ()
