"""A server with a history, for attacks with one permission; its devices keep the roots that they trust."""

from __future__ import annotations

import copy
import functools
import plistlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography.x509 import load_der_x509_certificate

from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.pair.schedule import Kind
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.x509.credential import credential_from_json
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.pem import chain
from ios_mdm.errors import IosMdmError
from tests.support.adoption import CA, value
from tests.support.certificates import NOW as AT
from tests.support.memory import MemorySecretStore
from tests.support.pairs import FOREIGN, KNOWN, NOW, SECRET, HandClock, World, definition
from tests.support.principal import Principal
from tests.support.served import QUIET, WAITS, Channel, Server
from tests.support.switching import NAMES, Armed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.app.pair.values import KnownPair
    from ios_mdm.app.reconcile import Progress, ReconcileRequest
    from ios_mdm.core.pair.definition import PairDefinition

__all__ = ["FORMERS", "MAIN", "RESERVE", "STRAYS", "Attacked", "attacked_server"]

FORMERS, MAIN, DELETED, RESERVE = (1, 2), 3, 4, 5
"""Numbers of the certificates: the first former main has no slot any more, the second former main has AWSPREVIOUS."""
STRAYS = {"OTHER": FOREIGN, "NEXT": version_id(SECRET, 6)}
"""Versions of another program by their labels, with a CA for any name; the key NEXT has the next version id."""


@dataclass(slots=True)
class Devices(Channel):
    """An MDM server whose devices install each profile immediately.

    Args:
        profiles: fingerprints of the roots in each profile, by its PayloadIdentifier.
    """

    profiles: dict[str, frozenset[str]] = field(default_factory=dict)

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Install the profile in a command."""
        profile = plistlib.loads(plistlib.loads(command)["Command"]["Payload"])
        roots = [one for one in profile["PayloadContent"] if one["PayloadType"] == "com.apple.security.root"]
        self.profiles[profile["PayloadIdentifier"]] = frozenset(
            fingerprint(load_der_x509_certificate(one["PayloadContent"])) for one in roots
        )
        return Channel.enqueue(self, enrollment_ids, command)


@dataclass(slots=True)
class Attacked(Server):
    """A server under attack.

    Args:
        channel: channel to its devices.
        wish: its definition.
        known: facts in the state; None without a state.
        has_state: whether runs keep a state.
        distrusted: fingerprint of a root that the definition distrusts; empty if there is none.
    """

    channel: Devices = field(default_factory=Devices)
    wish: PairDefinition = QUIET
    known: KnownPair | None = None
    has_state: bool = True
    distrusted: str = ""

    def request(self, wish: PairDefinition) -> ReconcileRequest:
        """Return the request of a run; it has the facts in the state."""
        found = Server.request(self, wish)
        return replace(found, pair=replace(found.pair, known=self.known))

    def run(self) -> Progress:
        """Run `up`, which saves its results in the state."""
        done = self.up(self.wish)
        assert done.pair is not None
        certificates = {one.facts.sha256: one.pem for one in done.pair.certificates.values()}
        self.known = replace(KNOWN, certificates=certificates) if self.has_state else None
        return done

    def runs(self, number: int = 2) -> str:
        """Run `up` several times, and return the last error; empty if the last run succeeded."""
        error = ""
        for _ in range(number):
            error = ""
            try:
                self.run()
            except IosMdmError as caught:
                error = str(caught)
        return error

    @property
    def store(self) -> MemorySecretStore:
        """The secret store."""
        return self.armed.world.store

    @property
    def trusted_roots(self) -> frozenset[str]:
        """Fingerprints of the roots that the devices trust."""
        return frozenset().union(*self.channel.profiles.values())

    def root(self, version: str | int) -> str:
        """Return the fingerprint of the root of a certificate, by its version id or its number."""
        name = version_id(SECRET, version) if isinstance(version, int) else version
        found = self.store.read(SECRET, name)
        assert found is not None
        return fingerprint(chain(credential_from_json(found).chain)[-1])

    def holder(self, label: str) -> str | None:
        """Return the id of the version with a label, or None."""
        found = self.store.describe(SECRET)
        assert found is not None
        return next((version for version, labels in found.labels.items() if label in labels), None)

    def principal(self, *actions: str) -> Principal:
        """Return a principal with these permissions."""
        return Principal(store=self.store, actions=frozenset(actions))

    def move(self, label: str, to: str | int | None) -> None:
        """Move a label with the permission UpdateSecretVersionStage only; a move that AWS refuses changes nothing."""
        version = version_id(SECRET, to) if isinstance(to, int) else to
        with suppress(IosMdmError):
            self.principal("UpdateSecretVersionStage").move_label(SECRET, label, to=version, current=self.holder(label))

    def fire(self) -> bool:
        """Make the call of the schedule, as Scheduler does at its time; return whether there is a schedule."""
        if (found := self.armed.scheduler.schedules.get(NAMES[Kind.PROMOTE])) is None:
            return False
        call = self.armed.scheduled_call()
        assert found
        with suppress(IosMdmError):
            move = {"to": call["MoveToVersionId"], "current": call["RemoveFromVersionId"]}
            self.store.move_label(SECRET, call["VersionStage"], **move)
        return True


@functools.cache
def _server_with_history(*, is_pruned: bool, has_distrust: bool) -> Attacked:
    world = World(clock=HandClock(AT))
    world.store = MemorySecretStore(clock=world.clock, is_pruned=is_pruned)
    world.service._store = world.store
    server = Attacked(armed=Armed(world=world))
    server.run()
    server.wish = WAITS
    server.run()
    for _ in range(2):
        world.later(days=30)
        server.runs()
    server.wish = definition(replace(NOW, generation=2))
    if has_distrust:
        server.distrusted = server.root(FORMERS[0])
        server.wish = replace(server.wish, distrust=frozenset({world.facts(FORMERS[0]).sha256}))
    assert server.runs(3) == ""
    for label, version in STRAYS.items():
        server.store.put(SECRET, version, value(CA.make()), labels=[label])
    assert server.holder(Label.MAIN) == version_id(SECRET, MAIN)
    assert server.holder(Label.RESERVE) == version_id(SECRET, RESERVE)
    return server


def attacked_server(*, is_pruned: bool = False, has_distrust: bool = False, has_state: bool = True) -> Attacked:
    """Return a server with two former mains, a main, a deleted reserve and an armed reserve, before an attack.

    Args:
        is_pruned: whether AWS deletes versions without labels immediately.
        has_distrust: whether the definition distrusts the first former main.
        has_state: whether the runs have a state.
    """
    found = copy.deepcopy(_server_with_history(is_pruned=is_pruned, has_distrust=has_distrust))
    if not has_state:
        found.has_state, found.known = False, None
    return found
