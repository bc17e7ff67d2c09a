"""The steps from the observed state of a pair to its desired state. Each step is one effect.

Every step is derived from the observed pair alone, so the next run continues a run that was interrupted between two
effects. The order of the effects is: the value under STAGED, its facts, the label of its slot, removal of old records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import GuardReason, InstallRequest
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.pair.encryption import DEFAULT_KEY, has_key, key_record, key_text, versions_with_former_key
from ios_mdm.core.pair.layout import (
    ADDRESS_TAG,
    HIGHEST_TAG,
    KEY_TAG,
    MAIN_GENERATION_TAG,
    OWNER_TAG,
    PAIR_ID_TAG,
    PROMOTED_TAG,
    REPLACED_TAG,
    RESOURCE_ID_TAG,
    TAGS_TAG,
    added_tags,
    facts_tag,
    facts_value,
    former_key_tag,
    promoted_value,
    tags_value,
)
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.secret import MAX_LABELS, Label, trusted_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ios_mdm.core.pair.decision import DesiredState, IssueRequest, Request
    from ios_mdm.core.pair.home import PairIdentity
    from ios_mdm.core.pair.observed import ObservedPair, StoredVersion

__all__ = [
    "Create",
    "Encrypt",
    "Install",
    "Issue",
    "MoveLabel",
    "RecordFacts",
    "Restore",
    "Setting",
    "Step",
    "Tag",
    "Untag",
    "next_step",
    "step_description",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The desired tags and KMS key of a pair's secret.

    Args:
        owner: organization/project/stack.
        host: connection address without its port.
        tags: the user's tags.
        main_generation: value of ``main.issue.generation``, written if the record of it is lost.
        reserve_generation: value of ``reserve.issue.generation``, written if the record of it is lost.
        kms_key: id, ARN or alias of the KMS key; None for the account's default key.
        identity: identity of the pair; None if its tag is not checked here.
        resource_id: id of the resource that owns the pair, written if the record of it is lost; None if unknown.
    """

    owner: str
    host: str
    tags: Mapping[str, str]
    main_generation: int
    reserve_generation: int
    kms_key: str | None = None
    identity: PairIdentity | None = None
    resource_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Create the secret, without a value."""

    tags: Mapping[str, str]
    kms_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Encrypt:
    """Set the KMS key of the secret, then record it.

    Args:
        kms_key: id, ARN or alias of the KMS key; None for the account's default key.
        record: value of the tag that records the key; None for no tag.
        untag: keys of the tags to remove: former keys of the versions that AWS encrypts again, and a record of the
            key that is not needed.
    """

    kms_key: str | None
    record: str | None
    untag: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Cancel the scheduled deletion of the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Issue a certificate and store it under STAGED, or adopt the one that an interrupted run stored."""

    request: IssueRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """Store a custom certificate under STAGED, or adopt the one that an interrupted run stored."""

    request: InstallRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """Read a version's certificate and write its facts tag.

    Args:
        version_id: id of the version.
        ordinal: number of the certificate.
        slot: slot that the certificate is in, or is stored for.
        generation: value of ``generation`` that requested the certificate.
        highest: highest ordinal, which is recorded together with the facts.
        request: request for the certificate; None if the certificate is in a slot already. A certificate that does not
            match the request, because the definition changed after it was stored, is recorded as deleted.
        follows: whether the certificate replaces a main. Its generation is then recorded after it became main, because
            until then the definition can withdraw the request.
    """

    version_id: str
    ordinal: int
    slot: Slot
    generation: int
    highest: int
    request: Request | None = None
    follows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveLabel:
    """Move a label from the version *current* to the version *to*. None stands for no version."""

    label: str
    to: StoredVersion | None
    current: StoredVersion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Set tags."""

    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Untag:
    """Remove tags of removed certificates, or user's tags that the definition no longer has."""

    keys: tuple[str, ...]


Step = Create | Encrypt | Restore | Issue | Install | RecordFacts | MoveLabel | Tag | Untag


def next_step(desired: DesiredState, observed: ObservedPair | None, setting: Setting) -> Step | None:
    """Return the next effect on the way to the *desired* state; None if the pair has this state.

    Args:
        desired: desired state, decided from the same *observed*.
        observed: observed state of the pair; None if its secret does not exist.
        setting: desired tags and KMS key of the secret.
    """
    return next(_steps(desired, observed, setting), None)


