"""An AWS principal with a few permissions on the secrets in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.support.memory import MemorySecretStore

__all__ = ["Principal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Calls Secrets Manager with its own permissions; any other call raises PermissionError.

    Args:
        store: the secret store.
        actions: the allowed operations.
    """

    store: MemorySecretStore
    actions: frozenset[str]

    def put(self, name: str, version_id: str, value: str, labels: Sequence[str]) -> None:
        """Store a version with these labels, which are taken from the versions that had them."""
        self._check("PutSecretValue")
        assert labels, "AWS puts AWSCURRENT on a version that is stored without labels"
        self.store.put(name, version_id, value, labels=labels)

    def read(self, name: str, version_id: str) -> str | None:
        """Return the value of a version."""
        self._check("GetSecretValue")
        return self.store.read(name, version_id)

    def move_label(self, name: str, label: str, *, to: str | None, current: str | None) -> None:
        """Move a label."""
        self._check("UpdateSecretVersionStage")
        self.store.move_label(name, label, to=to, current=current)

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._check("TagResource")
        self.store.tag(name, tags)

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove tags."""
        self._check("UntagResource")
        self.store.untag(name, keys)

    def _check(self, action: str) -> None:
        if action not in self.actions:
            raise PermissionError(f"{action} is not allowed to a principal with {', '.join(sorted(self.actions))}")
