"""Invariants of all events, checked independently of the code under test."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from ios_mdm.core.pair.layout import OWNER_TAG, RESOURCE_ID_TAG
from ios_mdm.core.pair.schedule import Kind, name_stem, role_name, schedule_names
from ios_mdm.core.pair.secret import Label
from tests.model.stacks.world import COPY, HOMES, LOST, WRONG_FINGERPRINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.stacks.engine import Run
    from tests.model.stacks.event import Event
    from tests.model.stacks.world import Program, World

__all__ = ["SECRETS", "complaint"]

_SERVERS = ("berlin", "berlin-2")
SECRETS = {f"{prefix}/{server}": server for prefix in ("ios-mdm", "copy") for server in _SERVERS}


def complaint(before: World, event: Event, run: Run, after: World) -> str:
    """Return the violation of an event; empty if there is none. Record in *after* which stack each pair belongs to."""
    found = next(
        (
            text
            for check in (
                _trust,
                _lost_trust,
                _distrusted_certificates,
                _switch,
                _switch_without_delivery,
                _refusal,
                _foreign,
                _keys,
                _new_pair,
            )
            for text in check(before, event, run, after)
        ),
        "",
    )
    if not found:
        _note_holders(before, event, run, after)
        _note_deleted_reserve(event, run, after)
        slots = {after.root_in_slot(*pair, label) for pair in _pairs(after) for label in (Label.MAIN, Label.RESERVE)}
        after.placed |= {one for one in slots if one is not None}
    return found


def _pairs(world: World) -> Iterator[tuple[str, str]]:
    """Return place and secret of each pair in use."""
    for place, there in world.places.items():
        for secret in SECRETS:
            if there.store.holder(secret, Label.MAIN) is not None and world.holders.get((place, secret)) != COPY:
                yield place, secret


def _trust(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R35: a device that accepts the server's certificate, main or reserve continues to accept it."""
    del event, run
    gone = _all_distrusted(after)
    certificates = {before.served, after.served} | {
        world.root_in_slot(*pair, label)
        for pair in _pairs(after)
        for label in (Label.MAIN, Label.RESERVE)
        for world in (before, after)
        if before.root_in_slot(*pair, label) == after.root_in_slot(*pair, label)
    }
    for device in before.devices:
        for one in sorted(certificates - gone - {None}, key=str):
            assert one is not None
            if before.accepts(device, one) and not after.accepts(device, one):
                yield f"{device} no longer trusts a certificate that is in use"
        if (
            not after.excused
            and not gone & {before.served, after.served}
            and not any(stack.program.replaced in stack.program.distrust for stack in after.stacks.values())
            and before.served is not None
            and after.served is not None
            and before.accepts(device, before.served)
            and not after.accepts(device, after.served)
        ):
            yield f"{device} does not trust the certificate that the server presents"


