# ruff: noqa: INP001 - a program of its own, which the engine starts in its folder
"""A dynamic resource that does nothing: the least that one can cost in Python."""

from __future__ import annotations

from pulumi.dynamic import CheckResult, CreateResult, DiffResult, Resource, ResourceProvider

__all__ = ["Trivial", "TrivialProvider"]

_Wire = dict[str, object]


class TrivialProvider(ResourceProvider):
    """Finds everything as it should be."""

    def check(self, _olds: _Wire, news: _Wire) -> CheckResult:
        """Accept what is declared."""
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: _Wire, _news: _Wire) -> DiffResult:
        """See no change."""
        return DiffResult(changes=False)

    def create(self, props: _Wire) -> CreateResult:
        """Create nothing."""
        return CreateResult("trivial", props)


class Trivial(Resource):
    """A resource that does nothing; it has one input, as many have."""

    def __init__(self, name: str) -> None:
        super().__init__(TrivialProvider(), name, {"name": name})
