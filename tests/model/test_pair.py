"""The secret of the model is compared with that of the real service after each step."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.pair.effects import Effects
from ios_mdm.app.pair.reader import pair_view
from ios_mdm.core.pair.layout import ANNOUNCED_TAG, REPLACED_TAG, added_tags, announced_value, version_id
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.steps import next_step
from ios_mdm.errors import LabelMovedError
from tests.support.crashes import STORIES
from tests.support.model_pair import SECRET, Secret, carried_out, fingerprint, observe, root, with_label_moved
from tests.support.pairs import NOW, World, definition

if TYPE_CHECKING:
    from ios_mdm.core.pair.definition import PairDefinition
    from ios_mdm.core.pair.observed import ObservedPair
    from tests.support.crashes import Story


class Both:
    """The real service on a store in memory, and the model."""

    def __init__(self) -> None:
        self.world = World()
        self.secret: Secret | None = None

    def goes_on(self, wish: PairDefinition, *, most: int = 60) -> int:
        """Apply at most this many steps to both, compare them after each step, and return the number of steps."""
        request, now = self.world.request(wish), self.world.clock.now()
        for count in range(most):
            real = self.world.service.observe(SECRET)
            step = next_step(desired_state(wish, real, now), real, request.setting(None, None))
            seen = observe(self.secret)
            thought = next_step(desired_state(wish, seen, now), seen, request.setting(None, None))
            assert type(thought) is type(step)
            if step is None or thought is None:
                return count
            effects = Effects(self.world.store, self.world.clock, custom=None, report=self.world.reports.append)
            effects.perform(request, pair_view(request, real, now))
            self.secret = carried_out(self.secret, thought, observed=seen, now=now)
            self.compare()
        return most

    def compare(self) -> None:
        """Compare the observations of both, except digests."""
        real = self.world.service.observe(SECRET)
        assert real is not None
        assert observe(self.secret) == _without_digests(real)


def _without_digests(pair: ObservedPair) -> ObservedPair:
    """Return the pair with digests that are replaced by those of the model."""
    versions = tuple(
        replace(
            version,
            facts=None
            if version.facts is None
            else replace(version.facts, sha256=fingerprint(version.facts.ordinal), root=root(version.facts.ordinal)),
        )
        for version in pair.versions
    )
    replaced = [
        fingerprint(one.facts.ordinal) for one in pair.versions if one.facts and one.facts.sha256 == pair.replaced
    ]
    tags = {key: _tag_without_digests(text) for key, text in pair.tags.items()}
    announced = pair.announced
    if announced is not None:
        announced = replace(announced, sha256=fingerprint(announced.ordinal))
        tags[ANNOUNCED_TAG] = announced_value(announced)
    if replaced:
        tags[REPLACED_TAG] = replaced[0]
    return replace(pair, versions=versions, announced=announced, tags=tags, replaced=replaced[0] if replaced else None)


def _tag_without_digests(text: str) -> str:
    found = re.match(r"n=(\d+) ", text)
    if found is None:
        return text
    number = int(found[1])
    return re.sub(r"root=\w+", f"root={root(number)}", re.sub(r"sha256=\w+", f"sha256={fingerprint(number)}", text))


@pytest.mark.parametrize("story", [pytest.param(story, id=name) for name, story in STORIES.items()])
@pytest.mark.parametrize(
    "continued",
    [None, definition(replace(NOW, generation=2, validity_days=200))],
    ids=["as begun", "with another definition"],
)
def test_a_run_that_dies_anywhere(story: Story, continued: PairDefinition | None) -> None:
    """A run may crash after any effect, and continue with any definition: the model has the store's labels and tags."""
    # R30
    for dies_after in range(20):
        both = Both()
        if story.before is not None:
            both.goes_on(story.before)
        both.world.later(days=story.days)
        done = both.goes_on(story.wish, most=dies_after)
        wish = continued or story.wish
        if continued is not None:
            wish = replace(continued, main=story.wish.main)
        both.goes_on(wish)
        if done < dies_after:
            return
    pytest.fail("the story has too many effects: raise the range")


def test_changed_tags() -> None:
    """Tags that are no longer declared are removed step by step in both. A removal that crashes is continued."""
    # R32
    for dies_after in range(1, 4):
        both = Both()
        both.goes_on(definition())
        both.world.user_tags = {"stage": "test"}
        both.goes_on(definition(), most=dies_after)
        both.goes_on(definition())
        assert added_tags(both.world.tags) == {"stage"}
        assert "team" not in both.world.tags


@pytest.mark.parametrize("dies_after", range(1, 4))
def test_a_changed_kms_key(dies_after: int) -> None:
    """The KMS key and the records of the former key change step by step in both. A change that crashes is continued."""
    # R32
    both = Both()
    both.goes_on(definition())
    for key in ("alias/pairs", "alias/others", None):
        both.world.kms_key = key
        both.goes_on(definition(), most=dies_after)
        both.goes_on(definition())
        both.world.later(days=31)
        both.goes_on(definition())
        assert both.secret is not None
        assert both.secret.kms_key == key


def test_labels_that_others_move() -> None:
    """AWSPREVIOUS follows the promotion of a schedule and the rollback of an operator. A stale move is refused."""
    # R11 R32
    both = Both()
    both.goes_on(definition())
    for to, current in ((2, 1), (1, 2), (2, 1)):
        both.world.move(Label.MAIN, to)
        assert both.secret is not None
        both.secret = with_label_moved(both.secret, Label.MAIN, to=to, current=current)
        both.compare()
    assert both.secret is not None
    with pytest.raises(LabelMovedError):
        with_label_moved(both.secret, Label.MAIN, to=3, current=1)
    with pytest.raises(LabelMovedError):
        both.world.store.move_label(SECRET, Label.MAIN, to=version_id(SECRET, 3), current=version_id(SECRET, 1))
    both.goes_on(definition())
    both.world.later(days=31)
    both.goes_on(definition())
