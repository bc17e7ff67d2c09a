"""A pair from its definition to its secret, and its repair after changes of the secret by others."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.app.pair.found_certificates import value_digest
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import KnownPair
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.decision import Phase
from ios_mdm.core.pair.definition import AfterDays, NoReserve
from ios_mdm.core.pair.layout import ANNOUNCED_TAG, KEY_TAG, PROMOTED_TAG, TAGS_TAG, facts_tag, tags_value, version_id
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.steps import step_description
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.issuing import is_issued
from ios_mdm.core.x509.pem import chain
from ios_mdm.errors import DefinitionError, IdentityError, IosMdmError, OwnershipError, StoreError, TakenOverError
from tests.support.memory import MemorySecretStore
from tests.support.pairs import FOREIGN, KNOWN, NOW, OWNER, PAIR_ID, SECRET, START, HandClock, World, definition

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def world() -> World:
    """A pair with main and reserve."""
    one = World()
    one.apply()
    return one


@pytest.fixture
def promoted(world: World) -> World:
    """A pair after its first promotion: certificate 1 is the former main, 2 is main, 3 is the reserve."""
    world.later(days=30)
    world.apply()
    return world


class TestNew:
    """A new pair."""

    def test_a_pair_lies_in_its_secret(self) -> None:
        """Main and reserve are versions of one secret with their labels, each with a separate key."""
        # R1 R2
        world = World()
        result = world.apply()
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 2}
        for ordinal in (1, 2):
            value = json.loads(world.value(ordinal))
            assert value.keys() == {"tls.crt", "tls.key", "ca.crt"}
            assert value["tls.crt"] + value["ca.crt"] == result.certificates[ordinal].pem
            assert is_issued(chain(result.certificates[ordinal].pem))
            assert value["tls.key"].startswith("-----BEGIN PRIVATE KEY-----")
        assert world.key(1) != world.key(2)
        assert result.view.step is None
        assert result.view.desired.apply_at == START + timedelta(days=30)

    def test_the_details_of_a_pair_are_returned(self) -> None:
        """The result has the names, the serial number, the fingerprint, the key and the dates of both certificates."""
        # R14
        for ordinal, certificate in World().apply().certificates.items():
            assert certificate.facts.ordinal == ordinal
            root = chain(certificate.pem)[-1]
            assert certificate.details.subject == "CN=mdm.example.com"
            assert certificate.details.issuer == certificate.details.root == root.subject.rfc4514_string()
            assert certificate.details.root_sha256 == fingerprint(root)
            assert certificate.details.sans == ("mdm.example.com",)
            assert certificate.details.key == "EC P-256"
            assert certificate.details.sha256 == certificate.facts.sha256
            assert certificate.details.not_before == START - timedelta(minutes=5)
            assert expiry(certificate.facts) - certificate.details.not_before == timedelta(days=397)

    def test_a_new_secret_has_its_tags(self, world: World) -> None:
        """The tags have owner, address, counters, the tags of the user, and the facts of each certificate."""
        facts = {facts_tag(version_id(SECRET, ordinal)) for ordinal in (1, 2)}
        tags = world.tags
        assert tags["ios-mdm:announced"] == f"2 {value_digest(world.value(2))}"
        assert {key: value for key, value in tags.items() if key not in {*facts, "ios-mdm:announced"}} == {
            "ios-mdm:owner": OWNER,
            "ios-mdm:address": "mdm.example.com",
            "ios-mdm:pair-id": f"{PAIR_ID} 123456789012:eu-west-1:{SECRET}",
            "ios-mdm:highest-ordinal": "2",
            "ios-mdm:main-generation": "1",
            "ios-mdm:tags": "yosi0NuDoi2x",
            "team": "mobile",
        }
        assert facts <= tags.keys()

    def test_looking_writes_nothing(self) -> None:
        """A preview makes no write call, whether or not the secret exists."""
        # R30
        world = World()
        world.look()
        assert world.store.calls == []
        world.apply()
        before = list(world.store.calls)
        world.look(definition(replace(NOW, generation=2)))
        assert world.store.calls == before

    def test_a_second_run_writes_nothing(self, world: World) -> None:
        """An `up` without pending changes makes no write call."""
        before = list(world.store.calls)
        world.later(days=29)
        world.apply()
        assert world.store.calls == before

    def test_the_facts_are_there_before_the_label(self) -> None:
        """RESERVE is moved to a version with a facts tag, so that no preview reads a reserve without facts."""
        world = World()
        world.apply()
        calls = world.store.calls
        second = version_id(SECRET, 2)
        recorded = next(at for at, call in enumerate(calls) if call[0] == "tag" and facts_tag(second) in call)
        moved = next(at for at, call in enumerate(calls) if call[:4] == ("move_label", SECRET, "RESERVE", second))
        assert recorded < moved


class TestLife:
    """Several years of a pair with an unchanged definition."""

    def test_promotion_is_one_label_move(self, world: World) -> None:
        """An overdue reserve becomes main by its label, with the same value and key, and the next reserve is issued."""
        # R9 R11 R12
        before = world.value(2)
        world.later(days=30)
        result = world.apply()
        assert world.labels == {"AWSPREVIOUS": 1, "AWSCURRENT": 2, "RESERVE": 3}
        assert world.value(2) == before
        assert sorted(result.certificates) == [1, 2, 3]
        assert any("certificate 2 becomes main" in line for line in world.reports)

    def test_one_run_a_day_for_three_years(self) -> None:
        """Automatic reserves follow each other. Main is valid on each day, and devices have each new main before."""
        # R3 R6 R11 R12 R16
        world, wish = World(), definition(None)
        trusted: set[int] = set()
        for _ in range(3 * 365):
            result = world.apply(wish)
            main = result.view.desired.main
            facts = result.certificates[main].facts
            assert facts.not_before <= world.clock.now() < expiry(facts)
            assert not trusted or main in trusted  # devices have it since an earlier day
            trusted = set(result.view.desired.trusted_ordinals)
            world.later(days=1)
        assert world.labels["AWSCURRENT"] == 4
        assert len(world.tags) < 14

    def test_changing_only_the_apply_time_writes_no_version(self, world: World) -> None:
        """Another apply time writes nothing: key, serial number and fingerprint stay the same."""
        # R9
        before = list(world.store.calls)
        result = world.apply(definition(replace(NOW, apply=AfterDays(days=100))))
        assert world.store.calls == before
        assert result.view.desired.apply_at == START + timedelta(days=100)

    def test_a_raised_generation_gives_another_reserve(self, world: World) -> None:
        """One run deletes the reserve and issues another one with a new number. Main does not change."""
        # R10
        main = world.value(1)
        world.apply(definition(replace(NOW, generation=2)))
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 3}
        assert world.value(1) == main
        assert facts_tag(version_id(SECRET, 2)) not in world.tags

    def test_none_deletes_the_reserve(self, world: World) -> None:
        """`none: true` removes the label and the facts. A later reserve gets a new number."""
        # R10
        world.apply(definition(NoReserve()))
        assert world.labels == {"AWSCURRENT": 1}
        assert facts_tag(version_id(SECRET, 2)) not in world.tags
        world.apply()
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 3}

    def test_a_lost_connection_is_mended_by_a_raised_generation(self, world: World) -> None:
        """An expired main is replaced only on request."""
        # R13
        wish = definition(NoReserve())
        world.apply(wish)
        world.later(days=400)
        assert world.apply(wish).view.desired.phase is Phase.CONNECTION_LOST
        assert world.labels["AWSCURRENT"] == 1
        world.apply(definition(NoReserve(), main_generation=2))
        assert world.labels == {"AWSPREVIOUS": 1, "AWSCURRENT": 3}
        assert world.tags["ios-mdm:main-generation"] == "2"

    def test_a_lost_connection_is_mended_with_the_next_reserve(self) -> None:
        """If the pair has a reserve at all times, a reserve is issued with the new main. The preview shows both."""
        # R13
        world = World()
        world.apply(definition(NoReserve()))
        world.later(days=400)
        wish = definition(NOW, main_generation=2)
        before = world.look(wish).desired
        after = world.apply(wish).view.desired
        assert (before.main, before.reserve) == (after.main, after.reserve) == (2, 3)


def _mistaken(world: World) -> None:
    """Make the former main look like a reserve, and remove its facts."""
    world.move("RESERVE", 1)
    world.store.untag(SECRET, [facts_tag(version_id(SECRET, 1))])


DRIFTS: dict[str, Callable[[World], None]] = {
    "RESERVE lost": lambda world: world.move("RESERVE", None),
    "RESERVE on the former main": lambda world: world.move("RESERVE", 1),
    "RESERVE on main": lambda world: world.move("RESERVE", 2),
    "STAGED stuck on the reserve": lambda world: world.move("STAGED", 3),
    "STAGED stuck on main": lambda world: world.move("STAGED", 2),
    "STAGED stuck on the former main": lambda world: world.move("STAGED", 1),
    "the reserve's facts lost": lambda world: world.store.untag(SECRET, [facts_tag(version_id(SECRET, 3))]),
    "main's facts lost": lambda world: world.store.untag(SECRET, [facts_tag(version_id(SECRET, 2))]),
    "the highest ordinal lost": lambda world: world.store.untag(SECRET, ["ios-mdm:highest-ordinal"]),
    "the generation lost": lambda world: world.store.untag(SECRET, ["ios-mdm:main-generation"]),
    "the address lost": lambda world: world.store.untag(SECRET, ["ios-mdm:address"]),
    "the owner lost": lambda world: world.store.untag(SECRET, ["ios-mdm:owner"]),
    "all tags lost": lambda world: world.store.untag(SECRET, world.tags),
    "the user's tag changed": lambda world: world.store.tag(SECRET, {"team": "other"}),
    "RESERVE on the former main, and its facts lost": _mistaken,
    "a facts tag damaged": lambda world: world.store.tag(SECRET, {facts_tag(version_id(SECRET, 3)): "n=3"}),
    "deleted": lambda world: world.store.delete(SECRET, recovery_window_days=7),
}


class TestDrift:
    """Changes of the secret by others."""

    @pytest.mark.parametrize("drift", DRIFTS.values(), ids=list(DRIFTS))
    def test_drift_is_repaired_without_changing_main(self, promoted: World, drift: Callable[[World], None]) -> None:
        """The pair has its former labels and tags, nothing is issued, and main's version and value are the same."""
        # R32
        labels, tags, known = promoted.labels, promoted.tags, promoted.known_pair
        values = [promoted.value(ordinal) for ordinal in (1, 2, 3)]
        drift(promoted)
        stored = promoted.stored_versions()
        since = len(promoted.store.calls)
        assert promoted.service.view(promoted.request(known=known)).step is not None
        promoted.apply(known=known)
        assert promoted.labels == labels
        # These records cannot be derived from others: the last promoted reserve, and the last announced version.
        assert promoted.tags | {PROMOTED_TAG: "2", ANNOUNCED_TAG: tags[ANNOUNCED_TAG]} == tags
        assert [promoted.value(ordinal) for ordinal in (1, 2, 3)] == values
        assert promoted.stored_versions() == stored
        assert not [
            call for call in promoted.store.calls[since:] if call[0] == "move_label" and call[2] == "AWSCURRENT"
        ]
        quiet = list(promoted.store.calls)
        promoted.apply(known=known)
        assert promoted.store.calls == quiet

    def test_a_reserve_that_was_made_main_by_hand_is_main(self, world: World) -> None:
        """AWSCURRENT on the reserve's version is a promotion, also if an operator moved the label."""
        # R32 R12
        world.move("AWSCURRENT", 2)
        result = world.apply()
        assert world.labels == {"AWSPREVIOUS": 1, "AWSCURRENT": 2, "RESERVE": 3}
        assert result.view.desired.main == 2

    def test_a_rollback_by_hand_is_respected_and_reported(self, promoted: World) -> None:
        """If an operator moves AWSCURRENT back, it stays there, and both certificates are trusted."""
        # R32
        promoted.move("AWSCURRENT", 1)
        result = promoted.apply()
        assert promoted.labels == {"AWSCURRENT": 1, "AWSPREVIOUS": 2, "RESERVE": 3}
        assert set(result.view.desired.trusted_ordinals) == {1, 2, 3}
        assert any("moved back by hand" in notice.message for notice in result.view.desired.notices)

    def test_main_on_a_version_of_another_program_is_an_error(self, world: World) -> None:
        """The error names the version, and nothing is written."""
        world.store.put(SECRET, FOREIGN, "{}")
        world.store.move_label(SECRET, Label.MAIN, to=FOREIGN, current=version_id(SECRET, 1))
        before = list(world.store.calls)
        with pytest.raises(DefinitionError, match=rf"{FOREIGN}.*move AWSCURRENT back"):
            world.apply()
        assert world.store.calls == before

    def test_a_foreign_reserve_is_replaced(self, world: World) -> None:
        """RESERVE on a version of another program is moved back to the reserve."""
        world.store.put(SECRET, FOREIGN, "{}")
        world.store.move_label(SECRET, Label.RESERVE, to=FOREIGN, current=version_id(SECRET, 2))
        world.apply()
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 2}

    @pytest.mark.parametrize("ordinal", [1, 2])
    def test_a_tampered_tag_stops_before_a_label_moves(self, world: World, ordinal: int) -> None:
        """If the facts tag of main or of the reserve does not match its certificate, no label is moved."""
        # R32
        tag, known = facts_tag(version_id(SECRET, ordinal)), world.known_pair
        early = world.tags[tag].replace("notAfter=20410131T235459Z", "notAfter=20400110T235459Z")
        if ordinal == 2:
            early = world.tags[tag].replace("notBefore=20391231T235500Z", "notBefore=20390101T235500Z")
        assert early != world.tags[tag]
        world.store.tag(SECRET, {tag: early})
        world.later(days=10)
        since = len(world.store.calls)
        with pytest.raises(StoreError, match="does not match the certificate in version"):
            world.apply()
        assert not [call for call in world.store.calls[since:] if call[0] == "move_label"]
        world.store.untag(SECRET, [tag])  # as the message says
        world.apply(known=known)
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 2}

    def test_a_healthy_pair_with_a_tampered_fingerprint_is_an_error(self, world: World) -> None:
        """A wrong fingerprint is an error even if no change is pending."""
        tag = facts_tag(version_id(SECRET, 1))
        world.store.tag(SECRET, {tag: re.sub("sha256=[0-9a-f]{64}", f"sha256={'0' * 64}", world.tags[tag])})
        with pytest.raises(StoreError, match="The tag was changed"):
            world.apply()


