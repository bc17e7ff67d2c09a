"""The common contract of all secret stores: in memory, both emulators and, opt-in, a real account.

``IOS_MDM_TEST_REAL_AWS=1`` adds the account of the environment's credentials. The secrets that are created there are
scheduled for deletion. A test mentions each difference between an emulator and AWS that the adapter cannot hide.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.pair.secret import Label, SecretDescription
from ios_mdm.errors import StoreError
from tests.support.memory import MemorySecretStore

if TYPE_CHECKING:
    from tests.support.backends import Backend

KEY = "the private key of certificate"
"""A value that must never be shown."""


def value(ordinal: int) -> str:
    """Return the value of a version."""
    return f'{{"tls.key": "{KEY} {ordinal}"}}'


def create_secret(backend: Backend, tags: dict[str, str] | None = None) -> None:
    """Create the secret."""
    backend.store.create(backend.secret, tags=tags or {}, description="a pair", kms_key=None)


def secret_description(backend: Backend) -> SecretDescription:
    """Return the description of the secret, which exists."""
    found = backend.store.describe(backend.secret)
    assert found is not None
    return found


def holders(backend: Backend) -> dict[str, str]:
    """Return the version of every label. Each label is on exactly one version."""
    labels = secret_description(backend).labels
    counts = Counter(label for on_version in labels.values() for label in on_version)
    assert set(counts.values()) <= {1}, f"a label is on several versions: {labels}"
    return {label: version for version, on_version in labels.items() for label in on_version}


def move_label(backend: Backend, label: Label, to: str | None) -> None:
    """Move a label from its current version, as the write protocol does."""
    backend.store.move_label(backend.secret, label, to=to, current=holders(backend).get(label))


def store_certificate(backend: Backend, ordinal: int, slot: Label) -> None:
    """Run the write protocol for one certificate."""
    version = backend.version(ordinal)
    backend.store.put(backend.secret, version, value(ordinal))
    move_label(backend, slot, version)
    move_label(backend, Label.STAGED, None)


def pair(backend: Backend) -> None:
    """Create a pair: certificate 1 is main, and certificate 2 is its reserve."""
    create_secret(backend)
    store_certificate(backend, 1, Label.MAIN)
    store_certificate(backend, 2, Label.RESERVE)


def test_nothing_is_described_where_there_is_no_secret(backend: Backend) -> None:
    """A secret that does not exist is None, not an error."""
    assert backend.store.describe(backend.secret) is None


def test_nothing_is_read_where_there_is_no_version(backend: Backend) -> None:
    """A missing version is None, with or without its secret and with or without other versions."""
    assert backend.store.read(backend.secret, backend.version(1)) is None
    create_secret(backend)
    assert backend.store.read(backend.secret, backend.version(1)) is None
    store_certificate(backend, 1, Label.MAIN)
    assert backend.store.read(backend.secret, backend.version(2)) is None


def test_a_new_secret_has_its_tags_and_no_labels(backend: Backend) -> None:
    """A new secret has no value."""
    create_secret(backend, {"ios-mdm:owner": "org/project/stack"})
    found = secret_description(backend)
    assert found.tags == {"ios-mdm:owner": "org/project/stack"}
    assert found.labels == {}
    assert found.deleted_at is None
    assert backend.secret in found.arn


def test_a_changed_secret_has_the_time_of_the_change(backend: Backend) -> None:
    """The time is aware UTC and not before the last one. A server's grace period after a switch ends then."""  # R17
    if backend.name == "memory":
        return  # the memory store has no times
    pair(backend)
    before = secret_description(backend).changed_at
    assert before is not None
    assert before.utcoffset() == timedelta(0)
    move_label(backend, Label.MAIN, backend.version(2))
    after = secret_description(backend).changed_at
    assert after is not None
    assert after >= before


def test_creating_again_changes_nothing(backend: Backend) -> None:
    """An existing secret keeps its tags and versions."""
    create_secret(backend, {"ios-mdm:owner": "org/project/stack"})
    store_certificate(backend, 1, Label.MAIN)
    before = secret_description(backend)
    create_secret(backend, {"ios-mdm:owner": "another/stack"})
    assert secret_description(backend) == before


