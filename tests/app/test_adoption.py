"""Only a version that a run announced is adopted: `PutSecretValue` alone gets no certificate onto a device (R38)."""

from __future__ import annotations

import re
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.pair.found import value_digest
from ios_mdm.core.pair.definition import NoReserve
from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.pair.layout import (
    ANNOUNCED_TAG,
    HIGHEST_TAG,
    announced_value,
    facts_tag,
    facts_value,
    version_id,
)
from ios_mdm.core.pair.observed import Announcement, Role
from ios_mdm.core.x509.credential import credential_to_json
from ios_mdm.core.x509.digests import fingerprint, root_digest
from ios_mdm.core.x509.values import Credential
from ios_mdm.errors import IdentityError, OwnershipError, StoreError
from tests.app.test_pair_crashes import Crash, CrashError
from tests.app.test_pair_service import FOREIGN, KNOWN, NOW, SECRET, HandClock, World, definition
from tests.support.certificates import NOW as AT
from tests.support.certificates import Chain, Made, SelfSigned, Spec, pem, private_pem
from tests.support.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.usefixtures("unlabelled")

QUIET = definition(NoReserve())
CA = SelfSigned(
    leaf=Spec(
        name="mdm.example.com",
        owner="attacker",
        ca=True,
        usages=("digital_signature", "key_cert_sign"),
        sans=("mdm.example.com",),
        days=(-10, 387),
    )
)
"""A certificate that can vouch for any name, with the names, the key type and the validity of an issued one."""
LABELS = ((), ("STAGED",), ("RESERVE",), ("OTHER",), ("RESERVE", "STAGED"))


def value(made: Made) -> str:
    """Return what a version with this certificate contains."""
    return credential_to_json(
        Credential(
            certificate=pem(*(made.chain[:-1] or made.chain)).decode(),
            private_key=private_pem(made.keys[0]).decode(),
            root=pem(made.root).decode(),
            sha256=fingerprint(made.leaf),
        )
    )


@pytest.fixture
def world() -> World:
    """Return a pair without a reserve."""
    one = World(clock=HandClock(AT))
    one.apply(QUIET)
    return one


SECURITY = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
PUT = "`PutSecretValue`"
PUT_AND_TAG = "`PutSecretValue` and `TagResource`"
ALL_BUT_TAG = "`PutSecretValue`, `UpdateSecretVersionStage` and `UntagResource`"
STRAY = "00000000-0000-4000-8000-000000000001"


def principal(world: World, permissions: str) -> Principal:
    """Return the principal with these permissions, as SECURITY.md names them."""
    assert f"| {permissions} |" in SECURITY or f"with {permissions} " in SECURITY
    return Principal(store=world.store, actions=frozenset(re.findall(r"`(\w+)`", permissions)))


def put(world: World, version: str, labels: Sequence[str], made: Made, *, by: str = PUT) -> None:
    """Store a version by PutSecretValue, which moves labels; it loses a label when the next version gets it."""
    attacker = principal(world, by)
    attacker.put(SECRET, version, value(made), labels or ["STRAY"])
    if not labels:
        attacker.put(SECRET, STRAY, value(made), ["STRAY"])


def announce(world: World, number: int, made: Made) -> None:
    """Write the tag as a program can that may call TagResource, too."""
    announced = Announcement(ordinal=number, sha256=value_digest(value(made)))
    principal(world, PUT_AND_TAG).tag(SECRET, {ANNOUNCED_TAG: announced_value(announced)})


def test_a_principal_does_only_what_it_may(world: World) -> None:
    """The control: each operation is refused to a principal that lacks it."""  # R38
    calls: dict[str, Callable[[Principal], object]] = {
        "PutSecretValue": lambda one: one.put(SECRET, FOREIGN, "", ["OTHER"]),
        "GetSecretValue": lambda one: one.read(SECRET, FOREIGN),
        "UpdateSecretVersionStage": lambda one: one.move_label(SECRET, "OTHER", to=None, current=None),
        "TagResource": lambda one: one.tag(SECRET, {"a": "b"}),
        "UntagResource": lambda one: one.untag(SECRET, ["a"]),
    }
    for allowed in calls:
        for action, call in calls.items():
            one = Principal(store=world.store, actions=frozenset({allowed}))
            with nullcontext() if action == allowed else pytest.raises(PermissionError, match=action):
                call(one)


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: "+".join(labels) or "no label")
@pytest.mark.parametrize("version", [version_id(SECRET, 2), FOREIGN], ids=["the next version id", "another version id"])
def test_a_version_that_no_run_announced_is_not_adopted(world: World, version: str, labels: Sequence[str]) -> None:
    """The run issues its own certificate, or is refused before a label or facts tag of the pair changes."""
    # R38
    attacker = CA.make()
    put(world, version, labels, attacker)
    for _ in range(2):
        known = replace(KNOWN, certificates=frozenset({world.facts(1).sha256}))
        if "RESERVE" in labels and version != FOREIGN:
            with pytest.raises(StoreError, match="has a label of the pair, but no facts tag"):
                world.apply(definition(NOW), known=known)
            assert facts_tag(version) not in world.tags
            continue
        result = world.apply(definition(NOW), known=known)
        assert fingerprint(attacker.leaf) not in {one.facts.sha256 for one in result.certificates.values()}
        assert world.labels["RESERVE"] in {2, 3}
        assert sorted(result.certificates) == [1, world.labels["RESERVE"]]


