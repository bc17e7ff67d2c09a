"""Every order of a few operations on stacks, by the real hooks: none takes trust away, and each guard is needed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from pulumi.dynamic import ReadResult

from ios_mdm import wiring
from ios_mdm.app import delivery, reconcile, switch_reader, switching
from ios_mdm.app.pair import identity, reader
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.reconcile import Reconciler
from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG
from ios_mdm.resources import distribution_hooks, pair_hooks
from tests.model.stacks.search import search
from tests.model.stacks.story import COPIED_FILE, DEV, OTHER_BACKEND, OTHER_REGION, SAME_SECRET, Story

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 3_000
"""States of the largest story."""

STORIES = {
    "nothing but time": Story(days=3),
    "another account or region": Story(limits={"elsewhere": 1, "refresh": 1}),
    "flags that leave a resource out": Story(limits={"alone": 2, "half": 1}),
    "a first run that dies": Story(limits={"death": 1}, born=False, days=1),
    "a run that dies": Story(limits={"death": 1}),
    "a destroy, refused or not": Story(limits={"unprotect": 1, "destroy": 1}),
    "a destroy elsewhere": Story(limits={"unprotect": 1, "elsewhere": 1}, days=1),
    "a replacement": Story(limits={"unprotect": 1, "replace": 1, "take over": 1}),
    "lost state": Story(limits={"state delete": 1, "take over": 1, "wrong take over": 1}),
    "a renamed server": Story(limits={"unprotect": 1, "rename": 1}),
    "a removed server": Story(limits={"unprotect": 1, "remove": 1}),
    "a copied stack file": Story(stacks=DEV | COPIED_FILE, days=1),
    "a copied stack file and a copied secret": Story(
        stacks=DEV | COPIED_FILE, limits={"copy": 1, "take over": 1}, days=1
    ),
    "a replica that another stack takes over": Story(
        stacks=DEV | OTHER_REGION, limits={"replica": 1, "take over": 1}, days=1
    ),
    "a take-over": Story(stacks=DEV | SAME_SECRET, limits={"take over": 1}),
    "a former owner": Story(
        stacks=DEV | SAME_SECRET, limits={"take over": 1, "unprotect": 1, "destroy": 1, "alone": 1}, days=1
    ),
    "a pair that its new owner destroys": Story(
        stacks=DEV | SAME_SECRET, limits={"take over": 1, "wrong take over": 1, "unprotect": 1, "destroy": 1}, days=1
    ),
    "a pair that a second backend destroys, and a refresh": Story(
        stacks=DEV | OTHER_BACKEND, limits={"take over": 1, "unprotect": 1, "destroy": 1, "refresh": 1}, days=1
    ),
    "stacks of two regions in one account": Story(
        stacks=DEV | OTHER_REGION, limits={"replica": 1, "take over": 1, "unprotect": 1, "destroy": 1}, days=1
    ),
    "a second backend": Story(stacks=DEV | OTHER_BACKEND, limits={"take over": 1}),
    "a lost secret": Story(limits={"lose": 1, "lost main": 1, "wrong lost main": 1, "refresh": 1}, days=1),
    "a restored secret": Story(limits={"restore": 1, "moved": 1, "refresh": 1}, days=1),
    "a moved secret": Story(limits={"replica": 1, "moved": 1, "elsewhere": 1, "reads": 1}, days=1),
    "a take-over in the midst of a run": Story(stacks=DEV | SAME_SECRET, limits={"between": 1}),
    "two first runs at the same time": Story(stacks=DEV | OTHER_BACKEND, limits={"between": 1}, born=False, days=1),
    "stale reads": Story(limits={"stale": 1}),
}


def _home(request: Any, observed: Any, actual: Callable[[], Home]) -> Home:
    del request
    return actual() if observed is None else Home.of_arn(observed.arn)


def _nothing(*_arguments: object, **_options: object) -> None:
    pass


def _identifier(identifier: str, pair_id: str | None) -> str:
    del pair_id
    return f"{identifier}.trust"


def _gone(id_: str, outputs: dict[str, Any]) -> ReadResult:
    """Report a pair that is gone as gone."""
    if wiring.here().store(None).describe(id_) is None:
        return ReadResult(None, {})
    return _READ(id_, outputs)


def _keeps_resource_id(self: PairService, secret: str, *, recovery_window_days: int) -> None:
    """Delete a secret without its release."""
    self._store.delete(secret, recovery_window_days=recovery_window_days)


def _claims_first(self: Reconciler, stages: Any, request: Any) -> Any:
    """Claim a pair as soon as its secret exists."""
    new_id = request.pair.new_resource_id
    store = self._pairs._store
    if new_id is not None and store.describe(request.pair.secret) is not None:
        store.tag(request.pair.secret, {RESOURCE_ID_TAG: new_id})
    return _RUN(self, stages, request)


def _deletes_anywhere(self: Reconciler, *arguments: Any, **options: Any) -> bool:
    """Delete a pair wherever the credentials are for."""
    with patch.object(PairService, "check_home", _nothing):
        return _DELETE(self, *arguments, **options)


_DELETE, _READ, _RUN = Reconciler.delete, pair_hooks.read, Reconciler._run


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A guard that is switched off.

    Args:
        patches: module or class, name, and what takes its place.
        story: that finds it.
        complaint: a part of what the search says.
    """

    patches: tuple[tuple[object, str, object], ...]
    story: Story
    complaint: str