def test_the_kms_key_of_a_secret_changes_and_nothing_else(backend: Backend) -> None:
    """Another key, the same key again, and the default key of the account, which is reported as None."""
    if backend.name == "aws":
        pytest.skip("the account has no such key")
    pair(backend)
    before = secret_description(backend)
    assert before.kms_key is None
    for key in ("alias/pairs", "alias/pairs", "11112222-3333-4444-5555-666677778888"):
        backend.store.encrypt(backend.secret, kms_key=key)
        found = secret_description(backend)
        assert found.kms_key is not None
        assert found.kms_key.endswith(key)
        assert replace(found, kms_key=None) == before
    backend.store.encrypt(backend.secret, kms_key=None)
    assert secret_description(backend) == before
    assert backend.store.read(backend.secret, backend.version(2)) == value(2)
    assert {backend.version(1), backend.version(2)} >= set(secret_description(backend).labels)


def test_the_first_certificate_becomes_main(backend: Backend) -> None:
    """At the end of the write protocol, the version has AWSCURRENT, and there is no other label."""
    create_secret(backend)
    backend.store.put(backend.secret, backend.version(1), value(1))
    assert holders(backend)[Label.STAGED] == backend.version(1)
    move_label(backend, Label.MAIN, backend.version(1))
    move_label(backend, Label.STAGED, None)
    assert holders(backend) == {Label.MAIN: backend.version(1)}
    assert backend.store.read(backend.secret, backend.version(1)) == value(1)


def test_a_second_certificate_becomes_the_reserve(backend: Backend) -> None:
    """Main does not change while the reserve is written."""
    pair(backend)
    assert holders(backend) == {Label.MAIN: backend.version(1), Label.RESERVE: backend.version(2)}
    assert backend.store.read(backend.secret, backend.version(1)) == value(1)
    assert backend.store.read(backend.secret, backend.version(2)) == value(2)


def test_a_promotion_moves_one_label_and_the_former_main_is_previous(backend: Backend) -> None:
    """The new main also has RESERVE until it is removed. AWSPREVIOUS follows AWSCURRENT."""
    pair(backend)
    backend.store.move_label(backend.secret, Label.MAIN, to=backend.version(2), current=backend.version(1))
    assert holders(backend) == {
        Label.MAIN: backend.version(2),
        Label.RESERVE: backend.version(2),
        Label.FORMER: backend.version(1),
    }
    move_label(backend, Label.RESERVE, None)
    assert holders(backend) == {Label.MAIN: backend.version(2), Label.FORMER: backend.version(1)}


def test_the_cycle_after_a_promotion_ends_with_one_holder_of_every_label(backend: Backend) -> None:
    """After the promotion of a third certificate, the first one has no label but is readable."""
    pair(backend)
    move_label(backend, Label.MAIN, backend.version(2))
    move_label(backend, Label.RESERVE, None)
    store_certificate(backend, 3, Label.RESERVE)
    move_label(backend, Label.MAIN, backend.version(3))
    move_label(backend, Label.RESERVE, None)
    assert holders(backend) == {Label.MAIN: backend.version(3), Label.FORMER: backend.version(2)}
    assert backend.store.read(backend.secret, backend.version(1)) == value(1)


def test_an_operators_rollback_swaps_main_and_the_former_main(backend: Backend) -> None:
    """AWSPREVIOUS follows AWSCURRENT in the other direction as well."""
    pair(backend)
    move_label(backend, Label.MAIN, backend.version(2))
    move_label(backend, Label.MAIN, backend.version(1))
    found = holders(backend)
    assert (found[Label.MAIN], found[Label.FORMER]) == (backend.version(1), backend.version(2))


def test_a_stale_promotion_fails_and_nothing_moves(backend: Backend) -> None:
    """Main is not moved from a version that the caller does not expect."""
    pair(backend)
    store_certificate(backend, 3, Label.RESERVE)
    move_label(backend, Label.MAIN, backend.version(2))
    before = secret_description(backend).labels
    with pytest.raises(StoreError, match=r"AWSCURRENT.*Run again"):
        backend.store.move_label(backend.secret, Label.MAIN, to=backend.version(3), current=backend.version(1))
    assert secret_description(backend).labels == before


def test_a_label_that_was_expected_nowhere_stays_where_it_is(backend: Backend) -> None:
    """A caller that did not read the current version cannot put a label on two versions."""
    pair(backend)
    before = secret_description(backend).labels
    with pytest.raises(StoreError, match="RESERVE"):
        backend.store.move_label(backend.secret, Label.RESERVE, to=backend.version(1), current=None)
    assert secret_description(backend).labels == before


def test_a_label_does_not_go_to_a_version_that_is_not_there(backend: Backend) -> None:
    """A label without a version would stand for a certificate that does not exist."""
    create_secret(backend)
    store_certificate(backend, 1, Label.MAIN)
    with pytest.raises(StoreError):
        backend.store.move_label(backend.secret, Label.RESERVE, to=backend.version(2), current=None)
    assert holders(backend) == {Label.MAIN: backend.version(1)}


