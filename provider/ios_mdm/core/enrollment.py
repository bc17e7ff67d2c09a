"""Enrollment ids: what an MDM server calls a device, and what commands are queued for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ENROLLMENT_ID", "FORM", "LONGEST_ENROLLMENT_ID", "checked_enrollment_ids", "is_enrollment_id"]

ENROLLMENT_ID: Final = r"\.*[A-Za-z0-9_:@+-][A-Za-z0-9._:@+-]*"
"""Regular expression without anchors. An id of dots alone would name another part of the MDM server's API."""

LONGEST_ENROLLMENT_ID: Final = 255
"""Characters: NanoMDM (v0.9.0) keeps ids in columns and file names of this length."""

FORM: Final = (
    "an id is what the MDM server calls the device (its UDID, or the id of its User Enrollment): letters, digits and "
    ". _ : @ + - only"
)
"""Form of an enrollment id, for messages."""

_PATTERN: Final = re.compile(ENROLLMENT_ID)
_SHOWN: Final = 5
_LONGEST_SHOWN: Final = 80


def is_enrollment_id(text: str) -> bool:
    """Return whether *text* can be the id of an enrollment in NanoMDM.

    It is a UDID, the id of a User Enrollment, or one of these with ``:user`` after it on a user channel.
    """
    return len(text) <= LONGEST_ENROLLMENT_ID and _PATTERN.fullmatch(text) is not None


def checked_enrollment_ids(enrollment_ids: Sequence[str]) -> tuple[str, ...]:
    """Return *enrollment_ids* without duplicates, in their order.

    A duplicate or a hostile id is no small slip: the first corrupts a device's queue, and after an id that is not a
    legal key NanoMDM's file storage refuses every write.

    Raises:
        DefinitionError: An id is empty, longer than 255 characters, or has characters that no enrollment id has.
    """
    bad = [one for one in enrollment_ids if not is_enrollment_id(one)]
    if bad:
        shown = "; ".join(repr(one[:_LONGEST_SHOWN]) for one in bad[:_SHOWN])
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DefinitionError(f"not an enrollment id: {shown}{more}; {FORM}")
    return tuple(dict.fromkeys(enrollment_ids))
