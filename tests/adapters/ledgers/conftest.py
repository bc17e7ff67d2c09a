"""The ledgers that the contract tests use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ios_mdm.ports import Ledger


@pytest.fixture(params=["sqlite"])
def new_ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Ledger]:
    """Return a function that returns another empty ledger at each call, once for each database."""
    makers: dict[str, Callable[[Path], Ledger]] = {"sqlite": lambda folder: SqliteLedger(folder / "ledger.db")}
    maker = makers[request.param]
    return lambda: maker(tmp_path_factory.mktemp("ledger"))
