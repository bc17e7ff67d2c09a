"""AWS deletes a version without labels, so each certificate that devices need keeps a label."""

from __future__ import annotations

from tests.support.memory import MemorySecretStore
from tests.support.pairs import SECRET, World


def pruning_world() -> World:
    """Return a world whose store deletes a version without labels immediately."""
    world = World()
    world.store = MemorySecretStore(clock=world.clock, is_pruned=True)
    world.service._store = world.store
    return world


def test_the_store_deletes_exactly_the_versions_without_labels() -> None:
    """Any label keeps its version."""
    store = pruning_world().store
    store.create("one", tags={}, description="", kms_key=None)
    for version in ("main", "staged", "other"):
        store.put("one", version, version)
    assert store.version_ids("one") == ["main", "other"], "STAGED was moved to a later version"
    store.move_label("one", "OTHER", to="other", current=None)
    store.move_label("one", "STAGED", to=None, current="other")
    assert store.read("one", "other") == "other"
    store.move_label("one", "OTHER", to=None, current="other")
    assert store.version_ids("one") == ["main"]


def test_a_former_main_gets_a_label_before_it_loses_awsprevious() -> None:
    """Without a distribution, no delivery sets labels. Devices trust the former main until it expires."""  # R17 R32
    world = pruning_world()
    world.apply()
    for former in (1, 2, 3):
        world.later(days=30)
        result = world.apply()
        assert sorted(result.certificates) == list(range(1, former + 3))
    assert world.labels == {
        "TRUSTED-1": 1,
        "TRUSTED-2": 2,
        "AWSPREVIOUS": 3,
        "AWSCURRENT": 4,
        "RESERVE": 5,
    }
    world.later(days=400)
    world.apply()
    assert not {"TRUSTED-1", "TRUSTED-2"} & world.labels.keys(), "the label is removed after the expiry"
    assert len(world.store.version_ids(SECRET)) == len(set(world.labels.values()))
