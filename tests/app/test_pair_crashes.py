"""The next run continues a run that was interrupted at any write, once or several times, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.app.pair import effects
from ios_mdm.core.pair.definition import IssueReserve, KeyType, NoReserve
from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.issuing import issue, validity
from ios_mdm.core.x509.values import Credential
from tests.support.certificates import DAY, HOST, LEAF, ROOT, Chain, SelfSigned, pem, private_pem
from tests.support.certificates import NOW as CHAINS_MADE_AT
from tests.support.crashes import STORIES, Crash, CrashError, Edge, Story, values
from tests.support.long import examples
from tests.support.pairs import NOW, SECRET, World, definition

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


pytestmark = pytest.mark.usefixtures("unlabeled")


def initial_world(story: Story) -> World:
    """Return the world in which the story starts."""
    world = World()
    if story.before is not None:
        world.apply(story.before)
    world.later(days=story.days)
    world.store.calls.clear()
    return world


def writes(story: Story) -> int:
    """Return the number of writes of an undisturbed run."""
    world = initial_world(story)
    world.apply(story.wish)
    return len(world.store.calls)


@dataclass(slots=True)
class Seen:
    """The values of all versions that a test has read, including those that the store has deleted."""

    all: dict[str, str] = field(default_factory=dict)

    def __call__(self, world: World) -> dict[str, str]:
        """Return the values. The value of a version never changes, and only a pruned store lacks versions."""
        found = values(world)
        assert world.store.is_pruned or self.all.keys() <= found.keys()
        assert all(self.all.get(key, value) == value for key, value in found.items())
        self.all |= found
        return dict(self.all)


CRASHES = [
    pytest.param(story, number, edge, id=f"{name}: {edge} write {number}")
    for name, story in STORIES.items()
    for number in range(1, writes(story) + 1)
    for edge in ("before", "after")
]


@pytest.mark.parametrize(("story", "number", "edge"), CRASHES)
def test_the_next_run_continues(story: Story, number: int, edge: Edge) -> None:
    """After a crash at any write, the next run has the same result as an undisturbed one, and issues nothing twice."""
    # R30 R32
    world = initial_world(story)
    seen = Seen()
    before = seen(world)
    world.store.fail = Crash(number, edge)
    with pytest.raises(CrashError):
        world.apply(story.wish)
    world.store.fail = None
    crashed = seen(world)
    assert before.items() <= crashed.items()
    result = world.apply(story.wish)
    assert world.labels == story.labels
    after = seen(world)
    assert crashed.items() <= after.items()
    assert len(after) == len(before) + story.issued
    assert len(world.stored_versions()) == len(set(world.stored_versions())) == story.issued
    assert len({json.loads(value)["tls.key"] for value in after.values()}) == len(after)
    assert result.view.step is None
    quiet = list(world.store.calls)
    world.apply(story.wish)
    assert world.store.calls == quiet


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        (replace(NOW, key=KeyType.RSA_2048), "RSA 2048"),
        (replace(NOW, validity_days=200), "EC P-256"),
    ],
    ids=["key", "validity"],
)
def test_a_version_stored_for_another_definition_is_not_adopted(changed: IssueReserve, key: str) -> None:
    """A crash left a staged reserve that the definition no longer describes. It is replaced under a new number."""
    world = World()
    world.apply(definition(None))
    world.store.fail = _die_after_put
    with pytest.raises(CrashError):
        world.apply(definition(NOW))
    world.store.fail = None
    assert world.labels == {"AWSCURRENT": 1, "STAGED": 2}
    result = world.apply(definition(changed))
    assert world.labels == {"AWSCURRENT": 1, "RESERVE": 3}
    assert set(result.certificates) == {1, 3}
    assert result.certificates[3].details.key == key
    if changed.validity_days is not None:
        facts = result.certificates[3].facts
        assert (facts.not_after - facts.not_before).days == changed.validity_days - 1


def _custom(not_before: datetime) -> Credential:
    """Return a certificate that fulfills the definition, under an ordinary CA."""
    days = ((not_before - CHAINS_MADE_AT) / DAY, (not_before + validity(397) - CHAINS_MADE_AT) / DAY)
    made = Chain(leaf=LEAF.but(days=days), issuing=(), root=ROOT.but(days=days)).make()
    return Credential(
        certificate=pem(made.leaf).decode(),
        private_key=private_pem(made.keys[0]).decode(),
        root=pem(made.root).decode(),
        sha256=fingerprint(made.leaf),
    )


def _self_signed(not_before: datetime) -> Credential:
    """Return a self-signed certificate."""
    days = ((not_before - CHAINS_MADE_AT) / DAY, (not_before + validity(397) - CHAINS_MADE_AT) / DAY)
    made = SelfSigned(leaf=LEAF.but(ca=None, usages=None, days=days)).make()
    certificate = pem(made.leaf).decode()
    return Credential(
        certificate=certificate,
        private_key=private_pem(made.keys[0]).decode(),
        root=certificate,
        sha256=fingerprint(made.leaf),
    )


def _issued_certificate(not_before: datetime) -> Credential:
    return issue(HOST, key=KeyType.EC_P256, validity_days=397, now=not_before + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("made", "reserve"),
    [(_issued_certificate, 2), (_custom, 3), (_self_signed, 3)],
    ids=["issued", "custom", "self-signed"],
)
def test_only_a_certificate_of_the_issued_form_is_adopted_as_issued(
    made: Callable[[datetime], Credential], reserve: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted run has stored the next reserve, with its host, key and validity, but possibly in another form."""
    # R31 R38
    world = World()
    world.apply(definition(None))
    credential = made(world.clock.moment - timedelta(minutes=5))
    world.store.fail = _die_after_put
    with monkeypatch.context() as patched:
        patched.setattr(effects, "issue", lambda *_arguments, **_named: credential)
        with pytest.raises(CrashError):
            world.apply(definition(NOW))
    world.store.fail = None
    result = world.apply(definition(NOW))
    assert world.labels == {"AWSCURRENT": 1, "RESERVE": reserve}
    assert (result.certificates[reserve].details.sha256 == credential.sha256) is (reserve == 2)


