"""Enrollment ids: the names of devices in an MDM server, for which commands are queued."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ios_mdm.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = [
    "ENROLLMENT_ID",
    "FORM",
    "MAX_ENROLLMENT_ID_LENGTH",
    "checked_enrollment_ids",
    "is_enrollment_id",
    "without_ids",
]

ENROLLMENT_ID: Final = r"\.*[A-Za-z0-9_:@+-][A-Za-z0-9._:@+-]*"
"""Regular expression without anchors. An id of dots only would address another part of the MDM server's API."""

MAX_ENROLLMENT_ID_LENGTH: Final = 255
"""Length limit in characters. NanoMDM (v0.9.0) stores ids in columns and file names of this length."""

FORM: Final = (
    "an enrollment id is the UDID of a device or the id of its User Enrollment, and has only letters, digits and "
    ". _ : @ + -"
)
"""Form of an enrollment id, for messages."""

_PATTERN: Final = re.compile(ENROLLMENT_ID)
_WORD: Final = re.compile(r"[\w.:@+-]{3,}")
_EDGES: Final = "._:@+-"
"""Characters of an id that may also be punctuation around it."""
_PART: Final = re.compile(r"[^\W_]{3,}")
_LETTERS: Final = re.compile(r"[^\W_]+")
_SHORTEST: Final = 3
"""Characters of the shortest id, without the punctuation at its ends, that is hidden."""
_PART_LENGTH: Final = 8
"""Length in characters from which on a part of an id is hidden, too, and not only the whole id."""
_MAX_IDS_SHOWN: Final = 5
_MAX_ID_SHOWN: Final = 80


def is_enrollment_id(text: str) -> bool:
    """Return whether *text* has the form of an enrollment id in NanoMDM.

    An enrollment id is a UDID or the id of a User Enrollment, followed by ``:user`` and more for a user channel.
    """
    return len(text) <= MAX_ENROLLMENT_ID_LENGTH and _PATTERN.fullmatch(text) is not None


def checked_enrollment_ids(enrollment_ids: Sequence[str]) -> tuple[str, ...]:
    """Return *enrollment_ids* without duplicates, in their order.

    A duplicate corrupts the queue of a device. After an id that is not a valid key, the file storage of NanoMDM refuses
    every write.

    Raises:
        DefinitionError: An id is empty, longer than 255 characters, or has invalid characters.
    """
    fullmatch = _PATTERN.fullmatch  # without a call of is_enrollment_id for each of a million ids
    bad = [one for one in enrollment_ids if len(one) > MAX_ENROLLMENT_ID_LENGTH or fullmatch(one) is None]
    if bad:
        shown = "; ".join(repr(one[:_MAX_ID_SHOWN]) for one in bad[:_MAX_IDS_SHOWN])
        more = f" and {len(bad) - _MAX_IDS_SHOWN} more" if len(bad) > _MAX_IDS_SHOWN else ""
        raise DefinitionError(f"not an enrollment id: {shown}{more}; {FORM}")
    return tuple(dict.fromkeys(enrollment_ids))


def without_ids(text: str, enrollment_ids: Sequence[str]) -> str:
    """Return *text* with asterisks instead of ids, also of ids that are cut off or in another case.

    An id may be a line of any file that a definition names, for example a password (R39).

    Args:
        text: message that may contain ids.
        enrollment_ids: ids to hide.
    """
    wholes = frozenset(bare for one in enrollment_ids if len(bare := one.casefold().strip(_EDGES)) >= _SHORTEST)
    is_whole, is_part = _finder(wholes), _finder(frozenset(part for one in wholes for part in _PART.findall(one)))

    def hidden(word: str) -> str:
        # An id whose parts are all short is found as a whole only.
        if is_whole(word.casefold().strip(_EDGES)):
            return _LETTERS.sub("***", word)
        return _PART.sub(lambda found: "***" if is_part(found[0].casefold()) else found[0], word)

    return _WORD.sub(lambda found: hidden(found[0]), text)


def _finder(known: Collection[str]) -> Callable[[str], bool]:
    """Return a function that says whether a word is known, or has enough characters in common with a known one.

    It does not compare a word with each known one, because an answer of an MDM server may have a million words.
    """
    joined = "\n".join(known)
    lengths = sorted({len(one) for one in known if len(one) >= _PART_LENGTH})

    def is_found(word: str) -> bool:
        if word in known or len(word) < _PART_LENGTH:
            return word in known
        return word in joined or any(
            word[start : start + length] in known for length in lengths for start in range(len(word) - length + 1)
        )

    return is_found
