"""Warns about a role, queue or topic of the definition that does not exist. Each ARN is read once in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm.app.given_arns import given_findings
from ios_mdm.core.pair.decision import Severity
from ios_mdm.errors import StoreError
from ios_mdm.resources.engine import show_message

if TYPE_CHECKING:
    from ios_mdm.ports import GivenResources
    from ios_mdm.settings import PromotionSettings

__all__ = ["warn_missing"]

_existence: dict[tuple[str, str | None, str], bool | StoreError] = {}
"""Results by run, region and ARN. The servers of a stack usually name the same resources."""


class _OncePerRun:
    def __init__(self, resources: GivenResources, run: str, region: str | None) -> None:
        self._resources = resources
        self._run = run
        self._region = region

    def exists(self, arn: str) -> bool:
        """Return whether the resource existed at the first read of this run."""
        key = (self._run, self._region, arn)
        if not self._run or key not in _existence:
            if any(run != self._run for run, _, _ in _existence):
                _existence.clear()
            try:
                _existence[key] = self._resources.exists(arn)
            except StoreError as error:
                _existence[key] = error
        found = _existence[key]
        if isinstance(found, StoreError):
            raise found
        return found


def warn_missing(
    server: str, promotion: PromotionSettings, resources: GivenResources, *, region: str | None, run: str
) -> None:
    """Warn about each resource that does not exist.

    Args:
        server: server name for the messages.
        promotion: settings with the ARNs.
        resources: reads whether a resource exists.
        region: AWS region; None for the default.
        run: id of the run of the program; empty if it is unknown, then nothing is kept.
    """
    found = given_findings(promotion, _OncePerRun(resources, run, region))
    for message in found.missing:
        show_message(server, Severity.WARNING, message)
    for message in found.unchecked:
        show_message(server, Severity.NOTICE, message)
