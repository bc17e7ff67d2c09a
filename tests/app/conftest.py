"""Fixtures of the tests of the application layer."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support import pairs
from tests.support.memory import MemorySecretStore


@pytest.fixture(params=[False, True], ids=["", "deleted"])
def unlabeled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let the store of each world delete a version without labels immediately; the value is whether it does."""
    is_pruned = bool(request.param)
    monkeypatch.setattr(pairs, "MemorySecretStore", partial(MemorySecretStore, is_pruned=is_pruned))
    return is_pruned
