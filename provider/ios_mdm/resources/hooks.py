"""Base class of the dynamic providers. It imports the hooks of a resource when the engine calls the first of them.

The process of the program imports the class of a resource to register the resource, and never calls a hook. The
process of the provider imports the class by its path and calls the hooks. The hooks are in a separate module, so that
the program does not load everything that they import.
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
"""Number of new objects after which Python collects garbage; its default is 700. Nearly all objects of a provider's
process are needed until the process ends."""


class Hooks(Protocol):
    """The module with a resource's hooks."""

    def check(self, olds: Wire, news: Wire) -> CheckResult:
        """Return the inputs with the computed values, or the failures; write nothing."""

    def create(self, inputs: Wire) -> tuple[str, Wire]:
        """Create the resource; return its id and outputs."""

    def update(self, olds: Wire, news: Wire) -> Wire:
        """Apply the new inputs; return the outputs. *olds* are the last outputs."""

    def read(self, id_: str, outputs: Wire) -> ReadResult:
        """Return the current outputs and inputs."""

    def delete(self, id_: str, outputs: Wire) -> None:
        """Delete the resource, except the parts that must stay."""


class HookedProvider(ResourceProvider):
    """A provider whose resource is updated when its inputs change, and is never replaced (R32)."""

    # The state contains the path of the provider's class, which is no secret. Encryption of many paths is slow.
    serialize_as_secret_always = False

    hooks: ClassVar[str]
    """Name of the module with the hooks."""
    inputs: ClassVar[tuple[str, ...]]
    """Names of the inputs that are kept in the state."""

    def configure(self, req: ConfigureRequest) -> None:
        """Show exceptions without a traceback, which hides their message, and collect garbage rarely."""
        del req
        sys.tracebacklimit = 0
        gc.set_threshold(_MANY_OBJECTS)

    def check(self, _olds: Mapping[str, object], news: Mapping[str, object]) -> CheckResult:
        """Check the inputs."""
        return self._hooks().check(_wire(_olds), _wire(news))

    def diff(self, _id: str, _olds: Mapping[str, object], _news: Mapping[str, object]) -> DiffResult:
        """Compare the inputs with the inputs in the last outputs; calls nothing."""
        # An update writes the new path of a class that was moved into the state.
        moved = _olds.get("__provider") != _news.get("__provider")
        changed = not self.is_same(_wire(_olds), _wire(_news)) or self.is_outdated(_wire(_olds), _wire(_news))
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
    def is_same(cls, olds: Wire, news: Wire) -> bool:
        """Return whether the kept inputs have not changed."""
        return all(olds.get(key) == news.get(key) for key in cls.inputs)

    @classmethod
    def is_outdated(cls, outputs: Wire, inputs: Wire) -> bool:
        """Return whether the outputs differ from the observation of `check`."""
        del outputs, inputs
        return False

    @classmethod
    def _hooks(cls) -> Hooks:
        return cast("Hooks", import_module(cls.hooks))


def _wire(properties: Mapping[str, object]) -> Wire:
    return cast("Wire", plain(properties))


def refusal(reason: object) -> CheckFailure:
    """Return a failure of `check` that the engine shows in one line.

    The failure names no property, because the engine prints the whole value of a named property before the reason.
    """
    return CheckFailure("", str(reason))
