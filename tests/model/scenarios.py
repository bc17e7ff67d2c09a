"""Short runs on a pair that show why a guard is needed: each returns the harm that happened, or an empty text."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from ios_mdm.app.delivery.content import ProfileContent
from ios_mdm.app.delivery.service import DeliveryRequest, DeliveryService
from ios_mdm.core.pair.definition import IssueMain, KeyType, NoReserve, Promotion
from ios_mdm.core.pair.layout import ANNOUNCED_TAG, ARMED_TAG, SENT_TAG, announced_value, armed_value, version_id
from ios_mdm.core.pair.observed import Announcement, ArmedPromotion
from ios_mdm.core.pair.schedule import Kind
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.x509.credential import credential_to_json
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.issuing import issue
from ios_mdm.errors import DeliveryError, IdentityError, StoreError
from tests.model.stacks.engine import hooks_on_worlds, up
from tests.model.stacks.search import start
from tests.model.stacks.story import Story
from tests.support.adoption import CA, QUIET, put
from tests.support.certificates import NOW as AT
from tests.support.fleet import ANOTHER, Fleet
from tests.support.pairs import KNOWN, NOW, SECRET, HandClock, World, definition
from tests.support.switching import NAMES, Armed, CrashError

__all__ = [
    "account_that_is_not_allowed",
    "announced_number_of_another_version",
    "armed_reserve_that_is_deleted",
    "hold_while_scheduler_is_down",
    "main_of_another_program",
    "offered_reserve_without_its_slot",
    "other_devices_while_the_mdm_server_is_down",
    "profile_that_was_overtaken",
    "restored_secret_without_certificates",
    "run_that_dies_before_replacing_the_reserve",
    "staged_version_of_another_program",
]


def _fleet() -> Fleet:
    """Return a pair whose devices were sent main and reserve, certificates 1 and 2."""
    fleet = Fleet()
    fleet.run()
    return fleet


def armed_reserve_that_is_deleted() -> str:
    """Delete a reserve that a schedule may still make main."""
    fleet = _fleet()
    fleet.store.tag(SECRET, {ARMED_TAG: armed_value(ArmedPromotion(certificate=2, at=fleet.clock.now()))})
    is_kept = 2 in fleet.look(definition(NoReserve())).desired.trusted_ordinals
    return "" if is_kept else "the profile lacks a reserve that may become main"


def offered_reserve_without_its_slot() -> str:
    """Take RESERVE off a certificate that no definition deletes."""
    fleet = _fleet()
    fleet.move(Label.RESERVE, None)
    kept = {key: text.replace("role=reserve", "role=kept") for key, text in fleet.tags.items() if "n=2 " in text}
    fleet.store.tag(SECRET, kept)
    return (
        ""
        if 2 in fleet.look().desired.trusted_ordinals
        else "the profile lacks a certificate that devices were offered"
    )


def profile_that_was_overtaken() -> str:
    """Send a profile after another run has replaced the reserve and sent the new one."""
    fleet = _fleet()
    before = fleet.apply()
    fleet.run(definition(ANOTHER))
    with contextlib.suppress(StoreError):
        fleet.send(before)
    is_sent = fleet.tags[SENT_TAG].startswith("1 3 ")
    return "" if is_sent else "devices were sent a profile without the reserve of another run"


def run_that_dies_before_replacing_the_reserve() -> str:
    """Replace the armed reserve; the run crashes at any write."""
    for number in range(1, 12):
        one = Armed()
        one.up()
        one.die_at(number, "after")
        with contextlib.suppress(CrashError):
            one.up(definition(ANOTHER))
        pair = one.world.service.observe(SECRET)
        schedule = one.scheduler.schedules.get(NAMES[Kind.PROMOTE])
        if schedule is None or pair is None:
            continue
        if pair.reserve is None or one.scheduled_call()["MoveToVersionId"] != pair.reserve.version_id:
            return "a schedule makes a certificate main that is not the reserve"
    return ""


def hold_while_scheduler_is_down() -> str:
    """Set `hold` while Scheduler does not answer, so that the armed schedule may still fire."""
    one = Armed()
    one.up()
    one.scheduler.down = True
    try:
        one.up(replace(definition(), promotion=Promotion(hold=True)))
    except StoreError:
        return ""
    return "the switch is on hold, and its schedule may fire"


class _Down:
    """An MDM server that is down."""

    def batches(self, enrollment_ids: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return one batch."""
        return [enrollment_ids]

    def close(self) -> None:
        """Close nothing: no connection is open."""

    def enqueue(self, _enrollment_ids: tuple[str, ...], _command: bytes) -> tuple[str, ...]:
        """Accept no command."""
        raise DeliveryError("the MDM server is down")


