"""The hooks of ``CertificatePair``: they converge, check and diff have no effects, and any interruption is safe."""

from __future__ import annotations

import base64
import pickle
import re
from typing import TYPE_CHECKING

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from ios_mdm.adapters.secrets_manager import SecretsManager
from ios_mdm.core.pair.layout import OWNER_TAG, RESOURCE_ID_TAG
from ios_mdm.core.pair.secret import Label
from ios_mdm.errors import IosMdmError
from ios_mdm.resources.certificate_pair import CertificatePair, CertificatePairProvider
from ios_mdm.resources.profile_distribution import ProfileDistribution, ProfileDistributionProvider
from tests.support.aws import AWS
from tests.support.dynamic_provider import wire_form

if TYPE_CHECKING:
    from tests.support.dynamic_provider import Engine

WRITES_OF_A_CREATE = 20
"""Number of writes of a create. The last write claims the pair."""


def test_a_pair_is_created_and_then_unchanged(engine: Engine) -> None:
    """The second run finds no change: carrying out the desired state of check changes no value in it."""  # R2 R30
    assert engine.up() == "create"
    engine.aws.calls.clear()
    assert engine.up() == "unchanged"
    assert engine.aws.writes() == []


def test_check_and_diff_write_nothing(engine: Engine) -> None:
    """A preview of a new pair only reads."""
    inputs = engine.checked_inputs()
    assert inputs["desired"]["reserve"] == "certificate 2"
    assert inputs["repairs"] == 0
    assert engine.aws.calls == ["DescribeSecret", "GetCallerIdentity"], "the account is in no ARN yet"
    engine.aws.calls.clear()
    engine.provider.diff("id", inputs, inputs)
    assert engine.aws.calls == []


def test_preview_and_refresh_never_read_a_secret_value(engine: Engine) -> None:
    """DescribeSecret is enough for check and read, even if a repair is pending."""  # R29
    engine.up()
    store = SecretsManager(aws=AWS)
    described = store.describe(engine.id)
    assert described is not None
    store.untag(engine.id, list(described.tags))
    engine.aws.calls.clear()
    engine.checked_inputs()
    assert engine.outputs is not None
    engine.provider.read(engine.id, engine.outputs)
    assert "GetSecretValue" not in engine.aws.calls


