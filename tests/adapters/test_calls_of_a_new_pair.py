"""The number of AWS calls that create a pair with its reserve and its switch."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters import aws
from ios_mdm.adapters.aws import Aws
from ios_mdm.adapters.clock import FixedClock
from ios_mdm.adapters.prerequisites import AwsPrerequisites
from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.pair.values import PairRequest
from ios_mdm.app.reconcile import Reconciler
from ios_mdm.app.switching import SwitchService
from ios_mdm.core.pair.definition import AfterDays, IssueMain, IssueReserve, KeyType, PairDefinition, When
from ios_mdm.settings import PromotionSettings
from tests.support.aws import AWS
from tests.support.stack import recording_proxy

if TYPE_CHECKING:
    from ios_mdm.app.reconcile import Progress

START = datetime(2040, 1, 1, tzinfo=UTC)
REQUEST = PairRequest(
    definition=PairDefinition(
        name="berlin",
        host="mdm.example.com",
        main=IssueMain(key=KeyType.EC_P256),
        reserve=IssueReserve(when=When.NOW, apply=AfterDays(days=30)),
    ),
    secret="ios-mdm/few-calls",  # noqa: S106 - a name
    owner="organization/ios-mdm/demo",
    tags={"team": "mobile"},
)
MAX_CALLS = 36
"""Maximum number of calls. The checks of a run with a preview add four: DescribeSecret and GetCallerIdentity, twice."""


def _create_pair() -> Progress:
    """Create the pair, or bring it to its desired state, as the hook `create` does."""
    store, clock = SecretsManager(aws=AWS), FixedClock(time=START)
    pairs = PairService(store, clock, rehearsal=True)
    switches = SwitchService(EventBridgeScheduler(aws=AWS), AwsPrerequisites(aws=AWS), store, clock)
    return Reconciler(pairs, switches).secure(REQUEST, PromotionSettings())


@pytest.mark.parametrize("emulated", ["moto"], indirect=True)
def test_a_pair_with_its_reserve_and_its_switch_takes_few_calls(
    emulated: object, moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra reads for lenient emulators are left out, so that only calls to AWS count."""
    del emulated
    monkeypatch.setattr(Aws, "is_emulator", property(lambda _self: False))
    with recording_proxy(moto_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        aws.close_clients()
        created = _create_pair()
        calls = Counter(proxy.calls)
        assert created.pair is not None
        assert created.armed is not None
        assert created.armed.role is not None
        assert calls.total() <= MAX_CALLS, calls
        proxy.calls.clear()
        again = _create_pair()
        assert again.pair is not None
        assert again.pair.view.desired == created.pair.view.desired
        assert not {call for call in proxy.calls if call.startswith(("Put", "Update", "Tag", "Create"))}, proxy.calls
