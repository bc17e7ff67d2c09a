"""Secrets Manager in memory, with AWS's semantics, for fast tests of the lifecycle."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ios_mdm.adapters.aws import scheduled_for_deletion_error
from ios_mdm.adapters.clock import SystemClock
from ios_mdm.adapters.secrets_manager import check_tags, label_moved_error
from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.secret import Label, SecretDescription
from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ios_mdm.ports import Clock

__all__ = ["MemorySecretStore"]

_MAX_LABELS = 20


@dataclass(slots=True)
class _Version:
    value: str = field(repr=False)
    labels: set[str] = field(default_factory=set)
    kms_key: str | None = None


@dataclass(slots=True)
class _Secret:
    arn: str
    tags: dict[str, str]
    kms_key: str | None
    versions: dict[str, _Version] = field(default_factory=dict)
    deleted_at: datetime | None = None

    def holder(self, label: str) -> str | None:
        return next((version_id for version_id, version in self.versions.items() if label in version.labels), None)

    def attach(self, label: str, version_id: str | None) -> None:
        """Move *label* to this version; AWSPREVIOUS follows to the version that had AWSCURRENT."""
        holder = self.holder(label)
        if holder is not None:
            self.versions[holder].labels.discard(label)
        if version_id is not None:
            self.versions[version_id].labels.add(label)
        if label == Label.MAIN and holder is not None and version_id != holder:
            self.attach(Label.FORMER, holder)


@dataclass(slots=True, kw_only=True)
class MemorySecretStore:
    """A ``SecretStore`` without AWS.

    Args:
        clock: clock of ``time`` and of deletions.
        fail: called before and after every write with the operation's name and ``before`` or ``after``. An exception
            that it raises stands for a crash between two effects; ``before``, the write has not happened yet.
        place: account and region of its secrets.
        is_pruned: whether versions without labels are deleted immediately, as AWS may do at any time.
        calls: the writes in order: operation, secret, version ids, labels, tag keys; no values.
    """

    clock: Clock = field(default_factory=SystemClock)
    fail: Callable[[str, Literal["before", "after"]], None] | None = None
    calls: list[tuple[str, ...]] = field(default_factory=list)
    place: Home = field(default_factory=lambda: Home(account="123456789012", region="eu-west-1"))
    is_pruned: bool = False
    _secrets: dict[str, _Secret] = field(default_factory=dict, repr=False)

    def describe(self, name: str) -> SecretDescription | None:
        """Return the description of the secret *name*, or None."""
        secret = self._secrets.get(name)
        if secret is None:
            return None
        return SecretDescription(
            arn=secret.arn,
            tags=dict(secret.tags),
            labels={key: frozenset(version.labels) for key, version in secret.versions.items() if version.labels},
            deleted_at=secret.deleted_at,
            kms_key=secret.kms_key,
        )

    def create(self, name: str, *, tags: Mapping[str, str], description: str, kms_key: str | None) -> None:
        """Create the secret without a value. An existing secret is left unchanged."""
        del description  # tests do not read it
        check_tags(name, tags)
        if (existing := self._secrets.get(name)) is not None and existing.deleted_at is not None:
            raise scheduled_for_deletion_error("CreateSecret", name)
        with self._write("create", name):
            if name not in self._secrets:  # `fail` may let another program create it first
                place = f"{self.place.region}:{self.place.account}"
                arn = f"arn:aws:secretsmanager:{place}:secret:{name}-Mem0ry"
                self._secrets[name] = _Secret(arn=arn, tags=dict(tags), kms_key=kms_key)

    def encrypt(self, name: str, *, kms_key: str | None) -> None:
        """Set the KMS key of the secret; None for the account's default."""
        secret = self._get("UpdateSecret", name)
        with self._write("encrypt", name, kms_key or ""):
            secret.kms_key = kms_key
            for version in secret.versions.values():
                if version.labels & {Label.MAIN, Label.FORMER}:
                    version.kms_key = kms_key

    def restore(self, name: str) -> None:
        """Take the secret out of its recovery window."""
        secret = self._get("RestoreSecret", name, deleted=True)
        with self._write("restore", name):
            secret.deleted_at = None

    def read(self, name: str, version_id: str) -> str | None:
        """Return the value of one version by its id, or None."""
        if name not in self._secrets:
            return None
        version = self._get("GetSecretValue", name).versions.get(version_id)
        return None if version is None else version.value

    def put(self, name: str, version_id: str, value: str, *, labels: Sequence[str] = (Label.STAGED,)) -> None:
        """Add a version with these labels, and AWSCURRENT if it is the first. An existing version is left unchanged."""
        secret = self._get("PutSecretValue", name)
        if version_id in secret.versions:
            return
        with self._write("put", name, version_id):
            if version_id in secret.versions:
                return  # `fail` let another program store it first
            secret.versions[version_id] = _Version(value, kms_key=secret.kms_key)
            for label in labels:
                secret.attach(label, version_id)
            if len(secret.versions) == 1:
                secret.attach(Label.MAIN, version_id)

    def move_label(self, name: str, label: str, *, to: str | None, current: str | None) -> None:
        """Put *label* on version *to* (None: on no version), if it is on *current* (None: on no version)."""
        if label == Label.MAIN and to is None:
            raise StoreError(f'AWSCURRENT of secret "{name}" can be moved, not removed. Report this as a bug.')
        if to == current:
            return
        secret = self._get("UpdateSecretVersionStage", name)
        with self._write("move_label", name, label, to or "", current or ""):
            if (holder := secret.holder(label)) not in (current, to):
                raise label_moved_error(name, label, to=to, current=current, holder=holder)
            if to is not None and to not in secret.versions:
                raise StoreError(f'Secret "{name}" has no version {to}. Run the command again.')
            if len({label for version in secret.versions.values() for label in version.labels} | {label}) > _MAX_LABELS:
                raise StoreError(f'Secret "{name}" has {_MAX_LABELS} labels, the maximum. Remove one.')
            secret.attach(label, to)

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Set these tags. The other tags do not change."""
        secret = self._get("TagResource", name)
        check_tags(name, tags, existing=secret.tags)
        with self._write("tag", name, *sorted(tags)):
            secret.tags.update(tags)

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove the tags of these keys."""
        secret = self._get("UntagResource", name)
        gone = sorted(set(keys))
        with self._write("untag", name, *gone):
            for key in gone:
                secret.tags.pop(key, None)

    def delete(self, name: str, *, recovery_window_days: int) -> None:
        """Schedule the secret's deletion. A secret that does not exist or is scheduled already is left unchanged."""
        with self._write("delete", name, str(recovery_window_days)):
            secret = self._secrets.get(name)
            if secret is not None and secret.deleted_at is None:
                secret.deleted_at = self.clock.now()

    def version_ids(self, name: str) -> Sequence[str]:
        """Return the ids of all versions, including those without a label, sorted."""
        return sorted(self._get("ListSecretVersionIds", name, deleted=True).versions)

    def home(self) -> Home:
        """Return account and region of the store."""
        return self.place

    def time(self) -> datetime:
        """Return the clock's time."""
        return self.clock.now()

    def _get(self, operation: str, name: str, *, deleted: bool = False) -> _Secret:
        """Return the secret; most calls fail if it is scheduled for deletion."""
        secret = self._secrets.get(name)
        if secret is None:
            raise StoreError(f'{operation} on secret "{name}" failed: there is no such secret. Run the command again.')
        if secret.deleted_at is not None and not deleted:
            raise scheduled_for_deletion_error(operation, name)
        return secret

    @contextmanager
    def _write(self, operation: str, *arguments: str) -> Iterator[None]:
        if self.fail is not None:
            self.fail(operation, "before")
        yield
        if self.is_pruned and (secret := self._secrets.get(arguments[0])) is not None:
            secret.versions = {key: version for key, version in secret.versions.items() if version.labels}
        self.calls.append((operation, *arguments))
        if self.fail is not None:
            self.fail(operation, "after")
