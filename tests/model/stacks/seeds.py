"""The guards of R33 to R37, each switched off, and the story in which the search finds it.

Guards that no story covers are switched off in short runs: `tests/model/guards.py`. The table of all guards is in
`tests/model/test_guards_off.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pulumi.dynamic import ReadResult

from ios_mdm import wiring
from ios_mdm.app import reconcile, switch_reader, switching
from ios_mdm.app.delivery import service
from ios_mdm.app.pair import identity, reader
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.reconcile import Reconciler
from ios_mdm.core.pair import guard, policies
from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG
from ios_mdm.core.pair.policies import main as main_policies
from ios_mdm.resources import distribution_hooks, pair_hooks
from tests.model.stacks.stories import STORIES
from tests.model.stacks.story import DEV, SAME_SECRET, Story

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SEEDS", "Seed"]


def _home(request: Any, observed: Any, actual: Callable[[], Home]) -> Home:
    del request
    return actual() if observed is None else Home.of_arn(observed.arn)


def _nothing(*_arguments: object, **_options: object) -> None:
    pass


def _identifier(identifier: str, pair_id: str | None) -> str:
    del pair_id
    return f"{identifier}.trust"


def _report_deletion(id_: str, outputs: dict[str, Any]) -> ReadResult:
    """Report a lost pair as deleted."""
    if wiring.process_wiring().store(None).describe(id_) is None:
        return ReadResult(None, {})
    return _READ(id_, outputs)


def _keeps_resource_id(self: PairService, secret: str, *, recovery_window_days: int) -> None:
    """Delete a secret without its release."""
    self._store.delete(secret, recovery_window_days=recovery_window_days)


def _claims_first(self: Reconciler, stages: Any, request: Any) -> Any:
    """Claim a pair as soon as its secret exists."""
    new_id = request.pair.new_resource_id
    store = self._pairs._store
    if new_id is not None and store.describe(request.pair.secret) is not None:
        store.tag(request.pair.secret, {RESOURCE_ID_TAG: new_id})
    return _RUN(self, stages, request)


def _deletes_anywhere(self: Reconciler, *arguments: Any, **options: Any) -> bool:
    """Delete a pair with any credentials."""
    with patch.object(PairService, "check_home", _nothing):
        return _DELETE(self, *arguments, **options)


def _disarms_first(self: Reconciler, request: Any, *arguments: Any, **options: Any) -> bool:
    """Delete the switch before the secret."""
    names = request.definition.name, request.secret
    self._switches.disarm(*names, region="eu-west-1", is_role_made=True, is_queue_made=True)
    return _DELETE(self, request, *arguments, **options)


def _no(*_arguments: object) -> bool:
    return False


def _yes(*_arguments: object) -> bool:
    return True


def _none_presented(*_arguments: object) -> tuple[str, ...]:
    return ()


def _all_formers(_definition: object, _observed: object, formers: tuple[int, ...]) -> tuple[int, ...]:
    return formers


class _Forgets(dict[str, str]):
    """Drops every item."""

    def __setitem__(self, _key: str, _value: str) -> None:
        pass


_DELETE, _READ, _RUN = Reconciler.delete, pair_hooks.read, Reconciler._run


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A guard that is switched off.

    Args:
        requirement: id of its requirement.
        patches: module or class, name, and replacement.
        story: story in which the search finds harm.
        complaint: part of the expected complaint.
    """

    requirement: str
    patches: tuple[tuple[object, str, object], ...]
    story: Story
    complaint: str


