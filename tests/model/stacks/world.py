"""A state of the search: AWS, the states of the stacks, the profiles of devices, and the server's certificate."""

from __future__ import annotations

import hashlib
import json
import plistlib
import re
from base64 import b64decode
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.pair.home import Home, PairIdentity
from ios_mdm.core.pair.layout import PAIR_ID_TAG, version_id
from ios_mdm.core.x509.issuing import issue
from tests.model.stacks.places import Place

if TYPE_CHECKING:
    from ios_mdm.core.pair.secret import Label
    from ios_mdm.core.x509.values import Credential
    from tests.model.stacks.places import Role

__all__ = [
    "COPY",
    "HOMES",
    "LOST",
    "WRONG_FINGERPRINT",
    "WRONG_ID",
    "Program",
    "Resource",
    "Server",
    "Stack",
    "World",
    "certificate",
    "leaf_of",
    "profile_roots",
    "root_of",
]

START = datetime(2040, 1, 1, tzinfo=UTC)
DAYS = (0, 31, 62)
"""The times in days. A reserve that is issued at one time is due a day before the next time."""
HOMES = {
    "home": Home(account="123456789012", region="eu-west-1"),
    "other account": Home(account="210987654321", region="eu-west-1"),
    "other region": Home(account="123456789012", region="eu-central-1"),
}
DEVICES = ("device-1", "device-2")
MAX_CERTIFICATES = 9
"""More certificates than a pair gets in any story."""
LOST, COPY = "(lost)", "(a copy)"
"""Holders of a pair without a stack: its state was lost, or its secret is a copy of another one."""
WRONG_ID, WRONG_FINGERPRINT = "0" * 32, "0" * 64
"""An id of no pair, and a fingerprint of no certificate."""

_FINGERPRINT = re.compile(r"\b[0-9a-f]{64}\b")
_ID = re.compile(r"\b[0-9a-f]{32}\b|(?<=\.)[0-9a-f]{12}\b")
_UNCOMPARED = {"profile", "profileSha256", "serialNumber", "repairs", "revision"}
"""Outputs that follow from others, are random, or are counters. Of counters, only a change is compared."""


@dataclass(slots=True, kw_only=True)
class SharedClock:
    """The clock of all states: it is set to the time of a state before an event happens in the state."""

    moment: datetime = START

    def now(self) -> datetime:
        """Return the time."""
        return self.moment


