"""A CA renews the chain between a custom certificate and its root: only the new chain is installed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from ios_mdm.app.bundles import BundleReader, CheckedBundle, Circumstances
from ios_mdm.app.pair.service import PairService
from ios_mdm.core.pair.definition import AfterDays, InstallMain, InstallReserve, Slot
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.layout import facts_tag, version_id
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import InstallMainSettings
from tests.support.chains import ELSEWHERE, FIRST, HOST, RENEWED, Chain, Leaf
from tests.support.crashes import Crash, CrashError, values
from tests.support.custom import Given
from tests.support.pairs import SECRET, START, World, definition
from tests.support.sealed import READER

if TYPE_CHECKING:
    from pathlib import Path

    from ios_mdm.app.pair.values import PairRequest, PairResult
    from ios_mdm.core.pair.definition import PairDefinition
    from tests.support.crashes import Edge

WRITES = 11
"""Number of writes of a run in which both slots get new chains."""


@dataclass(slots=True)
class Desk:
    """Two certificates of a server. The second one expires after the first one."""

    folder: Path
    main: Leaf
    reserve: Leaf

    def read(self, leaf: Leaf, chain: Chain) -> CheckedBundle:
        """Read a file of the definition."""
        (self.folder / "bundle.pem").write_bytes(leaf.file(chain))
        reader = BundleReader(base=self.folder, environ={}, sealed=READER)
        read = reader.read(
            InstallMainSettings.model_validate({"bundle": "bundle.pem"}),
            Circumstances(host=HOST, now=START, slot=Slot.MAIN),
        )
        assert read.report.is_valid, read.report.violations
        return read

    def definition_files(self, chain: Chain, reserve_chain: Chain | None = None) -> DefinitionFiles:
        """Return a definition with these chains."""
        main = self.read(self.main, chain)
        reserve = None if reserve_chain is None else self.read(self.reserve, reserve_chain)
        installed = (
            None if reserve is None else InstallReserve(offered=reserve.offered_certificate, apply=AfterDays(days=30))
        )
        wanted = replace(definition(None), main=InstallMain(offered=main.offered_certificate), reserve=installed)
        reads = {Slot.MAIN: main} if reserve is None else {Slot.MAIN: main, Slot.RESERVE: reserve}
        return DefinitionFiles(definition=wanted, reads=reads)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionFiles:
    """A definition and the files that it names."""

    definition: PairDefinition
    reads: dict[Slot, CheckedBundle]

    def request(self, world: World) -> PairRequest:
        """Return the request for the definition."""
        return world.request(self.definition)

    def apply(self, world: World) -> PairResult:
        """Bring the pair to the definition."""
        given = Given({role: read.credential for role, read in self.reads.items()})
        return PairService(world.store, world.clock, custom=given).apply(self.request(world))


@pytest.fixture(scope="module")
def certificates() -> tuple[Leaf, Leaf]:
    """Main and reserve."""
    return Leaf(390), Leaf(700)


@pytest.fixture
def desk(tmp_path: Path, certificates: tuple[Leaf, Leaf]) -> Desk:
    """A folder for the files."""
    return Desk(tmp_path, *certificates)


def slot_certificates(world: World, label: Label) -> dict[str, str]:
    """Return the certificate and its issuers in a slot."""
    ordinal = world.labels[label]
    assert isinstance(ordinal, int)
    value: dict[str, str] = json.loads(world.value(ordinal))
    return value


def test_a_renewed_intermediate_is_installed_under_the_same_leaf(desk: Desk) -> None:
    """Main moves to a version with the new chain, and keeps certificate and key. The next run changes nothing."""
    # R20 R32
    world = World()
    desk.definition_files(FIRST).apply(world)
    before = slot_certificates(world, Label.MAIN)
    result = desk.definition_files(RENEWED).apply(world)
    after = slot_certificates(world, Label.MAIN)
    assert world.labels == {"AWSPREVIOUS": 1, "AWSCURRENT": 2}
    assert "the chain of certificate 1 has changed" not in [one.message for one in result.view.desired.notices]
    assert x509.load_pem_x509_certificates(after["tls.crt"].encode()) == [
        desk.main.certificate,
        RENEWED.intermediate(),
    ]
    assert before["tls.crt"] != after["tls.crt"]
    assert (before["tls.key"], before["ca.crt"]) == (after["tls.key"], after["ca.crt"])
    quiet = list(world.store.calls)
    desk.definition_files(RENEWED).apply(world)
    assert world.store.calls == quiet


def test_a_preview_shows_a_changed_chain(desk: Desk) -> None:
    """The preview has another certificate number and the reason. An unchanged file changes nothing."""  # R30
    world = World()
    desk.definition_files(FIRST).apply(world)
    same = world.service.view(desk.definition_files(FIRST).request(world))
    assert same.step is None
    changed = world.service.view(desk.definition_files(RENEWED).request(world))
    assert changed.desired.main == 2
    assert [one.message for one in changed.desired.notices if one.reason == "another-chain"] == [
        (
            "the chain of certificate 1 has changed: the certificate is installed again with the same key, and devices "
            "trust it as before"
        )
    ]


def test_a_reserve_keeps_its_period(desk: Desk) -> None:
    """The reserve gets its new chain without a confirmation, even in its last days. Its days (R7) continue."""
    # R7 R10
    world = World()
    desk.definition_files(FIRST).apply(world)
    world.later(days=370)
    waits = desk.definition_files(FIRST, FIRST).apply(world).view.desired
    world.later(days=5)
    result = desk.definition_files(FIRST, RENEWED).apply(world)
    assert world.labels == {"AWSCURRENT": 1, "RESERVE": 3}
    assert result.view.desired.apply_at == waits.apply_at
    assert slot_certificates(world, Label.RESERVE)["tls.crt"].count("BEGIN CERTIFICATE") == 2
    world.later(days=20)
    desk.definition_files(FIRST, RENEWED).apply(world)
    assert world.labels == {"AWSPREVIOUS": 1, "AWSCURRENT": 3}


def test_two_chains_of_one_certificate_are_refused(desk: Desk) -> None:
    """After a promotion both slots can name main's file. Two files with different chains are an error."""  # R20 R32
    world = World()
    same = replace(desk, reserve=desk.main)
    with pytest.raises(DefinitionError, match="with different chains"):
        same.definition_files(FIRST, RENEWED).apply(world)
    assert values(world) == {}
    desk.definition_files(FIRST, FIRST).apply(world)
    world.later(days=30)
    desk.definition_files(FIRST, FIRST).apply(world)
    promoted = replace(desk, main=desk.reserve)
    quiet = list(world.store.calls)
    with pytest.raises(DefinitionError, match="with different chains: name the same file under both"):
        promoted.definition_files(RENEWED, FIRST).apply(world)
    assert world.store.calls == quiet
    promoted.definition_files(RENEWED, RENEWED).apply(world)
    assert world.labels == {"TRUSTED-1": 1, "AWSPREVIOUS": 2, "AWSCURRENT": 3}
    renewed = x509.load_pem_x509_certificates(slot_certificates(world, Label.MAIN)["tls.crt"].encode())
    assert renewed == [desk.reserve.certificate, RENEWED.intermediate()]