SEEDS = {
    "any home": Seed(
        patches=((reader, "check_home", _home),),
        story=STORIES["a moved secret"],
        complaint="which is a copy of another pair",
    ),
    "another secret of the same name": Seed(
        patches=((reader, "check_home", _home),),
        story=STORIES["a restored secret"],
        complaint="which is another secret than the pair's",
    ),
    "a lost pair is made again": Seed(
        patches=((reader, "check_lost", _nothing),),
        story=STORIES["a lost secret"],
        complaint="up is refused",
    ),
    "a refresh reports a lost pair as gone": Seed(
        patches=((pair_hooks, "read", _gone),),
        story=STORIES["a lost secret"],
        complaint="made another pair in the place of the lost one",
    ),
    "any owner": Seed(
        patches=((reader, "check_ours", _nothing),),
        story=STORIES["a take-over"],
        complaint="which is the pair of dev",
    ),
    "any owner of the same name": Seed(
        patches=((reader, "check_ours", _nothing),),
        story=STORIES["a second backend"],
        complaint="which is the pair of dev",
    ),
    "a copied secret is taken over": Seed(
        patches=((identity, "check_copy", _nothing),),
        story=STORIES["a replica that another stack takes over"],
        complaint="which is a copy of another pair",
    ),
    "a delete does not compare the ids": Seed(
        patches=((reconcile, "check_ours", _nothing),),
        story=STORIES["a former owner"],
        complaint="which is the pair of copy",
    ),
    "a delete does not compare the home": Seed(
        patches=((Reconciler, "delete", _deletes_anywhere),),
        story=STORIES["a destroy elsewhere"],
        complaint="is refused its own pair",
    ),
    "a pair is not released": Seed(
        patches=((PairService, "delete", _keeps_resource_id),),
        story=STORIES["a destroy, refused or not"],
        complaint="is refused its own pair",
    ),
    "one identifier for all profiles": Seed(
        patches=((distribution_hooks, "profile_identifier", _identifier),),
        story=STORIES["a copied stack file"],
        complaint="does not trust a certificate any more that is in use",
    ),
    "a former owner sends its profile": Seed(
        patches=tuple((module, "check_owner", _nothing) for module in (delivery, distribution_hooks)),
        story=Story(stacks=DEV | SAME_SECRET, limits={"take over": 1, "alone": 1}),
        complaint="which is the pair of copy",
    ),
    "a switch is armed before devices were sent the reserve": Seed(
        patches=(
            (switching, "was_sent", lambda _request, _promote, _observed: True),
            (switch_reader, "is_sent", lambda _request, _observed: True),
        ),
        story=Story(limits={"half": 1}, born=False, days=1),
        complaint="armed for a reserve that not all devices were sent",
    ),
    "a pair is claimed first": Seed(
        patches=((Reconciler, "_run", _claims_first),),
        story=STORIES["a first run that dies"],
        complaint="is refused its own pair",
    ),
}


@pytest.mark.parametrize("story", [pytest.param(story, id=name) for name, story in STORIES.items()])
def test_no_order_of_operations_takes_trust_away(story: Story) -> None:
    """Whatever comes first: devices keep their trust, switches stay armed, and one `up` repairs what is left."""
    # R33 R34 R35 R36 R37
    found = search(story, most=MOST)
    print(f"{found.states} states, {found.transitions} events")  # noqa: T201 - `pytest -rP` shows it
    assert not found.trace, f"\n{found}"


@pytest.mark.parametrize("seed", [pytest.param(seed, id=name) for name, seed in SEEDS.items()])
def test_a_guard_that_is_switched_off_is_found(seed: Seed) -> None:
    """Without any of these guards there is a way to do harm."""
    # R33 R34 R35 R36 R37
    with ExitStack() as stack:
        for target, name, new in seed.patches:
            stack.enter_context(patch.object(target, name, new))
        found = search(seed.story, most=MOST)
    print(f"{found.states} states\n{found}")  # noqa: T201 - `pytest -rP` shows it
    assert found.trace
    assert seed.complaint in found.trace[-1]
