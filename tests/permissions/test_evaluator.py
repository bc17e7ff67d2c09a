"""The evaluator of IAM policies: its decisions and errors, and faults that its test cases find."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import iam
from tests.support.iam import Decision, PolicyError, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIR = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ios-mdm/berlin-AbCdEf"
ROLE = "arn:aws:iam::111122223333:role/ios-mdm/ios-mdm-berlin"
GET, PUT = "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"
STAGE = "secretsmanager:VersionStage"
SCHEDULER = ("Service", "scheduler.amazonaws.com")


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a policy."""
    return {"Version": iam.VERSION, "Statement": list(statements)}


def statement(effect: str, action: Any, resource: Any = PAIR, **more: Any) -> dict[str, Any]:
    """Return a statement."""
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def allow(action: Any, resource: Any = PAIR, **more: Any) -> dict[str, Any]:
    """Return a policy with one statement that allows."""
    return policy(statement("Allow", action, resource, **more))


def deny(action: Any, resource: Any = PAIR, **more: Any) -> dict[str, Any]:
    """Return a policy with one statement that denies."""
    return policy(statement("Deny", action, resource, **more))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request, its policies, and the decision of IAM."""

    policies: list[dict[str, Any]]
    expected: Decision
    action: str = GET
    resource: str = PAIR
    context: tuple[tuple[str, str | tuple[str, ...]], ...] = ()
    principal: tuple[str, str] | None = None
    boundary: dict[str, Any] | None = None


YES, NO, NEVER = Decision.ALLOWED, Decision.NOT_ALLOWED, Decision.DENIED
EQUALS = {"StringEquals": {STAGE: ["AWSCURRENT", "AWSPREVIOUS"]}}
OTHER = {"StringNotEquals": {STAGE: ["AWSCURRENT", "AWSPREVIOUS"]}}
TAGS = {"ForAllValues:StringEquals": {"aws:TagKeys": ["one", "two"]}}
BOTH = {"StringEquals": {STAGE: "AWSCURRENT"}, "StringNotEquals": {"aws:PrincipalArn": ROLE}}
TRUST = policy({"Effect": "Allow", "Principal": {"Service": SCHEDULER[1]}, "Action": "sts:AssumeRole"})
CASES = {
    "nothing allows": Case(policies=[], expected=NO),
    "one action": Case(policies=[allow(GET)], expected=YES),
    "another action": Case(policies=[allow(PUT)], expected=NO),
    "one of a list": Case(policies=[allow([PUT, GET])], expected=YES),
    "the second policy": Case(policies=[allow(PUT), allow(GET)], expected=YES),
    "the second statement": Case(policies=[policy(statement("Allow", PUT), statement("Allow", GET))], expected=YES),
    "actions ignore case": Case(policies=[allow("SecretsManager:getsecretvalue")], expected=YES),
    "wildcard of actions": Case(policies=[allow("secretsmanager:Get*")], expected=YES),
    "wildcard of other actions": Case(policies=[allow("secretsmanager:Put*")], expected=NO),
    "an action matches as a whole": Case(policies=[allow("secretsmanager:Get")], expected=NO),
    "a wildcard is no regular expression": Case(policies=[allow("secretsmanager.GetSecretValue")], expected=NO),
    "denied after allowed": Case(policies=[allow(GET), deny(GET)], expected=NEVER),
    "denied before allowed": Case(policies=[deny("*", "*"), allow(GET)], expected=NEVER),
    "another action is denied": Case(policies=[allow(GET), deny(PUT)], expected=YES),
    "a condition of a denial is false": Case(policies=[allow(GET), deny(GET, Condition=EQUALS)], expected=YES),
    "resource in another case": Case(policies=[allow(GET, PAIR.replace("ios-mdm", "iOS-mdm"))], expected=NO),
    "resources are case-sensitive": Case(policies=[allow(GET, PAIR.replace("berlin", "Berlin"))], expected=NO),
    "any resource": Case(policies=[allow(GET, "*")], expected=YES),
    "a prefix of a resource": Case(policies=[allow(GET, PAIR.removesuffix("-AbCdEf"))], expected=NO),
    "wildcard of resources": Case(policies=[allow(GET, PAIR.replace("berlin-AbCdEf", "*"))], expected=YES),
    "a wildcard crosses slashes": Case(
        policies=[allow("iam:GetRole", "arn:aws:iam::111122223333:role/*")],
        action="iam:GetRole",
        resource=ROLE,
        expected=YES,
    ),
    "another account": Case(policies=[allow(GET, PAIR.replace("111122223333", "444455556666"))], expected=NO),
    "six characters": Case(policies=[allow(GET, PAIR.replace("AbCdEf", "??????"))], expected=YES),
    "a question mark is one character": Case(policies=[allow(GET, PAIR.replace("AbCdEf", "???????"))], expected=NO),
    "a wildcard also matches no characters": Case(policies=[allow(GET, f"{PAIR}*")], expected=YES),
    "a name with the same prefix": Case(
        policies=[allow("iam:GetRole", "arn:aws:iam::111122223333:role/ios-mdm/*")],
        action="iam:GetRole",
        resource="arn:aws:iam::111122223333:role/ios-mdm-deployer",
        expected=NO,
    ),
    "equal": Case(policies=[allow(GET, Condition=EQUALS)], context=((STAGE, "AWSCURRENT"),), expected=YES),
    "equal to the second value": Case(
        policies=[allow(GET, Condition=EQUALS)], context=((STAGE, "AWSPREVIOUS"),), expected=YES
    ),
    "not equal": Case(policies=[allow(GET, Condition=EQUALS)], context=((STAGE, "RESERVE"),), expected=NO),
    "values are case-sensitive": Case(
        policies=[allow(GET, Condition=EQUALS)], context=((STAGE, "awscurrent"),), expected=NO
    ),
    "equality has no wildcards": Case(
        policies=[allow(GET, Condition={"StringEquals": {STAGE: "AWS*"}})],
        context=((STAGE, "AWSCURRENT"),),
        expected=NO,
    ),
    "a missing key is not equal": Case(policies=[allow(GET, Condition=EQUALS)], expected=NO),
    "keys ignore case": Case(
        policies=[allow(GET, Condition={"StringEquals": {STAGE.lower(): "AWSCURRENT"}})],
        context=((STAGE, "AWSCURRENT"),),
        expected=YES,
    ),
    "the negation": Case(policies=[allow(GET, Condition=OTHER)], context=((STAGE, "RESERVE"),), expected=YES),
    "the negation of the second value": Case(
        policies=[allow(GET, Condition=OTHER)], context=((STAGE, "AWSPREVIOUS"),), expected=NO
    ),
    "the negation of a missing key": Case(policies=[allow(GET, Condition=OTHER)], expected=YES),
    "all values of a set": Case(
        policies=[allow(GET, Condition=TAGS)], context=(("aws:TagKeys", ("two", "one")),), expected=YES
    ),
    "one value of a set": Case(
        policies=[allow(GET, Condition=TAGS)], context=(("aws:tagkeys", ("two",)),), expected=YES
    ),
    "another value in a set": Case(
        policies=[allow(GET, Condition=TAGS)], context=(("aws:TagKeys", ("one", "three")),), expected=NO
    ),
    "a set without values": Case(policies=[allow(GET, Condition=TAGS)], expected=YES),
    "both conditions": Case(policies=[allow(GET, Condition=BOTH)], context=((STAGE, "AWSCURRENT"),), expected=YES),
    "one condition of two": Case(
        policies=[allow(GET, Condition=BOTH)],
        context=((STAGE, "AWSCURRENT"), ("aws:PrincipalArn", ROLE)),
        expected=NO,
    ),
    "denied to all but one, the one": Case(
        policies=[allow(GET), deny(GET, Condition={"StringNotEquals": {"aws:PrincipalArn": ROLE}}, Principal="*")],
        context=(("aws:PrincipalArn", ROLE),),
        expected=YES,
    ),
    "denied to all but one, another": Case(
        policies=[allow(GET), deny(GET, Condition={"StringNotEquals": {"aws:PrincipalArn": ROLE}}, Principal="*")],
        context=(("aws:PrincipalArn", f"{ROLE}2"),),
        expected=NEVER,
    ),
    "within the boundary": Case(policies=[allow("*", "*")], boundary=allow(GET), expected=YES),
    "outside the boundary": Case(policies=[allow("*", "*")], boundary=allow(PUT), expected=NO),
    "a boundary grants nothing": Case(policies=[], boundary=allow(GET), expected=NO),
    "a boundary denies": Case(
        policies=[allow(GET)], boundary=policy(statement("Allow", "*"), statement("Deny", GET)), expected=NEVER
    ),
    "an empty boundary": Case(policies=[allow(GET)], boundary=policy(), expected=NO),
    "the trusted service": Case(policies=[TRUST], action="sts:AssumeRole", principal=SCHEDULER, expected=YES),
    "another service": Case(
        policies=[TRUST], action="sts:AssumeRole", principal=("Service", "lambda.amazonaws.com"), expected=NO
    ),
    "a principal of another kind": Case(
        policies=[TRUST], action="sts:AssumeRole", principal=("AWS", SCHEDULER[1]), expected=NO
    ),
    "no principal": Case(policies=[TRUST], action="sts:AssumeRole", expected=NO),
}


def evaluator_decision(module: Any, case: Case) -> str:
    """Return the decision of an evaluator, or the kind of its error."""
    request = module.Request(
        action=case.action, resource=case.resource, context=dict(case.context), principal=case.principal
    )
    try:
        return str(module.decision(request, case.policies, boundary=case.boundary))
    except ValueError as error:
        return type(error).__name__


@pytest.mark.parametrize("name", CASES)
def test_requests_are_decided_as_iam_decides_them(name: str) -> None:
    """Deny wins, a boundary limits, and conditions and wildcards work as the IAM User Guide says."""
    assert evaluator_decision(iam, CASES[name]) == CASES[name].expected


UNKNOWN = {
    "operator": allow(GET, Condition={"StringLike": {STAGE: "A*"}}),
    "operator for a missing key": allow(GET, Condition={"StringEqualsIfExists": {STAGE: "A"}}),
    "operator of another action": allow(PUT, Condition={"Bool": {STAGE: "true"}}),
    "condition key": allow(GET, Condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}),
    "operator of one value for a set": allow(GET, Condition={"StringEquals": {"aws:TagKeys": "one"}}),
    "operator of sets for one value": allow(GET, Condition={"ForAllValues:StringEquals": {STAGE: "A"}}),
    "another operator of sets": allow(GET, Condition={"ForAnyValue:StringEquals": {"aws:TagKeys": "one"}}),
    "element": policy({"Effect": "Allow", "NotAction": PUT, "Resource": PAIR}),
    "no resource": policy({"Effect": "Allow", "Action": GET}),
    "no action": policy({"Effect": "Allow", "Resource": PAIR}),
    "effect": policy(statement("allow", GET)),
    "version": {"Version": "2008-10-17", "Statement": []},
    "element of a policy": {**policy(), "Statements": []},
    "variable in a resource": allow(GET, PAIR.replace("berlin", "${aws:username}")),
    "variable in a condition": allow(GET, Condition={"StringEquals": {STAGE: "${aws:username}"}}),
    "resource without an ARN": allow(GET, "ios-mdm/*"),
    "wildcard in the account": allow(GET, PAIR.replace("111122223333", "*")),
    "wildcard in the region": allow(GET, PAIR.replace("eu-west-1", "eu-west-?")),
    "principal": policy({"Effect": "Allow", "Principal": {"Federated": "x"}, "Action": GET}),
    "action that is a number": allow([1]),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_the_unknown_is_an_error(name: str) -> None:
    """The evaluator never guesses, not even in a boundary or in statements that do not match."""
    request = Request(action=GET, resource=PAIR)
    with pytest.raises(PolicyError):
        iam.decision(request, [UNKNOWN[name]])
    with pytest.raises(PolicyError):
        iam.decision(request, [allow(GET)], boundary=UNKNOWN[name])


def test_an_unknown_key_of_a_request_is_an_error() -> None:
    """A recorder that derives a key which no policy can name is wrong."""
    with pytest.raises(PolicyError, match="aws:Colour"):
        iam.decision(Request(action=GET, resource=PAIR, context={"aws:Colour": "x"}), [allow(GET)])


FAULTS = {
    "deny is ignored": ('if "Deny" in matching or "Deny" in within:', "if False:"),
    "deny of the boundary is ignored": ('"Deny" in matching or "Deny" in within', '"Deny" in matching'),
    "deny of the policies is ignored": ('"Deny" in matching or "Deny" in within', '"Deny" in within'),
    "the boundary is ignored": ("if boundary is not None:", "if False:"),
    "the boundary grants": ('"Allow" in matching and "Allow" in within', '"Allow" in within'),
    "either is enough": ('"Allow" in matching and "Allow" in within', '"Allow" in matching or "Allow" in within'),
    "only the first policy counts": ("for policy in policies for one", "for policy in policies[:1] for one"),
    "operators are inverted": ("in values) is _operator(operator)", "in values) is not _operator(operator)"),
    "negation is equality": ('"StringNotEquals": False', '"StringNotEquals": True'),
    "one value of a set is enough": ("return all(one in values", "return any(one in values"),
    "a set must have a value": (
        "return all(one in values",
        "return _canonical_key(key) in context and all(one in values",
    ),
    "conditions are ignored": ("        and all(\n", "        and True or all(\n"),
    "one condition is enough": ("        and all(\n", "        and any(\n"),
    "only the first value counts": ("in values) is", "in values[:1]) is"),
    "a missing key satisfies every condition": (
        "    return (context",
        "    if _canonical_key(key) not in context:\n        return True\n    return (context",
    ),
    "a missing key satisfies no condition": (
        "    return (context",
        "    if _canonical_key(key) not in context:\n        return False\n    return (context",
    ),
    "values are compared without case": (
        "(context.get(_canonical_key(key)) in values)",
        "((context.get(_canonical_key(key)) or '').lower() in [one.lower() for one in values])",
    ),
    "equality has wildcards": (
        "(context.get(_canonical_key(key)) in values)",
        "any(_is_like(one, context.get(_canonical_key(key)) or '') for one in values)",
    ),
    "keys are case-sensitive": ("_KNOWN_KEYS = {key.lower(): key", "_KNOWN_KEYS = {key: key"),
    "actions are case-sensitive": ("_is_like(pattern.lower(), action.lower())", "_is_like(pattern, action)"),
    "resources ignore case": ("_is_like(wanted[-1], found[-1])", "_is_like(wanted[-1].lower(), found[-1].lower())"),
    "actions are ignored": ("        and any(_is_action(", "        and any(True or _is_action("),
    "resources are ignored": ("        and any(_is_resource(", "        and any(True or _is_resource("),
    "principals are ignored": ("return any(principal == (kind, one)", "return any(True"),
    "kinds of principals are ignored": ("principal == (kind, one)", "principal is not None and principal[1] == one"),
    "a star is one character": ('"*": ".*"', '"*": "."'),
    "a star is at least one character": ('"*": ".*"', '"*": ".+"'),
    "a star stops at a slash": ('"*": ".*"', '"*": "[^/]*"'),
    "a question mark is any characters": ('"?": "."', '"?": ".*"'),
    "a question mark is itself": (', "?": "."', ""),
    "a pattern is a regular expression": ("re.escape(letter)", "letter"),
    "a pattern is a prefix": ("re.fullmatch", "re.match"),
    "account and region are ignored": ("return wanted[:-1] == found[:-1] and ", "return "),
}


def _faulty(name: str) -> ModuleType:
    """Return the evaluator with one fault in its source."""
    old, new = FAULTS[name]
    source = Path(iam.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{source.count(old)} places for the fault"
    module = ModuleType("faulty_iam")
    sys.modules[module.__name__] = module  # dataclasses need their module there
    exec(compile(source.replace(old, new), name, "exec"), module.__dict__)  # noqa: S102 - source of this repository
    return module


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    sys.modules.pop("faulty_iam", None)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_evaluator_is_found(name: str) -> None:
    """The evaluator with this fault decides at least one case differently."""
    faulty = _faulty(name)
    assert [case for case in CASES if evaluator_decision(faulty, CASES[case]) != CASES[case].expected]
