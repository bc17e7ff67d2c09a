"""The invariants of each effect on a pair, whichever run or schedule makes it, and at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.core.pair.certificate_times import is_valid_at
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.secret import Label

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tests.support.model_pair import Secret, Value

__all__ = ["CHECKS", "complaint", "promotion"]


def promotion(before: Secret | None, after: Secret) -> tuple[Value, Value] | None:
    """Return the former and the new main if main changed; None if it did not change, or is the first one."""
    if before is None or before.holder(Label.MAIN) in {None, after.holder(Label.MAIN)}:
        return None
    former, main = after.value(before.holder(Label.MAIN) or 0), after.value(after.holder(Label.MAIN) or 0)
    assert former is not None
    assert main is not None
    return former, main


def _stored_value(before: Secret | None, after: Secret) -> Value | None:
    """Return the certificate that the effect stored; None if it stored none."""
    stored = () if before is None else before.values
    return after.values[-1] if len(after.values) > len(stored) else None


def promoted_main_is_valid(before: Secret | None, after: Secret, now: datetime) -> str:
    """R32: a certificate that is not valid now is never promoted."""
    change = promotion(before, after)
    if change is None or is_valid_at(change[1].facts, now):
        return ""
    return f"certificate {change[1].facts.ordinal} became main, but is not valid now"


def main_has_a_successor(before: Secret | None, after: Secret, now: datetime) -> str:
    """R13, R32: a valid main is followed by its reserve, or by a certificate that was created to replace it."""
    change = promotion(before, after)
    if before is None or change is None or not is_valid_at(change[0].facts, now):
        return ""
    if (change[0].facts.sha256, change[0].facts.root) == (change[1].facts.sha256, change[1].facts.root):
        return ""  # the same certificate, with another chain
    # The label may be lost: the role that the certificate was created for counts, and that it was not deleted.
    replaces = change[1].role is Role.MAIN and change[1].follows == change[0].facts.ordinal
    if (change[1].role is Role.RESERVE or replaces) and not change[1].deleted:
        return ""
    return f"certificate {change[1].facts.ordinal} replaced a valid main, but was not its reserve"


def nothing_deleted_comes_back(before: Secret | None, after: Secret, now: datetime) -> str:
    """R10: a deleted certificate gets no slot again, and no number is used twice."""
    del now
    for label in (Label.MAIN, Label.RESERVE):
        held = after.holder(label)
        if before is None or held is None or before.holder(label) == held:
            continue
        value = after.value(held)
        # A run may label a certificate that another run has recorded as deleted. The next run removes the label.
        told = label is Label.RESERVE and after.is_called_deleted(held)
        if value is None or (value.deleted and not told):
            return f"certificate {held} was deleted, and {label} is on it again"
        # On main itself, the label means that the run has not cleaned up after the promotion yet.
        if label is Label.RESERVE and value.was_main and held != after.holder(Label.MAIN):
            return f"certificate {held} is the reserve, although it was main"
    numbers = [value.facts.ordinal for value in after.values]
    if numbers != sorted(set(numbers)):
        return f"the numbers {numbers} are not unique and ascending"
    stored = () if before is None else before.values
    if [value.facts.not_before for value in stored] != [
        value.facts.not_before for value in after.values[: len(stored)]
    ]:
        return "the certificate of a version has changed"
    return ""


def one_certificate_a_request(before: Secret | None, after: Secret, now: datetime) -> str:
    """R9, R10: while a certificate answers a request, no other certificate is created for it in any definition."""
    made = _stored_value(before, after)
    if made is None or before is None:
        return ""
    for value in before.values:
        same = (value.role, value.facts.generation, value.follows) == (made.role, made.facts.generation, made.follows)
        alike = value.made_as == made.made_as
        # A certificate without label and facts was begun by a run that crashed, and given up by another definition.
        usable = before.is_known(value.facts.ordinal) and not value.deleted
        if made.role is Role.RESERVE:
            usable = usable and not value.was_main and is_valid_at(value.facts, now)
        if same and alike and usable:
            return f"certificate {made.facts.ordinal} answers the same request as certificate {value.facts.ordinal}"
    return ""


def nothing_is_issued_while_main_is_custom(before: Secret | None, after: Secret, now: datetime) -> str:
    """R4: while a custom main is valid, no certificate is issued."""
    made = _stored_value(before, after)
    main = None if before is None else before.value(before.holder(Label.MAIN) or 0)
    if made is None or made.facts.source is Source.INSTALLED:
        return ""
    if main is None or main.facts.source is not Source.INSTALLED or not is_valid_at(main.facts, now):
        return ""
    return f"certificate {made.facts.ordinal} was issued although main is custom"


def no_reserve_outlasts_r8(before: Secret | None, after: Secret, now: datetime) -> str:
    """R8: the validity of an issued reserve does not exceed that of main."""
    del now
    made = _stored_value(before, after)
    main = None if before is None or made is None else before.value(made.follows)
    if made is None or main is None or made.role is not Role.RESERVE or made.facts.source is Source.INSTALLED:
        return ""
    if made.facts.not_after - made.facts.not_before <= main.facts.not_after - main.facts.not_before:
        return ""
    return f"certificate {made.facts.ordinal} is valid for longer than main"


CHECKS: tuple[Callable[[Secret | None, Secret, datetime], str], ...] = (
    promoted_main_is_valid,
    main_has_a_successor,
    nothing_deleted_comes_back,
    nothing_is_issued_while_main_is_custom,
    no_reserve_outlasts_r8,
)


def complaint(before: Secret | None, after: Secret, now: datetime, *, one_wish: bool) -> str:
    """Return the text of the first failed check, else an empty text.

    Args:
        before: the pair before the effect.
        after: the pair after the effect.
        now: current time.
        one_wish: whether concurrent runs have the same definition. With different definitions, each run creates its own
            certificate.
    """
    checks = (*CHECKS, one_certificate_a_request) if one_wish else CHECKS
    return next((text for check in checks if (text := check(before, after, now))), "")
