"""Passes all servers of a run to the first check, so that the provider can read for all of them together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload
from uuid import uuid4
from weakref import WeakKeyDictionary

from pulumi.runtime import get_root_resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from ios_mdm.settings import AwsSettings, ServerSettings

__all__ = ["read_together"]

_ANNOUNCERS = 16
"""Number of pairs that announce all servers. The engine checks pairs in the order in which their registrations arrive,
which is roughly the order of their declaration."""


class _Readings(Sequence[str]):
    """The values to read for each server of a run, as a list with one JSON text.

    Pulumi serializes inputs after the program has declared its resources, so the text includes servers that are
    declared after the pair. An output also includes them, but delays the registration.
    """

    def __init__(self) -> None:
        self.servers: list[Mapping[str, object]] = []
        self._text = ""
        self._count = 0

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if self._count != len(self.servers):
            self._count, self._text = len(self.servers), json.dumps(self.servers, separators=(",", ":"))
        return [self._text][index]


@dataclass(slots=True)
class _Run:
    """One run of a program: its random name, and its servers."""

    name: str = field(default_factory=lambda: uuid4().hex)
    readings: _Readings = field(default_factory=_Readings)


_runs: WeakKeyDictionary[pulumi.Resource, _Run] = WeakKeyDictionary()
"""Runs by the root resource of the stack, because programs of several stacks can run in one process."""


def read_together(server: ServerSettings, aws: AwsSettings) -> Mapping[str, str | Sequence[str]]:
    """Return the inputs of a pair with which `check` reads the servers of a run together.

    Args:
        server: settings of the server.
        aws: settings of its secret.
    """
    root = get_root_resource()
    run = _Run() if root is None else _runs.setdefault(root, _Run())
    run.readings.servers.append(_reading(server, aws))
    if len(run.readings.servers) > _ANNOUNCERS:
        return {"run": run.name}
    return {"run": run.name, "readings": run.readings}


def _reading(server: ServerSettings, aws: AwsSettings) -> Mapping[str, object]:
    """Return the fields of an ``ios_mdm.app.read_ahead.Reading`` whose values differ from the defaults."""
    endpoints = list(server.checked_endpoints)
    settings: dict[str, tuple[object, object]] = {
        "region": (aws.region, None),
        "host": (server.host if endpoints else "", ""),
        "endpoints": (endpoints, []),
        "alarms": (server.promotion.alarm_arn is not None, False),
        "role": (server.promotion.role_arn is None, True),
        "queue": (server.promotion.dead_letter_arn is None, True),
    }
    named = {"server": server.name, "secret": aws.secret_name(server.name)}
    return {**named, **{name: value for name, (value, default) in settings.items() if value != default}}