class TestOwner:
    """Checks of the owner of a secret."""

    def test_another_stacks_pair_is_refused(self, world: World) -> None:
        """The error names the owner, in a preview, too."""
        # R32
        before = list(world.store.calls)
        other = replace(world.request(), owner="organization/ios-mdm/other", known=KNOWN)
        for call in (world.service.view, world.service.apply):
            with pytest.raises(OwnershipError, match=rf"belongs to the stack {OWNER}"):
                call(other)
        assert world.store.calls == before

    def test_taking_over_is_asked_for(self, world: World) -> None:
        """With takeOver the pair gets the new owner and keeps its certificates."""
        stored = world.stored_versions()
        other = replace(world.request(), owner="organization/ios-mdm/other", new_resource_id="cd" * 16)
        taken = replace(other, take_over=world.pair_id)
        assert "take-over" in {one.reason for one in world.service.view(taken).desired.notices}
        world.service.apply(taken)
        world.service.claim(other)
        assert world.tags["ios-mdm:owner"] == "organization/ios-mdm/other"
        assert world.stored_versions() == stored
        with pytest.raises(OwnershipError):
            world.apply()
        former = KnownPair(home=KNOWN.home, arn=world.arn, pair_id=world.pair_id, resource_id="ab" * 16)
        with pytest.raises(TakenOverError, match=r"was taken over.*protect: false"):
            world.apply(known=former)

    @pytest.mark.parametrize("known", [KNOWN, None])
    def test_an_untagged_secret_is_refused(self, known: KnownPair | None) -> None:
        """A secret that was created by hand is not adopted, even if the state has the pair."""
        # R32
        world = World()
        world.store.create(SECRET, tags={}, description="", kms_key=None)
        world.store.put(SECRET, FOREIGN, "{}")
        with pytest.raises(OwnershipError, match="has no tag ios-mdm:pair-id"):
            world.apply(known=known)

    def test_an_empty_secret_with_our_tag_is_adopted(self) -> None:
        """A run that was interrupted after the creation of the secret is continued."""
        world = World()
        world.store.create(SECRET, tags={"ios-mdm:owner": OWNER}, description="", kms_key=None)
        world.apply()
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 2}

    def restored_pair(self, world: World, token: str) -> KnownPair:
        """Restore only main, in a secret with few tags, as from a backup; return the pair as the state has it."""
        known = KnownPair(
            home=KNOWN.home,
            arn=f"{world.arn[:-6]}L0ster",
            main=world.facts(1).sha256,
            number=1,
            owner=OWNER,
            pair_id=world.pair_id,
            resource_id="ab" * 16,
        )
        tags = {key: world.tags[key] for key in ("ios-mdm:owner", "ios-mdm:pair-id")}
        value = world.value(1)
        del world.store._secrets[SECRET]
        world.store.create(SECRET, tags=tags, description="", kms_key=None)
        world.store.put(SECRET, token, value)
        world.store.move_label(SECRET, Label.STAGED, to=None, current=token)
        world.store.calls.clear()
        return known

    def test_a_pair_that_is_known_gets_no_new_certificates_in_a_restored_secret(self, world: World) -> None:
        """Main with another version id is refused before any effect. The message has the right version id."""  # R33
        known = self.restored_pair(world, FOREIGN)
        request = replace(world.request(known=known), moved_from=known.arn)
        for refused in (request, replace(request, lost_main=known.main)):
            with pytest.raises(IdentityError, match=f"--client-request-token {version_id(SECRET, 1)} .*lostMain: "):
                world.service.apply(refused)
        assert world.store.calls == []

    def test_a_pair_that_is_restored_under_its_version_id_goes_on(self, world: World) -> None:
        """Main with its version id is sufficient. All other records are written again."""  # R33
        key = world.key(1)
        known = self.restored_pair(world, version_id(SECRET, 1))
        request = replace(world.request(known=known), moved_from=known.arn)
        result = world.service.apply(request)
        assert (world.labels["AWSCURRENT"], world.labels["RESERVE"]) == (1, 2)
        assert world.key(1) == key
        assert world.service.apply(request).view.step is None
        assert result.certificates[1].facts.sha256 == known.main

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"number": 3}, "Restore the value of main with"),
            ({"main": "ab" * 32}, "the state does not contain its certificate"),
        ],
        ids=["an older main", "another main"],
    )
    def test_a_restored_secret_with_another_main_is_refused(
        self, world: World, changes: dict[str, Any], message: str
    ) -> None:
        """Devices may have to trust the main in the state, so no profile is created without it."""  # R33 R38
        known = replace(self.restored_pair(world, version_id(SECRET, 1)), **changes)
        with pytest.raises((IdentityError, StoreError), match=message):
            world.service.apply(replace(world.request(known=known), moved_from=known.arn))
        assert "put" not in {call[0] for call in world.store.calls}

    def test_another_address_is_refused(self, world: World) -> None:
        """The error has the former address."""
        with pytest.raises(DefinitionError, match=r"address: it cannot change \(was mdm\.example\.com, now mdm"):
            world.apply(replace(definition(), host="mdm.example.org"))