SEEDS = {
    "any home": Seed(
        requirement="R33",
        patches=((reader, "check_home", _home),),
        story=STORIES["a moved secret"],
        complaint="which is a copy of another pair",
    ),
    "another secret of the same name": Seed(
        requirement="R33",
        patches=((reader, "check_home", _home),),
        story=STORIES["a restored secret"],
        complaint="which is not the secret of the pair",
    ),
    "a lost pair is created again": Seed(
        requirement="R33",
        patches=((reader, "check_lost", _nothing),),
        story=STORIES["a lost secret"],
        complaint="up is refused",
    ),
    "a refresh reports a lost pair as deleted": Seed(
        requirement="R33",
        patches=((pair_hooks, "read", _report_deletion),),
        story=STORIES["a lost secret"],
        complaint="created another pair in place of the lost one",
    ),
    "any owner": Seed(
        requirement="R34",
        patches=((reader, "check_pair_owner", _nothing),),
        story=STORIES["a take-over"],
        complaint="which is the pair of dev",
    ),
    "any owner of the same name": Seed(
        requirement="R34",
        patches=((reader, "check_pair_owner", _nothing),),
        story=STORIES["a second backend"],
        complaint="which is the pair of dev",
    ),
    "a copied secret is taken over": Seed(
        requirement="R33",
        patches=((identity, "check_copy", _nothing),),
        story=STORIES["a replica that another stack takes over"],
        complaint="which is a copy of another pair",
    ),
    "a delete does not compare the ids": Seed(
        requirement="R37",
        patches=((reconcile, "check_pair_owner", _nothing),),
        story=STORIES["a former owner"],
        complaint="which is the pair of copy",
    ),
    "a delete does not compare the home": Seed(
        requirement="R37",
        patches=((Reconciler, "delete", _deletes_anywhere),),
        story=STORIES["a destroy elsewhere"],
        complaint="is refused its own pair",
    ),
    "a pair is not released": Seed(
        requirement="R34",
        patches=((PairService, "delete", _keeps_resource_id),),
        story=STORIES["a destroy, refused or not"],
        complaint="is refused its own pair",
    ),
    "one identifier for all profiles": Seed(
        requirement="R35",
        patches=((distribution_hooks, "profile_identifier", _identifier),),
        story=STORIES["a copied stack file"],
        complaint="no longer trusts a certificate that is in use",
    ),
    "a former owner sends its profile": Seed(
        requirement="R34",
        patches=tuple((module, "check_owner", _nothing) for module in (service, distribution_hooks)),
        story=Story(stacks=DEV | SAME_SECRET, limits={"take over": 1, "alone": 1}),
        complaint="which is the pair of copy",
    ),
    "a switch is armed before devices were sent the reserve": Seed(
        requirement="R36",
        patches=(
            (switching, "was_sent", lambda _request, _promote, _observed: True),
            (switch_reader, "is_sent", lambda _request, _observed: True),
        ),
        story=Story(limits={"half": 1}, born=False, days=1),
        complaint="armed for a reserve that not all devices were sent",
    ),
    "a pair is claimed first": Seed(
        requirement="R34",
        patches=((Reconciler, "_run", _claims_first),),
        story=STORIES["a first run that crashes"],
        complaint="is refused its own pair",
    ),
    "a resource that was replaced deletes the pair of its successor": Seed(
        requirement="R37",
        patches=((pair_hooks, "_created", _Forgets()),),
        story=STORIES["a replacement with a stale read"],
        complaint="is scheduled for deletion",
    ),
    "the switch is deleted before the secret": Seed(
        requirement="R36",
        patches=((Reconciler, "delete", _disarms_first),),
        story=STORIES["a destroy that crashes"],
        complaint="is no longer armed",
    ),
    "an update does not check the switch": Seed(
        requirement="R36",
        patches=((pair_hooks, "_drift_of_switch", _nothing),),
        story=STORIES["a switch that is deleted from outside"],
        complaint="the switch is not armed",
    ),
    "a lost record of the sent certificates is no change": Seed(
        requirement="R36",
        patches=((distribution_hooks, "is_recorded", _yes),),
        story=STORIES["a lost record of the sent certificates"],
        complaint="the switch is not armed",
    ),
    "a profile drops a reserve that the server presents": Seed(
        requirement="R35",
        patches=((guard, "_presenting_endpoints", _none_presented),),
        story=STORIES["no reserve, while the server presents it"],
        complaint="no longer trusts a certificate that is in use",
    ),
    "a profile keeps a former main that the definition distrusts": Seed(
        requirement="R35",
        patches=((policies, "trusted_formers", _all_formers),),
        story=STORIES["a distrusted certificate"],
        complaint="a device trusts a certificate that the definition distrusts",
    ),
    "main stays although the definition distrusts it": Seed(
        requirement="R35",
        patches=((policies, "distrusted_certificate_kept", _nothing),),
        story=STORIES["a distrusted certificate"],
        complaint="keeps a certificate that its definition distrusts",
    ),
    "the next main is applied before it is sent": Seed(
        requirement="R35",
        patches=tuple((module, "next_main_waits", _no) for module in (policies, main_policies)),
        story=STORIES["main is replaced"],
        complaint="does not trust the certificate that the server presents",
    ),
}
