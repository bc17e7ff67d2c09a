"""The operations of the Pulumi engine on a stack: it calls the hooks of both resources in the order of the engine.

Previews are left out, as in ``pulumi up --skip-preview``, because a check that only previews make protects nothing.
"""

from __future__ import annotations

import hashlib
import plistlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from ios_mdm import wiring
from ios_mdm.app import switch_reader
from ios_mdm.app.delivery import content
from ios_mdm.app.pair import effects, values
from ios_mdm.core.pair.observed import ServedCertificate
from ios_mdm.core.profile import trust_profile
from ios_mdm.errors import DeliveryError, IosMdmError
from ios_mdm.parallel import run_concurrently
from ios_mdm.resources import distribution_hooks, pair_hooks
from ios_mdm.resources.certificate_pair import CertificatePairProvider
from ios_mdm.resources.profile_distribution import ProfileDistributionProvider
from tests.model.stacks.world import CLOCK, DEVICES, Resource, World, certificate, leaf_of, profile_roots
from tests.support.dynamic_provider import wire_form
from tests.support.wiring import TestWiring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import Literal

    from ios_mdm.ports import Probe
    from tests.model.stacks.world import Program, Stack

__all__ = ["Run", "destroy", "hooks_on_worlds", "refresh", "up"]

HOST = "mdm.example.com"
_PAIR, _PROFILE = CertificatePairProvider(), ProfileDistributionProvider()


class Run(NamedTuple):
    """The result of an operation of the engine.

    Args:
        word: *unchanged*, *changed*, *refused*, *failed*, *protected* or *died*; *unreached* if the operation had fewer
            writes or reads than the number at which the event happens.
        message: message of a refusal or failure.
        writes: writes in order.
    """

    word: str
    message: str = ""
    writes: tuple[tuple[str, ...], ...] = ()


class KilledError(BaseException):
    """The run crashes."""


class RefusedError(Exception):
    """A check failed."""


@dataclass(slots=True)
class Lives:
    """Crashes a run, or starts another run, at a write with a given number.

    Args:
        left: number of writes that are left; None for any number.
        other: runs then, before this run continues; None crashes this run.
        edge: *after* the write, or *before* it, when the run has decided to make it.
    """

    left: int | None = None
    other: Callable[[], object] | None = None
    edge: Literal["before", "after"] = "after"

    def wrote(self, _operation: str, when: Literal["before", "after"], /) -> None:
        """Count a write."""
        if when != self.edge or self.left is None:
            return
        self.left -= 1
        if self.left > 0:
            return
        self.left = None
        if self.other is None:
            raise KilledError
        self.other()


