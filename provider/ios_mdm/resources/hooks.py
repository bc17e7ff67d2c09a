"""What the dynamic resources have in common: hooks that are imported when the engine calls the first of them.

The program's process imports a resource's class to register it, and never calls a hook. The provider's process finds
the class by its path and calls the hooks. So the hooks, with all that they import, are in a separate module.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from ios_mdm.resources.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi.dynamic import ConfigureRequest

    from ios_mdm.resources.plain import Wire

__all__ = ["HookedProvider", "Hooks", "refusal"]

_MANY_OBJECTS = 50_000
"""Number of new objects after which Python searches for garbage; its default is 700. Nearly all objects of a provider's
process are needed until it ends."""


class Hooks(Protocol):
    """The module with a resource's hooks."""

    def check(self, olds: Wire, news: Wire) -> CheckResult:
        """Return the inputs with what they lead to, or why they are refused; write nothing."""

    def create(self, inputs: Wire) -> tuple[str, Wire]:
        """Carry the inputs out; return id and outputs."""

    def update(self, olds: Wire, news: Wire) -> Wire:
        """Carry the new inputs out; return the outputs. *olds* are the last outputs."""

    def read(self, id_: str, outputs: Wire) -> ReadResult:
        """Return what there is."""

    def delete(self, id_: str, outputs: Wire) -> None:
        """Undo what may be undone."""


class HookedProvider(ResourceProvider):
    """A provider whose resource changes when its inputs do, and is never replaced (R32)."""

    # Pulumi keeps the path of a provider's class, which is no secret. Encrypting it is expensive for many resources.
    serialize_as_secret_always = False

    hooks: ClassVar[str]
    """Name of the module with the hooks."""
    inputs: ClassVar[tuple[str, ...]]
    """Names of the inputs that state keeps."""

    def configure(self, req: ConfigureRequest) -> None:
        """Make an exception one line: its text says what to do, and a traceback hides it. Search for garbage seldom."""
        del req
        sys.tracebacklimit = 0
        gc.set_threshold(_MANY_OBJECTS)

    def check(self, _olds: Mapping[str, object], news: Mapping[str, object]) -> CheckResult:
        """Check the inputs."""
        return self._hooks().check(_wire(_olds), _wire(news))

    def diff(self, _id: str, _olds: Mapping[str, object], _news: Mapping[str, object]) -> DiffResult:
        """Compare inputs with the inputs that the last outputs echo; pure."""
        # A class that moved must heal in state while its old path still imports.
        moved = _olds.get("__provider") != _news.get("__provider")
        changed = not self.same(_wire(_olds), _wire(_news)) or self.is_outdated(_wire(_olds), _wire(_news))
        return DiffResult(changes=changed or moved, replaces=[], delete_before_replace=False)

    def create(self, props: Mapping[str, object]) -> CreateResult:
        """Create the resource."""
        return CreateResult(*self._hooks().create(_wire(props)))

    def update(self, _id: str, _olds: Mapping[str, object], _news: Mapping[str, object]) -> UpdateResult:
        """Update the resource."""
        return UpdateResult(self._hooks().update(_wire(_olds), _wire(_news)))

    def read(self, id_: str, props: Mapping[str, object]) -> ReadResult:
        """Read the resource."""
        return self._hooks().read(id_, _wire(props))

    def delete(self, _id: str, _props: Mapping[str, object]) -> None:
        """Delete the resource."""
        self._hooks().delete(_id, _wire(_props))

    @classmethod
    def same(cls, olds: Wire, news: Wire) -> bool:
        """Return whether the inputs that are kept are as they were."""
        return all(olds.get(key) == news.get(key) for key in cls.inputs)

    @classmethod
    def is_outdated(cls, outputs: Wire, inputs: Wire) -> bool:
        """Return whether the outputs are not what `check` has observed."""
        del outputs, inputs
        return False

    @classmethod
    def _hooks(cls) -> Hooks:
        return cast("Hooks", import_module(cls.hooks))


def _wire(properties: Mapping[str, object]) -> Wire:
    return cast("Wire", plain(properties))


def refusal(reason: object) -> CheckFailure:
    """Return what the engine shows of inputs that are refused, on one line.

    It names no property: of one that is named the engine prints the whole value before the reason.
    """
    return CheckFailure("", str(reason))