@pytest.mark.parametrize("answered", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("lives", range(1, WRITES_OF_A_CREATE + 1))
def test_a_create_that_dies_between_two_effects_is_continued(engine: Engine, lives: int, *, answered: bool) -> None:
    """The next run after any last write ends with the same correct pair: no number is used for two certificates."""
    engine.aws.lives, engine.aws.answers_last = lives, answered
    try:
        engine.up()
    except IosMdmError:
        assert lives < WRITES_OF_A_CREATE or not answered, "a create needs more writes than this test tries"
    else:
        assert lives >= WRITES_OF_A_CREATE, "a create needs fewer writes than this test tries"
        return
    store = SecretsManager(aws=AWS)
    engine.aws.lives = None
    before = store.describe(str(engine.program["secret"]))
    stored = set() if before is None else {version for version, labels in before.labels.items() if labels}
    values = {version: store.read(str(engine.program["secret"]), version) for version in stored}
    if lives == WRITES_OF_A_CREATE:
        # The pair was claimed, but the engine got no answer. As after any lost state, the definition must name it.
        (refused,) = engine.failures()
        take_over = re.search(r"`takeOver: ([0-9a-f]{32})`", refused)
        assert take_over is not None
        engine.program["definition"]["takeOver"] = take_over[1]
    assert engine.up() == "create"
    assert engine.up() == "unchanged"
    after = store.describe(engine.id)
    assert after is not None
    labels = sorted(label for version in after.labels.values() for label in version)
    # AWSPREVIOUS can be on the empty version that the emulator creates with a secret.
    slots = [label for label in labels if label != Label.FORMER]
    assert slots == [Label.MAIN, Label.RESERVE], "each label is on one version, and nothing is staged"
    assert stored <= set(after.labels), "stored versions are adopted, not created again"
    assert all(store.read(engine.id, version) == value for version, value in values.items())
    assert engine.outputs is not None
    assert set(engine.outputs["certificates"]) == {"certificate 1", "certificate 2"}


def test_refresh_shows_drift_and_the_next_up_repairs_it(engine: Engine) -> None:
    """The refreshed state shows a lost RESERVE label, and the next run repairs it."""
    engine.up()
    assert engine.outputs is not None
    store = SecretsManager(aws=AWS)
    described = store.describe(engine.id)
    assert described is not None
    reserve = next(version for version, labels in described.labels.items() if Label.RESERVE in labels)
    store.move_label(engine.id, Label.RESERVE, to=None, current=reserve)
    read = engine.provider.read(engine.id, engine.outputs)
    assert read.inputs is not None
    assert read.inputs["desired"]["reserve"] == "none"
    engine.inputs, engine.outputs = dict(read.inputs), dict(read.outs or {})
    assert engine.up() == "update"
    assert engine.up() == "unchanged"
    described = store.describe(engine.id)
    assert described is not None
    assert Label.RESERVE in described.labels[reserve]


def test_drift_without_a_refresh_is_one_repair(engine: Engine) -> None:
    """A drift raises the counter by one, and the repair keeps its value."""
    engine.up()
    store = SecretsManager(aws=AWS)
    store.tag(engine.id, {"ios-mdm:highest-ordinal": "x"})
    assert engine.up() == "update"
    assert engine.inputs is not None
    assert engine.inputs["repairs"] == 1
    assert engine.up() == "unchanged"


def test_a_moved_secret_prefix_is_refused(engine: Engine) -> None:
    """Consumers read the former secret, so another name of the secret is an error and no replacement."""  # R32
    engine.up()
    engine.program |= {"secret": "elsewhere/berlin"}
    assert "Restore the server's name and aws.secretPrefix" in engine.failures()[0]


def test_a_resource_that_is_renamed_by_an_alias_is_refused(engine: Engine) -> None:
    """An alias keeps the state and the pair. Another name of the server would need another secret."""  # R34
    engine.up()
    engine.program |= {"server": "munich", "secret": "ios-mdm/munich"}
    engine.program["definition"]["name"] = "munich"
    engine.aws.calls.clear()
    (refused,) = engine.failures()
    assert "now ios-mdm/munich): consumers read the pair" in refused
    assert engine.aws.calls == []


def test_nothing_ever_replaces_a_pair(engine: Engine) -> None:
    """Diff names no property that replaces the resource, for any change."""  # R32
    engine.up()
    assert engine.outputs is not None
    for key in engine.outputs.keys() - {"observed"}:
        changed = {**engine.outputs, key: "something else"}
        assert engine.provider.diff(engine.id, engine.outputs, changed).replaces == []


def test_a_replacement_deletes_nothing_although_a_read_lags(engine: Engine) -> None:
    """The engine first creates the new resource. Then a stale read still reports the former resource as the owner."""
    # R37
    engine.up()
    assert engine.outputs is not None
    former, pair_id = engine.outputs, engine.outputs["pairId"]
    engine.inputs, engine.outputs = None, None
    engine.program["definition"]["takeOver"] = pair_id
    assert engine.up() == "create"
    store = SecretsManager(aws=AWS)
    store.tag(engine.id, {RESOURCE_ID_TAG: former["resourceId"]})
    engine.aws.calls.clear()
    engine.provider.delete(engine.id, wire_form(former))
    assert engine.aws.writes() == []
    described = store.describe(engine.id)
    assert described is not None
    assert described.deleted_at is None


@pytest.mark.parametrize("owner", ["organization/ios-mdm/test", "organization/ios-mdm/other"])
def test_a_read_that_lags_behind_a_take_over_is_resolved_by_the_next_run(engine: Engine, owner: str) -> None:
    """A stale id of the former resource is not written to the state, which would lose the pair to that resource."""
    # R33 R34
    engine.program["owner"] = owner
    engine.up()
    assert engine.outputs is not None
    former = engine.outputs["resourceId"]
    engine.program["definition"]["takeOver"] = engine.outputs["pairId"]
    engine.program["owner"] = "organization/ios-mdm/test"
    engine.inputs, engine.outputs = None, None
    assert engine.up() == "create"
    assert engine.outputs is not None
    own = engine.outputs["resourceId"]
    del engine.program["definition"]["takeOver"]
    store = SecretsManager(aws=AWS)
    store.tag(engine.id, {RESOURCE_ID_TAG: former, OWNER_TAG: owner})
    (refused,) = engine.failures()
    assert "AWS still shows the pair as it was before this stack took it over: run again" in refused
    store.tag(engine.id, {RESOURCE_ID_TAG: own, OWNER_TAG: "organization/ios-mdm/test"})
    assert engine.up() == "update", "takeOver was removed"
    assert engine.inputs is not None
    assert engine.inputs["resourceId"] == own
    assert "takenOverFrom" not in engine.inputs
    assert engine.up() == "unchanged"


def test_a_refresh_never_reports_a_pair_as_deleted(engine: Engine) -> None:
    """A pair without a secret stays in the state, with a mark. Otherwise `up` would create another pair."""
    # R33
    engine.up()
    assert engine.outputs is not None
    gone = {**engine.outputs, "secret": "ios-mdm/never-was"}
    read = engine.provider.read("ios-mdm/never-was", gone)
    assert read.id == "ios-mdm/never-was"
    marked = dict.fromkeys(("main", "reserve"), "secret does not exist")
    marked["reason"] = "observed by refresh; the next up decides"
    assert read.outs == {**gone, "desired": {**gone["desired"], **marked}}
    assert (read.inputs or {})["mainSha256"] == gone["mainSha256"], "for lostMain"


def test_a_certificate_of_the_same_number_is_another_one_by_its_fingerprint(engine: Engine) -> None:
    """One update corrects the outputs of another pair or of a restored pair, even if all names are the same."""  # R33
    engine.up()
    assert engine.outputs is not None
    right = engine.outputs["certificates"]["certificate 1"]["sha256"]
    engine.outputs["certificates"]["certificate 1"]["sha256"] = "ab" * 32
    assert engine.up() == "update"
    assert engine.outputs["certificates"]["certificate 1"]["sha256"] == right
    assert engine.up() == "unchanged"


class TestFrozen:
    """Module paths, class names and type tokens are part of the state and must not change."""

    def test_providers_pickle_by_reference(self) -> None:
        """The state contains the import path of a provider, and nothing of its code."""
        for provider, path in (
            (CertificatePairProvider, b"ios_mdm.resources.certificate_pair"),
            (ProfileDistributionProvider, b"ios_mdm.resources.profile_distribution"),
        ):
            stored = base64.b64decode(serialize_provider(provider()))
            assert len(stored) < 150
            assert path in stored
            assert provider.__name__.encode() in stored
            assert isinstance(pickle.loads(stored), provider)  # noqa: S301 - made one line above

    def test_type_tokens(self) -> None:
        """The URNs of resources contain the type tokens."""
        assert CertificatePair._resource_type_name == "dynamic/ios-mdm:CertificatePair"
        assert ProfileDistribution._resource_type_name == "dynamic/ios-mdm:ProfileDistribution"
