"""The type of a policy, and the answers of a chain of policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ios_mdm.core.pair.situation import Situation

__all__ = ["Condition", "Policy", "all_answers", "fingerprint_digits", "first_answer", "refusal"]

Policy = Callable[["Situation"], Notice | None]
Condition = Callable[["Situation"], bool]
"""A policy that returns a boolean, because its answer is not shown to the user."""


def first_answer(policies: Iterable[Policy], situation: Situation) -> Notice | None:
    """Return the first notice of these policies; None if no policy returns one."""
    return next((answer for policy in policies if (answer := policy(situation)) is not None), None)


def all_answers(policies: Iterable[Policy], situation: Situation) -> tuple[Notice, ...]:
    """Return all notices of these policies, in the order of the policies."""
    return tuple(answer for policy in policies if (answer := policy(situation)) is not None)


def refusal(reason: str, message: str) -> Notice:
    """Return a notice that refuses a definition."""
    return Notice(reason=reason, severity=Severity.CRITICAL, message=message)


def fingerprint_digits(fingerprint: str | None) -> str:
    """Return the lower-case hex digits of a fingerprint that the user wrote, with or without colons."""
    return (fingerprint or "").replace(":", "").lower()
