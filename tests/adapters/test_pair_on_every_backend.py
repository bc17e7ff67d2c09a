"""The life of a pair on every store: labels and keys are the same on all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ios_mdm.adapters.clock import FixedClock
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import PairRequest, PairResult
from ios_mdm.core.pair.definition import AfterDays, IssueMain, IssueReserve, KeyType, PairDefinition, When
from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.pair.secret import Label

if TYPE_CHECKING:
    from tests.support.backends import Backend

START = datetime(2040, 1, 1, tzinfo=UTC)
DEFINITION = PairDefinition(
    name="berlin",
    host="mdm.example.com",
    main=IssueMain(key=KeyType.EC_P256),
    reserve=IssueReserve(when=When.NOW, apply=AfterDays(days=30)),
)


def _apply(backend: Backend, *, days: int) -> PairResult:
    service = PairService(backend.store, FixedClock(time=START + timedelta(days=days)), rehearsal=True)
    return service.apply(PairRequest(definition=DEFINITION, secret=backend.secret, owner="o/p/s", tags={}))


def _labels(backend: Backend) -> dict[str, list[str]]:
    """Return the versions of each label. A faithful store has exactly one version for each."""
    found = backend.store.describe(backend.secret)
    assert found is not None
    holders: dict[str, list[str]] = {}
    for version, labels in found.labels.items():
        for label in labels:
            holders.setdefault(str(label), []).append(version)
    return holders


def test_a_pair_is_made_promoted_and_promoted_again(backend: Backend) -> None:
    """In two cycles, each label is always on one version, and no key of a live certificate changes."""  # R2 R7 R11 R12
    values: dict[int, str | None] = {}
    for cycle, days in enumerate((0, 31, 62), start=1):
        result = _apply(backend, days=days)
        assert (result.view.desired.main, result.view.desired.reserve) == (cycle, cycle + 1)
        labels = _labels(backend)
        assert labels[Label.MAIN] == [version_id(backend.secret, cycle)]
        assert labels[Label.RESERVE] == [version_id(backend.secret, cycle + 1)]
        assert Label.STAGED not in labels
        if cycle > 1:
            assert labels[Label.FORMER] == [version_id(backend.secret, cycle - 1)]
            assert backend.store.read(backend.secret, version_id(backend.secret, cycle)) == values[cycle]
        values[cycle + 1] = backend.store.read(backend.secret, version_id(backend.secret, cycle + 1))


def test_a_deleted_pair_comes_back_with_its_keys(backend: Backend) -> None:
    """A deleted pair is restored and adopted, and not created again."""  # R32
    _apply(backend, days=0)
    before = {number: backend.store.read(backend.secret, version_id(backend.secret, number)) for number in (1, 2)}
    labels = _labels(backend)
    PairService(backend.store, FixedClock(time=START)).delete(backend.secret, recovery_window_days=7)
    _apply(backend, days=0)
    assert _labels(backend) == labels
    after = {number: backend.store.read(backend.secret, version_id(backend.secret, number)) for number in (1, 2)}
    assert after == before
