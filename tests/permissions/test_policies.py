"""The policies of docs/permissions.md, evaluated against the recorded requests of a pair's life.

Each policy allows the requests of its principal, has no action that no request needs, and refuses forbidden requests.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.core.pair.schedule import MOVE_LABEL, name_stem
from tests.permissions.documented import NAMES, POLICIES_OF, documented_policy
from tests.permissions.forbidden import FORBIDDEN, GROUP, OWN_ROLE, SCHEDULER
from tests.support.iam import Decision, Request, decision
from tests.support.implied import IMPLIED, WITHOUT_PERMISSION
from tests.support.recording import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.recording import Lives

ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
Policies = dict[str, dict[str, Any]]


def requests(lives: Lives, principal: str) -> list[Request]:
    """Return a principal's requests: the recorded ones, or those that EventBridge Scheduler makes for its schedules."""
    if principal in lives.recorder.requests:
        found = lives.recorder.requests[principal]
        return [one for one in found if one.action not in WITHOUT_PERMISSION]
    if principal == "scheduler":
        context = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": GROUP}
        return [Request(action="sts:AssumeRole", resource=OWN_ROLE, context=context, principal=SCHEDULER)]
    return list(_of_schedules(lives))


def _of_schedules(lives: Lives) -> Iterator[Request]:
    """Yield the requests of schedules.

    Source: EventBridge Scheduler User Guide, "Execution role" (the role calls the target), "Configuring a dead-letter
    queue" (the role sends the message).
    """
    for target in lives.recorder.schedules:
        if target["Arn"] == MOVE_LABEL:
            call = json.loads(target["Input"])
            context = {"secretsmanager:VersionStage": call["VersionStage"]}
            yield Request(action="secretsmanager:UpdateSecretVersionStage", resource=call["SecretId"], context=context)
        else:
            yield Request(action="sns:Publish", resource=target["Arn"])
        yield Request(action="sqs:SendMessage", resource=target["DeadLetterConfig"]["Arn"])


def policies(lives: Lives, principal: str) -> Policies:
    """Return the policies of a principal, for the recorded server."""
    suffix = lives.secret_arn.rpartition("-")[2]
    queue = name_stem(lives.server, f"ios-mdm/{lives.server}")
    return {
        name: documented_policy(name, server=lives.server, suffix=suffix, stem=queue) for name in POLICIES_OF[principal]
    }


def on_page(principal: str) -> Policies:
    """Return the policies of a principal, for the server `berlin`."""
    return {name: documented_policy(name) for name in POLICIES_OF[principal]}


def policy_decision(principal: str, request: Request, found: Policies) -> Decision:
    """Return the decision on a request of a principal."""
    if principal == "bounded":
        return decision(request, [ALL], boundary=found["boundary"])
    return decision(request, list(found.values()))


def refused_requests(lives: Lives, principal: str, found: Policies) -> list[Request]:
    """Return the requests of a principal that its policies do not allow."""
    return [one for one in requests(lives, principal) if policy_decision(principal, one, found) is not Decision.ALLOWED]


def permitted_requests(principal: str, found: Policies) -> list[str]:
    """Return the forbidden requests that the policies of a principal allow."""
    return [what for what, one in FORBIDDEN[principal] if policy_decision(principal, one, found) is Decision.ALLOWED]


