"""Attacks with a single permission: no device loses trust in main, or trusts a certificate that no run verified (R38).

After an attack, runs of the deployer continue or are refused. SECURITY.md describes what each permission allows.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.core.pair import layout
from ios_mdm.core.pair.definition import NoReserve
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.layout import facts_tag, facts_value, version_id
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.secret import Label, trusted_label
from tests.support.adoption import CA, value
from tests.support.attacked import DELETED, FORMERS, MAIN, RESERVE, STRAYS, Attacked, attacked_server
from tests.support.long import examples
from tests.support.pairs import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LABELS = (*(label.value for label in Label), *STRAYS, *(trusted_label(number) for number in range(1, 7)))
VERSIONS: tuple[str | int | None, ...] = (*FORMERS, MAIN, DELETED, RESERVE, *STRAYS.values(), None)
"""Targets of a label: ordinals of certificates, ids of versions, and None to remove the label."""
BOOLS = st.booleans()
MAX_FORGERIES = 100
TAGS = st.lists(st.one_of(st.none(), st.integers(0, MAX_FORGERIES - 1)), min_size=2, max_size=5)
"""Numbers of forged tags, and None for a run between them."""


def check(server: Attacked, before: frozenset[str], *, strays: frozenset[str]) -> None:
    """Check that no device lost trust, and that devices trust only certificates that a run has stored."""
    assert before <= server.trusted_roots
    check_sources(server, before, strays=strays)


def check_sources(server: Attacked, before: frozenset[str], *, strays: frozenset[str]) -> None:
    """Check that devices trust only certificates that they trusted before, or that a run has stored."""
    assert not strays & server.trusted_roots
    stored = {one for one in server.armed.world.stored_versions() if server.store.read(SECRET, one) is not None}
    assert server.trusted_roots <= before | {server.root(one) for one in stored}


def stray_roots(server: Attacked) -> frozenset[str]:
    """Return the roots of the versions of another program."""
    return frozenset(server.root(version) for version in STRAYS.values())


MOVES = st.lists(
    st.one_of(st.none(), st.tuples(st.sampled_from(LABELS), st.sampled_from(VERSIONS))), min_size=1, max_size=6
)
"""Moves of labels, and None for a run between them."""


@pytest.mark.parametrize("label", LABELS)
def test_no_move_of_a_label_costs_trust(label: str) -> None:
    """UpdateSecretVersionStage alone: each label moves to each version that exists, or is removed."""  # R38
    for to in VERSIONS:
        server = attacked_server()
        before, strays = server.trusted_roots, stray_roots(server)
        server.move(label, to)
        server.runs()
        check(server, before, strays=strays)


@settings(max_examples=examples(40))
@given(moves=MOVES, is_pruned=BOOLS, has_distrust=BOOLS, has_state=BOOLS)
def test_no_moves_of_labels_cost_trust(
    moves: list[tuple[str, str | int | None] | None], *, is_pruned: bool, has_distrust: bool, has_state: bool
) -> None:
    """The moves are also made between runs, with versions that AWS deletes, and when the schedule fires.

    Runs and schedules promote only certificates that devices trust. A distrusted certificate stays distrusted.
    """  # R36 R38
    server = attacked_server(is_pruned=is_pruned, has_distrust=has_distrust, has_state=has_state)
    before, strays = server.trusted_roots, stray_roots(server)
    for move in moves:
        if move is None:
            server.runs(1)
        else:
            server.move(*move)
    error = server.runs()
    check(server, before, strays=strays)
    assert server.distrusted not in server.trusted_roots
    if not error:
        assert server.root(server.holder(Label.MAIN) or "") in server.trusted_roots
        server.fire()
        assert server.root(server.holder(Label.MAIN) or "") in server.trusted_roots


def test_moves_decide_which_certificate_is_main() -> None:
    """A version of another program can be main, too. The next run reports the label to move back."""  # R38
    for number in FORMERS:
        server = attacked_server()
        server.move(Label.MAIN, number)
        assert server.runs() == ""
        assert server.holder(Label.MAIN) == version_id(SECRET, number), "like a move by an operator"
    for version in (version_id(SECRET, DELETED), *STRAYS.values()):
        server = attacked_server()
        server.move(Label.MAIN, version)
        assert "ove " in server.runs()
        assert server.holder(Label.MAIN) == version
        assert server.root(version) not in server.trusted_roots


@pytest.mark.parametrize("is_distrusted", [False, True])
def test_moves_bring_a_deleted_reserve_back_unless_it_is_distrusted(*, is_distrusted: bool) -> None:
    """The reserve is the certificate that a run announced last, and AWS still has its version."""  # R38
    server = attacked_server()
    sha256, root = server.armed.world.facts(RESERVE).sha256, server.root(RESERVE)
    server.wish = replace(server.wish, reserve=NoReserve())
    assert server.runs() == ""
    assert root not in server.trusted_roots
    # The definition requests a reserve again, and the deleted one has its label.
    server.wish = replace(attacked_server().wish, distrust=frozenset({sha256} if is_distrusted else ()))
    server.move(Label.RESERVE, RESERVE)
    server.runs()
    assert (root in server.trusted_roots) is not is_distrusted


@pytest.mark.parametrize("number", [FORMERS[0], RESERVE])
def test_aws_can_delete_a_version_whose_labels_were_removed(number: int) -> None:
    """A run that needs the version is refused. Devices keep their trust."""  # R38
    server = attacked_server(is_pruned=True)
    before = server.trusted_roots
    for label in (trusted_label(number), *([Label.RESERVE] if number == RESERVE else [])):
        server.move(label, None)
    assert server.store.read(SECRET, version_id(SECRET, number)) is None
    error = server.runs()
    assert f"certificate {number}" in error
    assert server.trusted_roots == before


def test_a_reader_changes_nothing_and_finds_no_key_of_a_root() -> None:
    """GetSecretValue gives the keys of main and reserve, with which a program can present itself as the MDM server.

    tests/core/x509/test_forgeries.py shows that these keys sign no certificate that a device accepts.
    """  # R31 R38
    server = attacked_server()
    server.runs()
    reader, before, writes = server.principal("GetSecretValue"), server.trusted_roots, list(server.store.calls)
    for number in (MAIN, RESERVE):
        found = reader.read(SECRET, version_id(SECRET, number))
        assert found is not None
        stored = json.loads(found)
        key = load_pem_private_key(stored["tls.key"].encode(), None).public_key()
        leaf, root = (load_pem_x509_certificate(stored[name].encode()) for name in ("tls.crt", "ca.crt"))
        assert leaf.public_key() == key
        assert root.public_key() != key
        assert found.count("PRIVATE KEY") == 2, "one key: its first and its last line"
    calls: tuple[Callable[[], object], ...] = (
        lambda: reader.put(SECRET, "x" * 32, "{}", ["OTHER"]),
        lambda: reader.move_label(SECRET, Label.MAIN, to=version_id(SECRET, 1), current=version_id(SECRET, MAIN)),
        lambda: reader.tag(SECRET, {layout.SENT_TAG: "1"}),
        lambda: reader.untag(SECRET, [layout.SENT_TAG]),
    )
    for call in calls:
        with pytest.raises(PermissionError):
            call()
    assert server.runs() == ""
    assert (server.trusted_roots, server.store.calls) == (before, writes)


@pytest.mark.parametrize("label", LABELS)
def test_no_version_of_another_program_reaches_a_device(label: str) -> None:
    """PutSecretValue stores a version with the next version id or another one, and moves any label to it."""
    # R38
    for version in (version_id(SECRET, 7), "00000000-0000-4000-8000-000000000009"):
        server = attacked_server(is_pruned=True)
        before, strays = server.trusted_roots, stray_roots(server)
        server.principal("PutSecretValue").put(SECRET, version, value(CA.make()), [label])
        strays |= {server.root(version)}
        error = server.runs()
        check(server, before, strays=strays)
        assert error or server.holder(Label.MAIN) == version_id(SECRET, MAIN)


def forgeries(server: Attacked) -> Iterator[tuple[str, str]]:
    """Yield the tags that a program can set: forged facts of each certificate, and forged records."""
    observed = server.armed.world.service.observe(SECRET)
    assert observed is not None
    for version in observed.versions:
        facts, key = version.facts, facts_tag(version.version_id)
        if facts is None or version.role is None:
            continue
        forged = (
            replace(facts, sha256="ab" * 32),
            replace(facts, root="ab" * 32),
            replace(facts, not_after=facts.not_after - timedelta(days=390)),
            replace(facts, not_after=facts.not_after + timedelta(days=390)),
            replace(facts, not_before=facts.not_before + timedelta(days=390)),
            replace(facts, generation=1),
            replace(facts, generation=7),
            replace(facts, source=Source.INSTALLED, chain="ab" * 8),
        )
        yield key, "damaged"
        yield from ((key, facts_value(one, version.role)) for one in forged)
        yield from ((key, facts_value(facts, role)) for role in Role if role is not version.role)
    records = {
        layout.SENT_TAG: ("1", "1 2 3 4 5 6", "damaged"),
        layout.ANNOUNCED_TAG: (f"4 {'ab' * 32}", f"6 {'ab' * 32}", "damaged"),
        layout.HIGHEST_TAG: ("1", "400", "damaged"),
        layout.OWNER_TAG: ("another/project/stack",),
        layout.PAIR_ID_TAG: ("damaged",),
        layout.RESOURCE_ID_TAG: ("ab" * 16,),
        layout.MAIN_GENERATION_TAG: ("9", "damaged"),
        layout.PROMOTED_TAG: ("1", "5"),
        layout.REPLACED_TAG: ("ab" * 32,),
        layout.ARMED_TAG: ("1", "5 20200101T000000Z", "damaged"),
        layout.ADDRESS_TAG: ("attacker.example.com",),
        layout.profile_tag("com.example.other"): ("com.example.other",),
    }
    yield from ((key, one) for key, values in records.items() for one in values)


def test_no_forged_tag_costs_trust_in_main() -> None:
    """TagResource: no tag adds a certificate that no run has issued, or removes main from a profile."""  # R38
    for key, text in forgeries(attacked_server()):
        server = attacked_server()
        main, strays, before = server.root(MAIN), stray_roots(server), server.trusted_roots
        server.principal("TagResource").tag(SECRET, {key: text})
        server.runs()
        assert main in server.trusted_roots
        check_sources(server, before, strays=strays)


@settings(max_examples=examples(40))
@given(tags=TAGS, is_pruned=BOOLS, has_state=BOOLS)
def test_no_forged_tags_cost_trust_in_main(tags: list[int | None], *, is_pruned: bool, has_state: bool) -> None:
    """Several tags are set, with runs between them."""  # R38
    found = tuple(forgeries(attacked_server()))
    assert len(found) <= MAX_FORGERIES
    server = attacked_server(is_pruned=is_pruned, has_state=has_state)
    main, strays, before = server.root(MAIN), stray_roots(server), server.trusted_roots
    for one in tags:
        if one is None:
            server.runs(1)
        else:
            key, text = found[one % len(found)]
            server.principal("TagResource").tag(SECRET, {key: text})
    server.runs()
    assert main in server.trusted_roots
    check_sources(server, before, strays=strays)


@pytest.mark.parametrize("number", [FORMERS[0], RESERVE])
def test_a_tag_ends_the_offer_of_a_certificate_that_is_not_main(number: int) -> None:
    """A former main without a slot leaves the profile. A reserve is replaced by another one."""  # R35 R38
    server = attacked_server()
    main, root, facts = server.root(MAIN), server.root(number), server.armed.world.facts(number)
    forged = {
        FORMERS[0]: facts_value(facts, Role.DELETED),
        RESERVE: facts_value(replace(facts, generation=1), Role.RESERVE),
    }
    server.principal("TagResource").tag(SECRET, {facts_tag(version_id(SECRET, number)): forged[number]})
    assert server.runs() == ""
    assert root not in server.trusted_roots
    assert main in server.trusted_roots


STAGED_FORMERS = {
    "a former main without a slot": (("STAGED", 1),),
    "without its label of an offer": (("STAGED", 1), ("TRUSTED-1", None)),
    "the main that was": (("AWSCURRENT", 1), ("AWSPREVIOUS", 2), ("STAGED", 3), ("TRUSTED-3", None)),
    "a former main while main is an older one": (("AWSCURRENT", 1), ("STAGED", 2), ("TRUSTED-2", None)),
}


@pytest.mark.parametrize("name", STAGED_FORMERS)
def test_staged_on_a_former_main_does_not_end_its_offer(name: str) -> None:
    """UpdateSecretVersionStage: the former main looks like a stored main that is no longer requested."""  # R35 R38
    server = attacked_server()
    before = server.trusted_roots
    for label, to in STAGED_FORMERS[name]:
        server.move(label, to)
    assert server.runs() == ""
    assert before <= server.trusted_roots


def test_staged_on_a_main_that_replaced_another_does_not_end_its_offer() -> None:
    """This is so even after AWSCURRENT was moved back to the main that was replaced."""  # R35 R38
    server = attacked_server()
    server.wish = server.with_another_main(replace(server.wish, reserve=NoReserve()))
    assert server.runs(3) == ""
    replacement, before = server.holder(Label.MAIN), server.trusted_roots
    for label, to in (("AWSCURRENT", MAIN), ("AWSPREVIOUS", MAIN - 1), ("STAGED", replacement)):
        server.move(label, to)
    assert server.holder("STAGED") == replacement
    server.runs()
    assert before <= server.trusted_roots


def server_with_an_older_main() -> tuple[Attacked, str]:
    """Return a server whose main is a former reserve, and the version of the main before it, which has a higher number.

    Main was replaced while the reserve waited.
    """
    server = attacked_server()
    wish = server.wish
    server.wish = server.with_another_main(wish)
    assert server.runs(3) == ""
    replacement = server.holder(Label.MAIN)
    assert replacement is not None
    server.wish = wish
    server.armed.world.later(days=32)
    assert server.runs() == ""
    assert server.holder(Label.MAIN) == version_id(SECRET, RESERVE)
    return server, replacement


@pytest.mark.parametrize("label", ["AWSPREVIOUS", "AWSCURRENT"])
def test_staged_on_a_main_before_an_older_reserve_does_not_end_its_offer(label: str) -> None:
    """The number of the highest main is recorded, so the label does not make a former main the next one."""  # R35 R38
    server, replacement = server_with_an_older_main()
    before = server.trusted_roots
    server.move(label, MAIN)
    server.move("STAGED", replacement)
    assert server.holder("STAGED") == replacement
    server.runs()
    assert before <= server.trusted_roots


def test_a_former_main_is_lost_without_the_record_of_the_highest_main() -> None:
    """UntagResource and UpdateSecretVersionStage together: devices keep main, but lose a former main."""  # R38
    server, replacement = server_with_an_older_main()
    before, strays, lost = server.trusted_roots, stray_roots(server), server.root(replacement)
    server.principal("UntagResource").untag(SECRET, [layout.PROMOTED_TAG])
    server.runs()
    assert before <= server.trusted_roots, "UntagResource alone"
    server.move("AWSPREVIOUS", MAIN)
    server.move("STAGED", replacement)
    server.runs()
    assert before - server.trusted_roots == {lost}
    assert server.root(server.holder(Label.MAIN) or "") in server.trusted_roots
    check_sources(server, before, strays=strays)


def test_staged_on_a_former_main_does_not_make_it_the_next_main() -> None:
    """UpdateSecretVersionStage: the request to replace main gets a new certificate, not that of a former main."""
    # R32 R38
    server = attacked_server()
    server.wish = server.with_another_main(replace(server.wish, reserve=NoReserve()))
    server.move("STAGED", FORMERS[0])
    assert server.runs(3) == ""
    assert server.holder(Label.MAIN) not in {version_id(SECRET, number) for number in (*FORMERS, MAIN, RESERVE)}
