"""An AWS account and region in memory, of which the search can copy a state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.memory import MemorySecretStore, _Secret, _Version
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    from ios_mdm.core.pair.home import Home
    from ios_mdm.core.pair.secret import Label, SecretDescription
    from ios_mdm.ports import Clock

__all__ = ["ModelStore", "Place", "Role"]

Role = tuple[str, str, str | None]
"""Trust, policy and boundary."""


@dataclass(slots=True, kw_only=True)
class ModelStore(MemorySecretStore):
    """Secrets Manager with stale reads; a secret gets a new ARN each time it is created.

    Args:
        created: number of secrets that were created so far.
        former: description of each secret before the last write; missing if the secret did not exist.
        stale: number of the read, counted from the next one, that returns the former description; 0 for none.
    """

    created: int = 0
    former: dict[str, SecretDescription] = field(default_factory=dict)
    stale: int = 0

    def describe(self, name: str) -> SecretDescription | None:
        """Return the description; the former one if this read is stale."""
        is_stale, self.stale = self.stale == 1, max(0, self.stale - 1)
        # `super()` does not work: a dataclass with slots replaces the class in which its methods were defined.
        return self.former.get(name) if is_stale else MemorySecretStore.describe(self, name)

    def create(self, name: str, *, tags: Mapping[str, str], description: str, kms_key: str | None) -> None:
        """Create the secret with a new ARN."""
        is_new = name not in self._secrets
        try:
            MemorySecretStore.create(self, name, tags=tags, description=description, kms_key=kms_key)
        finally:  # a run that crashes right after the write has created the secret, too
            if is_new and name in self._secrets:
                self.created += 1
                secret = self._secrets[name]
                secret.arn = f"{secret.arn.rpartition('-')[0]}-{self.created:06}"

    def place_copy(self, name: str, secret: _Secret) -> None:
        """Store a copy of another secret, with its tags and versions, under *name*, like a restore from a backup."""
        self.created += 1
        where = f"{self.place.region}:{self.place.account}"
        arn = f"arn:aws:secretsmanager:{where}:secret:{name}-{self.created:06}"
        self._secrets[name] = _copy_of_secret(secret, arn=arn)

    def lose(self, name: str) -> None:
        """Delete the secret without a recovery window, as an administrator can."""
        del self._secrets[name]

    def secret(self, name: str) -> _Secret | None:
        """Return the secret, or None."""
        return self._secrets.get(name)

    def holder(self, name: str, label: Label) -> str | None:
        """Return the id of the version with this label; None if there is none, or the secret is being deleted."""
        secret = self._secrets.get(name)
        return None if secret is None or secret.deleted_at is not None else secret.holder(label)

    def remember(self) -> None:
        """Save the descriptions before a write."""
        found = {name: MemorySecretStore.describe(self, name) for name in self._secrets}
        self.former = {name: one for name, one in found.items() if one is not None}

    def copy(self) -> ModelStore:
        """Return a copy without the record of calls."""
        return ModelStore(
            clock=self.clock,
            place=self.place,
            created=self.created,
            former=dict(self.former),
            _secrets={name: _copy_of_secret(secret, arn=secret.arn) for name, secret in self._secrets.items()},
        )


def _copy_of_secret(secret: _Secret, *, arn: str) -> _Secret:
    return _Secret(
        arn=arn,
        tags=dict(secret.tags),
        kms_key=secret.kms_key,
        versions={
            key: _Version(value=one.value, labels=set(one.labels), kms_key=one.kms_key)
            for key, one in secret.versions.items()
        },
        deleted_at=secret.deleted_at,
    )


@dataclass(slots=True, kw_only=True)
class Place:
    """An account and a region.

    Args:
        store: the secrets.
        scheduler: the schedules.
        prerequisites: the roles and queues.
    """

    store: ModelStore
    scheduler: MemoryScheduler
    prerequisites: MemoryPrerequisites

    @classmethod
    def empty(cls, home: Home, clock: Clock) -> Place:
        """Return an empty account and region."""
        return cls(
            store=ModelStore(clock=clock, place=home),
            scheduler=MemoryScheduler(),
            prerequisites=MemoryPrerequisites(place=home),
        )

    def copy(self, accounts: dict[str, dict[str, Role]]) -> Place:
        """Return a copy without the record of calls.

        Args:
            accounts: the roles of each account that was copied before. IAM has no regions, so the copies of two places
                in one account share their roles.
        """
        where = self.prerequisites.place
        roles = accounts.setdefault(where.account, dict(self.prerequisites.roles))
        prerequisites = MemoryPrerequisites(place=where, roles=roles, queues=set(self.prerequisites.queues))
        scheduler = MemoryScheduler(schedules=dict(self.scheduler.schedules))
        return Place(store=self.store.copy(), scheduler=scheduler, prerequisites=prerequisites)

    def watch(self, fail: Callable[[str, Literal["before", "after"]], None] | None) -> None:
        """Call *fail* before and after each write; None calls nothing."""
        for one in (self.scheduler, self.prerequisites):
            one.fail = fail
        if fail is None:
            self.store.fail = None
            return

        def watched(operation: str, when: Literal["before", "after"]) -> None:
            if when == "before":
                self.store.remember()
            fail(operation, when)

        self.store.fail = watched

    @property
    def writes(self) -> tuple[tuple[str, ...], ...]:
        """The writes since the copy was made."""
        return (*self.store.calls, *self.scheduler.calls, *self.prerequisites.calls)
