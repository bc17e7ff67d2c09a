"""A model of a pair's secret without keys: a value, and a pure function that applies one step as Secrets Manager does.

``tests/model/test_pair.py`` compares it with the real service on ``MemorySecretStore`` after each step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import InstallRequest
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.pair.layout import (
    ANNOUNCED_TAG,
    HIGHEST_TAG,
    KEY_TAG,
    MAIN_GENERATION_TAG,
    RESERVE_SINCE_TAG,
    announced_value,
    facts_tag,
    facts_value,
    observed_pair,
    time_value,
    version_id,
)
from ios_mdm.core.pair.lifecycle import foreseen_facts
from ios_mdm.core.pair.observed import Announcement, Role
from ios_mdm.core.pair.secret import Label, SecretDescription
from ios_mdm.core.pair.steps import Create, Encrypt, Install, Issue, MoveLabel, RecordFacts, Restore, Tag, Untag
from ios_mdm.errors import DefinitionError, LabelMovedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ios_mdm.core.pair.decision import Request
    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair
    from ios_mdm.core.pair.steps import Step

__all__ = [
    "ARN",
    "CHAIN",
    "SECRET",
    "Secret",
    "Value",
    "carried_out",
    "describe",
    "fingerprint",
    "number",
    "observe",
    "root",
    "with_label_moved",
]

SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
ARN = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{SECRET}-Mem0ry"
CHAIN = "1" * 16
"""Digest of the chain of a custom main that exists from the start."""
_DELETED_AT = datetime(2040, 1, 1, tzinfo=UTC)
_VERSIONS = {version_id(SECRET, ordinal): ordinal for ordinal in range(1, 65)}
_TAGS = {facts_tag(version): ordinal for version, ordinal in _VERSIONS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The content of one version, and its history.

    Args:
        facts: facts as they are derived from the certificate.
        made_as: the request that it was created for: key type and validity days, or fingerprint and chain of a file.
        role: role of the slot that it was created for.
        follows: number of main when it was created; 0 if there was none.
        was_main: whether it has ever had AWSCURRENT.
        deleted: whether its facts tag ever said that it is deleted, or was removed.
    """

    facts: CertificateFacts
    made_as: tuple[str, int]
    role: Role
    follows: int
    was_main: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A pair's secret, hashable.

    Args:
        tags: tags, sorted.
        labels: each label with the number of its certificate, sorted.
        values: every certificate that was ever stored, by number.
        deleted: whether it is scheduled for deletion.
        kms_key: KMS key of new versions; None for the account's default.
    """

    tags: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, int], ...] = ()
    values: tuple[Value, ...] = ()
    deleted: bool = False
    kms_key: str | None = None

    def holder(self, label: str | None) -> int | None:
        """Return the number of the certificate that *label* is on, or None."""
        return next((ordinal for name, ordinal in self.labels if name == label), None)

    def value(self, ordinal: int) -> Value | None:
        """Return the content of the version with this number, or None."""
        return next((value for value in self.values if value.facts.ordinal == ordinal), None)

    def is_known(self, ordinal: int) -> bool:
        """Return whether a label or a facts tag names this certificate."""
        tagged = {_TAGS.get(key) for key, _ in self.tags}
        return ordinal in tagged or any(ordinal == holder for _, holder in self.labels)

    def is_called_deleted(self, ordinal: int) -> bool:
        """Return whether the facts tag of this certificate says that it was deleted."""
        return any(_TAGS.get(key) == ordinal and f" role={Role.DELETED} " in value for key, value in self.tags)

    def with_label(self, label: str, ordinal: int | None) -> Secret:
        """Move a label to this certificate; AWSPREVIOUS follows to the certificate that had AWSCURRENT."""
        before, labels = self.holder(label), dict(self.labels)
        labels.pop(label, None)
        if ordinal is not None:
            labels[str(label)] = ordinal
        if label == Label.MAIN and before is not None and before != ordinal:
            labels[str(Label.FORMER)] = before
        values = tuple(
            replace(value, was_main=value.was_main or (label == Label.MAIN and value.facts.ordinal == ordinal))
            for value in self.values
        )
        return replace(self, labels=tuple(sorted(labels.items())), values=values)

    def with_tags(self, tags: Mapping[str, str]) -> Secret:
        """Set these tags. The other tags do not change."""
        after = tuple(sorted((dict(self.tags) | dict(tags)).items()))
        deleted = [key for key, value in tags.items() if f" role={Role.DELETED} " in value]
        return replace(self, tags=after, values=self._without(deleted))

    def without_tags(self, keys: Iterable[str]) -> Secret:
        """Remove these tags."""
        gone = set(keys)
        left = tuple((key, value) for key, value in self.tags if key not in gone)
        return replace(self, tags=left, values=self._without(gone))

    def _without(self, keys: Iterable[str]) -> tuple[Value, ...]:
        gone = {_TAGS.get(key) for key in keys}
        return tuple(replace(value, deleted=value.deleted or value.facts.ordinal in gone) for value in self.values)


def fingerprint(ordinal: int) -> str:
    """Return the SHA-256 of the certificate with this number in the model."""
    return f"{ordinal:064x}"


def root(ordinal: int) -> str:
    """Return the digest of the root of the certificate with this number in the model."""
    return f"f{ordinal:063x}"


def number(version: str | None) -> int | None:
    """Return the number of a version id, or None if it is None."""
    return None if version is None else _VERSIONS[version]


@lru_cache(maxsize=4_096)
def describe(secret: Secret) -> SecretDescription:
    """Return the description of the secret as AWS returns it."""
    labels: dict[str, frozenset[str]] = {}
    for label, ordinal in secret.labels:
        version = version_id(SECRET, ordinal)
        labels[version] = labels.get(version, frozenset()) | {label}
    return SecretDescription(
        arn=ARN,
        tags=dict(secret.tags),
        labels=labels,
        deleted_at=_DELETED_AT if secret.deleted else None,
        kms_key=secret.kms_key,
    )


def observe(secret: Secret | None) -> ObservedPair | None:
    """Return the pair as the service observes it."""
    if secret is None:
        return None
    description = describe(secret)
    lost = HIGHEST_TAG not in description.tags and bool(description.labels)
    stored = [version_id(SECRET, value.facts.ordinal) for value in secret.values]
    return observed_pair(SECRET, description, stored if lost else ())


def carried_out(secret: Secret | None, step: Step, *, observed: ObservedPair | None, now: datetime) -> Secret:
    """Return the secret after one step.

    Args:
        secret: the secret before the step; None if it does not exist.
        step: step that was decided from *observed*.
        observed: the pair at the time of the decision.
        now: time of the effect.

    Raises:
        LabelMovedError: The compare-and-swap failed.
        DefinitionError: The issued reserve is valid for longer than R8 allows.
    """
    if secret is None:
        assert isinstance(step, Create)
        return Secret(tags=tuple(sorted(step.tags.items())), kms_key=step.kms_key)
    match step:
        case Encrypt(kms_key=key, record=record, untag=gone):
            secret = (
                replace(secret, kms_key=key).with_tags({} if record is None else {KEY_TAG: record}).without_tags(gone)
            )
        case Restore():
            secret = replace(secret, deleted=False)
        case Issue(request=request) | Install(request=request):
            secret = _with_value(secret, request, observed, now)
        case RecordFacts():
            secret = _with_facts(secret, step, observed, now)
        case MoveLabel():
            to = None if step.to is None else number(step.to.version_id)
            current = None if step.current is None else number(step.current.version_id)
            secret = with_label_moved(secret, step.label, to=to, current=current)
        case Tag(tags=tags):
            secret = secret.with_tags(tags)
        case Untag(keys=keys):
            secret = secret.without_tags(keys)
        case Create():
            pass
    return secret


def with_label_moved(secret: Secret, label: str, *, to: int | None, current: int | None) -> Secret:
    """Move a label from one version to another, as a compare-and-swap."""
    if to == current:
        return secret
    if secret.holder(label) not in {current, to}:
        raise LabelMovedError(f"{label} is on {secret.holder(label)}, not on {current}")
    return secret.with_label(label, to)


def _made_as(request: Request) -> tuple[str, int]:
    return (
        (request.offered.sha256 + request.offered.chain, 0)
        if isinstance(request, InstallRequest)
        else (request.key, request.validity_days)
    )


def _with_value(secret: Secret, request: Request, observed: ObservedPair | None, now: datetime) -> Secret:
    existing = secret.value(request.ordinal)
    if existing is not None and not _is_announced(secret, existing):
        return _passed_over(secret, existing.facts.ordinal)
    if existing is not None:
        holder = None if observed is None else observed.holder(Label.STAGED)
        return with_label_moved(
            secret, Label.STAGED, to=request.ordinal, current=None if holder is None else holder.ordinal
        )
    made = foreseen_facts(request, now)
    main = None if observed is None or observed.main is None else observed.main.facts
    if not isinstance(request, InstallRequest):
        made = replace(made, sha256=fingerprint(request.ordinal), root=root(request.ordinal))
        if main is not None and request.slot is Slot.RESERVE:
            longest = main.not_after - main.not_before
            if made.not_after - made.not_before > longest:
                raise DefinitionError(f"the reserve is valid for longer than {longest}")
    value = Value(
        facts=made,
        made_as=_made_as(request),
        role=Role(request.slot),
        follows=0 if main is None else main.ordinal,
    )
    announced = secret.with_tags({ANNOUNCED_TAG: _announcement(value)})
    stored = replace(announced, values=(*secret.values, value)).with_label(Label.STAGED, request.ordinal)
    return stored.with_label(Label.MAIN, request.ordinal) if len(stored.values) == 1 else stored


def _announcement(value: Value) -> str:
    """Return the announcement of a value. The model has no secret values, so it announces the fingerprint."""
    return announced_value(Announcement(ordinal=value.facts.ordinal, sha256=value.facts.sha256))


def _is_announced(secret: Secret, value: Value) -> bool:
    return dict(secret.tags).get(ANNOUNCED_TAG) == _announcement(value)


def _passed_over(secret: Secret, ordinal: int) -> Secret:
    """Skip the number of a version that no run announced."""
    highest = max(int(dict(secret.tags).get(HIGHEST_TAG, 0)), ordinal)
    passed = secret.with_tags({HIGHEST_TAG: str(highest)})
    announced = dict(secret.tags).get(ANNOUNCED_TAG, "")
    return passed.without_tags([ANNOUNCED_TAG]) if announced.startswith(f"{ordinal} ") else passed


def _waits(observed: ObservedPair | None, value: Value) -> bool:
    """Return whether a certificate is the waiting reserve already, and is installed again for its chain."""
    reserve = None if observed is None or observed.reserve_since is None else observed.reserve
    return reserve is not None and reserve.facts is not None and reserve.facts.sha256 == value.facts.sha256


def _with_facts(secret: Secret, step: RecordFacts, observed: ObservedPair | None, now: datetime) -> Secret:
    value = secret.value(step.ordinal)
    assert value is not None
    role, request = Role(step.slot), step.request
    if request is not None and not _is_announced(secret, value):
        return _passed_over(secret, step.ordinal)
    tags = {HIGHEST_TAG: str(max(step.highest, step.ordinal))}
    if request is None and role is Role.MAIN and observed is not None and observed.main_generation is None:
        tags[MAIN_GENERATION_TAG] = str(step.generation)
    if request is not None:
        if value.made_as != _made_as(request):
            role = Role.DELETED
        elif role is Role.MAIN:
            tags |= {} if step.follows else {MAIN_GENERATION_TAG: str(step.generation)}
        elif isinstance(request, InstallRequest) and not _waits(observed, value):
            tags[RESERVE_SINCE_TAG] = time_value(now)
    facts = replace(value.facts, generation=step.generation)
    # Until its facts are recorded, a certificate answers the first request for its number, also one for the other slot.
    recorded = replace(value, facts=facts, role=Role(step.slot))
    values = tuple(recorded if one is value else one for one in secret.values)
    return replace(secret, values=values).with_tags({facts_tag(step.version_id): facts_value(facts, role), **tags})