class TestClock:
    """The clock of this machine, compared with the clock of AWS."""

    @pytest.mark.parametrize("seconds", [-301, 301])
    def test_a_wrong_clock_stops_before_an_effect(self, seconds: int) -> None:
        """A difference of more than five minutes is an error, and nothing is written."""
        world = World()
        world.store.clock = HandClock(START + timedelta(seconds=seconds))
        with pytest.raises(StoreError, match=r"clock is 0:05:01 .* AWS's"):
            world.apply()
        assert world.store.calls == []

    @pytest.mark.parametrize("seconds", [-300, 300])
    def test_five_minutes_are_allowed(self, seconds: int) -> None:
        """Certificates are valid from five minutes before they are issued."""
        world = World()
        world.store.clock = HandClock(START + timedelta(seconds=seconds))
        world.apply()
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 2}

    def test_a_rehearsal_plays_at_any_time(self) -> None:
        """A simulated clock is not compared with the clock of AWS."""
        world = World()
        world.store.clock = HandClock(START - timedelta(days=5000))
        PairService(world.store, world.clock, rehearsal=True).apply(world.request())
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 2}

    def test_a_wrong_clock_does_not_disturb_a_pair_without_effects(self, world: World) -> None:
        """If no change is pending, the time of AWS is not requested."""
        world.store.clock = HandClock(START + timedelta(hours=1))
        world.apply()


