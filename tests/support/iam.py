"""Evaluation of IAM policies, for the part of the policy language that docs/permissions.md and SECURITY.md use.

The emulators enforce neither permissions boundaries nor most condition keys. This evaluator does not guess: unknown
elements, operators, condition keys and forms of resources are errors.
Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements reference".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["CONDITION_KEYS", "Decision", "PolicyError", "Request", "decision", "statements"]

VERSION = "2012-10-17"
CONDITION_KEYS = frozenset(
    {
        "aws:PrincipalArn",
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:TagKeys",
        "iam:PassedToService",
        "iam:PermissionsBoundary",
        "kms:ViaService",
        "secretsmanager:VersionStage",
    }
)
"""The policies use no other keys."""
SET_KEYS = frozenset({"aws:TagKeys"})
"""Keys with a set of values. All others have one value."""
FOR_ALL = "ForAllValues:StringEquals"
"""Operator for sets: each value of the request must be in the policy. It is true for a request without a value."""
_KNOWN_KEYS = {key.lower(): key for key in CONDITION_KEYS}
_ELEMENTS = frozenset({"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})
_ARN_PARTS = 6


class PolicyError(ValueError):
    """A policy or a request has a part that this evaluator does not support."""


class Decision(StrEnum):
    """The result of an evaluation."""

    ALLOWED = "allowed"
    DENIED = "explicitly denied"
    NOT_ALLOWED = "not allowed by any statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as IAM evaluates it.

    Args:
        action: for example ``iam:GetRole``.
        resource: ARN of the resource, or "*" for an action without a resource.
        context: condition keys of the request with their values; a tuple for a key with a set of values.
        principal: the caller, as a resource's policy names it: ("Service", "scheduler.amazonaws.com").
    """

    action: str
    resource: str
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    principal: tuple[str, str] | None = None


def decision(
    request: Request, policies: Sequence[Mapping[str, Any]], *, boundary: Mapping[str, Any] | None = None
) -> Decision:
    """Return IAM's decision on *request*.

    Args:
        request: one request.
        policies: policies of the caller, and of the resource in the same account.
        boundary: the caller's permissions boundary; None if it has none.

    Raises:
        PolicyError: A part of the policies or of the request is unknown.
    """
    for key, value in request.context.items():
        if (_canonical_key(key) in SET_KEYS) is isinstance(value, str):
            raise PolicyError(f"condition key {key!r} with the value {value!r}")
    matching = [one["Effect"] for policy in policies for one in statements(policy) if _matches(one, request)]
    within = ["Allow"]
    if boundary is not None:
        within = [one["Effect"] for one in statements(boundary) if _matches(one, request)]
    if "Deny" in matching or "Deny" in within:
        return Decision.DENIED
    return Decision.ALLOWED if "Allow" in matching and "Allow" in within else Decision.NOT_ALLOWED


def statements(policy: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a policy.

    Raises:
        PolicyError: The policy has an unknown element, or lacks a required element.
    """
    if policy.get("Version") != VERSION or not set(policy) <= {"Version", "Id", "Statement"}:
        raise PolicyError(f"a policy needs Version {VERSION} and Statement (found: {sorted(policy)})")
    found = policy["Statement"]
    for one in [found] if isinstance(found, dict) else found:
        unknown = set(one) - _ELEMENTS
        if unknown:
            raise PolicyError(f"unknown elements of a statement: {sorted(unknown)}")
        if one.get("Effect") not in {"Allow", "Deny"}:
            raise PolicyError(f"Effect must be Allow or Deny, not {one.get('Effect')!r}")
        if "Action" not in one or not {"Principal", "Resource"} & set(one):
            raise PolicyError("a statement needs Action, and Resource or Principal")
        _check_condition(one.get("Condition", {}))
        for text in (*_as_list(one.get("Resource", [])), *_values(one)):
            if "${" in text:
                raise PolicyError(f"policy variables are not supported: {text}")
        yield one


def _check_condition(condition: Mapping[str, Any]) -> None:
    """Raise PolicyError for an unknown operator or key, and for an operator that is not for the kind of its key."""
    for operator, keys in condition.items():
        is_for_sets = operator == FOR_ALL
        if not is_for_sets:
            _operator(operator)
        for key in keys:
            if (_canonical_key(key) in SET_KEYS) is not is_for_sets:
                raise PolicyError(f"operator {operator!r} for the condition key {key!r}")


def _values(statement: Mapping[str, Any]) -> Iterator[str]:
    for keys in statement.get("Condition", {}).values():
        for values in keys.values():
            yield from _as_list(values)


def _as_list(value: Any) -> list[str]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise PolicyError(f"expected a string or a list of strings, not {value!r}")
    return found


def _canonical_key(key: str) -> str:
    """Return a condition key in its canonical case; IAM compares keys without regard to case."""
    try:
        return _KNOWN_KEYS[key.lower()]
    except KeyError:
        raise PolicyError(f"unknown condition key {key!r}") from None


def _matches(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        _matches_principal(statement.get("Principal"), request.principal)
        and any(_is_action(pattern, request.action) for pattern in _as_list(statement["Action"]))
        # The trust policy of a role has no Resource: it applies to the role itself.
        and any(_is_resource(pattern, request.resource) for pattern in _as_list(statement.get("Resource", "*")))
        and all(
            _holds(operator, key, _as_list(values), request)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _matches_principal(wanted: Any, principal: tuple[str, str] | None) -> bool:
    if wanted is None or wanted == "*":
        return True
    if not isinstance(wanted, dict) or not set(wanted) <= {"AWS", "Service"}:
        raise PolicyError(f"unknown Principal {wanted!r}")
    return any(principal == (kind, one) for kind, names in wanted.items() for one in _as_list(names))


def _is_action(pattern: str, action: str) -> bool:
    return _is_like(pattern.lower(), action.lower())


def _is_resource(pattern: str, resource: str) -> bool:
    """Return whether an ARN matches. Patterns that IAM matches across the parts of an ARN are errors."""
    if pattern == "*":
        return True
    wanted, found = pattern.split(":", _ARN_PARTS - 1), resource.split(":", _ARN_PARTS - 1)
    if len(wanted) != _ARN_PARTS or wanted[0] != "arn" or set("*?") & set("".join(wanted[:-1])):
        raise PolicyError(f"a resource must be * or an ARN with wildcards in its last part only, not {pattern!r}")
    return wanted[:-1] == found[:-1] and _is_like(wanted[-1], found[-1])


def _is_like(pattern: str, text: str) -> bool:
    """Return whether *text* matches: ``*`` stands for any characters, including "/", or none; ``?`` for exactly one."""
    parts = {"*": ".*", "?": "."}
    regex = "".join(parts.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def _operator(name: str) -> bool:
    """Return whether the condition operator tests equality; False if it tests inequality."""
    try:
        return {"StringEquals": True, "StringNotEquals": False}[name]
    except KeyError:
        raise PolicyError(f"unknown condition operator {name!r}") from None


def _holds(operator: str, key: str, values: list[str], request: Request) -> bool:
    """Return whether a condition is true. A key that the request lacks equals no value."""
    context = {_canonical_key(name): value for name, value in request.context.items()}
    if operator == FOR_ALL:
        return all(one in values for one in context.get(_canonical_key(key), ()))
    return (context.get(_canonical_key(key)) in values) is _operator(operator)
