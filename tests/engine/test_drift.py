"""External changes are detected and repaired; deliberate changes by an operator are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.engine import World


@pytest.fixture
def pair(world: World) -> World:
    """Return a world with a pair."""
    world.stack.define([world.definition()])
    world.stack.up().ok()
    world.forget_calls()
    return world


def _lose_label(world: World) -> None:
    reserve = world.labels()["RESERVE"]
    world.client.update_secret_version_stage(SecretId=world.secret, VersionStage="RESERVE", RemoveFromVersionId=reserve)


def _lose_tags(world: World) -> None:
    tags = world.client.describe_secret(SecretId=world.secret)["Tags"]
    world.client.untag_resource(SecretId=world.secret, TagKeys=[tag["Key"] for tag in tags])


def _delete(world: World) -> None:
    world.client.delete_secret(SecretId=world.secret, RecoveryWindowInDays=7)


@pytest.mark.parametrize("change", [_lose_label, _lose_tags, _delete], ids=["label", "tags", "secret"])
@pytest.mark.parametrize("refreshed", [False, True], ids=["up", "refresh-and-up"])
def test_losses_are_repaired_without_changing_main(pair: World, change: object, *, refreshed: bool) -> None:
    """A lost RESERVE label, lost tags or a deleted secret need one update, which keeps the keys."""  # R32
    labels = pair.labels()
    values = {label: pair.value(version) for label, version in labels.items()}
    assert callable(change)
    change(pair)
    if refreshed:
        pair.stack.run("refresh", "--yes").ok()
    else:
        assert pair.stack.run("preview", "--expect-no-changes").code != 0, "preview shows the drift"
    pair.forget_calls()
    pair.stack.up().ok()
    assert pair.labels() == labels
    assert {label: pair.value(version) for label, version in labels.items()} == values
    assert "PutSecretValue" not in pair.aws.calls
    pair.forget_calls()
    assert "3 unchanged" in pair.stack.up().ok().output
    assert pair.aws.writes() == []


def test_a_reserve_label_that_was_moved_is_put_back(pair: World) -> None:
    """RESERVE on main is a promotion only if AWSCURRENT moved. If only RESERVE moved, it moves back to the reserve."""
    labels = pair.labels()
    pair.client.update_secret_version_stage(
        SecretId=pair.secret,
        VersionStage="RESERVE",
        RemoveFromVersionId=labels["RESERVE"],
        MoveToVersionId=labels["AWSCURRENT"],
    )
    pair.stack.up().ok()
    assert pair.labels() == labels


def test_main_moved_by_hand_onto_the_reserve_is_respected(pair: World) -> None:
    """The operator's promotion is kept, and the next reserve is issued."""  # R12 R32
    labels = pair.labels()
    pair.client.update_secret_version_stage(
        SecretId=pair.secret,
        VersionStage="AWSCURRENT",
        RemoveFromVersionId=labels["AWSCURRENT"],
        MoveToVersionId=labels["RESERVE"],
    )
    pair.stack.run("refresh", "--yes").ok()
    pair.stack.up().ok()
    after = pair.labels()
    assert after["AWSCURRENT"] == labels["RESERVE"]
    assert after["AWSPREVIOUS"] == labels["AWSCURRENT"]
    assert after["RESERVE"] not in labels.values()
    assert pair.stack.run("preview", "--expect-no-changes").ok()


def test_destroy_waits_out_the_recovery_window_and_up_brings_the_same_pair_back(pair: World) -> None:
    """`destroy` is refused while the pair is protected. After a destroy, `up` restores the same keys."""  # R32
    labels = pair.labels()
    value = pair.value(labels["AWSCURRENT"])
    assert pair.stack.run("destroy", "--yes").code != 0
    assert "DeletedDate" not in pair.client.describe_secret(SecretId=pair.secret)
    pair.stack.define([pair.definition(protect=False)])
    pair.stack.up().ok()
    pair.stack.run("destroy", "--yes").ok()
    assert "DeletedDate" in pair.client.describe_secret(SecretId=pair.secret)
    pair.stack.up().ok()
    assert pair.labels() == labels
    assert pair.value(labels["AWSCURRENT"]) == value


def test_a_missing_secret_is_not_silently_replaced(pair: World) -> None:
    """A pair whose secret was deleted for good is an error with the consequences, not a new pair."""  # R32
    pair.client.delete_secret(SecretId=pair.secret, ForceDeleteWithoutRecovery=True)
    failed = pair.stack.up()
    assert failed.code != 0
    assert "every device must get its management profile reinstalled" in failed.output
    pair.stack.run("refresh", "--yes").ok()
    assert "secret does not exist" in pair.stack.export()
    assert pair.stack.up().code != 0, "refresh does not lead to a new pair"
    assert "CreateSecret" not in pair.aws.calls