def test_a_move_that_has_taken_place_may_be_repeated(backend: Backend) -> None:
    """The answer to the first attempt might be lost, so a label at its target is a success."""
    pair(backend)
    for _ in range(2):
        backend.store.move_label(backend.secret, Label.MAIN, to=backend.version(2), current=backend.version(1))
    for _ in range(2):
        backend.store.move_label(backend.secret, Label.RESERVE, to=None, current=backend.version(2))
    assert holders(backend) == {Label.MAIN: backend.version(2), Label.FORMER: backend.version(1)}


def test_main_is_never_taken_off(backend: Backend) -> None:
    """AWS moves AWSCURRENT but never removes it. All stores do the same."""
    pair(backend)
    with pytest.raises(StoreError, match="moved, not removed"):
        backend.store.move_label(backend.secret, Label.MAIN, to=None, current=backend.version(1))
    assert holders(backend)[Label.MAIN] == backend.version(1)


@pytest.mark.parametrize("ordinal", [1, 2, 3])
def test_a_version_keeps_its_first_value(backend: Backend, ordinal: int) -> None:
    """A put with the id of main, of the reserve or of a version without a label changes neither value nor labels."""
    pair(backend)
    store_certificate(backend, 3, Label.STAGED)
    before = secret_description(backend).labels
    backend.store.put(backend.secret, backend.version(ordinal), value(99))
    assert backend.store.read(backend.secret, backend.version(ordinal)) == value(ordinal)
    assert secret_description(backend).labels == before


def test_an_abandoned_version_loses_staged_to_the_next(backend: Backend) -> None:
    """After a crash between the put and the removal of STAGED, only the newest version has STAGED."""
    pair(backend)
    backend.store.put(backend.secret, backend.version(3), value(3))
    backend.store.put(backend.secret, backend.version(4), value(4))
    assert holders(backend)[Label.STAGED] == backend.version(4)


def test_nothing_is_put_where_there_is_no_secret(backend: Backend) -> None:
    """The error names the secret and the operation, and no part of its chain quotes a value."""
    with pytest.raises(StoreError, match=f'PutSecretValue on secret "{backend.secret}"') as caught:
        backend.store.put(backend.secret, backend.version(1), value(1))
    assert KEY not in f"{caught.value!r} {caught.value}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_values_are_not_in_the_repr_of_a_store(backend: Backend) -> None:
    """A store might be logged, but its keys must not be."""
    pair(backend)
    assert KEY not in repr(backend.store)


def test_deletion_and_restoration_keep_everything(backend: Backend) -> None:
    """In its recovery window, a secret is described but not read. After it, labels, tags and values are the same."""
    pair(backend)
    before = secret_description(backend)
    backend.store.delete(backend.secret, recovery_window_days=7)
    deleted = secret_description(backend)
    assert deleted.deleted_at is not None
    assert deleted.labels == before.labels
    with pytest.raises(StoreError, match="scheduled for deletion"):
        backend.store.read(backend.secret, backend.version(1))
    backend.store.restore(backend.secret)
    assert secret_description(backend) == before
    assert backend.store.read(backend.secret, backend.version(1)) == value(1)


def test_nothing_is_put_into_a_deleted_secret(backend: Backend) -> None:
    """The error has the advice."""
    pair(backend)
    backend.store.delete(backend.secret, recovery_window_days=7)
    with pytest.raises(StoreError, match="scheduled for deletion"):
        backend.store.put(backend.secret, backend.version(3), value(3))


def test_a_deleted_secret_takes_no_tags_and_moves_no_labels(backend: Backend) -> None:
    """AWS refuses all of these calls until the secret is restored."""
    if backend.name == "moto":
        pytest.skip("moto takes tags and moves in the recovery window")
    pair(backend)
    backend.store.delete(backend.secret, recovery_window_days=7)
    with pytest.raises(StoreError, match=r"TagResource .* scheduled for deletion"):
        backend.store.tag(backend.secret, {"colour": "blue"})
    with pytest.raises(StoreError, match=r"UpdateSecret .* scheduled for deletion"):
        backend.store.encrypt(backend.secret, kms_key="alias/pairs")
    with pytest.raises(StoreError, match=r"UntagResource .* scheduled for deletion"):
        backend.store.untag(backend.secret, ["colour"])
    with pytest.raises(StoreError, match=r"UpdateSecretVersionStage .* scheduled for deletion"):
        move_label(backend, Label.MAIN, backend.version(2))