def test_another_root_is_another_certificate_to_the_devices(desk: Desk) -> None:
    """A valid main is not replaced by one under another root, unless the definition confirms this."""  # R24 R32
    world = World()
    desk.definition_files(FIRST).apply(world)
    moved = desk.definition_files(ELSEWHERE)
    with pytest.raises(DefinitionError, match="under another root") as refused:
        moved.apply(world)
    sha256 = moved.reads[Slot.MAIN].offered_certificate.sha256
    assert f"main.confirm: {sha256}" in str(refused.value)
    assert world.labels == {"AWSCURRENT": 1}
    named = replace(moved.definition, replace_main=True, confirm_main=sha256)
    confirmed = replace(moved, definition=named)
    confirmed.apply(world)
    assert world.labels == {"AWSPREVIOUS": 1, "AWSCURRENT": 2}
    quiet = list(world.store.calls)
    assert [one.reason for one in confirmed.apply(world).view.desired.notices] == ["no-reserve"]
    assert world.store.calls == quiet


def test_an_operator_who_goes_back_to_the_former_chain_is_respected(desk: Desk) -> None:
    """The label stays on the version that the operator chose. A file with the former chain is installed again."""
    # R32
    world = World()
    desk.definition_files(FIRST).apply(world)
    desk.definition_files(RENEWED).apply(world)
    world.move(Label.MAIN, 1)
    result = desk.definition_files(RENEWED).apply(world)
    assert world.labels["AWSCURRENT"] == 1
    assert "rolled-back" in [one.reason for one in result.view.desired.notices]
    world.move(Label.MAIN, 2)
    result = desk.definition_files(FIRST).apply(world)
    assert world.labels["AWSCURRENT"] == 3
    assert "rolled-back" not in [one.reason for one in result.view.desired.notices]
    assert slot_certificates(world, Label.MAIN) == json.loads(world.value(1))