def other_devices_while_the_mdm_server_is_down() -> str:
    """Add a device that cannot be sent the reserve yet."""
    fleet = _fleet()
    result, disarmed = fleet.apply(), []
    content = ProfileContent(
        server="berlin",
        host="mdm.example.com",
        identifier="com.example.berlin",
        organization=None,
        trusted=result.view.desired.trusted_ordinals,
        chains={ordinal: one.pem for ordinal, one in result.certificates.items()},
    )
    request = DeliveryRequest(
        content=content,
        secret=SECRET,
        secret_arn=fleet.arn,
        resource_id=None,
        enrollment_ids=("device", "another device"),
    )
    service = DeliveryService(_Down, fleet.store, None, fleet.clock, report=fleet.reports.append)  # type: ignore[arg-type]
    with contextlib.suppress(DeliveryError):
        service.deliver(request, lambda: disarmed.append("switch"))
    is_safe = bool(disarmed) and SENT_TAG not in fleet.tags
    return "" if is_safe else "the switch is armed for a reserve that a device was not sent"


def account_that_is_not_allowed() -> str:
    """Create a pair with credentials for another account than the definition allows."""
    world = World()
    request = replace(world.request(), allowed_accounts=("210987654321",))
    with contextlib.suppress(IdentityError):
        world.service.apply(request)
    return "a secret is created in an account that is not allowed" if world.store.calls else ""


def restored_secret_without_certificates() -> str:
    """Restore a lost secret with its tags and without its values."""
    with hooks_on_worlds():
        world = start(Story())
        stack, store = world.stacks["dev"], world.places["home"].store
        pair, lost = stack.server("berlin").pair, store.secret(SECRET)
        assert pair is not None
        assert lost is not None
        store.lose(SECRET)
        store.place_copy(SECRET, replace(lost, versions={}))
        program = replace(stack.program, moved_from=str(pair.outputs["secretArn"]))
        world.stacks["dev"] = replace(stack, program=program)
        run = up(world, "dev")
        is_refused = run.word == "refused" and not run.writes
    return "" if is_refused else "the pair gets other certificates in the profile that devices know"


def _quiet() -> World:
    """Return a pair without a reserve."""
    world = World(clock=HandClock(AT))
    world.apply(QUIET)
    return world


def staged_version_of_another_program() -> str:
    """Store a version under the next id, as a program with the permission PutSecretValue can."""
    return _stage_certificate(_quiet())


def announced_number_of_another_version() -> str:
    """Store another value under the number that a run announced before it crashed."""
    world = _quiet()
    world.store.tag(SECRET, {ANNOUNCED_TAG: announced_value(Announcement(ordinal=2, sha256="0" * 64))})
    return _stage_certificate(world)


def _stage_certificate(world: World) -> str:
    """Store a certificate in the form of an issued certificate, as the next reserve."""
    wish = definition(NOW)
    days = IssueMain().validity_days
    stored = issue(wish.host, key=KeyType.EC_P256, validity_days=days, now=world.clock.now(), max_validity=None)
    world.store.put(SECRET, version_id(SECRET, 2), credential_to_json(stored))
    try:
        result = world.apply(wish)
    except StoreError:
        return "a version of another program stops the run"
    found = {one.facts.sha256 for one in result.certificates.values()}
    return "devices get a certificate that no run announced" if stored.sha256 in found else ""


def main_of_another_program() -> str:
    """Store a version that gets AWSCURRENT by PutSecretValue."""
    world, attacker = _quiet(), CA.make()
    put(world, version_id(SECRET, 2), ["AWSCURRENT"], attacker)
    try:
        result = world.apply(QUIET, known=KNOWN)
    except StoreError:
        return ""
    found = {one.facts.sha256 for one in result.certificates.values()}
    return "devices get a certificate that no run announced" if fingerprint(attacker.leaf) in found else ""
