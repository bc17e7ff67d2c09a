"""What the hooks of our dynamic resources have in common."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar, cast

from pulumi.dynamic import CheckFailure, DiffResult, ResourceProvider

from ios_mdm.resources.wire import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi.dynamic import ConfigureRequest

    from ios_mdm.resources.wire import Wire

__all__ = ["InputsProvider", "refusal"]


class InputsProvider(ResourceProvider):
    """A provider whose resource changes when its inputs do, and is never replaced (R32)."""

    # What Pulumi keeps of a provider is the path of its class, no secret: encrypting it is dear where there are many.
    serialize_as_secret_always = False

    inputs: ClassVar[tuple[str, ...]]
    """Names of the inputs that state keeps."""

    def configure(self, req: ConfigureRequest) -> None:
        """Make an exception one line: its text says what to do, and a traceback hides it."""
        del req
        sys.tracebacklimit = 0

    def diff(self, _id: str, _olds: Mapping[str, object], _news: Mapping[str, object]) -> DiffResult:
        """Compare inputs with the inputs that the last outputs echo; pure."""
        # A class that moved must heal in state while its old path still imports.
        moved = _olds.get("__provider") != _news.get("__provider")
        changed = not self.same(cast("Wire", plain(_olds)), cast("Wire", plain(_news)))
        return DiffResult(changes=changed or moved, replaces=[], delete_before_replace=False)

    @classmethod
    def same(cls, olds: Wire, news: Wire) -> bool:
        """Tell whether the inputs that are kept are as they were."""
        return all(olds.get(key) == news.get(key) for key in cls.inputs)


def refusal(reason: object) -> CheckFailure:
    """Return what the engine shows of inputs that are refused, on one line.

    It names no property: of one that is named the engine prints the whole value before the reason.
    """
    return CheckFailure("", str(reason))
