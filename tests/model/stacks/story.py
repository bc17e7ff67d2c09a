"""The bounds of a search: its stacks, and how often each kind of event may happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.model.stacks.world import Program, Stack

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COPIED_FILE", "DEV", "OTHER_BACKEND", "OTHER_REGION", "SAME_SECRET", "Story"]

DEV = {"dev": Stack()}
"""The stack whose pair the server presents."""
COPIED_FILE = {"copy": Stack(program=Program(prefix="copy", name="organization/ios-mdm/copy"))}
"""A copied stack file with another secretPrefix, and the same profile identifier."""
SAME_SECRET = {"copy": Stack(program=Program(name="organization/ios-mdm/copy"))}
"""A copied stack file whose secrets have the same names."""
OTHER_REGION = {"copy": Stack(program=Program(name="organization/ios-mdm/copy"), place="other region")}
"""A copied stack file for another region, with the same names of secrets."""
OTHER_BACKEND = {"backend": Stack()}
"""A second backend with the same names and an empty state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The bounds of a search.

    Args:
        stacks: stacks by name, without state.
        limits: how often each kind of event may happen. `up`, a load by the server and a schedule that acts are not
            limited.
        days: number of times.
        born: whether the first run of the first stack has succeeded, and the server presents its main.
    """

    stacks: Mapping[str, Stack] = field(default_factory=lambda: dict(DEV))
    limits: Mapping[str, int] = field(default_factory=dict)
    days: int = 2
    born: bool = True
