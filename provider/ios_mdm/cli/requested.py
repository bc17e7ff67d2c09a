"""``verify`` and ``resend``: send commands to devices through the MDM server of the definition."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ios_mdm import wiring
from ios_mdm.app.delivery.requested import RequestedServer
from ios_mdm.cli.definition_file import read_definition, selected_stack_file
from ios_mdm.cli.exits import CANNOT_RUN, exit_on_error
from ios_mdm.cli.output import echo
from ios_mdm.core.ledger.overdue import RESENT_STATES, CommandKind
from ios_mdm.core.ledger.values import DeviceState
from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ios_mdm.app.delivery.requested import RequestedCommands, Selection

__all__ = ["resend", "verify"]

_NEXT = "devices answer when they connect: see `ios-mdm status`"


@dataclass(frozen=True, slots=True)
class _Work:
    """A server, and the service that sends its commands."""

    server: RequestedServer
    commands: RequestedCommands


def verify(*, definition: Path | None, server: str | None, is_for_all: bool, as_json: bool) -> None:
    """Ask devices for their certificates."""
    with exit_on_error(CANNOT_RUN):
        _send(
            _works(definition, server),
            lambda work: work.commands.devices_to_verify(work.server, is_for_all=is_for_all),
            as_json=as_json,
        )


def resend(
    *, definition: Path | None, server: str | None, states: Sequence[str], ids: Sequence[str], as_json: bool
) -> None:
    """Send the published profile to devices again."""
    with exit_on_error(CANNOT_RUN):
        works = _works(definition, server)
        if ids:
            _check_ids(ids, [one for work in works for one in work.server.enrollment_ids])
        default = frozenset(DeviceState) if ids else RESENT_STATES
        chosen = frozenset(map(DeviceState, states)) or default
        _send(
            works,
            lambda work: work.commands.devices_to_resend(work.server, chosen, ids={*ids} if ids else None),
            as_json=as_json,
        )


def _works(file: Path | None, name: str | None) -> Sequence[_Work]:
    """Return the servers of a definition that have a ledger.

    Raises:
        DefinitionError: There is no such server, or its devices cannot be read.
        DeliveryError: The ledger cannot be read.
    """
    definition = read_definition(selected_stack_file(os.environ) if file is None else file)
    aws, here = definition.settings.aws, replace(wiring.process_wiring(), base=definition.base)
    works = []
    for server in definition.servers(name):
        settings = server.distribution
        if settings is None or settings.ledger is None:
            continue
        requested = RequestedServer(
            name=server.name,
            secret=aws.secret_name(server.name),
            settings=settings,
            enrollment_ids=here.devices(settings, aws.region),
            stack=definition.stack,
        )
        report = partial(_report, server.name)
        works.append(_Work(requested, here.requested_commands(settings, aws.region, report=report)))
    if not works:
        which = "no server" if name is None else f"not the server {name}"
        raise DefinitionError(
            f"{definition.path.name}: {which} has distribution.ledger, which records the published profile: add "
            "`ledger: sqlite:///path`, and run `pulumi up`. With the channel directory, another tool sends the "
            "profile, and this program sends no commands"
        )
    return works


def _check_ids(ids: Sequence[str], known: Sequence[str]) -> None:
    """Refuse ids that the definition does not have.

    Raises:
        DefinitionError: An id is unknown, or is written twice.
    """
    if len(set(ids)) < len(ids):
        twice = next(one for one, count in Counter(ids).items() if count > 1)
        raise DefinitionError(f"{twice!r} is given twice: name each device once")
    others = {one.casefold(): one for one in known}
    all_known = {*known}
    unknown = [one for one in ids if one not in all_known]
    if unknown:
        similar = others.get(unknown[0].casefold())
        advice = "check `distribution.devices`" if similar is None else f"the definition has {similar}"
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise DefinitionError(f"{unknown[0]!r}{more} is not a device of the definition: {advice}")


def _send(works: Sequence[_Work], select: Callable[[_Work], Selection], *, as_json: bool) -> None:
    """Select the devices of all servers, then send the commands, and print the result."""
    selections = [(work, select(work)) for work in works]
    answers: list[dict[str, object]] = []
    for work, selection in selections:
        notices = work.commands.send(selection)
        for notice in notices:
            _report(work.server.name, notice)
        if not as_json:
            echo(_line(selection))
        answers.append(
            {
                "name": work.server.name,
                "command": str(selection.kind),
                "profile": selection.publication.digest,
                "devices": len(work.server.enrollment_ids),
                "queued": len(selection.targets),
                "states": {str(state): count for state, count in selection.states.items()},
                "notices": list(notices),
            }
        )
    if as_json:
        echo(json.dumps({"servers": answers}, indent=2))


def _line(selection: Selection) -> str:
    server, count = selection.server, len(selection.targets)
    if not count:
        return f"{server.name}: nothing is sent, because none of {len(server.enrollment_ids)} devices is selected"
    states = ", ".join(f"{number} {state}" for state, number in selection.states.items())
    did = "asked for the certificates of" if selection.kind is CommandKind.LIST else "profile queued again for"
    return f"{server.name}: {did} {count} of {len(server.enrollment_ids)} devices ({states}); {_NEXT}"


def _report(server: str, line: str) -> None:
    echo(f"{server}: {line}", err=True)
