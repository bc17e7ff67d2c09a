"""The hooks of a distribution: faults that stop only the distribution, and faults that stop nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from pulumi.output import Unknown

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG, sent_value
from ios_mdm.errors import DefinitionError, DeliveryError, IdentityError
from tests.support.distribution import RESOURCE_ID, SECRET, START, pems
from tests.support.dynamic_provider import wire_form
from tests.support.events import record_authenticate

if TYPE_CHECKING:
    from tests.support.distribution_run import Run


BAD_LISTS = {
    "missing": None,
    "doubled": b"a\nb\na\n",
    "not UTF-8": b"\xff\xfe",
    "bad id": b"a,b\n",
}


@pytest.mark.parametrize("content", BAD_LISTS.values(), ids=BAD_LISTS)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_list_of_devices_that_cannot_be_read_fails_alone(
    run: Run, content: bytes | None, capfd: pytest.CaptureFixture[str], *, is_new: bool
) -> None:
    """Preview warns and plans an update, which fails. The run of the pair is not stopped."""
    # R30 R36
    if not is_new:
        run.up()
    file = run.folder / "devices.txt"
    file.unlink() if content is None else file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(DefinitionError) as caught:
            run.up()
        assert f"{caught.value}. Until this is corrected, no profile is sent" in capfd.readouterr().err
    run.list_devices("a", "b", "c")
    assert run.up() == "changed"
    assert set(run.queue.latest) == {"a", "b", "c"}
    assert run.up() == "unchanged"


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("devices", [{"ledger": True}, ["a", "b"]])
def test_a_ledger_that_cannot_be_read_fails_alone(run: Run, devices: object, *, is_new: bool) -> None:
    """Check does not refuse the ledger, whether it is the source of the devices or not."""
    # R30 R36
    if not is_new:
        run.up()
    run.devices = devices
    ledger = run.folder / "ledger.sqlite"
    ledger.write_bytes(b"no database " * 100)
    with pytest.raises(DeliveryError, match=r"ledger\.sqlite"):
        run.up()
    ledger.unlink()
    assert run.up() == "changed"


def test_the_next_run_sends_the_profile_to_a_device_that_enrolled_again(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """An erased device lost the profile. The other devices are not sent it again, and an older event has no effect."""
    # R42
    ledger = SqliteLedger(run.folder / "ledger.sqlite")
    record_authenticate(ledger, "a", at=START)
    run.up()
    commands = set(run.queue.known)
    record_authenticate(ledger, "a", at=START - timedelta(days=1))
    assert run.up() == "unchanged"
    record_authenticate(ledger, "a", at=START + timedelta(days=1))
    assert run.up() == "changed"
    assert (
        "1 of 2 devices enrolled again, or were not sent the profile: `up` sends it to them" in capfd.readouterr().err
    )
    assert {device for device, _ in run.queue.known - commands} == {"a"}
    assert run.up() == "unchanged"


def test_the_list_is_read_again_by_the_next_run(run: Run) -> None:
    """A list that was corrected after the check is not used, because its result was not checked."""
    (run.folder / "devices.txt").unlink()
    inputs = run.check()
    run.list_devices("a")
    with pytest.raises(DeliveryError, match="run again"):
        run.provider.create(wire_form(inputs))
    assert run.queue.latest == {}


@pytest.mark.parametrize(
    ("devices", "said"), [({"file": "devices.txt"}, "names no device"), ({"ledger": True}, "rece")]
)
def test_without_a_device_nothing_is_sent(
    run: Run, devices: object, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """There is a warning, no call of the MDM server and no record: an emptied list does not arm a reserve."""
    # R36
    run.devices = devices
    run.list_devices()
    assert run.up() == "changed"
    shown = capfd.readouterr().err
    assert said in shown
    assert "the MDM server is not contacted and nothing is recorded as sent" in shown
    assert (run.sent_record(), run.queue.known) == (None, set())
    assert run.outputs is not None
    assert run.outputs["deviceCount"] == 0
    assert run.up() == "unchanged"
    run.devices = {"file": "devices.txt"}
    run.list_devices("a")
    assert run.up() == "changed"
    assert (run.sent_record() or "").startswith(sent_value([1]))
    run.list_devices()
    assert run.up() == "changed"
    assert (run.sent_record() or "").startswith(sent_value([1]))


def test_a_pair_that_was_taken_over_is_left_alone_by_a_new_distribution(run: Run) -> None:
    """The state has no distribution. `up` succeeds, so the server can be unprotected and removed."""
    # R34
    run.store.tag(SECRET, {RESOURCE_ID_TAG: "8d" * 16})
    assert run.up() == "changed"
    assert (run.sent_record(), run.queue.known) == (None, set())
    assert run.up() == "unchanged"
    run.provider.delete("id", wire_form(run.outputs))
    run.store.tag(SECRET, {RESOURCE_ID_TAG: RESOURCE_ID})
    assert run.up() == "changed"
    assert set(run.queue.latest) == {"a", "b"}
    assert run.up() == "unchanged"


def test_a_pair_that_is_taken_over_after_the_check_is_left_alone(run: Run) -> None:
    """The take-over happens after the check."""
    # R34
    inputs = run.check()
    run.store.tag(SECRET, {RESOURCE_ID_TAG: "8d" * 16})
    outputs = dict(run.provider.create(wire_form(inputs)).outs or {})
    assert outputs["deviceCount"] == 0
    assert run.queue.known == set()


@pytest.mark.parametrize("is_found", [True, False])
def test_another_region_is_named_before_the_certificates_that_are_not_there(run: Run, *, is_found: bool) -> None:
    """The message names the other region of the credentials."""
    # R33
    inputs = run.check()
    other = {"secretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:ios-mdm/berlin-Mem0ry"}
    if not is_found:
        run.store._secrets.clear()
    with pytest.raises(IdentityError, match="correct AWS_PROFILE, AWS_REGION"):
        run.provider.create(wire_form({**inputs, **other}))


def test_a_pair_without_tags_keeps_its_profile_in_previews(run: Run) -> None:
    """The id of a pair without tags is unknown in previews. They do not announce a second profile."""
    # R33 R35
    run.up()
    identifier = run.inputs["identifier"]
    run.changes = {"pairId": Unknown(), "resourceId": Unknown()}  # type: ignore[no-untyped-call]
    assert run.check()["identifier"] == identifier
    run.inputs = {}
    assert run.check()["identifier"] == "com.example.mdm.<made by up>"


def test_values_unknown_to_a_preview_are_shown_as_unknown(run: Run) -> None:
    """A saved plan can be applied, because preview and `up` have the same input names."""
    # R30
    run.up()
    run.changes = {"trusted": [1, 2], "pems": Unknown()}  # type: ignore[no-untyped-call]
    planned = run.check()
    run.changes = {"trusted": [1, 2], "pems": {str(number): pems()[number] for number in (1, 2)}}
    checked = run.check()
    assert planned.keys() == checked.keys()
    different = {key for key in checked if checked[key] != planned[key] and not isinstance(planned[key], Unknown)}
    assert different == set()