@pytest.mark.parametrize("known", [True, False], ids=["with a state", "without a state"])
def test_a_main_that_no_run_announced_is_refused(world: World, *, known: bool) -> None:
    """PutSecretValue moves AWSCURRENT; the message says which version holds it and what to do."""  # R38
    state = world.known if known else None
    put(world, version_id(SECRET, 2), ["AWSCURRENT"], CA.make())
    writes = list(world.store.calls)
    with pytest.raises(StoreError, match=rf"version {version_id(SECRET, 2)} \(certificate 2\) .* Move the label back"):
        world.apply(QUIET, known=state)
    assert world.store.calls == writes


@pytest.mark.parametrize("slot", ["AWSCURRENT", "RESERVE"])
def test_an_announced_version_in_a_slot_is_checked_by_the_rules(world: World, slot: str) -> None:
    """A program that may also write tags gets no CA onto a device."""  # R38
    attacker = CA.make()
    put(world, version_id(SECRET, 2), [slot], attacker)
    announce(world, 2, attacker)
    with pytest.raises(StoreError, match=r"\(certificate 2\) has a label of the pair"):
        world.apply(definition(NOW), known=KNOWN)


@pytest.mark.parametrize(("label", "role"), [("RESERVE", Role.RESERVE), ("AWSCURRENT", Role.MAIN)])
@pytest.mark.parametrize("form", [CA, Chain()], ids=["authority", "custom"])
def test_a_record_of_an_issued_certificate_does_not_make_it_one(
    world: World, label: str, role: Role, form: SelfSigned | Chain
) -> None:
    """Whoever may also write tags records a version as issued: its form decides (R31)."""  # R38 R31
    attacker, version = form.make(), version_id(SECRET, 2)
    put(world, version, [label], attacker)
    forged = CertificateFacts(
        ordinal=2,
        source=Source.ISSUED,
        generation=1,
        chain="",
        not_before=attacker.leaf.not_valid_before_utc,
        not_after=attacker.leaf.not_valid_after_utc,
        sha256=fingerprint(attacker.leaf),
        root=root_digest(attacker.root),
    )
    tags = {facts_tag(version): facts_value(forged, role), HIGHEST_TAG: "2"}
    principal(world, PUT_AND_TAG).tag(SECRET, tags)
    with pytest.raises(StoreError, match=r"recorded as issued.*is not in the form of issued certificates"):
        world.apply(definition(NOW), known=KNOWN)


def test_an_announced_main_that_passes_all_rules_is_accepted(world: World) -> None:
    """As after a run that died before it wrote the facts of a custom main."""  # R30 R38
    made = Chain().make()
    put(world, version_id(SECRET, 2), ["AWSCURRENT"], made)
    announce(world, 2, made)
    assert world.apply(QUIET, known=KNOWN).certificates[2].facts.sha256 == fingerprint(made.leaf)


def test_an_announced_certificate_authority_is_not_taken_for_an_issued_reserve(world: World) -> None:
    """STAGED, as after a run that died: the version is not what the definition asks for (R31)."""  # R38 R31
    attacker = CA.make()
    put(world, version_id(SECRET, 2), ["STAGED"], attacker)
    announce(world, 2, attacker)
    result = world.apply(definition(NOW))
    assert fingerprint(attacker.leaf) not in {one.facts.sha256 for one in result.certificates.values()}
    assert world.labels["RESERVE"] == 3


@pytest.mark.parametrize("edge", ["before", "after"])
@pytest.mark.parametrize("write", [1, 2, 3])
def test_a_run_that_dies_around_its_announcement_is_continued(world: World, write: int, edge: str) -> None:
    """A value that was stored is adopted; one that was only announced is replaced. The number is the same."""
    # R30 R38
    world.store.fail = Crash(write, edge)  # type: ignore[arg-type]
    with pytest.raises(CrashError):
        world.apply(definition(NOW))
    world.store.fail = None
    stored = world.store.read(SECRET, version_id(SECRET, 2))
    world.apply(definition(NOW))
    assert world.labels["RESERVE"] == 2
    assert stored in {None, world.value(2)}


UNTAGGED = {
    "no tag": "",
    "the facts": "ios-mdm:certificate:",
    "the announcement": ANNOUNCED_TAG,
    "the highest number": HIGHEST_TAG,
    "all tags": "ios-mdm:",
}


@pytest.mark.parametrize("removed", UNTAGGED)
@pytest.mark.parametrize("labels", [*LABELS, ("AWSCURRENT",)], ids=lambda labels: "+".join(labels) or "no label")
def test_without_tag_resource_no_certificate_is_added(labels: Sequence[str], removed: str) -> None:
    """A program with PutSecretValue, UpdateSecretVersionStage and UntagResource stops runs, and adds no certificate."""
    # R38
    for has_reserve, form in ((False, CA), (True, Chain())):
        world = World(clock=HandClock(AT))
        world.apply(definition(NOW) if has_reserve else QUIET)
        for state in (world.known, None):
            attacker = form.make()
            put(world, version_id(SECRET, 3 if has_reserve else 2), labels, attacker, by=ALL_BUT_TAG)
            keys = [key for key in world.tags if removed and key.startswith(removed)]
            principal(world, ALL_BUT_TAG).untag(SECRET, keys)
            for _ in range(2):
                with suppress(StoreError, IdentityError, OwnershipError):
                    result = world.apply(definition(NOW), known=state)
                    assert fingerprint(attacker.leaf) not in {one.facts.sha256 for one in result.certificates.values()}