CLOCK = SharedClock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The definition of a stack.

    Args:
        server: name of the server; None if the definition has none.
        prefix: prefix of secret names.
        name: organization/project/stack.
        take_over: id of the pair to take over.
        moved_from: ARN of the secret that the pair was moved from.
        lost_main: fingerprint of the main of a lost pair.
        replaced: fingerprint of the root of the main to replace now.
        dismissed: fingerprint of the root of the reserve to delete without a new reserve; None if a reserve is wanted.
        distrust: fingerprints of the roots of distrusted certificates.
        protect: whether the engine refuses to delete the resources.
    """

    server: str | None = "berlin"
    prefix: str = "ios-mdm"
    name: str = "organization/ios-mdm/dev"
    take_over: str | None = None
    moved_from: str | None = None
    lost_main: str | None = None
    replaced: str | None = None
    dismissed: str | None = None
    distrust: tuple[str, ...] = ()
    protect: bool = True

    @property
    def secret(self) -> str:
        """Name of the pair's secret."""
        return f"{self.prefix}/{self.server}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource in the state of a stack; *inputs* and *outputs* never change."""

    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    text: str = field(init=False)

    def __post_init__(self) -> None:
        """Serialize the resource for comparison."""
        changed = [key for key in ("repairs", "revision") if self.inputs.get(key) != self.outputs.get(key)]
        text = json.dumps([self.id, _comparable(self.inputs), _comparable(self.outputs), changed], sort_keys=True)
        object.__setattr__(self, "text", text)

    @property
    def main(self) -> str:
        """Fingerprint of main in the state; a refresh of a secret that is scheduled for deletion keeps it."""
        certificates = self.outputs["certificates"]
        main = certificates.get(self.outputs["desired"]["main"])
        return str(self.outputs["mainSha256"] if main is None else main["sha256"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server in the state of a stack."""

    pair: Resource | None = None
    profile: Resource | None = None
    protect: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack: its definition, its state, and the account and region of its credentials."""

    program: Program = field(default_factory=Program)
    servers: dict[str, Server] = field(default_factory=dict)
    place: str = "home"

    def server(self, name: str) -> Server:
        """Return the state of a server."""
        return self.servers.get(name, Server())

    def with_server(self, name: str, **changes: Any) -> Stack:
        """Return the stack with a changed server; a server without resources is removed."""
        changed = replace(self.server(name), **changes)
        left = {key: one for key, one in self.servers.items() if key != name}
        if changed.pair is not None or changed.profile is not None:
            left[name] = changed
        return replace(self, servers=left)


@dataclass(slots=True, kw_only=True)
class World:
    """A state of the whole model.

    Args:
        moment: number of the time.
        places: accounts and regions by name.
        stacks: stacks by name.
        devices: for each device, its profiles: PayloadIdentifier to the fingerprints of the roots in the profile.
        served: fingerprint of the root of the certificate that the server presents; None for none.
        reads: place and secret that the server reads its certificate from.
        holders: the stack that each pair really belongs to, by place and secret, independently of the tags.
        used: how often each limited event has happened.
        remembers: whether reads may be stale, so that the former descriptions are part of the state.
        excused: whether an administrator said that the pair is lost, so that no device trusts its successor.
        placed: fingerprints of the certificates that were main or reserve.
        deleted: fingerprints of the reserves that a definition has deleted by request.
        ids: number of ids that were drawn.
        issued: number of certificates that were issued.
    """

    moment: int = 0
    places: dict[str, Place] = field(default_factory=dict)
    stacks: dict[str, Stack] = field(default_factory=dict)
    devices: dict[str, dict[str, frozenset[str]]] = field(default_factory=lambda: {one: {} for one in DEVICES})
    served: str | None = None
    reads: tuple[str, str] = ("home", "ios-mdm/berlin")
    holders: dict[tuple[str, str], str] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    remembers: bool = False
    excused: bool = False
    placed: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    ids: int = 0
    issued: int = 0
    _content: bytes | None = None

    @classmethod
    def new(cls, stacks: dict[str, Stack]) -> World:
        """Return a world without any events."""
        places = {name: Place.empty(home, CLOCK) for name, home in HOMES.items()}
        # The copy shares the roles of places in one account.
        return cls(stacks=stacks, places=places).copy()

    @property
    def now(self) -> datetime:
        """The time."""
        return START + timedelta(days=DAYS[self.moment], hours=1 if self.moment else 0)

    def copy(self) -> World:
        """Return a copy."""
        accounts: dict[str, dict[str, Role]] = {}
        return replace(
            self,
            places={name: place.copy(accounts) for name, place in self.places.items()},
            stacks=dict(self.stacks),
            devices={name: dict(profiles) for name, profiles in self.devices.items()},
            holders=dict(self.holders),
            used=dict(self.used),
            _content=None,
        )

    def root_in_slot(self, place: str, secret: str, label: Label) -> str | None:
        """Return the fingerprint of the root of the certificate with this label; None if there is none."""
        store = self.places[place].store
        version = store.holder(secret, label)
        found = store.secret(secret)
        return None if version is None or found is None else root_of(found.versions[version].value)

    def certificates(self, place: str, secret: str) -> list[tuple[int, str]]:
        """Return number and fingerprint of each certificate that a secret has or had."""
        found = self.places[place].store.secret(secret)
        versions = {} if found is None else found.versions
        ordinals = {version_id(secret, ordinal): ordinal for ordinal in range(1, MAX_CERTIFICATES + 1)}
        return sorted((ordinals[key], root_of(one.value)) for key, one in versions.items() if key in ordinals)

    def pair_id(self, place: str, secret: str) -> str | None:
        """Return the id of the pair in a secret; None if there is none."""
        found = self.places[place].store.secret(secret)
        identity = None if found is None else PairIdentity.from_text(found.tags.get(PAIR_ID_TAG))
        return None if identity is None else identity.pair_id

    def accepts(self, device: str, root: str) -> bool:
        """Return whether a device accepts a server with the certificate of this root."""
        return any(root in roots for roots in self.devices[device].values())

    @property
    def content(self) -> bytes:
        """Digest of a state without the counts of limited events; the world must not be changed afterwards.

        Ids and fingerprints are replaced by names in the order in which they appear.
        """
        if self._content is None:
            self._content = self._digest()
        return self._content

    def _digest(self) -> bytes:
        parts = [
            self.moment,
            [(name, _place_state(place)) for name, place in self.places.items()],
            [_remembered_state(place) for place in self.places.values()] if self.remembers else [],
            self.served,
            self.reads,
            self.excused,
            sorted(self.placed),
            sorted(self.deleted),
            sorted((place, secret, holder) for (place, secret), holder in self.holders.items()),
            [(name, sorted((key, sorted(roots)) for key, roots in one.items())) for name, one in self.devices.items()],
            [
                (
                    name,
                    repr(stack.program),
                    stack.place,
                    [
                        (key, one.protect, *(resource and resource.text for resource in (one.pair, one.profile)))
                        for key, one in sorted(stack.servers.items())
                    ],
                )
                for name, stack in sorted(self.stacks.items())
            ],
        ]
        names: dict[str, str] = {}
        text = _FINGERPRINT.sub(lambda found: names.setdefault(found[0], f"certificate {len(names)}"), repr(parts))
        text = _ID.sub(lambda found: names.setdefault(found[0][:12], f"id {len(names)}"), text)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _place_state(place: Place) -> object:
    return (
        [
            (
                name,
                secret.arn,
                secret.deleted_at is not None,
                sorted((value if "profile:" in key else key, value) for key, value in secret.tags.items()),
                [(key, root_of(one.value), sorted(one.labels)) for key, one in sorted(secret.versions.items())],
            )
            for name, secret in sorted(place.store._secrets.items())
        ],
        sorted((one.name, one.at, one.input) for one in place.scheduler.schedules.values()),
        sorted(place.prerequisites.roles),
        sorted(place.prerequisites.queues),
    )


def _remembered_state(place: Place) -> object:
    return [
        (name, one.arn, sorted(one.tags.items()), sorted((key, sorted(labels)) for key, labels in one.labels.items()))
        for name, one in sorted(place.store.former.items())
    ]


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(one) for key, one in value.items() if key not in _UNCOMPARED}
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    if isinstance(value, str) and value.startswith("-----BEGIN"):
        return hashlib.sha256(value.encode()).hexdigest()
    return value


@cache
def certificate(host: str, days: int, now: datetime, number: int) -> Credential:
    """Return the certificate of this number; all states of a search share it."""
    del number
    return issue(host, key=KeyType.EC_P256, validity_days=days, now=now)


_LEAVES: dict[str, str] = {}


@cache
def root_of(value: str) -> str:
    """Return the fingerprint of the root in a secret's value."""
    found = json.loads(value)
    root = hashlib.sha256(_der(found["ca.crt"])).hexdigest()
    _LEAVES[root] = hashlib.sha256(_der(found["tls.crt"])).hexdigest()
    return root


def leaf_of(root: str) -> str:
    """Return the fingerprint of the certificate under a root that :func:`root_of` returned: each root has one (R31)."""
    return _LEAVES[root]


@lru_cache(maxsize=4096)
def profile_roots(profile: bytes) -> tuple[str, frozenset[str]]:
    """Return the PayloadIdentifier of a profile, and the fingerprints of the roots in it."""
    content = plistlib.loads(profile)
    roots = frozenset(hashlib.sha256(one["PayloadContent"]).hexdigest() for one in content["PayloadContent"])
    return content["PayloadIdentifier"], roots


def _der(pem: str) -> bytes:
    return b64decode("".join(pem.split("-----")[2].split()))