def _steps(desired: DesiredState, observed: ObservedPair | None, setting: Setting) -> Iterator[Step]:
    if observed is None:
        record = key_record(setting.kms_key)
        key = {} if record is None else {KEY_TAG: record}
        yield Create(tags={**_wanted_tags(setting), **key}, kms_key=setting.kms_key)
        return
    if observed.is_deleted:
        yield Restore()
        return
    yield from _tags(observed, setting)
    # Before a certificate is stored, so that the wanted key encrypts it.
    yield from _encryption(desired, observed, setting)
    yield from _facts_of_labeled(observed, setting)
    yield from _roles_of_formers(observed)
    yield from _abandoned_main_steps(desired, observed)
    yield from _slot(desired, observed, desired.main, Slot.MAIN)
    yield from _answered_request_steps(observed)
    if desired.next_main is not None:
        yield from _storage_steps(desired, observed, desired.next_main, Slot.MAIN)
    if desired.reserve is not None:
        yield from _slot(desired, observed, desired.reserve, Slot.RESERVE)
    # Before a label is removed: the number of a version without label and tag must stay recorded as used.
    yield from _counters(observed, setting)
    yield from _cleanup_steps(desired, observed)


def _tags(observed: ObservedPair, setting: Setting) -> Iterator[Step]:
    """Set owner, identity, address and the user's tags first: a secret without an owner belongs to no stack.

    A tag is removed only if the secret records that it was added for the user. The record is updated after the removal,
    so that an interrupted run loses no record.
    """
    wanted = _wanted_tags(setting)
    if setting.resource_id is not None:
        wanted = {**wanted, RESOURCE_ID_TAG: setting.resource_id}
    missing = {key: value for key, value in wanted.items() if observed.tags.get(key) != value}
    removed = added_tags(observed.tags) - wanted.keys()
    if removed:
        missing.pop(TAGS_TAG, None)
    if missing:
        yield Tag(tags=missing)
    if TAGS_TAG in observed.tags and TAGS_TAG not in wanted:
        removed |= {TAGS_TAG}
    if removed:
        yield Untag(keys=tuple(sorted(removed)))


def _wanted_tags(setting: Setting) -> Mapping[str, str]:
    """Return the tags that do not depend on any certificate."""
    added = {TAGS_TAG: tags_value(setting.tags)} if setting.tags else {}
    identity = {} if setting.identity is None else {PAIR_ID_TAG: setting.identity.text}
    return {OWNER_TAG: setting.owner, ADDRESS_TAG: setting.host, **identity, **setting.tags, **added}


def _encryption(desired: DesiredState, observed: ObservedPair, setting: Setting) -> Iterator[Step]:
    """Set the KMS key. The versions that keep the former key are recorded first, because it is unknown afterwards."""
    record = key_record(setting.kms_key)
    if not has_key(observed, setting.kms_key):
        left = {
            former_key_tag(version.version_id): key_text(observed.kms_key)
            for version in versions_with_former_key(desired, observed)
            if version.former_key is None
        }
        if left:
            yield Tag(tags=left)
        left_ids = {version.version_id for version in versions_with_former_key(desired, observed)}
        untag = [
            former_key_tag(version.version_id)
            for version in observed.versions
            if version.former_key is not None and version.version_id not in left_ids
        ]
        if record is None and KEY_TAG in observed.tags:
            untag.append(KEY_TAG)
        yield Encrypt(kms_key=setting.kms_key, record=record, untag=tuple(untag))
    elif record is not None and observed.tags.get(KEY_TAG) != record:
        yield Tag(tags={KEY_TAG: record})
    elif record is None and KEY_TAG in observed.tags:
        yield Untag(keys=(KEY_TAG,))


def _facts_of_labeled(observed: ObservedPair, setting: Setting) -> Iterator[Step]:
    """Record the missing facts of certificates that are in a slot. A version that is only STAGED gets its facts later.

    A version without facts, whose only label is that of an offer, was a former main or a deleted reserve. It is
    recorded as a former main, so that it stays in the profile until it expires.
    """
    for version in observed.versions:
        slots = version.slots - {Label.STAGED}
        if (
            version.facts is None
            and version.ordinal is not None
            and (slots or (version.is_offered and not version.slots))
        ):
            reserve = slots == {Label.RESERVE}
            yield RecordFacts(
                version_id=version.version_id,
                ordinal=version.ordinal,
                slot=Slot.RESERVE if reserve else Slot.MAIN,
                generation=setting.reserve_generation if reserve else setting.main_generation,
                highest=observed.highest_ordinal,
            )


