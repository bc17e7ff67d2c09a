"""Publications in the table of a ledger. They change one after the other, by a condition on the version of a head."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ios_mdm.adapters.ledgers.dynamodb.changes import put
from ios_mdm.adapters.ledgers.dynamodb.table import Action, Attempts, Key, Outcome
from ios_mdm.core.ledger.registers import microseconds, time_of
from ios_mdm.core.ledger.values import Publication
from ios_mdm.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ios_mdm.adapters.ledgers.dynamodb.client import Item
    from ios_mdm.adapters.ledgers.dynamodb.table import Table

__all__ = ["Publications", "publish", "read_publication", "read_publications", "registered_publications"]

_PARTITION: Final = "P"
_HEAD: Final = Key(_PARTITION, "#")
"""It sorts before the names of servers. So one query reads it first, and a later change of any item is a collision."""

MAX_PROFILE: Final = 350_000
"""Bytes of a profile. An item has at most 400 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A publication without its profile.

    Args:
        publication: the publication, with an empty profile.
        numbers: number of each certificate, by its SHA-256 in hex.
    """

    publication: Publication
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publications:
    """All publications as they were read.

    Args:
        version: random version of the head; empty if there is no publication.
        next: number of the next certificate that is published.
        servers: publication of each server, by server.
    """

    version: str
    next: int
    servers: Mapping[str, Registered]

    @property
    def numbers(self) -> dict[str, int]:
        """Number of each published certificate, by its SHA-256 in hex."""
        return {one: number for found in self.servers.values() for one, number in found.numbers.items()}

    def numbers_of(self, server: str) -> Mapping[str, int]:
        """Return the number of each certificate that *server* publishes, by its SHA-256 in hex."""
        return self.servers[server].numbers if server in self.servers else {}


def registered_publications(table: Table) -> Publications:
    """Return all publications without their profiles."""
    version, number, servers = "", 1, dict[str, Registered]()
    for item in table.query(_PARTITION):
        server = item["sk"]["S"]
        if server == _HEAD.sk:
            version, number = item["v"]["S"], int(item["n"]["N"])
        else:
            servers[server.removeprefix("=")] = _registered_server(server.removeprefix("="), item)
    return Publications(version=version, next=number, servers=servers)


def read_publication(table: Table, server: str) -> Publication | None:
    """Return the profile of *server* that was published last; None if there is none."""
    attempts = Attempts(table.url)
    key = _key(server)
    while (item := table.items([key]).get(key)) is not None:
        found = _registered_server(server, item).publication
        if (complete := _with_profiles(table, [found])) is not None:
            return complete[0]
        attempts.wait()
    return None


def read_publications(table: Table) -> Sequence[Publication]:
    """Return the profile of each server that was published last, sorted by server."""
    attempts = Attempts(table.url)
    while True:
        servers = registered_publications(table).servers
        found = _with_profiles(table, [servers[one].publication for one in sorted(servers)])
        if found is not None:
            return found
        attempts.wait()


def publish(table: Table, wanted: Publication) -> Publication:
    """Record a publication, and return the record.

    Args:
        table: the table.
        wanted: the publication. If its profile or its channel is another one than before, it gets the next revision;
            else it keeps revision, seed and time.

    Raises:
        DeliveryError: The profile is too large, or the table cannot be used.
    """
    if len(wanted.profile) > MAX_PROFILE:
        raise DeliveryError(
            f"the profile of server {wanted.server!r} has {len(wanted.profile)} bytes, and a ledger in DynamoDB takes "
            f"at most {MAX_PROFILE}. Remove certificates from the chain, or use a ledger in SQLite"
        )
    attempts = Attempts(table.url)
    while True:
        before = read_publication(table, wanted.server)
        if before is not None and before.is_same(wanted.profile, wanted.channel):
            made = replace(before, is_for_all=wanted.is_for_all)
            if made == before:
                return before
        else:
            made = replace(wanted, revision=1 + (0 if before is None else before.revision))
        found = registered_publications(table)
        outcome = None
        if _revision(found, wanted.server) == (0 if before is None else before.revision):
            outcome = table.write(_actions(found, before, made))
        if outcome is Outcome.DONE:
            return made
        attempts.wait(is_busy=outcome is Outcome.BUSY)


def _revision(found: Publications, server: str) -> int:
    return found.servers[server].publication.revision if server in found.servers else 0


def _actions(found: Publications, before: Publication | None, made: Publication) -> list[Action]:
    """Return the transaction that replaces *before*."""
    known, number, numbers = found.numbers, found.next, dict[str, int]()
    for one in sorted(one.hex() for one in made.certificates):
        # A certificate that was not published in between has another number, so that earlier reports do not count.
        numbers[one] = known.get(one, number)
        number += one not in known
    head = {"v": {"S": secrets.token_hex(8)}, "n": {"N": str(number)}}
    content = {
        "revision": made.revision,
        "seed": made.seed.hex,
        "at": microseconds(made.at),
        "channel": made.channel,
        "isForAll": made.is_for_all,
        "certificates": numbers,
    }
    actions = [
        put(_HEAD, head, is_new=not found.version, version=found.version),
        put(_key(made.server), {"d": {"S": json.dumps(content)}}),
    ]
    if before is None or before.revision != made.revision:
        actions.append(put(_profile_key(made), {"profile": {"B": made.profile}}))
        if before is not None:
            key = _profile_key(before)
            actions.append(Action(key, "Delete", {"Key": key.attributes}))
    return actions


def _key(server: str) -> Key:
    return Key(_PARTITION, f"={server}")


def _profile_key(one: Publication) -> Key:
    return Key(f"B#{one.server}", f"{one.revision:010d}")


def _registered_server(server: str, item: Item) -> Registered:
    content = json.loads(item["d"]["S"])
    numbers: dict[str, int] = content["certificates"]
    publication = Publication(
        server=server,
        revision=content["revision"],
        profile=b"",
        certificates=frozenset(bytes.fromhex(one) for one in numbers),
        seed=UUID(hex=content["seed"]),
        at=time_of(content["at"]),
        channel=content["channel"],
        is_for_all=content["isForAll"],
    )
    return Registered(publication=publication, numbers=numbers)


def _with_profiles(table: Table, found: Sequence[Publication]) -> Sequence[Publication] | None:
    """Return publications with their profiles; None if one was replaced in between."""
    items = table.items(map(_profile_key, found))
    if len(items) < len(found):
        return None
    return tuple(replace(one, profile=items[_profile_key(one)]["profile"]["B"]) for one in found)
