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

_Writes: TypeAlias = "dict[str, tuple[float, str | None]]"
"""Time and value of the last write, by the key of a tag or by a label."""


class OwnWrites:
    """The tags and labels that this process has changed recently.

    Args:
        seconds: returns the seconds since any fixed time.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._tags: dict[str, _Writes] = {}
        self._labels: dict[str, _Writes] = {}
        self._lock = threading.Lock()

    def add_tags(self, secret: str, tags: Mapping[str, str | None]) -> None:
        """Remember the values of tags; None for a removed tag."""
        with self._lock:
            self._tags.setdefault(secret, {}).update({key: (self._seconds(), value) for key, value in tags.items()})

    def add_label(self, secret: str, label: str, version: str | None) -> None:
        """Remember the version that a label was moved to; None for a removed label."""
        with self._lock:
            self._labels.setdefault(secret, {})[label] = (self._seconds(), version)

    def are_shown(self, secret: str, found: SecretDescription | None) -> bool:
        """Return whether a description shows the recent writes."""
        with self._lock:
            tags, labels = self._recent(self._tags, secret), self._recent(self._labels, secret)
        if found is None:
            return not tags and not labels
        holders = {label: version for version, on_version in found.labels.items() for label in on_version}
        return all(found.tags.get(key) == value for key, value in tags.items()) and all(
            holders.get(label) == version for label, version in labels.items()
        )

    def forget(self, secret: str) -> None:
        """Forget the writes to a secret, because another process has changed it."""
        with self._lock:
            self._tags.pop(secret, None)
            self._labels.pop(secret, None)

    def _recent(
        self, writes: Mapping[str, Mapping[str, tuple[float, str | None]]], secret: str
    ) -> dict[str, str | None]:
        oldest = self._seconds() - REMEMBERED_SECONDS
        return {key: value for key, (at, value) in writes.get(secret, {}).items() if at >= oldest}


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
        """Return the description. If it does not show the writes of this process, it is read again for some seconds.

        Afterwards these writes are forgotten, because another process has then changed the secret.
        """
        found = read_until(lambda: self.store.describe(name), lambda found: self.writes.are_shown(name, found))
        if not self.writes.are_shown(name, found):
            self.writes.forget(name)
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