def _roles_of_formers(observed: ObservedPair) -> Iterator[Step]:
    """Record the role main for a former main, which AWSPREVIOUS marks.

    Its tag still has the role reserve if a schedule promoted it, because a schedule writes no tags.
    """
    for version in observed.versions:
        if Label.FORMER in version.labels and version.role is Role.RESERVE and version.facts is not None:
            yield Tag(tags={facts_tag(version.version_id): facts_value(version.facts, Role.MAIN)})


def _abandoned_main_steps(desired: DesiredState, observed: ObservedPair) -> Iterator[Step]:
    """Mark an abandoned staged main as deleted.

    This is done before the label STAGED is removed, because a version without a label looks like a former main.
    """
    for version in observed.versions:
        begun = version.slots == {Label.STAGED} and version.role is Role.MAIN and not observed.was_main(version)
        if begun and version.facts is not None and version.ordinal not in {desired.main, desired.next_main}:
            yield Tag(tags={facts_tag(version.version_id): facts_value(version.facts, Role.DELETED)})


def _slot(desired: DesiredState, observed: ObservedPair, ordinal: int, slot: Slot) -> Iterator[Step]:
    """Store the certificate *ordinal*, move the label of *slot* to it, and record its role."""
    yield from _storage_steps(desired, observed, ordinal, slot)
    version = observed.version_of(ordinal)
    label, role = (Label.MAIN, Role.MAIN) if slot is Slot.MAIN else (Label.RESERVE, Role.RESERVE)
    if version is None:
        return
    if label not in version.labels:
        holder = observed.holder(label)
        if slot is Slot.RESERVE and holder is not None and holder.role is Role.RESERVE and holder.facts is not None:
            # Before the label moves, so that an interrupted run leaves a record of whether the deletion was requested.
            yield Tag(tags={facts_tag(holder.version_id): facts_value(holder.facts, _left_role(desired, holder))})
        if slot is Slot.MAIN:
            yield from _former_label_steps(desired, observed)
        yield MoveLabel(label=label, to=version, current=holder)
    if version.role is not role and version.facts is not None:
        tags = {facts_tag(version.version_id): facts_value(version.facts, role)}
        promoted = {PROMOTED_TAG: promoted_value(ordinal, observed.highest_main)} if slot is Slot.MAIN else {}
        yield Tag(tags=tags | promoted)


def _former_label_steps(desired: DesiredState, observed: ObservedPair) -> Iterator[Step]:
    """Label a former main that devices still need before it loses AWSPREVIOUS: AWS deletes versions without labels."""
    former = observed.holder(Label.FORMER)
    if former is None or former.ordinal not in desired.formers or former.labels != {Label.FORMER}:
        return
    labels = frozenset[str](Label).union(*(version.labels for version in observed.versions))
    if len(labels) < MAX_LABELS:
        yield MoveLabel(label=trusted_label(former.ordinal), to=former, current=None)


def _storage_steps(desired: DesiredState, observed: ObservedPair, ordinal: int, slot: Slot) -> Iterator[Step]:
    """Store the certificate *ordinal* for *slot*, and record its facts."""
    version = observed.version_of(ordinal)
    request = next((request for request in desired.requests if request.ordinal == ordinal), None)
    if version is None:
        if isinstance(request, InstallRequest):
            yield Install(request=request)
        elif request is not None:
            yield Issue(request=request)
        return
    if version.facts is None and request is not None:
        yield RecordFacts(
            version_id=version.version_id,
            ordinal=ordinal,
            slot=slot,
            generation=request.generation,
            highest=observed.highest_ordinal,
            request=request,
            follows=slot is Slot.MAIN and observed.main is not None and observed.main.ordinal not in {None, ordinal},
        )