def test_deletion_may_be_repeated(backend: Backend) -> None:
    """A secret that does not exist, or is scheduled for deletion, is not changed."""
    backend.store.delete(backend.secret, recovery_window_days=7)
    create_secret(backend)
    backend.store.delete(backend.secret, recovery_window_days=7)
    backend.store.delete(backend.secret, recovery_window_days=7)
    assert secret_description(backend).deleted_at is not None


def test_restoration_may_be_repeated(backend: Backend) -> None:
    """A secret that is not deleted is not changed, and a missing secret cannot be restored."""
    with pytest.raises(StoreError, match="RestoreSecret"):
        backend.store.restore(backend.secret)
    create_secret(backend)
    backend.store.restore(backend.secret)
    assert secret_description(backend).deleted_at is None


def test_tags_are_set_and_removed_one_by_one(backend: Backend) -> None:
    """Other tags are not changed. The removal of a missing tag is no error."""
    create_secret(backend, {"a": "1", "b": "2"})
    backend.store.tag(backend.secret, {"b": "3", "c": "letters 0-9 +-=._:/@"})
    assert secret_description(backend).tags == {"a": "1", "b": "3", "c": "letters 0-9 +-=._:/@"}
    backend.store.untag(backend.secret, ["a", "never"])
    assert secret_description(backend).tags == {"b": "3", "c": "letters 0-9 +-=._:/@"}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("", "x"),
        ("k" * 129, "x"),
        ("schlüssel", "x"),
        ("aws:key", "x"),
        ("key", "v" * 257),
        ("key", "a,b"),
        ("key", "größe"),
        ("key", "two\nlines"),
    ],
)
def test_tags_beyond_the_limits_of_aws_are_refused(backend: Backend, key: str, text: str) -> None:
    """The emulators accept such tags, so a test with only emulators would pass."""
    with pytest.raises(StoreError, match="Tag"):
        create_secret(backend, {key: text})
    assert backend.store.describe(backend.secret) is None
    create_secret(backend)
    with pytest.raises(StoreError, match="Tag"):
        backend.store.tag(backend.secret, {key: text})
    assert secret_description(backend).tags == {}


def test_a_secret_takes_fifty_tags(backend: Backend) -> None:
    """Existing tags count, and a tag that is set again does not count twice."""
    create_secret(backend, {f"tag-{number}": "k" * 256 for number in range(49)})
    backend.store.tag(backend.secret, {"k" * 128: "", "tag-0": "again"})
    assert len(secret_description(backend).tags) == 50
    with pytest.raises(StoreError, match="51 tags"):
        backend.store.tag(backend.secret, {"one-more": ""})
    assert len(secret_description(backend).tags) == 50


def test_all_versions_are_listed(backend: Backend) -> None:
    """Versions without a label are included, because their numbers must not be used again."""
    pair(backend)
    move_label(backend, Label.RESERVE, None)
    assert backend.version(2) not in secret_description(backend).labels
    assert {backend.version(1), backend.version(2)} <= set(backend.store.version_ids(backend.secret))


def test_the_time_is_aware_and_in_whole_seconds(backend: Backend) -> None:
    """The time is read from an answer, even if no secret exists."""
    first = backend.store.time()
    create_secret(backend)
    second = backend.store.time()
    assert first.tzinfo is UTC
    assert first.microsecond == 0
    assert first - timedelta(seconds=1) <= second
    assert abs(first - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_memory_records_writes_and_crashes_on_demand() -> None:
    """A crash before a write changes nothing, and a crash after it changes everything. Values are never recorded."""
    moments: list[str] = []

    def fail(operation: str, moment: str) -> None:
        moments.append(f"{moment} {operation}")
        if moments[-1] == crash:
            raise ConnectionError(crash)

    store = MemorySecretStore(fail=fail)
    crash = "before create"
    with pytest.raises(ConnectionError):
        store.create("pair", tags={}, description="", kms_key=None)
    assert (store.describe("pair"), store.calls) == (None, [])
    crash = "after put"
    store.create("pair", tags={}, description="", kms_key=None)
    with pytest.raises(ConnectionError):
        store.put("pair", "v" * 32, value(1))
    assert store.calls == [("create", "pair"), ("put", "pair", "v" * 32)]
    assert store.read("pair", "v" * 32) == value(1)
    assert moments == ["before create", "before create", "after create", "before put", "after put"]
