"""Data about the next switch in the status of a server: the basis of its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ios_mdm.app.status.lost import PlannedSwitch
    from ios_mdm.core.pair.decision import Gate
    from ios_mdm.settings import ServerSettings

__all__ = ["SwitchProspect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchProspect:
    """Data about the next switch of a server.

    Args:
        settings: settings of the server.
        plan: the next promotion; None if there is none, or if the reserve cannot be read.
        gate: gate before the promotion; None if it has none.
        main_chain: main with its issuers and root, PEM; None if it cannot be read.
    """

    settings: ServerSettings
    plan: PlannedSwitch | None
    gate: Gate | None
    main_chain: str | None