class TestDelete:
    """Deletion and restoration of a pair."""

    def test_a_deleted_pair_comes_back_with_the_same_keys(self, world: World) -> None:
        """An `up` after a `destroy` restores the secret and adopts the pair."""
        # R32
        values = [world.value(ordinal) for ordinal in (1, 2)]
        world.service.claim(replace(world.request(), new_resource_id="ab" * 16))
        world.service.delete(SECRET, recovery_window_days=7)
        description = world.store.describe(SECRET)
        assert description is not None
        assert description.deleted_at == START
        world.apply()
        assert [world.value(ordinal) for ordinal in (1, 2)] == values
        assert world.labels == {"AWSCURRENT": 1, "RESERVE": 2}
        assert any("is restored" in line for line in world.reports)

    def test_the_deletion_of_a_missing_pair_writes_nothing(self, world: World) -> None:
        """Deleting a missing secret, or deleting twice, has no effect."""
        # R32
        world.service.delete("ios-mdm/none", recovery_window_days=7)
        world.service.delete(SECRET, recovery_window_days=7)
        before = list(world.store.calls)
        world.service.delete(SECRET, recovery_window_days=7)
        assert world.store.calls == before


def die_and_go_on(world: World, number: int, edge: str) -> None:
    """Apply in a run that is interrupted before or after this write, and then in a run that is not."""
    writes = 0

    def fail(_operation: str, moment: str) -> None:
        nonlocal writes
        writes += moment == "before"
        if (writes, moment) == (number, edge):
            raise ConnectionError

    world.store.fail = fail
    with pytest.raises(ConnectionError):
        world.apply()
    world.store.fail = None
    world.apply()


