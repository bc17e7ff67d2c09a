"""Reports that another definition uses the same ledger and the same name of a server."""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING

from ios_mdm.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Collection

    from ios_mdm.core.ledger.values import Publication

__all__ = ["other_pair_warning"]

_MAX_IDENTIFIER = 200


def other_pair_warning(publication: Publication | None, identifiers: Collection[str]) -> str | None:
    """Return a warning if the ledger has the profile of another pair under the name of a server; else None.

    It is no error, because a pair that was deleted and created again has another identifier, too.

    Args:
        publication: the profile in the ledger before this run; None if there is none.
        identifiers: PayloadIdentifiers of the profiles of this pair. Their last parts are the id of the pair.
    """
    if publication is None:
        return None
    try:
        found = str(plistlib.loads(publication.profile)["PayloadIdentifier"])
    except (ValueError, KeyError, TypeError, plistlib.InvalidFileException):
        return None  # another program wrote it, and this run replaces it
    pair_ids = {one.rpartition(".")[2] for one in identifiers}
    if found in identifiers or found.rpartition(".")[2] in pair_ids:
        return None
    return (
        f"the ledger has the profile {one_line(found, limit=_MAX_IDENTIFIER)} of another pair under the name "
        f"{publication.server}. If another definition uses this ledger, each run replaces the profile of the other one "
        "there, and new devices get the wrong profile: use another ledger, or another name of the server"
    )