def _die_after_put(operation: str, edge: Edge) -> None:
    if (operation, edge) == ("put", "after"):
        raise CrashError(operation)


@pytest.mark.parametrize(("story", "number", "edge"), CRASHES)
def test_a_preview_after_a_crash_shows_how_it_ends(story: Story, number: int, edge: Edge) -> None:
    """The preview of a half-changed pair has no error, and the same main as the result of the next run."""
    world = initial_world(story)
    world.store.fail = Crash(number, edge)
    with pytest.raises(CrashError):
        world.apply(story.wish)
    world.store.fail = None
    assert world.look(story.wish).desired.main == story.labels["AWSCURRENT"]


REQUESTS = {
    "now": definition(),
    "silent": definition(None),
    "none": definition(NoReserve()),
}


@settings(max_examples=examples(60))
@given(
    runs=st.lists(
        st.tuples(
            st.integers(1, 12),
            st.sampled_from(["before", "after"]),
            st.integers(0, 40),
            st.sampled_from(sorted(REQUESTS)),
        ),
        max_size=8,
    )
)
def test_several_crashes_in_a_row_while_time_passes(runs: list[tuple[int, Edge, int, str]]) -> None:
    """After interrupted runs with any definitions, main stays until it is due, and the last run converges."""
    # R32
    world, seen = World(), Seen()
    held: dict[str, str] = {}
    for number, edge, days, wish in runs:
        world.store.fail = Crash(number, edge)
        with contextlib.suppress(CrashError):
            world.apply(REQUESTS[wish])
        assert held.items() <= seen(world).items()  # no number is used for another certificate, no key is lost
        held = seen(world)
        world.later(days=days)
    world.store.fail = None
    mains = world.labels.get("AWSCURRENT") if held else None
    result = world.apply()
    labels = {label: ordinal for label, ordinal in world.labels.items() if not label.startswith("TRUSTED-")}
    assert held.items() <= seen(world).items()
    assert labels.keys() - {"AWSPREVIOUS"} == {"AWSCURRENT", "RESERVE"}
    assert labels["AWSCURRENT"] == result.view.desired.main
    assert labels["RESERVE"] == result.view.desired.reserve
    assert len(set(labels.values())) == len(labels)
    assert mains is None or labels["AWSCURRENT"] == mains or labels["AWSPREVIOUS"] == mains
    known = {version_id(SECRET, ordinal) for ordinal in range(1, int(world.tags["ios-mdm:highest-ordinal"]) + 1)}
    assert seen(world).keys() <= known