class TestUserTags:
    """The tags of ``aws.tags``."""

    @staticmethod
    def users(world: World) -> dict[str, str]:
        """Return the tags without those of ios-mdm."""
        return {key: value for key, value in world.tags.items() if not key.startswith("ios-mdm:")}

    def test_a_tag_that_is_no_longer_declared_is_removed(self, world: World) -> None:
        """Tags of other programs stay, and the next run changes nothing."""
        world.store.tag(SECRET, {"inventory": "a-17"})
        world.user_tags = {"stage": "test"}
        world.apply()
        assert self.users(world) == {"stage": "test", "inventory": "a-17"}
        assert world.look().step is None
        world.user_tags = {}
        world.apply()
        assert self.users(world) == {"inventory": "a-17"}
        assert TAGS_TAG not in world.tags
        assert world.look().step is None

    def test_a_tag_that_was_never_declared_is_never_removed(self, world: World) -> None:
        """Without the record, nothing is removed. The next run writes the record again for the declared tags."""
        world.user_tags = {"team": "mobile", "stage": "test"}
        world.apply()
        world.store.untag(SECRET, [TAGS_TAG])
        world.user_tags = {"stage": "test"}
        world.apply()
        assert self.users(world) == {"team": "mobile", "stage": "test"}
        world.user_tags = {}
        world.apply()
        assert self.users(world) == {"team": "mobile"}

    @pytest.mark.parametrize("value", ["x", "yosi0NuDoi2", tags_value(["ios-mdm:owner", "ios-mdm:address"])])
    def test_a_damaged_record_removes_nothing(self, world: World, value: str) -> None:
        """Neither a tag of the user nor a tag of ios-mdm is removed."""
        world.store.tag(SECRET, {TAGS_TAG: value})
        before = world.tags
        world.user_tags = {}
        world.apply()
        assert world.tags == {key: text for key, text in before.items() if key != TAGS_TAG}

    def test_another_stack_removes_what_was_declared_before(self, world: World) -> None:
        """The record is in the secret, so it is available after a take-over or after the state is lost."""  # R34
        world.store.tag(SECRET, {"inventory": "a-17"})
        world.owner, world.user_tags = "organization/ios-mdm/other", {"stage": "test"}
        world.service.apply(replace(world.request(), take_over=world.pair_id))
        assert self.users(world) == {"stage": "test", "inventory": "a-17"}

    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.parametrize("edge", ["before", "after"])
    def test_a_run_that_dies_forgets_nothing(self, world: World, number: int, edge: str) -> None:
        """After a removal that was interrupted at any write, the next run has the result of an undisturbed one."""
        world.user_tags = {"stage": "test"}
        die_and_go_on(world, number, edge)
        assert self.users(world) == {"stage": "test"}
        assert world.tags[TAGS_TAG] == tags_value(["stage"])


