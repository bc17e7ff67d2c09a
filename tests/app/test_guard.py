"""Labels of offered certificates, and the guard: no profile drops a certificate that a device may still need."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

import pytest

from ios_mdm.core.pair.definition import AtTime, NoReserve
from ios_mdm.core.pair.guard import uncovered_versions
from ios_mdm.core.pair.layout import ARMED_TAG, SENT_TAG, armed_value, facts_tag, version_id
from ios_mdm.core.pair.observed import ArmedPromotion, Role
from ios_mdm.core.pair.secret import Label, trusted_label
from ios_mdm.core.times import parsed_time
from ios_mdm.errors import DefinitionError, StoreError
from tests.support.crashes import Crash, CrashError
from tests.support.fleet import ANOTHER, ENDPOINT, Fleet
from tests.support.pairs import NOW, SECRET, definition

pytestmark = pytest.mark.usefixtures("unlabeled")


@pytest.fixture
def fleet() -> Fleet:
    """Return a pair whose profile was sent, with an endpoint that presents main."""
    world = Fleet()
    assert world.run() == (1, 2)
    world.endpoint.sha256 = world.facts(1).sha256
    return world


class TestTheLabel:
    """A version that devices may trust has a separate label, from before it is sent until its offer has ended."""

    def test_the_label_is_set_before_the_mdm_server_is_contacted(self) -> None:
        """Each certificate needs one call, and none in the next delivery."""  # R35
        world = Fleet()
        world.run()
        assert world.channel.labels == [{"AWSCURRENT", "RESERVE", "TRUSTED-1", "TRUSTED-2"}]
        world.store.calls.clear()
        world.run()
        assert world.store.calls == []

    @pytest.mark.parametrize("edge", ["before", "after"])
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_delivery_that_dies_is_continued(self, number: int, edge: str) -> None:
        """After an interruption between any two effects, no certificate is sent without a label."""  # R35
        world = Fleet()
        result = world.apply()
        world.store.fail = Crash(number, edge)  # type: ignore[arg-type]
        with contextlib.suppress(CrashError):
            world.send(result)
        world.store.fail = None
        world.send(world.apply())
        assert world.offered_labels == {"TRUSTED-1", "TRUSTED-2"}
        assert all(labels >= {"TRUSTED-1", "TRUSTED-2"} for labels in world.channel.labels)
        assert world.tags[SENT_TAG].startswith("1 2 devices:")

    def test_a_lost_label_is_set_again(self, fleet: Fleet) -> None:
        """The next delivery sets the label, like a lost record."""  # R35
        assert fleet.is_recorded(1, 2)
        fleet.move(trusted_label(2), None)
        assert not fleet.is_recorded(1, 2)
        fleet.move(trusted_label(1), 2)
        fleet.run()
        assert (fleet.labels["TRUSTED-1"], fleet.labels["TRUSTED-2"]) == (1, 2)

    def test_a_deleted_reserve_loses_its_label(self, fleet: Fleet) -> None:
        """On request, if it is neither armed nor presented, its offer ends. AWS may then delete it."""  # R10
        assert fleet.run(definition(ANOTHER)) == (1, 3)
        assert fleet.offered_labels == {"TRUSTED-1", "TRUSTED-3"}
        assert facts_tag(version_id(SECRET, 2)) not in fleet.tags

    def test_a_former_main_keeps_its_label_until_it_expires(self, fleet: Fleet) -> None:
        """A promotion moves AWSCURRENT but no label of an offer. The next certificate gets a label."""  # R17
        fleet.later(days=31)
        fleet.store.calls.clear()
        assert fleet.run() == (1, 2, 3)
        moved = [call for call in fleet.store.calls if call[0] == "move_label" and call[2].startswith("TRUSTED")]
        assert len(moved) == 1, "the label needs one call, when it is set"
        fleet.later(days=370)
        fleet.endpoint.sha256 = fleet.facts(1).sha256
        assert 1 in fleet.run(), "the server still presents it (R17)"
        assert "TRUSTED-1" not in fleet.offered_labels
        fleet.store.calls.clear()
        fleet.run()
        assert fleet.store.calls == []

    def test_lost_facts_of_a_certificate_in_no_slot_are_recorded_again(self, fleet: Fleet) -> None:
        """Its label shows that devices trust it, so it stays in the profile until it expires."""  # R35
        fleet.endpoint.sha256 = fleet.facts(2).sha256
        fleet.run(definition(ANOTHER))
        known = fleet.known_pair
        fleet.store.untag(SECRET, [facts_tag(version_id(SECRET, 2))])
        assert fleet.look(definition(ANOTHER)).desired.trusted_ordinals == (1, 2, 3)
        fleet.endpoint.sha256 = fleet.facts(1).sha256
        assert fleet.run(definition(ANOTHER), known=known) == (1, 2, 3)

    @pytest.mark.parametrize("edge", ["before", "after"])
    @pytest.mark.parametrize("number", range(1, 9))
    def test_a_deletion_that_dies_is_continued(self, fleet: Fleet, number: int, edge: str) -> None:
        """After an interruption between any two effects, the request stays known, and the offer ends."""  # R10 R30 R35
        fleet.store.fail = Crash(number, edge)  # type: ignore[arg-type]
        with contextlib.suppress(CrashError):
            fleet.run(definition(ANOTHER))
        fleet.store.fail = None
        assert fleet.run(definition(ANOTHER)) == (1, 3)
        assert fleet.offered_labels == {"TRUSTED-1", "TRUSTED-3"}


class TestTheGuard:
    """Certificates that a profile must cover in addition to main and reserve."""

    def test_a_deleted_reserve_that_an_endpoint_presents_stays(self, fleet: Fleet) -> None:
        """An operator installed it on the server. When the endpoint presents main again, a run drops it."""  # R35
        fleet.endpoint.sha256 = fleet.facts(2).sha256
        assert fleet.run(definition(NoReserve())) == (1, 2)
        assert (
            f"stays in the profile: {ENDPOINT} presents it" in fleet.notices(definition(NoReserve()))["kept-presented"]
        )
        assert fleet.run(definition(NoReserve())) == (1, 2)
        fleet.endpoint.sha256 = fleet.facts(1).sha256
        assert fleet.run(definition(NoReserve())) == (1,)
        assert fleet.offered_labels == {"TRUSTED-1"}

    def test_a_presented_certificate_counts_only_if_it_is_of_this_pair(self, fleet: Fleet) -> None:
        """A certificate of another pair is reported. An endpoint that cannot be reached has no effect."""  # R35
        fleet.endpoint.sha256 = "f" * 64
        assert fleet.run() == (1, 2)
        assert "an unknown certificate" in fleet.notices()["serves-another"]
        fleet.endpoint.sha256 = None
        assert fleet.run(definition(NoReserve())) == (1,)

    def test_a_deleted_reserve_that_is_armed_stays(self, fleet: Fleet) -> None:
        """The reserve stays until the record is removed. A damaged record can name any certificate."""  # R35
        for value in (armed_value(ArmedPromotion(certificate=2, at=fleet.clock.now())), "damaged"):
            fleet.store.tag(SECRET, {ARMED_TAG: value})
            assert fleet.look(definition(NoReserve())).desired.trusted_ordinals == (1, 2)
        fleet.run(definition(NoReserve()))
        assert "kept-armed" in fleet.notices(definition(NoReserve()))
        fleet.store.untag(SECRET, [ARMED_TAG])
        assert fleet.run(definition(NoReserve())) == (1,)

    def test_a_certificate_that_was_never_offered_is_not_in_the_profile(self) -> None:
        """A run was interrupted after it had stored the reserve, and the next definition requests no reserve."""  # R35
        world = Fleet()
        world.run(definition(NoReserve()))
        world.store.fail = Crash(2, "before")
        with contextlib.suppress(CrashError):
            world.apply()
        world.store.fail = None
        assert world.run(definition(NoReserve())) == (1,)

    def test_a_reserve_that_leaves_its_slot_without_a_request_stays(self, fleet: Fleet) -> None:
        """Until it expires, its role records that its deletion was not requested."""  # R35
        fleet.move(Label.RESERVE, None)
        fleet.store.tag(
            SECRET,
            {key: text.replace("role=reserve", "role=kept") for key, text in fleet.tags.items() if "n=2 " in text},
        )
        assert fleet.run() == (1, 2, 3)
        assert "its deletion was not requested" in fleet.notices()["kept-offered"]
        observed = fleet.service.observe(SECRET)
        assert observed is not None
        kept = observed.version_of(2)
        assert kept is not None
        assert kept.role is Role.KEPT
        fleet.later(days=400)
        assert 2 not in fleet.run()
        assert "TRUSTED-2" not in fleet.offered_labels

    def test_a_delivery_that_would_remove_trust_is_refused(self, fleet: Fleet) -> None:
        """If another run has changed the pair, the MDM server is not contacted."""  # R35
        before = fleet.apply()
        fleet.run(definition(ANOTHER))
        sent = len(fleet.channel.labels)
        with pytest.raises(StoreError, match=r"changed concurrently.* does not cover certificate 3, .*run again"):
            fleet.send(before)
        assert len(fleet.channel.labels) == sent

    def test_a_certificate_is_covered_by_the_root_of_its_chain(self, fleet: Fleet) -> None:
        """Devices trust a root, so another certificate under this root needs no separate entry."""  # R16 R35
        observed, now = fleet.service.observe(SECRET), fleet.clock.now()
        assert observed is not None
        assert [version.ordinal for version in uncovered_versions(observed, (1,), now)] == [2]
        versions = tuple(
            replace(one, facts=None if one.facts is None else replace(one.facts, root="a" * 64))
            for one in observed.versions
        )
        assert not uncovered_versions(replace(observed, versions=versions), (1,), now)

    def test_a_missing_version_is_one_clear_error(self, fleet: Fleet) -> None:
        """No profile is created without it, because devices would stop trusting it. `distrust` allows that."""  # R35
        fleet.later(days=31)
        fleet.run()
        del fleet.store._secrets[SECRET].versions[version_id(SECRET, 1)]
        gone = fleet.facts(1).sha256
        with pytest.raises(StoreError, match=rf"certificate 1 \({gone}\).* add their fingerprints to `distrust`"):
            fleet.apply()
        assert fleet.run(replace(definition(), distrust=frozenset({gone}))) == (2, 3)


class TestDistrust:
    """A distrusted certificate leaves the profile although the guard would keep it."""

    def test_a_former_main_leaves_although_it_is_presented(self, fleet: Fleet) -> None:
        """The notice is critical, and has the number of devices that lose their connection."""  # R35
        fleet.later(days=31)
        fleet.run()
        wish = replace(definition(), distrust=frozenset({fleet.facts(1).sha256}))
        assert "3 devices of berlin" in fleet.notices(wish)["distrusts-presented"]
        assert fleet.run(wish) == (2, 3)
        assert fleet.offered_labels == {"TRUSTED-2", "TRUSTED-3"}
        fleet.store.calls.clear()
        fleet.run(wish)
        assert fleet.store.calls == []

    def test_main_is_refused_unless_it_is_replaced(self, fleet: Fleet) -> None:
        """It is refused before any effect. The message has the remedy, `main.replaceNow`, as after a stolen key."""
        # R32 R35
        main = fleet.facts(1).sha256
        wish = replace(definition(), distrust=frozenset({main}))
        fleet.store.calls.clear()
        with pytest.raises(DefinitionError, match=rf"`main.replaceNow: true` and `main.confirm: {main}`"):
            fleet.apply(wish)
        assert fleet.store.calls == []
        fleet.run(replace(wish, replace_main=True, confirm_main=main))
        assert "TRUSTED-1" not in fleet.offered_labels

    def test_a_reserve_that_was_sent_is_offered_as_the_next_main(self, fleet: Fleet) -> None:
        """The message has the apply time that makes the reserve main immediately. No device loses its connection."""
        # R35
        fleet.later(hours=1)
        wish = replace(definition(), distrust=frozenset({fleet.facts(1).sha256}))
        with pytest.raises(
            DefinitionError, match=r"main: set `reserve.issue.apply: \{at: (\S+)\}`.*replaceNow"
        ) as info:
            fleet.apply(wish)
        at = re.search(r"\{at: (\S+)\}", str(info.value))
        assert at is not None
        fleet.later(minutes=5)
        fleet.run(replace(wish, reserve=replace(NOW, apply=AtTime(time=parsed_time(at[1])))))
        assert fleet.labels[Label.MAIN] == 2
        assert "TRUSTED-1" not in fleet.offered_labels

    def test_a_reserve_that_was_not_sent_is_not_offered_as_the_next_main(self, fleet: Fleet) -> None:
        """With such a reserve as main, devices lose their connection, as with `main.replaceNow`."""  # R35
        fleet.later(hours=1)
        fleet.store.untag(SECRET, [SENT_TAG])
        wish = replace(definition(), distrust=frozenset({fleet.facts(1).sha256}))
        with pytest.raises(DefinitionError, match=r"their connection\. To replace main"):
            fleet.apply(wish)

    def test_a_reserve_that_stays_is_refused(self, fleet: Fleet) -> None:
        """A reserve that is deleted in the same run leaves the profile, even if an endpoint presents it."""  # R10 R35
        reserve = fleet.facts(2).sha256
        wish = replace(definition(), distrust=frozenset({reserve}))
        with pytest.raises(DefinitionError, match=r"the reserve, certificate 2, .*reserve.issue.generation` to 2"):
            fleet.apply(wish)
        fleet.endpoint.sha256 = reserve
        assert fleet.run(replace(wish, reserve=ANOTHER)) == (1, 3)

    def test_a_fingerprint_that_no_version_has_is_a_notice(self, fleet: Fleet) -> None:
        """This is so even before the pair exists."""  # R35
        wish = replace(definition(), distrust=frozenset({"e" * 64}))
        assert "no certificate of this pair has this fingerprint" in fleet.notices(wish)["distrusts-unknown"]
        assert "distrusts-unknown" in Fleet().notices(wish)
        assert fleet.run(wish) == (1, 2)
