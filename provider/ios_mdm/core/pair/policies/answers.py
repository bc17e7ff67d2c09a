"""What a policy is, and how a chain of them answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ios_mdm.core.pair.situation import Situation

__all__ = ["Condition", "Policy", "all_answers", "digits", "first_answer", "refusal"]

Policy = Callable[["Situation"], Notice | None]
Condition = Callable[["Situation"], bool]
"""A policy whose answer needs no words, because nobody is shown it."""


def first_answer(policies: Iterable[Policy], situation: Situation) -> Notice | None:
    """Return what the first policy that answers says, None where none does."""
    return next((answer for policy in policies if (answer := policy(situation)) is not None), None)


def all_answers(policies: Iterable[Policy], situation: Situation) -> tuple[Notice, ...]:
    """Return what every policy that answers says, in their order."""
    return tuple(answer for policy in policies if (answer := policy(situation)) is not None)


def refusal(reason: str, message: str) -> Notice:
    """Return the answer that refuses a definition."""
    return Notice(reason=reason, severity=Severity.CRITICAL, message=message)


def digits(fingerprint: str | None) -> str:
    """Return a fingerprint that a person wrote, with colons or without, as the hex digits that facts have."""
    return (fingerprint or "").replace(":", "").lower()