@dataclass(slots=True, kw_only=True)
class Queue:
    """The MDM server: devices are online and install the profiles that they are sent.

    Args:
        world: world of the devices.
        lives: counts each command as a write.
        calls: number of calls that succeed before the server is down; None for all.
        sent: number of accepted calls.
        refused: whether a call failed.
    """

    world: World
    lives: Lives
    calls: int | None = None
    sent: int = 0
    refused: bool = False

    def batches(self, enrollment_ids: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return a batch for each device."""
        return [(one,) for one in enrollment_ids]

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def enqueue(self, enrollment_ids: Sequence[str], command: bytes) -> tuple[str, ...]:
        """Install the profile; it replaces only the profile with the same identifier."""
        if self.calls is not None and self.sent >= self.calls:
            self.refused = True
            raise DeliveryError("the MDM server is down")
        self.lives.wrote("enqueue", "before")
        identifier, roots = profile_roots(plistlib.loads(command)["Command"]["Payload"])
        for device in enrollment_ids:
            self.world.devices[device][identifier] = roots
        self.sent += 1
        self.lives.wrote("enqueue", "after")
        return ()


@dataclass(frozen=True, slots=True)
class Presented:
    """A probe that reports the certificate that the server of a world presents."""

    world: World

    def served_certificates(self, host: str, endpoints: Sequence[str]) -> tuple[ServedCertificate, ...]:
        """Return the certificate that each endpoint presents."""
        del host
        sha256 = None if self.world.served is None else leaf_of(self.world.served)
        return tuple(ServedCertificate(endpoint=one, sha256=sha256) for one in endpoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWiring(TestWiring):
    """The wiring of a run in a world."""

    __test__ = False

    presented: Probe

    def probe(self) -> Probe:
        """Return a probe of the server."""
        return self.presented


_runs: list[tuple[World, TestWiring]] = []
"""The operations in progress, each in its own process; the inner operation is last."""


@dataclass(frozen=True, slots=True)
class _Id:
    hex: str


def _random_id() -> _Id:
    world = _runs[-1][0]
    world.ids += 1
    return _Id(hashlib.sha256(f"id {world.ids}".encode()).hexdigest()[:32])


def _issue(host: str, *, key: object, validity_days: int, now: Any, max_validity: object) -> Any:
    del key, max_validity
    world = _runs[-1][0]
    world.issued += 1
    return certificate(host, validity_days, now, world.issued)


@contextmanager
def hooks_on_worlds() -> Iterator[None]:
    """Run the hooks on worlds: random values come from the world, and the hooks neither print nor wait."""
    with ExitStack() as stack:
        for target, name, new in (
            (wiring, "process_wiring", lambda: _runs[-1][1]),
            (values, "uuid4", _random_id),
            (effects, "issue", _issue),
            (switch_reader, "run_concurrently", _one_by_one),
            (content, "trust_profile", _profile),
            *((module, "show_message", _silent) for module in (pair_hooks, distribution_hooks)),
            *(
                (module, name, lambda _server: _silent)
                for module in (pair_hooks, distribution_hooks)
                for name in ("progress", "warning")
            ),
        ):
            stack.enter_context(patch.object(target, name, new))
        stack.enter_context(patch("tenacity.nap.time.sleep", _silent))
        yield


def _silent(*_arguments: object) -> None:
    pass


def _one_by_one(calls: Sequence[Callable[[], Any]]) -> Sequence[Future[Any]]:
    """Run calls like :func:`ios_mdm.parallel.run_concurrently`, without threads: these calls are short."""
    return [one for call in calls for one in run_concurrently([call])]


def _profile(chains: list[str], **texts: str | None) -> bytes:
    """Return the profile of these chains, created once."""
    return _made_profile(tuple(chains), tuple(sorted(texts.items())))


@lru_cache(maxsize=4_096)
def _made_profile(chains: tuple[str, ...], texts: tuple[tuple[str, Any], ...]) -> bytes:
    return trust_profile(list(chains), **dict(texts))


@dataclass(slots=True, kw_only=True)
class Operation:
    """One operation with the credentials of one account and region.

    Args:
        world: its world, which the operation changes.
        name: name of the stack.
        place: place of the credentials.
        lives: when the operation crashes.
        queue: the MDM server.
        changed: whether a resource was changed so far.
    """

    world: World
    name: str
    place: str
    lives: Lives
    queue: Queue
    changed: bool = field(default=False)

    @property
    def stack(self) -> Stack:
        """The stack of the operation."""
        return self.world.stacks[self.name]

    def keep(self, server: str, **changes: Any) -> None:
        """Change the state of a server."""
        self.world.stacks[self.name] = self.stack.with_server(server, **changes)
        self.changed = True

    def pair(self, program: Program, *, is_replaced: bool) -> None:
        """Check the pair, then create or update it."""
        server = str(program.server)
        kept = self.stack.server(server).pair
        olds = None if is_replaced else kept
        inputs = _checked_inputs(_PAIR, olds, _pair_inputs(program))
        if olds is None:
            made = _PAIR.create(wire_form(inputs))
            self.keep(server, pair=Resource(made.id, inputs, dict(made.outs or {})))
        elif _PAIR.diff(olds.id, wire_form(olds.outputs), wire_form(inputs)).changes:
            outputs = dict(_PAIR.update(olds.id, wire_form(olds.outputs), wire_form(inputs)).outs or {})
            self.keep(server, pair=Resource(olds.id, inputs, outputs))
        if is_replaced and kept is not None:
            _PAIR.delete(kept.id, wire_form(kept.outputs))

    def profile(self, program: Program) -> None:
        """Check the distribution, then create or update it."""
        server = str(program.server)
        kept = self.stack.server(server)
        if kept.pair is None:
            raise RefusedError("the pair is not in the state")
        inputs = _checked_inputs(_PROFILE, kept.profile, _profile_inputs(program, kept.pair.outputs))
        if kept.profile is None:
            made = _PROFILE.create(wire_form(inputs))
            self.keep(server, profile=Resource(made.id, inputs, dict(made.outs or {})))
        elif _PROFILE.diff(kept.profile.id, wire_form(kept.profile.outputs), wire_form(inputs)).changes:
            outputs = _PROFILE.update(kept.profile.id, wire_form(kept.profile.outputs), wire_form(inputs)).outs or {}
            self.keep(server, profile=Resource(kept.profile.id, inputs, dict(outputs)))

    def remove(self, server: str) -> None:
        """Delete the resources of an unprotected server, its distribution first."""
        kept = self.stack.server(server)
        if kept.profile is not None:
            _PROFILE.delete(kept.profile.id, wire_form(kept.profile.outputs))
            self.keep(server, profile=None)
        if kept.pair is not None:
            _PAIR.delete(kept.pair.id, wire_form(kept.pair.outputs))
            self.keep(server, pair=None)


def _run(
    world: World,
    name: str,
    place: str | None,
    lives: Lives,
    act: Callable[[Operation], str],
    *,
    calls: int | None = None,
    stale: int = 0,
) -> Run:
    """Run *act* as one process of the engine."""
    where = place or world.stacks[name].place
    queue = Queue(world=world, lives=lives, calls=calls)
    operation = Operation(world=world, name=name, place=where, lives=lives, queue=queue)
    here = world.places[where]
    outer = len(_runs)
    CLOCK.moment = world.now
    here.watch(lives.wrote)
    here.store.stale = stale
    written = len(here.writes)
    wires = ModelWiring(
        environ={},
        base=Path(),
        memory=here.store,
        hand_clock=CLOCK,
        schedules=here.scheduler,
        roles_and_queues=here.prerequisites,
        mdm=queue,
        presented=Presented(world),
    )
    _runs.append((world, wires))
    created = dict(pair_hooks._created)
    pair_hooks._created.clear()
    message = ""
    try:
        word = act(operation)
    except KilledError:
        word = "died"
    except RefusedError as error:
        word, message = "refused", str(error)
    except IosMdmError as error:
        word, message = "failed", str(error)
    finally:
        del _runs[outer:]
        here.watch(None)
        is_reached = not here.store.stale and lives.left is None and queue.refused == (calls is not None)
        here.store.stale = 0
        pair_hooks._created.clear()
        pair_hooks._created.update(created)
    return Run(word if is_reached else "unreached", message, here.writes[written:])


def up(
    world: World,
    name: str,
    *,
    place: str | None = None,
    alone: str | None = None,
    is_replaced: bool = False,
    lives: Lives | None = None,
    calls: int | None = None,
    stale: int = 0,
) -> Run:
    """Run `pulumi up` on a stack.

    Args:
        world: world of the stack, which the operation changes.
        name: name of the stack.
        place: place of the credentials; None for those of the stack.
        alone: *pair* or *profile* to leave out the other resource (`--target`, `--exclude`).
        is_replaced: whether to replace the pair (`--replace`, `state taint`).
        lives: when the run crashes.
        calls: number of calls that the MDM server accepts; None for all.
        stale: number of the read that returns a secret as it was before the last write; 0 for none.
    """

    def act(operation: Operation) -> str:
        program = operation.stack.program
        if program.server is not None:
            kept = operation.stack.server(program.server)
            if is_replaced and kept.pair is not None and kept.protect and program.protect:
                raise RefusedError("unable to replace a resource that is protected")
            if alone != "profile":
                operation.pair(program, is_replaced=is_replaced and kept.pair is not None)
            if alone != "pair":
                operation.profile(program)
            # The engine saves this value with every resource, without a hook.
            protected = operation.stack.with_server(program.server, protect=program.protect)
            world.stacks[name] = protected
        gone = [server for server in operation.stack.servers if server != program.server]
        if alone is None and gone:
            if any(operation.stack.server(server).protect for server in gone):
                return "protected"
            for server in gone:
                operation.remove(server)
        return "changed" if operation.changed else "unchanged"

    return _run(world, name, place, lives or Lives(), act, calls=calls, stale=stale)


def refresh(world: World, name: str, *, place: str | None = None) -> Run:
    """Run `pulumi refresh` on a stack."""

    def act(operation: Operation) -> str:
        for server, kept in operation.stack.servers.items():
            if kept.pair is None:
                continue
            found = _PAIR.read(kept.pair.id, wire_form(kept.pair.outputs))
            if not found.id:
                operation.keep(server, pair=None, profile=None)
                continue
            inputs = kept.pair.inputs if found.inputs is None else dict(found.inputs)
            pair = Resource(found.id, inputs, dict(found.outs or {}))
            if pair.text != kept.pair.text:
                operation.keep(server, pair=pair)
        return "changed" if operation.changed else "unchanged"

    return _run(world, name, place, Lives(), act)


def destroy(world: World, name: str, *, place: str | None = None, lives: Lives | None = None) -> Run:
    """Run `pulumi destroy` on a stack: the engine refuses to delete protected resources, and calls no hook for them."""

    def act(operation: Operation) -> str:
        if any(kept.protect for kept in operation.stack.servers.values()):
            return "protected"
        for server in tuple(operation.stack.servers):
            operation.remove(server)
        return "changed" if operation.changed else "unchanged"

    return _run(world, name, place, lives or Lives(), act)


def _checked_inputs(
    provider: CertificatePairProvider | ProfileDistributionProvider, olds: Resource | None, news: dict[str, Any]
) -> dict[str, Any]:
    result = provider.check(wire_form({} if olds is None else olds.inputs), wire_form(news))
    if result.failures:
        raise RefusedError("; ".join(one.reason for one in result.failures))
    return dict(result.inputs)


def _pair_inputs(program: Program) -> dict[str, Any]:
    said = {"takeOver": program.take_over, "movedFrom": program.moved_from, "lostMain": program.lost_main}
    return {
        "server": program.server,
        "secret": program.secret,
        "owner": program.name,
        "aws": {"secretPrefix": program.prefix, "tags": {}, "recoveryWindowDays": 30},
        "definition": {
            "name": program.server,
            "address": HOST,
            "main": {"issue": {"key": "ec-p256"}} | _confirmation("replaceNow", program.replaced),
            "reserve": _confirmation("none", program.dismissed)
            or {"issue": {"when": "now", "apply": {"afterDays": 30}}},
            "distrust": [leaf_of(one) for one in program.distrust],
            **{key: value for key, value in said.items() if value is not None},
        },
        "distributed": True,
        "fleet": None,
    }


def _confirmation(key: str, root: str | None) -> dict[str, Any]:
    return {} if root is None else {key: True, "confirm": leaf_of(root)}


def _profile_inputs(program: Program, pair: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs as the component derives them from the pair's outputs."""
    return {
        "server": program.server,
        "secret": program.secret,
        "host": HOST,
        "aws": {"secretPrefix": program.prefix, "tags": {}, "recoveryWindowDays": 30},
        "distribution": {
            "profile": {"identifier": "com.example.mdm"},
            "channel": {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": "mdm/api-key"}},
            "devices": list(DEVICES),
        },
        "trusted": pair["desired"]["trusted"],
        "pems": {str(one["number"]): one["pem"] for one in pair["certificates"].values()},
        "phase": pair["desired"]["phase"],
        "switch": pair["switch"],
        "pairId": pair["pairId"],
        "resourceId": pair["resourceId"],
        "secretArn": pair["secretArn"],
        "promotion": {},
    }