def keys(world: World) -> dict[int, str | None]:
    """Return the KMS key of each certificate."""
    versions = world.store._secrets[SECRET].versions
    return {ordinal: versions[version_id(SECRET, ordinal)].kms_key for ordinal in range(1, len(versions) + 1)}


class TestKmsKey:
    """The KMS key of ``aws.kmsKey``."""

    ALIAS, OTHER = "alias/pairs", "alias/others"
    ID = "11112222-3333-4444-5555-666677778888"
    ARN = f"arn:aws:kms:eu-west-1:123456789012:key/{ID}"
    DEFAULT_ARN = "arn:aws:kms:eu-west-1:123456789012:alias/aws/secretsmanager"

    @staticmethod
    def warnings(world: World) -> list[str]:
        """Return the messages about former keys."""
        return [one.message for one in world.look().desired.notices if one.reason == "former-key"]

    def test_a_changed_key_encrypts_main_and_the_reserve_stays_with_a_warning(self, world: World) -> None:
        """Until the reserve is replaced, the preview and each run warn that the former key must stay enabled."""
        world.kms_key = self.ALIAS
        first = self.warnings(world)
        assert len(first) == 1
        assert "certificate 2 stays encrypted with the former KMS key alias/aws/secretsmanager" in first[0]
        world.apply()
        assert keys(world) == {1: self.ALIAS, 2: None}
        assert self.warnings(world) == first
        before = list(world.store.calls)
        world.apply()
        assert world.store.calls == before
        world.later(days=30)
        world.apply()
        assert keys(world) == {1: self.ALIAS, 2: None, 3: self.ALIAS}
        assert self.warnings(world) == first, "a promotion moves a label and encrypts nothing"

    def test_a_replaced_reserve_is_encrypted_with_the_new_key(self, world: World) -> None:
        """A raised generation replaces the reserve, which ends the warning and removes the record of the former key."""
        world.kms_key = self.ALIAS
        world.apply()
        world.apply(definition(replace(NOW, generation=2)))
        assert keys(world) == {1: self.ALIAS, 2: None, 3: self.ALIAS}
        wanted = world.look(definition(replace(NOW, generation=2)))
        assert wanted.step is None
        assert [one for one in wanted.desired.notices if one.reason == "former-key"] == []
        assert [key for key in world.tags if "former" in key] == []

    def test_a_second_change_encrypts_what_is_main_by_then(self, world: World) -> None:
        """When AWS encrypts a version again, the record of its former key is removed."""
        world.kms_key = self.ALIAS
        world.apply()
        world.later(days=30)
        world.apply()
        world.kms_key = self.OTHER
        world.apply()
        assert keys(world) == {1: self.OTHER, 2: self.OTHER, 3: self.ALIAS}
        (warning,) = self.warnings(world)
        assert f"certificate 3 stays encrypted with the former KMS key {self.ALIAS}" in warning

    def test_the_former_key_comes_back(self, world: World) -> None:
        """The reserve is still encrypted with the former key, so no warning is needed."""
        world.kms_key = self.ALIAS
        world.apply()
        world.kms_key = None
        world.apply()
        assert keys(world) == {1: None, 2: None}
        assert self.warnings(world) == []
        assert KEY_TAG not in world.tags

    @pytest.mark.parametrize("first", [ALIAS, ID, ARN, None, DEFAULT_ARN])
    def test_a_new_pair_has_its_key_from_the_beginning(self, first: str | None) -> None:
        """The key is not set again, regardless of the form in which it is named."""
        world = World()
        world.kms_key = first
        world.apply()
        assert [call for call in world.store.calls if call[0] == "encrypt"] == []
        assert self.warnings(world) == []

    @pytest.mark.parametrize(
        ("wanted", "reported"),
        [
            (ID, ARN),
            (ARN, ID),
            (ALIAS, ARN),
            (ALIAS, "arn:aws:kms:eu-west-1:123456789012:alias/pairs"),
            (ARN, ALIAS),
            (DEFAULT_ARN, None),
            ("alias/aws/secretsmanager", None),
        ],
    )
    def test_one_key_in_another_form_is_no_drift(
        self, world: World, monkeypatch: pytest.MonkeyPatch, wanted: str, reported: str | None
    ) -> None:
        """AWS returns an id, an ARN or an alias. At most one run sets the key."""
        encrypt = MemorySecretStore.encrypt

        def encrypted(store: MemorySecretStore, name: str, *, kms_key: str | None) -> None:
            encrypt(store, name, kms_key=kms_key)
            store._secrets[name].kms_key = reported if kms_key == wanted else kms_key

        monkeypatch.setattr(MemorySecretStore, "encrypt", encrypted)
        world.kms_key = wanted
        world.apply()
        before = list(world.store.calls)
        world.apply()
        assert world.look().step is None
        assert world.store.calls == before
        world.kms_key = self.OTHER
        world.apply()
        assert ("encrypt", SECRET, self.OTHER) in world.store.calls

    def test_another_form_of_the_same_key_changes_the_record_alone(self, world: World) -> None:
        """An ARN instead of an id changes one tag. Without this, the former alias counts as the set key."""
        world.kms_key = self.ID
        world.apply()
        world.store.calls.clear()
        world.kms_key = self.ARN
        world.apply()
        assert world.store.calls == [("tag", SECRET, KEY_TAG)]

    def test_a_key_that_was_changed_by_hand_is_set_again(self, world: World) -> None:
        """The run detects the change if AWS and the definition name the keys in the same form."""
        world.kms_key = self.ALIAS
        world.apply()
        world.store.encrypt(SECRET, kms_key=self.OTHER)
        step = world.look().step
        assert step is not None
        assert step_description(step).startswith(
            "set the tags ios-mdm:former-kms-key:"
        ) or "KMS key" in step_description(step)
        world.apply()
        assert keys(world)[1] == self.ALIAS

    @pytest.mark.parametrize("number", [1, 2, 3])
    @pytest.mark.parametrize("edge", ["before", "after"])
    def test_a_change_that_dies_is_continued(self, world: World, number: int, edge: str) -> None:
        """After an interruption at any write, a run sets the key, and records the version with the former key."""
        world.kms_key = self.ALIAS
        die_and_go_on(world, number, edge)
        assert keys(world) == {1: self.ALIAS, 2: None}
        assert len(self.warnings(world)) == 1
        assert world.tags[KEY_TAG] == self.ALIAS


