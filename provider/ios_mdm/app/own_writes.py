"""Descriptions of secrets that show the writes of this process.

A server of AWS can get a write late. So a read can show an older state than an earlier read, and a decision from such a
read is wrong: a step is repeated, or a switch is not armed. A process therefore remembers its recent writes and repeats
a read that does not show them. The memory only makes a read wait: no decision is made from it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ios_mdm.app.confirm import read_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from ios_mdm.core.pair.home import Home
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.ports import SecretStore

__all__ = ["REMEMBERED_SECONDS", "ConsistentStore", "OwnWrites"]

REMEMBERED_SECONDS = 60.0
"""Seconds for which a write is remembered, longer than reads can be stale."""

_Key: TypeAlias = "tuple[str, str]"
"""A tag or a label: ``("tag", key)`` or ``("label", label)``."""


@dataclass(slots=True)
class _Write:
    """The last write to a tag or a label.

    Args:
        at: seconds since a fixed time.
        value: value of the tag, or id of the version with the label; None if it was removed.
        former: values that this process has seen or written before.
    """

    at: float
    value: str | None
    former: set[str | None]


class OwnWrites:
    """The tags and labels that this process has changed recently.

    Args:
        seconds: returns the seconds since any fixed time.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._writes: dict[str, dict[_Key, _Write]] = {}
        self._seen: dict[str, Mapping[_Key, str]] = {}
        self._lock = threading.Lock()

    def add_tags(self, secret: str, tags: Mapping[str, str | None]) -> None:
        """Remember the values of tags; None for a removed tag."""
        self._add(secret, {("tag", key): value for key, value in tags.items()})

    def add_label(self, secret: str, label: str, version: str | None) -> None:
        """Remember the version that a label was moved to; None for a removed label."""
        self._add(secret, {("label", label): version})

    def are_shown(self, secret: str, found: SecretDescription | None) -> bool:
        """Return whether a description shows the recent writes, or later writes of another process.

        A description is stale if it shows a value that this process has seen or written before its last write.
        """
        oldest = self._seconds() - REMEMBERED_SECONDS
        with self._lock:
            recent = {key: one for key, one in self._writes.get(secret, {}).items() if one.at >= oldest}
        values = _values(found)
        if found is None:
            return not recent
        return not any((value := values.get(key)) != one.value and value in one.former for key, one in recent.items())

    def add_read(self, secret: str, found: SecretDescription | None) -> None:
        """Remember a description, and forget the writes that it does not show: another process has replaced them."""
        values = _values(found)
        with self._lock:
            self._seen[secret] = values
            writes = self._writes.get(secret, {})
            shown = {key: one for key, one in writes.items() if values.get(key) == one.value}
            self._writes[secret] = {} if found is None else shown

    def _add(self, secret: str, values: Mapping[_Key, str | None]) -> None:
        with self._lock:
            writes, seen = self._writes.setdefault(secret, {}), self._seen.get(secret, {})
            for key, value in values.items():
                former = writes[key].former | {writes[key].value} if key in writes else set[str | None]()
                writes[key] = _Write(at=self._seconds(), value=value, former=(former | {seen.get(key)}) - {value})


def _values(found: SecretDescription | None) -> dict[_Key, str]:
    """Return the values of the tags, and the version id of each label."""
    if found is None:
        return {}
    labels = {("label", label): version for version, on_version in found.labels.items() for label in on_version}
    return labels | {("tag", key): value for key, value in found.tags.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentStore:
    """A ``SecretStore`` whose descriptions show the writes of this process.

    Args:
        store: stores the pairs.
        writes: the recent writes of this process.
    """

    store: SecretStore
    writes: OwnWrites = field(repr=False)

    def describe(self, name: str) -> SecretDescription | None:
        """Return the description. If it does not show the writes of this process, it is read again for some seconds."""
        found = read_until(lambda: self.store.describe(name), lambda found: self.writes.are_shown(name, found))
        self.writes.add_read(name, found)
        return found

    def create(self, name: str, *, tags: Mapping[str, str], description: str, kms_key: str | None) -> None:
        """Create the secret without a value. An existing secret is not changed."""
        self.store.create(name, tags=tags, description=description, kms_key=kms_key)

    def encrypt(self, name: str, *, kms_key: str | None) -> None:
        """Set the KMS key of the secret."""
        self.store.encrypt(name, kms_key=kms_key)

    def restore(self, name: str) -> None:
        """Cancel the scheduled deletion of the secret."""
        self.store.restore(name)

    def read(self, name: str, version_id: str) -> str | None:
        """Return the value of one version, or None if the version does not exist."""
        return self.store.read(name, version_id)

    def put(self, name: str, version_id: str, value: str) -> None:
        """Add a version with the label STAGED. An existing version with this id is not changed."""
        self.store.put(name, version_id, value)

    def move_label(self, name: str, label: str, *, to: str | None, current: str | None) -> None:
        """Move a label as a compare-and-swap, and remember its version."""
        self.store.move_label(name, label, to=to, current=current)
        self.writes.add_label(name, label, to)

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Set these tags, and remember them."""
        self.store.tag(name, tags)
        self.writes.add_tags(name, tags)

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove the tags with these keys, and remember that they are removed."""
        removed = tuple(keys)
        self.store.untag(name, removed)
        self.writes.add_tags(name, dict.fromkeys(removed))

    def delete(self, name: str, *, recovery_window_days: int) -> None:
        """Schedule the deletion of the secret."""
        self.store.delete(name, recovery_window_days=recovery_window_days)

    def version_ids(self, name: str) -> Sequence[str]:
        """Return the ids of all versions."""
        return self.store.version_ids(name)

    def home(self) -> Home:
        """Return the account and the region that receive the calls."""
        return self.store.home()

    def time(self) -> datetime:
        """Return the time of AWS, aware UTC."""
        return self.store.time()
