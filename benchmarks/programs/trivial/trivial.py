# ruff: noqa: INP001 - a separate program, which the engine starts in this folder
"""A dynamic resource that does nothing. Its cost is the minimum cost of a dynamic resource in Python."""

from __future__ import annotations

from pulumi.dynamic import CheckResult, CreateResult, DiffResult, Resource, ResourceProvider

__all__ = ["Trivial", "TrivialProvider"]

_Wire = dict[str, object]


class TrivialProvider(ResourceProvider):
    """Provider that never reports a change."""

    def check(self, _olds: _Wire, news: _Wire) -> CheckResult:
        """Accept all inputs."""
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: _Wire, _news: _Wire) -> DiffResult:
        """Report no change."""
        return DiffResult(changes=False)

    def create(self, props: _Wire) -> CreateResult:
        """Create nothing."""
        return CreateResult("trivial", props)


class Trivial(Resource):
    """A resource with one input that does nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(TrivialProvider(), name, {"name": name})
