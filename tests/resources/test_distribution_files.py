"""The hooks of a distribution through files: what a preview shows, and what plans an update."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.output import Unknown

from ios_mdm import wiring
from ios_mdm.core.pair.layout import RESOURCE_ID_TAG, SENT_TAG, version_id
from ios_mdm.core.profile import profile_digest
from ios_mdm.core.x509.credential import credential_to_json
from ios_mdm.errors import DeliveryError
from ios_mdm.resources.profile_distribution import ProfileDistributionProvider
from tests.support.certificates import HOST
from tests.support.distribution import PAIR_ID, RESOURCE_ID, SECRET, START, credentials, pems
from tests.support.dynamic_provider import wire_form
from tests.support.memory import MemorySecretStore
from tests.support.pairs import HandClock
from tests.support.wiring import TestWiring

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Run:
    """Calls the hooks of the distribution of one server as the engine does."""

    folder: Path
    store: MemorySecretStore
    provider: ProfileDistributionProvider = field(default_factory=ProfileDistributionProvider)
    distributed: str | None = None
    trusted: tuple[int, ...] = (1,)
    changes: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] | None = None

    def program(self) -> dict[str, Any]:
        """Return the inputs of the program."""
        confirmation = {} if self.distributed is None else {"distributed": self.distributed}
        return {
            "server": "berlin",
            "secret": SECRET,
            "host": HOST,
            "aws": {},
            "distribution": {
                "profile": {"identifier": "com.example.mdm"},
                "channel": {"directory": {"path": "out", **confirmation}},
            },
            "trusted": list(self.trusted),
            "switch": {},
            "secretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ios-mdm/berlin-Mem0ry",
            "promotion": {},
            "pairId": PAIR_ID,
            "resourceId": RESOURCE_ID,
            "pems": {str(number): pems()[number] for number in self.trusted},
            **self.changes,
        }

    def is_planned(self) -> bool:
        """Run a preview. Return whether it plans a change."""
        inputs = self._check()
        if self.outputs is None:
            return True
        return bool(self.provider.diff("id", wire_form(self.outputs), wire_form(inputs)).changes)

    def up(self) -> str:
        """Do the same as `pulumi up`. The state changes if the run succeeds."""
        inputs = self._check()
        if self.outputs is None:
            self.outputs = dict(self.provider.create(wire_form(inputs)).outs or {})
        elif not self.provider.diff("id", wire_form(self.outputs), wire_form(inputs)).changes:
            return "unchanged"
        else:
            self.outputs = dict(self.provider.update("id", wire_form(self.outputs), wire_form(inputs)).outs or {})
        self.inputs = inputs
        return "changed"

    @property
    def file(self) -> Path:
        """The file with the profile."""
        return next((self.folder / "out").glob("*.mobileconfig"))

    @property
    def digest(self) -> str:
        """SHA-256 of the profile in the folder."""
        return profile_digest(self.file.read_bytes())

    @property
    def record(self) -> str | None:
        """The record of the profile that devices were sent."""
        found = self.store.describe(SECRET)
        assert found is not None
        return found.tags.get(SENT_TAG)

    def _check(self) -> dict[str, Any]:
        checked = self.provider.check(wire_form(self.inputs), wire_form(self.program()))
        assert not checked.failures, [one.reason for one in checked.failures]
        return dict(checked.inputs)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a run with a pair of two certificates, before its first profile."""
    store = MemorySecretStore()
    store.create(SECRET, tags={RESOURCE_ID_TAG: RESOURCE_ID}, description="", kms_key=None)
    for number in (1, 2):
        store.put(SECRET, version_id(SECRET, number), credential_to_json(credentials()[number]))
    monkeypatch.setattr(
        wiring,
        "process_wiring",
        lambda: TestWiring(environ={}, base=tmp_path, memory=store, hand_clock=HandClock(START)),
    )
    return Run(folder=tmp_path, store=store)


def test_a_profile_is_written_confirmed_and_replaced(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Each preview warns until the definition confirms the current profile."""  # R36
    assert run.up() == "changed"
    first = run.digest
    capfd.readouterr()
    assert run.up() == "unchanged"
    warning = capfd.readouterr().err
    assert "the profile in out is not confirmed as distributed" in warning
    assert f"then set distribution.channel.directory.distributed to {first}." in warning
    assert "no device" not in warning
    run.distributed = first
    assert run.up() == "changed"
    assert (run.record or "").startswith("1 devices:")
    capfd.readouterr()
    assert run.up() == "unchanged"
    assert "not confirmed" not in capfd.readouterr().err
    run.trusted = (1, 2)
    assert run.up() == "changed"
    assert f"to {run.digest}. It is now {first}, another profile." in capfd.readouterr().err
    assert (run.record or "").startswith("1 devices:")
    assert run.up() == "unchanged"
    run.distributed = run.digest
    assert run.up() == "changed"
    assert (run.record or "").startswith("1 2 devices:")
    assert run.up() == "unchanged"


def test_a_preview_of_an_unknown_profile_does_not_doubt_the_confirmation(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """The certificates are unknown in the preview of a changed pair. The profile may then stay the same."""
    run.up()
    run.distributed = run.digest
    run.up()
    capfd.readouterr()
    run.changes = {"trusted": [1, 2], "pems": Unknown()}  # type: ignore[no-untyped-call]
    assert run.is_planned()
    assert "not confirmed" not in capfd.readouterr().err


def test_missing_or_changed_files_are_written_again(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """For example in a new checkout of a pipeline."""
    run.up()
    before = run.file.read_bytes()
    run.file.unlink()
    assert run.up() == "changed"
    assert run.file.read_bytes() == before
    assert "files in out are missing or were changed: `up` writes them again" in capfd.readouterr().err
    assert run.up() == "unchanged"


def test_a_lost_record_of_a_confirmed_profile_is_restored(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """A preview says so."""  # R36
    run.up()
    run.distributed = run.digest
    run.up()
    before = run.record
    run.store.untag(SECRET, [SENT_TAG])
    assert run.up() == "changed"
    assert run.record == before
    assert "the record of the distributed profile differs from the definition" in capfd.readouterr().err
    assert run.up() == "unchanged"


def test_files_that_cannot_be_read_plan_no_update(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """A preview may run without access to the folder. It says that it did not check the files."""
    run.up()
    run.file.unlink()
    (run.folder / "out" / "manifest.json").unlink()
    (run.folder / "out" / "manifest.json").mkdir()
    assert not run.is_planned()
    assert "the files in out could not be checked: out/manifest.json cannot be read: Is a directory" in (
        capfd.readouterr().err
    )


def test_a_file_of_another_tool_fails_the_distribution_alone(run: Run) -> None:
    """The preview of the first run cannot know the profile. The run fails, and the next one continues."""
    run.up()
    run.file.write_text("a note", encoding="utf-8")
    run.trusted = (1, 2)
    with pytest.raises(DeliveryError, match="was not written for the server berlin"):
        run.up()
    run.file.unlink()
    assert run.up() == "changed"
    assert run.up() == "unchanged"
