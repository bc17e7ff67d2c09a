"""The ledgers that the contract tests use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters import aws
from ios_mdm.adapters.ledgers.dynamodb.table import MAX_PARALLEL
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from tests.support.long import LONG
from tests.support.tables import Tables
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ios_mdm.adapters.ledgers.dynamodb.ledger import DynamoDbLedger
    from ios_mdm.ports import Ledger

EMULATORS = ("ministack", "moto")


@pytest.fixture(scope="package")
def credentials() -> Iterator[None]:
    """Use the credentials of the emulators in all tests of this folder, so that these share their clients."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in [one for one in os.environ if one.startswith("AWS_")]:
            patch.delenv(variable)
        for variable, value in ministack.CREDENTIALS.items():
            patch.setenv(variable, value)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        aws.close_clients()
        yield
        aws.close_clients()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with `new_ledger` or `table_ledger` once with each database.

    A property test creates a ledger for each example, so it uses only SQLite in `make test`. test_random_writers.py has
    a short property test for DynamoDB.
    """
    if "new_ledger" in metafunc.fixturenames:
        is_short = getattr(metafunc.function, "is_hypothesis_test", False) and not LONG
        metafunc.parametrize("new_ledger", ["sqlite"] if is_short else ["sqlite", *EMULATORS], indirect=True)
    if "table_ledger" in metafunc.fixturenames:
        metafunc.parametrize("table_ledger", EMULATORS, indirect=True)


@pytest.fixture
def new_ledger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Ledger]]:
    """Return a function that returns another empty ledger at each call."""
    if request.param == "sqlite":
        yield lambda: SqliteLedger(tmp_path_factory.mktemp("ledger") / "ledger.db")
        return
    with _tables(request) as made:
        yield made.new_ledger


@pytest.fixture
def table_ledger(request: pytest.FixtureRequest) -> Iterator[DynamoDbLedger]:
    """An empty ledger in DynamoDB."""
    with _tables(request) as made:
        yield made.new_ledger()


@pytest.fixture
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    """Tables in ministack."""
    request.getfixturevalue("credentials")
    with Tables(request.getfixturevalue("ministack_url")) as made:
        yield made


def _tables(request: pytest.FixtureRequest) -> Tables:
    """Return the tables of the emulator that the parameter of a fixture names."""
    request.getfixturevalue("credentials")
    parallel = 1 if request.param == "moto" else MAX_PARALLEL
    return Tables(request.getfixturevalue(f"{request.param}_url"), parallel=parallel)


@pytest.fixture
def many(request: pytest.FixtureRequest) -> int:
    """More devices than a database reads or writes at once. moto copies its tables in each transaction."""
    short = {"ministack": 400, "moto": 120}
    (number,) = [short[one] for one in request.node.callspec.params.values() if one in short] or [12_000]
    return number