def test_a_reserve_that_is_older_than_mains_new_chain_is_no_rollback(desk: Desk) -> None:
    """The reserve was stored before main's new chain, and becomes main after it."""  # R12
    world = World()
    desk.definition_files(FIRST, FIRST).apply(world)
    desk.definition_files(RENEWED, FIRST).apply(world)
    assert world.labels == {"AWSPREVIOUS": 1, "RESERVE": 2, "AWSCURRENT": 3}
    world.later(days=31)
    result = desk.definition_files(RENEWED, FIRST).apply(world)
    assert world.labels == {"TRUSTED-1": 1, "AWSPREVIOUS": 3, "AWSCURRENT": 2}
    reasons = [one.reason for one in result.view.desired.notices]
    assert "rolled-back" not in reasons
    assert "applied" in reasons
    world.move(Label.MAIN, 3)
    world.move(Label.MAIN, 1)
    told = desk.definition_files(RENEWED, FIRST).apply(world).view.desired.notices
    assert "rolled-back" in [one.reason for one in told]


def test_a_reserve_older_than_main_is_found_without_its_label(desk: Desk) -> None:
    """A lost label is set again, regardless of which of the two certificates was stored first."""  # R32
    world = World()
    desk.definition_files(FIRST, FIRST).apply(world)
    desk.definition_files(RENEWED, FIRST).apply(world)
    world.move(Label.RESERVE, None)
    desk.definition_files(RENEWED).apply(world)
    assert (world.labels["AWSCURRENT"], world.labels["RESERVE"]) == (3, 2)


def test_a_changed_chain_in_the_file_of_a_promoted_reserve_is_reported(desk: Desk) -> None:
    """The certificate is main now, so its new chain belongs under main.install, where it is installed."""  # R12
    world = World()
    desk.definition_files(FIRST, FIRST).apply(world)
    world.later(days=31)
    desk.definition_files(FIRST, FIRST).apply(world)
    told = desk.definition_files(FIRST, RENEWED).apply(world).view.desired.notices
    assert world.labels == {"AWSPREVIOUS": 1, "AWSCURRENT": 2}
    assert any("reserve.install has another chain for main" in one.message for one in told)
    moved = Desk(desk.folder, desk.reserve, desk.reserve).definition_files(RENEWED)
    told = moved.apply(world).view.desired.notices
    assert world.labels == {"TRUSTED-1": 1, "AWSPREVIOUS": 2, "AWSCURRENT": 3}
    assert "applied" not in [one.reason for one in told]


