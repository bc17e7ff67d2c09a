"""A certificate that is due is sent to the devices and then becomes main in the same run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ios_mdm.app.switch_request import switch_request
from ios_mdm.core.pair.certificate_times import expiry
from ios_mdm.core.pair.decision import Severity
from ios_mdm.core.pair.definition import Promotion
from ios_mdm.core.pair.layout import MAIN_GENERATION_TAG, REPLACED_TAG, SENT_TAG, facts_tag, version_id
from ios_mdm.core.pair.schedule import Kind
from ios_mdm.core.pair.secret import Label, trusted_label
from ios_mdm.errors import DeliveryError, StoreError
from ios_mdm.settings import PromotionSettings
from tests.support.pairs import SECRET
from tests.support.served import QUIET, WAITS, Server
from tests.support.switching import NAMES, CrashError

pytestmark = pytest.mark.usefixtures("unlabeled")


@pytest.fixture
def server() -> Server:
    """A server whose devices were sent main."""
    one = Server()
    one.up(QUIET)
    return one


def test_a_main_that_is_replaced_is_sent_and_applied_by_one_run(server: Server) -> None:
    """The next run records the promotion and removes STAGED. The run after that writes nothing."""  # R15 R32
    wish = server.with_another_main(QUIET)
    view = server.armed.world.service.view(server.pair(wish))
    assert (view.desired.main, view.desired.next_main, view.desired.trusted_ordinals) == (1, 2, (1, 2))
    assert [one.severity for one in view.desired.notices if one.reason == "replaced"] == [Severity.WARNING]
    server.up(wish)
    assert (server.labels[Label.MAIN], server.labels[Label.FORMER]) == (2, 1)
    assert "certificate 2 becomes main and replaces certificate 1" in server.armed.world.reports
    server.up(wish)
    assert Label.STAGED not in server.labels
    assert server.armed.world.tags[REPLACED_TAG] == wish.confirm_main
    before = len(server.armed.world.store.calls)
    done = server.up(wish)
    assert len(server.armed.world.store.calls) == before
    assert done.pair is not None
    assert done.pair.view.desired.trusted_ordinals == (1, 2)


def test_a_main_stays_until_the_mdm_server_has_accepted_the_profile(server: Server) -> None:
    """Runs that cannot send the next main keep main. The first run that can send it promotes it."""  # R15 R32
    wish = server.with_another_main(QUIET)
    server.channel.down = True
    for _ in range(2):
        with pytest.raises(DeliveryError, match="the MDM server is down"):
            server.up(wish)
        assert (server.labels[Label.MAIN], server.labels[Label.STAGED]) == (1, 2)
    server.channel.down = False
    server.up(wish)
    assert server.labels[Label.MAIN] == 2


def test_a_next_main_that_was_sent_and_held_back_needs_no_reinstallation(server: Server) -> None:
    """Main expires on hold. Only devices that were not sent the next main lose their connection."""
    # R13 R15 R32
    world = server.armed.world
    world.later(days=1)
    held = server.with_another_main(replace(QUIET, promotion=Promotion(hold=True)))
    server.up(held)
    assert (server.labels[Label.MAIN], server.labels[Label.STAGED]) == (1, 2)
    world.clock.moment = expiry(world.facts(1))
    view = world.service.view(server.pair(held))
    assert view.desired.main == 2
    assert "reinstall" not in {one.reason for one in view.desired.notices}
    world.store.tag(SECRET, {SENT_TAG: "1"})
    assert "reinstall" in {one.reason for one in world.service.view(server.pair(held)).desired.notices}


def test_a_run_that_dies_after_the_delivery_is_continued(server: Server) -> None:
    """With the record `sent`, the next run promotes the next main before it contacts the MDM server."""  # R15 R32
    wish, store = server.with_another_main(QUIET), server.armed.world.store
    seen: list[str] = []

    def dies(operation: str, edge: str) -> None:
        if (operation, edge) == ("tag", "after") and SENT_TAG in server.armed.world.tags and server.channel.taken > 1:
            seen.append(operation)
            raise CrashError(operation)

    store.fail = dies
    with pytest.raises(CrashError):
        server.up(wish)
    store.fail = None
    assert seen
    assert server.labels[Label.MAIN] == 1
    server.channel.down = True
    with pytest.raises(DeliveryError):
        server.up(wish)
    assert server.labels[Label.MAIN] == 2


def test_a_request_that_is_taken_back_leaves_main_as_it_is(server: Server) -> None:
    """Its recorded generation stays the same, too, so the former definition is valid. A later request is a new one."""
    # R32
    raised = replace(server.with_another_main(QUIET), main=replace(QUIET.issue, generation=2))
    server.channel.down = True
    with pytest.raises(DeliveryError):
        server.up(raised)
    server.channel.down = False
    server.up(QUIET)
    assert server.labels == {Label.MAIN: 1, trusted_label(1): 1}
    assert server.armed.world.tags[MAIN_GENERATION_TAG] == "1"
    server.up(server.with_another_main(QUIET))
    assert server.labels[Label.MAIN] == 3


def test_on_hold_the_next_main_is_not_applied(server: Server) -> None:
    """The next main is sent, and the next run without hold promotes it."""  # R32
    wish = server.with_another_main(QUIET)
    held = replace(wish, promotion=Promotion(hold=True))
    server.up(held)
    server.up(held)
    assert (server.labels[Label.MAIN], server.labels[Label.STAGED]) == (1, 2)
    server.up(wish)
    assert server.labels[Label.MAIN] == 2


def test_a_main_with_a_stolen_key_is_replaced_at_once(server: Server) -> None:
    """A main under `distrust` is replaced before devices are sent the next main, with a critical notice."""  # R32
    wish = server.with_another_main(QUIET)
    stolen = replace(wish, distrust=frozenset({str(wish.confirm_main)}), devices=7)
    (notice,) = (
        one
        for one in server.armed.world.service.view(server.pair(stolen)).desired.notices
        if one.reason == "replaced-unsent"
    )
    assert notice.severity is Severity.CRITICAL
    assert "all 7 devices lose their connection" in notice.message
    server.channel.down = True
    with pytest.raises(DeliveryError):
        server.up(stolen)
    assert server.labels[Label.MAIN] == 2


def test_a_next_main_takes_over_when_main_expires(server: Server) -> None:
    """A main that devices were not sent is better than an expired one."""  # R13
    wish = server.with_another_main(QUIET)
    server.channel.down = True
    server.armed.world.later(days=10)
    with pytest.raises(DeliveryError):
        server.up(wish)
    server.armed.world.later(days=387)
    with pytest.raises(DeliveryError):
        server.up(wish)
    assert server.labels[Label.MAIN] == 2


def test_a_reserve_stays_armed_while_the_next_main_waits(server: Server) -> None:
    """If no run succeeds, AWS still promotes the reserve. The run that replaces main arms the switch again."""
    # R32 R36
    server.up(WAITS)
    server.up(WAITS)
    schedules = server.armed.scheduler.schedules
    before = schedules[NAMES[Kind.PROMOTE]]
    wish = server.with_another_main(WAITS)
    server.channel.down = True
    with pytest.raises(DeliveryError):
        server.up(wish)
    assert schedules[NAMES[Kind.PROMOTE]] == before
    server.channel.down = False
    server.up(wish)
    assert (server.labels[Label.MAIN], server.labels[Label.RESERVE]) == (3, 2)
    assert version_id(SECRET, 3) in schedules[NAMES[Kind.PROMOTE]].input
    after = schedules[NAMES[Kind.PROMOTE]]
    server.up(wish)
    assert schedules[NAMES[Kind.PROMOTE]] == after


@pytest.mark.parametrize("is_scheduled", [True, False])
def test_a_reserve_that_is_sent_late_is_applied_by_the_same_run(server: Server, *, is_scheduled: bool) -> None:
    """The MDM server was down until the apply time. One run sends and promotes, with or without schedules."""
    # R11 R36
    wish = replace(WAITS, promotion=Promotion(schedule=is_scheduled))
    server.channel.down = True
    with pytest.raises(DeliveryError):
        server.up(wish)
    server.armed.world.later(days=31)
    with pytest.raises(DeliveryError):
        server.up(wish)
    assert server.labels[Label.MAIN] == 1
    server.channel.down = False
    server.up(wish)
    assert server.labels[Label.MAIN] == 2


def test_main_stays_if_the_deletion_of_a_schedule_cannot_be_confirmed(server: Server) -> None:
    """The schedule of another certificate may still fire, so the run fails. The next run continues."""  # R36
    server.up(WAITS)
    server.up(WAITS)
    wish = server.with_another_main(WAITS)
    server.armed.scheduler.down = True
    with pytest.raises(StoreError, match="certificate 3 does not become main yet: the schedule of berlin may still"):
        server.up(wish)
    assert server.labels[Label.MAIN] == 1
    server.armed.scheduler.down = False
    server.up(wish)
    assert server.labels[Label.MAIN] == 3


def test_a_value_that_differs_from_its_facts_does_not_become_main(server: Server) -> None:
    """The certificate is compared with its facts tag before the label is moved."""  # R38
    wish = server.with_another_main(QUIET)
    server.channel.down = True
    with pytest.raises(DeliveryError):
        server.up(wish)
    switch = switch_request(server.pair(wish), PromotionSettings(), server.armed.world.service.view(server.pair(wish)))
    tag = facts_tag(version_id(SECRET, 2))
    facts = server.armed.world.tags[tag]
    sha256 = facts.partition("sha256=")[2][:64]
    server.armed.world.store.tag(SECRET, {tag: facts.replace(sha256, "f" * 64), SENT_TAG: "1 2"})
    due = server.armed.service.prepare_due(switch)
    assert due is not None
    with pytest.raises(StoreError, match="does not match the certificate in version"):
        server.armed.world.service.promote(SECRET, due)
    assert server.labels[Label.MAIN] == 1


def test_an_earlier_request_has_no_effect_on_another_pair_or_on_hold(server: Server) -> None:
    """With `--target` the distribution uses the switch of the last run that changed the pair."""  # R36
    wish = server.with_another_main(QUIET)
    server.channel.down = True
    with pytest.raises(DeliveryError):
        server.up(wish)
    view = server.armed.world.service.view(server.pair(wish))
    switch = switch_request(server.pair(wish), PromotionSettings(), view)
    assert server.armed.service.prepare_due(switch) is None, "it was not sent"
    server.armed.world.store.tag(SECRET, {SENT_TAG: "1 2"})
    assert server.armed.service.prepare_due(replace(switch, hold=True)) is None
    assert server.armed.service.prepare_due(switch) is not None
    server.channel.down = False
    server.up(QUIET)
    assert server.armed.service.prepare_due(switch) is None, "the definition no longer has the request"


def test_a_replacement_that_an_operator_reverts_is_not_repeated(server: Server) -> None:
    """The unchanged definition has no further effect. Another generation is another request."""  # R32
    wish, store = server.with_another_main(QUIET), server.armed.world.store
    server.up(wish)
    store.move_label(SECRET, Label.MAIN, to=version_id(SECRET, 1), current=version_id(SECRET, 2))
    for _ in range(2):
        server.up(wish)
        assert server.labels[Label.MAIN] == 1
    server.up(replace(wish, main=replace(wish.issue, generation=2)))
    assert server.labels[Label.MAIN] == 3