def as_list(value: str | list[str]) -> list[str]:
    """Return an element of a statement as a list."""
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One action or one resource in a statement of a policy."""

    policy: str
    number: int
    element: str
    index: int

    def __str__(self) -> str:
        """Name the value."""
        value = as_list(documented_policy(self.policy)["Statement"][self.number][self.element])[self.index]
        return f"{self.policy}, statement {self.number + 1}: {value}"

    def policies_without(self, found: Policies) -> Policies:
        """Return the policies without this value."""
        changed = copy.deepcopy(found)
        statement = changed[self.policy]["Statement"][self.number]
        statement[self.element] = as_list(statement[self.element])
        del statement[self.element][self.index]
        return changed


PRINCIPALS = tuple(POLICIES_OF)
VALUES = [
    Value(policy=name, number=number, element=element, index=index)
    for name in NAMES
    for number, statement in enumerate(documented_policy(name)["Statement"])
    for element in ("Action", "Resource")
    for index in range(len(as_list(statement.get(element, []))))
]
STATEMENTS = sorted(
    (principal, name, number)
    for principal, names in POLICIES_OF.items()
    for name in names
    for number in range(len(documented_policy(name)["Statement"]))
)


def test_every_policy_belongs_to_a_principal() -> None:
    """The tests cover each policy of the page."""
    assert {name for names in POLICIES_OF.values() for name in names} == set(NAMES)


def test_a_principal_may_do_what_it_does(lives: Lives) -> None:
    """First up, no-op, preview, switch, consume, hold, destroy, restore, take-over and status are allowed."""
    lacking = {one: refused_requests(lives, one, policies(lives, one)) for one in PRINCIPALS}
    assert lacking == {one: [] for one in PRINCIPALS}
    assert all(requests(lives, one) for one in PRINCIPALS)


def test_each_action_and_resource_is_needed(lives: Lives) -> None:
    """Without any one of them, a request of a principal with the policy is refused."""
    found = {one: policies(lives, one) for one in PRINCIPALS}
    before = {one: refused_requests(lives, one, found[one]) for one in PRINCIPALS}
    unneeded = [
        str(value)
        for value in VALUES
        if all(
            refused_requests(lives, one, value.policies_without(found[one])) == before[one]
            for one in PRINCIPALS
            if value.policy in found[one]
        )
    ]
    assert unneeded == []


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_forbidden_requests_are_refused(principal: str) -> None:
    """No principal can read a key, take over a role, or leave its boundary, unless the page says so."""  # R29
    assert permitted_requests(principal, on_page(principal)) == []


@pytest.mark.parametrize(("principal", "name", "number"), STATEMENTS)
def test_each_restriction_is_needed(principal: str, name: str, number: int) -> None:
    """A statement with any resource, or without one of its conditions, allows a forbidden request."""
    found = on_page(principal)
    statement = found[name]["Statement"][number]
    if "Resource" in statement:
        changed = copy.deepcopy(found)
        changed[name]["Statement"][number]["Resource"] = "*"
        assert permitted_requests(principal, changed), "any resource"
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            changed = copy.deepcopy(found)
            del changed[name]["Statement"][number]["Condition"][operator][key]
            assert permitted_requests(principal, changed), key


def test_each_implied_permission_occurs(lives: Lives) -> None:
    """Each row of the table belongs to a recorded request, and names its source."""
    made = {one.action for found in lives.recorder.requests.values() for one in found}
    assert all(row.request in made and row.source for row in IMPLIED)
    assert set(WITHOUT_PERMISSION) <= made


def test_the_role_that_is_written_is_the_documented_one(lives: Lives) -> None:
    """The policy and the trust policy of the page are those in the recorded requests."""
    assert json.loads(lives.recorder.documents["policy"]) == policies(lives, "schedule")["schedule"]
    assert json.loads(lives.recorder.documents["trust"]) == policies(lives, "scheduler")["schedule-trust"]


def test_the_boundary_allows_what_the_role_of_a_schedule_does(lives: Lives) -> None:
    """Within the boundary, a role can make all requests that its policy allows."""
    found = list(policies(lives, "schedule").values())
    boundary = policies(lives, "bounded")["boundary"]
    decisions = {decision(one, found, boundary=boundary) for one in requests(lives, "schedule")}
    assert decisions == {Decision.ALLOWED}


def test_only_roles_that_are_created_need_rights_in_iam(lives: Lives) -> None:
    """With `promotion.roleArn`, the deployer needs only its own policy."""
    others = policies(lives, "deployer")
    del others["deployer-roles"]
    assert {one.action.partition(":")[0] for one in refused_requests(lives, "deployer", others)} == {"iam"}