@pytest.mark.parametrize("edge", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_crash_at_any_write_converges(desk: Desk, number: int, edge: Edge) -> None:
    """Both slots get new chains. A run that is interrupted at any write is continued, and nothing is stored twice."""
    # R30 R32
    world = World()
    desk.definition_files(FIRST, FIRST).apply(world)
    world.store.calls.clear()
    wish = desk.definition_files(RENEWED, RENEWED)
    world.store.fail = Crash(number, edge)
    with pytest.raises(CrashError):
        wish.apply(world)
    world.store.fail = None
    crashed = values(world)
    wish.apply(world)
    assert {key: value for key, value in world.labels.items() if key != "AWSPREVIOUS"} == {
        "AWSCURRENT": 3,
        "RESERVE": 4,
    }
    assert crashed.items() <= values(world).items()
    assert len(world.stored_versions()) == len(set(world.stored_versions())) == 2


def test_the_crashes_above_are_at_every_write(desk: Desk) -> None:
    """Crashes are tested at each write of an undisturbed run."""
    world = World()
    desk.definition_files(FIRST, FIRST).apply(world)
    world.store.calls.clear()
    desk.definition_files(RENEWED, RENEWED).apply(world)
    assert len(world.store.calls) == WRITES, world.store.calls


def test_a_file_that_changes_between_check_and_update_is_not_stored(desk: Desk) -> None:
    """Only the certificate and chain of the decision are stored."""  # R32
    world = World()
    wish, other = desk.definition_files(FIRST), desk.definition_files(RENEWED)
    changed = replace(wish, reads={Slot.MAIN: other.reads[Slot.MAIN]})
    with pytest.raises(DefinitionError, match="changed after it was checked"):
        changed.apply(world)
    assert values(world) == {}, SECRET


def test_a_definition_that_replaced_main_stays_right(desk: Desk) -> None:
    """The definition stays valid after the confirmed main's record is removed. A wrong fingerprint is an error."""
    # R3 R32
    world = World()
    desk.definition_files(FIRST).apply(world)
    issued = replace(definition(None), replace_main=True, confirm_main=fingerprint(desk.main.certificate))
    world.apply(issued)
    assert world.facts(2).source is Source.ISSUED
    world.later(days=380)
    world.apply(issued)
    assert world.labels["RESERVE"] == 3
    world.later(days=20)
    world.apply(issued)
    assert world.labels["AWSCURRENT"] == 3
    world.store.untag(SECRET, [facts_tag(version_id(SECRET, 1))])  # as a run does when no device needs it any more
    observed = world.service.observe(SECRET)
    assert observed is not None
    assert observed.version_of(1) is None
    quiet = list(world.store.calls)
    world.apply(issued)
    assert world.store.calls == quiet
    with pytest.raises(DefinitionError, match="is not the fingerprint of main"):
        world.apply(replace(issued, confirm_main="ab" * 32))


def test_a_definition_that_replaced_and_distrusts_main_stays_right(desk: Desk) -> None:
    """A distrusted main can be without a record after two promotions in one run."""
    # R35
    world = World()
    desk.definition_files(FIRST).apply(world)
    gone = "ab" * 32
    world.apply(replace(definition(None), replace_main=True, confirm_main=gone, distrust=frozenset({gone})))
    assert world.facts(1).source is Source.INSTALLED


@pytest.mark.parametrize("wanted", ["another file", "issued"])
def test_a_main_that_a_dead_run_began_gives_way_to_what_is_wanted_now(desk: Desk, wanted: str) -> None:
    """The next run follows the new definition, and the unused version does not become a former main."""  # R30 R32
    other = replace(desk, main=desk.reserve)
    third = replace(desk, main=Leaf(500))
    goes = fingerprint(desk.main.certificate)
    for number in range(1, 8):
        world = World()
        desk.definition_files(FIRST).apply(world)
        begun = other.definition_files(FIRST)
        world.store.fail = Crash(number, "after")
        with suppress(CrashError):
            replace(begun, definition=replace(begun.definition, replace_main=True, confirm_main=goes)).apply(world)
        world.store.fail = None
        if world.labels["AWSCURRENT"] != 1:
            assert number > 1
            return
        wish = third.definition_files(FIRST)
        if wanted == "issued":
            wish = replace(wish, definition=definition(None))
        wish = replace(wish, definition=replace(wish.definition, replace_main=True, confirm_main=goes))
        result = wish.apply(world)
        main = world.facts(int(world.labels["AWSCURRENT"]))
        if wanted == "issued":
            assert main.source is Source.ISSUED
        else:
            assert main.sha256 == wish.reads[Slot.MAIN].offered_certificate.sha256
        assert result.view.desired.trusted_ordinals == (1, main.ordinal)
    pytest.fail("main is replaced in fewer writes")


def test_nothing_is_replaced_where_there_is_no_main(desk: Desk) -> None:
    """A new pair whose definition requests a replacement is refused in its first run, not in its second."""  # R32
    world = World()
    wish = desk.definition_files(FIRST)
    with pytest.raises(DefinitionError, match="the pair has no main yet"):
        replace(wish, definition=replace(wish.definition, replace_main=True)).apply(world)
    assert values(world) == {}