def _lost_trust(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R35: a device loses trust only in a certificate that the definition distrusts, or in a reserve that it deletes.

    If another certificate became main, a next main that was sent is given up.
    """
    del run
    program = None if event.stack is None else after.stacks[event.stack].program
    deleted = before.deleted | ({program.dismissed} if program is not None and program.dismissed else set())
    gone = (deleted - {before.served}) | _all_distrusted(after)
    for device in before.devices:
        roots = [{root for profile in world.devices[device].values() for root in profile} for world in (before, after)]
        if (roots[0] & before.placed) - roots[1] - gone:
            yield f"{device} no longer trusts a certificate that was not deleted by request"


def _distrusted_certificates(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R35: after a run, a certificate that the definition distrusts is in no slot and on no device."""
    if event.stack is None or event.kind or run.word not in {"changed", "unchanged"}:
        return
    program = after.stacks[event.stack].program
    if before.holders.get((event.place, program.secret)) != event.stack:
        return
    labels = {after.root_in_slot(event.place, program.secret, label) for label in (Label.MAIN, Label.RESERVE)}
    for one in program.distrust:
        if one in labels:
            yield f"`{event.stack}` keeps a certificate that its definition distrusts"
        if any(after.accepts(device, one) for device in after.devices):
            yield "a device trusts a certificate that the definition distrusts"


def _all_distrusted(world: World) -> set[str | None]:
    return {one for stack in world.stacks.values() for one in stack.program.distrust}


def _switch(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R36: an armed switch stays armed while the pair does not change."""
    if "fires" in event.text or event.kind == "disarm":
        return
    for place, secret in _pairs(before):
        name = schedule_names(SECRETS[secret], secret)[Kind.PROMOTE]
        armed = before.places[place].scheduler.schedules.get(name)
        labels = [
            [world.places[place].store.holder(secret, label) for label in (Label.MAIN, Label.RESERVE)]
            for world in (before, after)
        ]
        found = before.places[place].store.secret(secret)
        if armed is None or labels[0] != labels[1] or found is None or f'"{found.arn}"' not in armed.input:
            continue
        if f'"{labels[0][0]}"' not in armed.input:
            continue  # the version that it takes AWSCURRENT from no longer has it
        main, reserve = (before.root_in_slot(place, secret, label) for label in (Label.MAIN, Label.RESERVE))
        if any(main == one.program.replaced or reserve == one.program.dismissed for one in after.stacks.values()):
            continue  # the schedule is withdrawn before main is replaced or its reserve is deleted
        # A late run deletes the schedule of a certificate, and then promotes the certificate.
        if after.places[place].scheduler.schedules.get(name) != armed and armed.at > after.now:
            yield f"the switch of {secret} in {place} is no longer armed ({run.word})"


def _switch_without_delivery(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R36: a switch is armed only for a reserve that devices were sent."""
    del before, event, run
    for place, secret in _pairs(after):
        schedule = after.places[place].scheduler.schedules.get(schedule_names(SECRETS[secret], secret)[Kind.PROMOTE])
        reserve = after.root_in_slot(place, secret, Label.RESERVE)
        main = after.root_in_slot(place, secret, Label.MAIN)
        if schedule is None or reserve is None or main == reserve:
            continue
        if not all(after.accepts(device, reserve) for device in after.devices):
            yield f"the switch of {secret} in {place} is armed for a reserve that not all devices were sent"


def _refusal(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R33, R34: a refused run writes nothing."""
    del before, event, after
    if run.word == "refused" and run.writes:
        yield f"a refused run writes {run.writes[0]}"


def _foreign(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R33, R34, R37: a run writes only to the pair of its stack, in the place of the pair."""
    if event.stack is None:
        return
    for secret in _written_secrets(run):
        reason = _not_allowed(before, event, secret, after.stacks[event.stack].program)
        if reason:
            yield f"`{event.stack}` wrote to {secret} in {event.place}, {reason}"


def _not_allowed(before: World, event: Event, secret: str, program: Program) -> str:
    assert event.stack is not None
    holder = before.holders.get((event.place, secret))
    is_said = program.take_over is not None and program.take_over == before.pair_id(event.place, secret)
    homes = [place for (place, held), one in before.holders.items() if one == event.stack and held == secret]
    if holder == event.stack:
        return _moved_secret(before, event, secret, program)
    if program.moved_from is not None and (holder in {None, COPY}):
        return ""
    if holder == COPY:
        return "which is a copy of another pair"
    if holder is not None:
        in_state = before.stacks[event.stack].server(SECRETS[secret]).pair is not None
        return "" if is_said and not in_state else f"which is the pair of {holder}"
    if homes:
        return f"and its pair is in {homes[0]}"
    found = before.places[event.place].store.secret(secret)
    owner = None if found is None else found.tags.get(OWNER_TAG)
    return "" if is_said or owner in {None, program.name} else f"which {owner} has begun"


def _moved_secret(before: World, event: Event, secret: str, program: Program) -> str:
    """Return the violation if the secret is not the one in the stack's state, and the definition does not say so."""
    assert event.stack is not None
    pair = before.stacks[event.stack].server(SECRETS[secret]).pair
    found = before.places[event.place].store.secret(secret)
    if pair is None or found is None or found.arn == pair.outputs["secretArn"]:
        return ""
    said = program.moved_from is not None or program.lost_main not in {None, WRONG_FINGERPRINT}
    return "" if said else "which is not the secret of the pair"


def _written_secrets(run: Run) -> set[str]:
    stems = {name_stem(server, secret): secret for secret, server in SECRETS.items()}
    for home in HOMES.values():
        stems |= {role_name(server, secret, home.region): secret for secret, server in SECRETS.items()}
    found = set()
    for _, name, *_ in run.writes:
        if name in SECRETS:
            found.add(name)
        found |= {secret for one, secret in stems.items() if name.startswith(one)}
    return found


def _keys(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R37: private keys of a pair in use are deleted only by a deletion of the stack that the pair belongs to."""
    for place, secret in _pairs(before):
        found = after.places[place].store.secret(secret)
        if found is None or found.deleted_at is None:
            continue
        if not event.deletes or before.holders.get((place, secret)) != event.stack:
            yield f"{secret} in {place} is scheduled for deletion ({run.word})"


def _new_pair(before: World, event: Event, run: Run, after: World) -> Iterator[str]:
    """R33: another pair replaces the pair of a stack only if the definition says that the pair is lost."""
    del run
    if event.stack is None:
        return
    program = after.stacks[event.stack].program
    for (place, secret), holder in before.holders.items():
        is_there = [world.places[place].store.secret(secret) is not None for world in (before, after)]
        if holder == event.stack and is_there == [False, True] and program.lost_main in {None, WRONG_FINGERPRINT}:
            yield f"`{event.stack}` created another pair in place of the lost one"
    for server, kept in before.stacks[event.stack].servers.items():
        now = after.stacks[event.stack].server(server).pair
        if kept.pair is None or now is None or program.lost_main not in {None, WRONG_FINGERPRINT}:
            continue
        if now.outputs["pairId"] != kept.pair.outputs["pairId"]:
            yield f"`{event.stack}` has a different pair than before"


def _note_holders(before: World, event: Event, run: Run, after: World) -> None:
    if event.kind in {"between", "last write of another"}:
        _note_records(after)
    if event.stack is not None:
        _note_created(before, event, after)
    _note_deleted(run, after)


def _note_deleted_reserve(event: Event, run: Run, after: World) -> None:
    dismissed = None if event.stack is None else after.stacks[event.stack].program.dismissed
    if dismissed is not None and run.word != "refused":
        after.deleted |= {dismissed}


def _note_created(before: World, event: Event, after: World) -> None:
    assert event.stack is not None
    for server, kept in after.stacks[event.stack].servers.items():
        had = before.stacks[event.stack].server(server).pair
        if kept.pair is None:
            continue
        key = (event.place, str(kept.pair.outputs["secret"]))
        program = after.stacks[event.stack].program
        if had is None or (kept.pair is not had and program.moved_from is not None):
            after.holders[key] = event.stack


def _note_deleted(run: Run, after: World) -> None:
    for place, secret in product(after.places, SECRETS):
        found = after.places[place].store.secret(secret)
        if found is None:
            continue
        if found.deleted_at is not None:
            after.holders.pop((place, secret), None)
        elif run.word == "died" and (place, secret) not in after.holders and RESOURCE_ID_TAG in found.tags:
            # The run crashed between the last tag and the engine's record of the new resource (0019).
            complete = {Label.MAIN, Label.RESERVE} <= {label for one in found.versions.values() for label in one.labels}
            if complete and found.holder(Label.STAGED) is None:
                after.holders[place, secret] = LOST


def _note_records(after: World) -> None:
    """After two concurrent runs, read from the tags which stack each pair belongs to."""
    for place, secret in product(after.places, SECRETS):
        found = after.places[place].store.secret(secret)
        if found is not None and (record := found.tags.get(RESOURCE_ID_TAG)) is not None:
            ids = {
                str(kept.pair.outputs["resourceId"]): name
                for name, stack in after.stacks.items()
                for kept in stack.servers.values()
                if kept.pair is not None
            }
            after.holders[place, secret] = ids.get(record, LOST)
