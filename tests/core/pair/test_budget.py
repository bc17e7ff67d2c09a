"""A pair stays within AWS's limits of 50 tags and 20 labels, and a run that exceeds them is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ios_mdm.core.pair import layout
from ios_mdm.core.pair.budget import (
    MAX_CERTIFICATES,
    MAX_EXPIRED_FORMERS,
    MAX_TAGS,
    OWN_TAGS,
    certificates_at_once,
    check_budget,
    check_key_change,
    room_for_tags,
)
from ios_mdm.core.pair.definition import IssueReserve, When
from ios_mdm.core.pair.encryption import versions_with_former_key
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.observed import ObservedPair, Role
from ios_mdm.core.pair.secret import MAX_LABELS, Label, trusted_label
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_server
from tests.support.lifecycle import START, definition, facts, pair, version

SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
OTHERS = 4
"""Number of tags for four profile identifiers."""


def full(count: int, *, expired: int = 0) -> ObservedPair:
    """Return a pair with *count* valid certificates, all offered, and *expired* former mains that have expired."""
    versions = []
    for ordinal in range(1, expired + count + 1):
        known = facts(ordinal)
        if ordinal <= expired:
            known = replace(known, not_before=START - timedelta(days=500), not_after=START - timedelta(days=100))
        role = Role.RESERVE if ordinal == expired + count else Role.MAIN
        one = version(known, role)
        labels = set() if ordinal <= expired else {trusted_label(ordinal)}
        slots = {expired + count: Label.RESERVE, expired + count - 1: Label.MAIN, expired + count - 2: Label.FORMER}
        labels |= {slots[ordinal]} if ordinal in slots else set()
        versions.append(replace(one, labels=frozenset(labels)))
    return pair(*versions)


def test_every_tag_of_a_pair_is_counted() -> None:
    """The tags without a version id in their key, and those of profile identifiers, are counted."""  # R40
    keys = [value for name, value in vars(layout).items() if name.endswith("_TAG")]
    assert len(keys) + OTHERS == OWN_TAGS


@pytest.mark.parametrize("days", [27, 30, 60, 180])
def test_the_worst_case_fits(days: int) -> None:
    """The maximum of certificates, expired former mains and user's tags, and a replaced reserve, fit into a secret."""
    # R40
    server = parse_server(
        {
            "name": "berlin",
            "address": "mdm.example.com",
            "reserve": {"issue": {"when": "now", "apply": {"afterDays": days}}},
        },
        "berlin",
    )
    count = certificates_at_once(397, days)
    assert len(Label) + count <= MAX_LABELS
    tags = OWN_TAGS + count + MAX_EXPIRED_FORMERS + 1 + min(server.room_for_tags, 20)
    assert tags <= MAX_TAGS
    live = max(sum(issued <= day < issued + 397 for issued in (0, *range(0, 2000, days))) for day in range(2000))
    assert live <= count, "main and its first reserve are issued together, then a reserve after each period"


def test_the_default_leaves_room_for_twenty_tags() -> None:
    """With the default settings, 20 tags fit under aws.tags."""  # R40
    assert parse_server({"name": "berlin", "address": "mdm.example.com"}, "berlin").room_for_tags >= 20
    assert room_for_tags(3) >= 20


def test_one_label_too_many_is_refused_before_any_effect() -> None:
    """A run that offers another certificate needs a label for it. The message says when one is free again."""  # R40
    wish = replace(definition(IssueReserve(when=When.NOW, generation=2)), distributed=True)
    for count, accepted in ((MAX_CERTIFICATES, True), (MAX_CERTIFICATES + 1, False)):
        found = full(count)
        wanted = desired_state(wish, found, START)
        assert len(wanted.trusted_ordinals) == count, "the reserve is replaced"
        if accepted:
            check_budget(wanted, found, secret=SECRET, tags=(), distributed=True, now=START)
            continue
        with pytest.raises(DefinitionError, match=r"17 certificates .* room for 16: wait until one expires \(20"):
            check_budget(wanted, found, secret=SECRET, tags=(), distributed=True, now=START)
        check_budget(wanted, found, secret=SECRET, tags=(), distributed=False, now=START)


def test_expired_formers_need_no_label() -> None:
    """An expired former main stays in the profile without a label until the server presents another certificate."""
    # R17 R40
    found = full(MAX_CERTIFICATES, expired=MAX_EXPIRED_FORMERS)
    wanted = desired_state(definition(IssueReserve(when=When.NOW)), found, START)
    assert len(wanted.trusted_ordinals) == MAX_CERTIFICATES + MAX_EXPIRED_FORMERS
    check_budget(wanted, found, secret=SECRET, tags=(), distributed=True, now=START)


def test_one_tag_too_many_is_refused_before_any_effect() -> None:
    """Tags of the user, of other programs and of certificates count. Tags of AWS do not count."""  # R40
    wish = definition(IssueReserve(when=When.NOW, generation=2))
    found = full(3)
    wanted = desired_state(wish, found, START)
    existing = dict.fromkeys([*map(str, range(38)), "aws:created"], "")
    user = [f"u{number}" for number in range(10)]
    check_budget(wanted, replace(found, tags=existing), secret=SECRET, tags=user, distributed=True, now=START)
    with pytest.raises(DefinitionError, match=r"needs 51 tags, but AWS allows 50: remove some of aws\.tags"):
        check_budget(
            wanted, replace(found, tags={**existing, "x": ""}), secret=SECRET, tags=user, distributed=True, now=START
        )


@pytest.mark.parametrize(
    ("certificates", "user_tags", "is_accepted"), [(3, 20, True), (14, 8, False), (15, 0, False), (13, 0, True)]
)
def test_a_changed_kms_key_is_refused_if_its_tags_do_not_fit(
    certificates: int, user_tags: int, *, is_accepted: bool
) -> None:
    """Each certificate except main and the former main keeps a tag with its former key until it is removed."""  # R40
    found = full(certificates)
    wanted = desired_state(definition(IssueReserve(when=When.NOW)), found, START)
    tags = [f"u{number}" for number in range(user_tags)]
    check_key_change(wanted, found, None, tags=tags, now=START)
    if is_accepted:
        check_key_change(wanted, found, "alias/new", tags=tags, now=START)
        most = (
            OWN_TAGS + MAX_EXPIRED_FORMERS + 1 + certificates + user_tags + len(versions_with_former_key(wanted, found))
        )
        assert most <= MAX_TAGS
        return
    with pytest.raises(DefinitionError, match=r"aws\.kmsKey cannot change now: .* wait until certificates expire"):
        check_key_change(wanted, found, "alias/new", tags=tags, now=START)
