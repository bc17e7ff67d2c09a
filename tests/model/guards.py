"""Guards of R33 to R38 that no story of the search of stacks covers: each is switched off in a short run.

`test_guards_off.py` has the table of all guards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ios_mdm.app.delivery import service
from ios_mdm.app.pair import identity, reader
from ios_mdm.app.pair.effects import Effects
from ios_mdm.app.switching import SwitchService
from ios_mdm.core.pair import guard
from ios_mdm.core.pair.decision import GuardReason
from ios_mdm.core.pair.observed import ObservedPair, Role
from tests.model import scenarios

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GUARDS", "Guard"]

_CHECK_HOME, _WHY = identity.check_home, guard._guard_reason


def _yes(*_arguments: object) -> bool:
    return True


def _nothing(*_arguments: object, **_options: object) -> None:
    pass


def _role_of_slot(_effects: object, _request: object, _observed: object, step: Any, _credential: object) -> Role:
    """Return the role of any version with a label of the pair."""
    return Role(step.slot)


def _none(*_arguments: object) -> tuple[()]:
    return ()


def _any_account(request: Any, *arguments: Any) -> Any:
    return _CHECK_HOME(replace(request, allowed_accounts=()), *arguments)


def _without(reason: GuardReason) -> Callable[..., GuardReason | None]:
    """Return the guard without one of its reasons."""

    def why(*arguments: Any, **options: Any) -> GuardReason | None:
        found = _WHY(*arguments, **options)
        return None if found is reason else found

    return why


def _arm_without_record(self: SwitchService, request: Any, promote: Any) -> bool:
    """Arm a promotion without a record of it."""
    return self.confirm(request, promote)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A guard that is switched off.

    Args:
        requirement: id of its requirement.
        patches: module or class, name, and replacement.
        scenario: returns the harm that happens without the guard; empty with the guard.
        complaint: the expected harm.
    """

    requirement: str
    patches: tuple[tuple[object, str, object], ...]
    scenario: Callable[[], str]
    complaint: str


GUARDS = {
    "the account is allowed": Guard(
        requirement="R33",
        patches=((reader, "check_home", _any_account),),
        scenario=scenarios.account_that_is_not_allowed,
        complaint="a secret is created in an account that is not allowed",
    ),
    "a restored secret has its main": Guard(
        requirement="R33",
        patches=((reader, "check_certificates", _nothing),),
        scenario=scenarios.restored_secret_without_certificates,
        complaint="the pair gets other certificates in the profile that devices know",
    ),
    "a certificate in an armed promotion stays": Guard(
        requirement="R35",
        patches=((guard, "_guard_reason", _without(GuardReason.ARMED)),),
        scenario=scenarios.armed_reserve_that_is_deleted,
        complaint="the profile lacks a reserve that may become main",
    ),
    "an offered certificate stays": Guard(
        requirement="R35",
        patches=((guard, "_guard_reason", _without(GuardReason.OFFERED)),),
        scenario=scenarios.offered_reserve_without_its_slot,
        complaint="the profile lacks a certificate that devices were offered",
    ),
    "a delivery reads the pair again": Guard(
        requirement="R35",
        patches=((service, "uncovered_versions", _none),),
        scenario=scenarios.profile_that_was_overtaken,
        complaint="devices were sent a profile without the reserve of another run",
    ),
    "a stale schedule is withdrawn first": Guard(
        requirement="R36",
        patches=((SwitchService, "withdraw", _nothing),),
        scenario=scenarios.run_that_dies_before_replacing_the_reserve,
        complaint="a schedule makes a certificate main that is not the reserve",
    ),
    "an armed promotion is recorded": Guard(
        requirement="R36",
        patches=((SwitchService, "_record_promotion", _arm_without_record),),
        scenario=scenarios.hold_while_scheduler_is_down,
        complaint="the switch is on hold, and its schedule may fire",
    ),
    "another list of devices disarms": Guard(
        requirement="R36",
        patches=((service, "is_sent_to", _yes),),
        scenario=scenarios.other_devices_while_the_mdm_server_is_down,
        complaint="the switch is armed for a reserve that a device was not sent",
    ),
    "a version that no run announced is no begun certificate": Guard(
        requirement="R38",
        patches=((ObservedPair, "is_announced", _yes),),
        scenario=scenarios.staged_version_of_another_program,
        complaint="a version of another program stops the run",
    ),
    # Two places compare the announcement; a version is adopted only if both are switched off.
    "a version in no slot was announced": Guard(
        requirement="R38",
        patches=((ObservedPair, "is_announced", _yes), (Effects, "_is_announced", _yes)),
        scenario=scenarios.staged_version_of_another_program,
        complaint="devices get a certificate that no run announced",
    ),
    "the value of a version was announced": Guard(
        requirement="R38",
        patches=((Effects, "_is_announced", _yes),),
        scenario=scenarios.announced_number_of_another_version,
        complaint="devices get a certificate that no run announced",
    ),
    "main was announced or is known": Guard(
        requirement="R38",
        patches=((Effects, "_found_role", _role_of_slot),),
        scenario=scenarios.main_of_another_program,
        complaint="devices get a certificate that no run announced",
    ),
}