def test_a_program_that_undoes_every_effect_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose effects are undone again and again stops, and reports a concurrent change."""
    world = World()
    world.apply()
    world.move("RESERVE", None)
    move = MemorySecretStore.move_label

    def undone(store: MemorySecretStore, name: str, label: str, *, to: str | None, current: str | None) -> None:
        move(store, name, label, to=to, current=current)
        if label == "RESERVE" and to is not None:
            # The change is another one than before, because a run waits for an effect that it cannot see.
            move(store, name, label, to=None if current else version_id(SECRET, 1), current=to)

    monkeypatch.setattr(MemorySecretStore, "move_label", undone)
    with pytest.raises(StoreError, match="60 effects"):
        world.apply()


def test_no_key_is_ever_shown(promoted: World) -> None:
    """Reports, errors, results and representations contain no part of a private key."""
    # R29
    shown: list[str] = [*promoted.reports, repr(promoted.store), repr(promoted.look()), repr(promoted.apply())]
    for value in ("not JSON", promoted.value(3).replace("tls.key", "tls.kez"), promoted.value(3)[:-2]):
        promoted.store._secrets[SECRET].versions[version_id(SECRET, 3)].value = value
        with pytest.raises(IosMdmError) as caught:
            promoted.apply()
        error: BaseException | None = caught.value
        while error is not None:
            shown += [str(error), repr(error)]
            error = error.__cause__ or error.__context__
    # The lines with the private number. The third one is the public key, which can be a line of the certificate, too.
    bodies = [line for ordinal in (1, 2) for line in promoted.key(ordinal).splitlines()[1:3]]
    assert "".join(shown).count("PRIVATE KEY") == 0
    assert not [body for body in bodies if body in "\n".join(shown)]
