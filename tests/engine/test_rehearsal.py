"""Two full cycles in 2040: the switch is on time although no process of the project runs, and no device is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.pair.secret import TRUSTED_PREFIX
from tools.services import local, nginx, process, schedules
from tools.services.webhook import Recorder
from tools.story import DAY, DEVICES, SECRET, Rehearsal, play, stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


@pytest.fixture
def rehearsal(tmp_path: Path, executables: local.Executables) -> Iterator[Rehearsal]:
    """A separate server with services and devices, because the device that is locked out here is needed elsewhere."""
    state, services = tmp_path / "rehearsal", tmp_path / "services"
    state.mkdir(mode=0o700)
    services.mkdir(mode=0o700)
    told: list[tuple[datetime, str]] = []
    with Recorder(services / "mdm-webhook-key") as webhook:
        try:
            running = local.up(services, executables, webhook_url=webhook.url, devices=DEVICES, storage="inmem")
            yield stage(state, lambda moment, text: told.append((moment, text)), running)
        finally:
            process.stop(state, nginx.NAME)
            local.down(services)


def test_two_cycles_without_a_refusal(rehearsal: Rehearsal) -> None:
    """Reserve, push, schedule, consume, reload and tidy, twice. Only the device without the profile is refused."""
    # R3 R6 R11 R12 R15 R16 R17 R32
    devices = rehearsal.services.fleet.ids()
    late, forgotten = devices[3:]
    seen: list[tuple[str, str]] = []
    for scene in play(rehearsal, cycles=2):
        shown = rehearsal.shown
        labels = _labels(rehearsal)
        seen.append((scene, shown["main"]["certificate"]))
        if scene == "fired":
            assert labels["AWSCURRENT"] == labels["RESERVE"], "the schedule alone has moved the label"
            assert schedules.due(rehearsal.services.aws_url, rehearsal.now) == (), (
                "a schedule that has acted is deleted"
            )
        if scene == "switched":
            assert rehearsal.visits(devices[:1])[devices[0]].sha256 == shown["reserve"]["sha256"]
        if scene in {"tidied", "former main gone"}:
            assert set(labels) == {"AWSCURRENT", "AWSPREVIOUS"}
        if scene in {"start", "former main gone"}:
            (root,) = rehearsal.trusted_roots(devices[0])
            assert root, "only main is in the profile"
        if scene in {"reserve", "late device", "fired", "switched"}:
            assert len(rehearsal.trusted_roots(devices[0])) == 2
            assert len(rehearsal.trusted_roots(late)) == (1 if scene == "reserve" else 2), (
                "the device was offline for three weeks"
            )
    cycle = ("reserve", "late device", "fired", "switched", "tidied", "former main gone")
    assert [scene for scene, _ in seen] == ["start", *cycle, *cycle]
    assert seen[-1][1] == "certificate 3"
    assert {one.device for one in rehearsal.refusals} == {forgotten}, "the test sees refused devices"
    lost = [one.at for one in rehearsal.refusals]
    switch = rehearsal.bars["certificate 1"].end
    assert min(lost) > switch - DAY, "before the switch this device is accepted, too"
    assert rehearsal.visits(devices[:4])[devices[0]].sha256 == rehearsal.shown["main"]["sha256"]


def _labels(rehearsal: Rehearsal) -> dict[str, str]:
    client = schedules.client("secretsmanager", rehearsal.services.aws_url)
    found = client.describe_secret(SecretId=SECRET)["VersionIdsToStages"]
    client.close()
    pairs = ((label, version) for version, labels in found.items() for label in labels)
    return {label: version for label, version in pairs if not label.startswith(TRUSTED_PREFIX)}