def _answered_request_steps(observed: ObservedPair) -> Iterator[Step]:
    """Record the generation of a new main, and the main that it replaced, while STAGED still marks the new main.

    With this record, a definition that confirms the replaced main stays valid after all other records of that main are
    removed.
    """
    version = observed.applied_main
    if version is None or version.facts is None:
        return
    tags = {MAIN_GENERATION_TAG: str(version.facts.generation)}
    former = _sha256(observed.holder(Label.FORMER) if Label.MAIN in version.labels else observed.main)
    if former not in {None, version.facts.sha256}:
        tags |= {
            REPLACED_TAG: str(former),
            PROMOTED_TAG: promoted_value(version.facts.ordinal, observed.highest_main),
        }
    missing = {key: value for key, value in tags.items() if observed.tags.get(key) != value}
    if missing:
        yield Tag(tags=missing)


def _sha256(version: StoredVersion | None) -> str | None:
    return None if version is None or version.facts is None else version.facts.sha256


def _cleanup_steps(desired: DesiredState, observed: ObservedPair) -> Iterator[Step]:
    """Remove labels and tags from versions that are no longer in a slot."""
    reserve = observed.holder(Label.RESERVE)
    for version in observed.versions:
        if version.facts is None or version.ordinal in {desired.main, desired.next_main, desired.reserve}:
            continue
        role = _left_role(desired, version)
        if version.role is not role:
            # Before the label is removed: a version with the role "reserve" and no label looks like a lost reserve.
            yield Tag(tags={facts_tag(version.version_id): facts_value(version.facts, role)})
    staged = observed.holder(Label.STAGED)
    if staged is not None and (staged.ordinal is None or staged.ordinal != desired.next_main):
        yield MoveLabel(label=Label.STAGED, to=None, current=staged)
    if reserve is not None and reserve.ordinal != desired.reserve:
        yield MoveLabel(label=Label.RESERVE, to=None, current=reserve)
    for version in observed.versions:
        if version.ordinal is not None and version.ordinal in desired.withdrawn:
            yield MoveLabel(label=trusted_label(version.ordinal), to=None, current=version)
    gone = [
        key
        for version in observed.versions
        for key in (facts_tag(version.version_id), former_key_tag(version.version_id))
        if not version.labels
        and version.ordinal not in desired.trusted_ordinals
        and version.facts is not None
        and version.role is Role.DELETED
        and key in observed.tags
    ]
    if gone:
        yield Untag(keys=tuple(gone))


def _left_role(desired: DesiredState, version: StoredVersion) -> Role:
    """Return the role of a certificate that is in no slot. The role records whether devices still need it."""
    if version.ordinal in desired.formers:
        return Role.MAIN
    offered = {one.ordinal for one in desired.guarded if one.reason is GuardReason.OFFERED}
    # Role "deleted" also records that devices no longer need a former main.
    return Role.KEPT if version.ordinal in offered else Role.DELETED


def _counters(observed: ObservedPair, setting: Setting) -> Iterator[Step]:
    """Set lost counters again. Usually they are set together with the facts of a certificate."""
    lost: dict[str, str] = {}
    if observed.recorded_ordinal < observed.highest_ordinal:
        lost[HIGHEST_TAG] = str(observed.highest_ordinal)
    if observed.main_generation is None:
        lost[MAIN_GENERATION_TAG] = str(setting.main_generation)
    if lost:
        yield Tag(tags=lost)


def step_description(step: Step) -> str:  # noqa: C901, PLR0911 - a sentence for each kind of step
    """Return the text that a preview shows for a step."""
    match step:
        case Create():
            return "create the secret"
        case Encrypt(kms_key=key):
            return f"set the KMS key of the secret to {key or DEFAULT_KEY}"
        case Restore():
            return "cancel the deletion of the secret"
        case Issue(request=request):
            return f"issue certificate {request.ordinal}"
        case Install(request=request):
            return f"install certificate {request.ordinal}"
        case RecordFacts(ordinal=ordinal, request=None):
            return f"write the lost facts tag of certificate {ordinal} again"
        case RecordFacts(ordinal=ordinal):
            return f"write the facts tag of certificate {ordinal}"
        case MoveLabel(label=label, to=None):
            return f"remove the label {label}"
        case MoveLabel(label=label, to=to):
            return f"set the label {label} on certificate {to.ordinal if to else ''}"
        case Tag(tags=tags):
            return f"set the tags {', '.join(sorted(tags))}"
        case Untag(keys=keys):
            return f"remove the tags {', '.join(keys)}"
