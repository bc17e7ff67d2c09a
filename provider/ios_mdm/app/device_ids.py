"""Reports enrollment ids of a definition that cannot be those of devices, or that the ledger does not know (R45)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ios_mdm.core.ledger.registers import NEVER
from ios_mdm.core.pair.decision import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ios_mdm.core.ledger.values import DeviceRecord
    from ios_mdm.ports import Ledger

__all__ = ["enrollment_id_notices"]

_MAX_SHOWN = 3
"""Maximum number of ids that a notice names."""


def enrollment_id_notices(
    server: str, enrollment_ids: Sequence[str], ledger: Ledger, *, listed: str | None
) -> Sequence[Notice]:
    """Return at most one notice of each kind about the listed ids: in another case, written twice, or unknown.

    If the ledger has no enrolled device, its collector might not run, and no id is reported as unknown.

    Args:
        server: name of the server.
        enrollment_ids: enrollment ids of the definition, without exact duplicates.
        ledger: the ledger.
        listed: path of the file of devices in the definition; None if the definition names no such file. A line of any
            file can look like an enrollment id, so an unknown id of a file is not shown (R39).

    Raises:
        DeliveryError: The ledger cannot be read.
    """
    enrolled = frozenset(ledger.enrolled_ids())
    spellings = _spellings(enrollment_ids)
    unseen = [one for one in enrollment_ids if one not in enrolled and one.casefold() not in spellings]
    folded = {one.casefold(): one for one in enrolled} if unseen or spellings else {}
    other_case = {one: folded[one.casefold()] for one in unseen if one.casefold() in folded}
    unknown = _unknown(server, [one for one in unseen if one not in other_case], ledger) if enrolled else ()
    where = "distribution.devices" if listed is None else f"distribution.devices.file: {listed}"
    found = []
    if spellings:
        shown = [" and ".join(group) for key, group in spellings.items() if listed is None or key in folded]
        message = (
            f"{where}: {_count(len(spellings))} listed twice, in different case{_names(shown, len(spellings))}. Keep "
            "the spelling of the MDM server"
        )
        found.append(Notice(reason="ids-twice", severity=Severity.WARNING, message=message))
    if other_case:
        shown = [f"{one} (enrolled as {name})" for one, name in other_case.items()]
        message = (
            f"{where}: {_count(len(other_case))} enrolled with the same id in another case"
            f"{_names(shown, len(other_case))}. Correct the ids, because the MDM server distinguishes case"
        )
        found.append(Notice(reason="ids-other-case", severity=Severity.WARNING, message=message))
    if unknown:
        message = (
            f"{where}: {_count(len(unknown))} unknown to the MDM server, or not seen since the collector started"
            f"{_names(unknown if listed is None else (), len(unknown))}. Check whether the ids are correct"
        )
        found.append(Notice(reason="ids-unknown", severity=Severity.NOTICE, message=message))
    return found


def _spellings(enrollment_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids that differ only by case, by their folded form."""
    folded = {one.casefold() for one in enrollment_ids}
    if len(folded) == len(enrollment_ids):
        return {}
    groups = defaultdict(list)
    for one in enrollment_ids:
        groups[one.casefold()].append(one)
    return {key: group for key, group in groups.items() if len(group) > 1}


def _unknown(server: str, enrollment_ids: Sequence[str], ledger: Ledger) -> Sequence[str]:
    """Return the ids of devices without any event in the ledger."""
    records = ledger.devices(server, enrollment_ids=enrollment_ids)
    return tuple(record.enrollment_id for record in records if not _has_event(record))


def _has_event(record: DeviceRecord) -> bool:
    enrollment, progress = record.enrollment, record.progress
    if enrollment.is_known or enrollment.listed != NEVER:
        return True
    return progress is not None and max(progress.acknowledged, progress.answer.at) != NEVER


def _count(number: int) -> str:
    return "1 device is" if number == 1 else f"{number} devices are"


def _names(shown: Sequence[str], count: int) -> str:
    """Return a colon and the first names; empty if there is none to show."""
    first = shown[:_MAX_SHOWN]
    if not first:
        return ""
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return f": {', '.join(first)}{more}"
