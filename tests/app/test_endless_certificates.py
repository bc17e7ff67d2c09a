"""Certificates whose dates are at the ends of the calendar: from year 1, or to the end of year 9999."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ios_mdm.app.bundles import BundleReader, CheckedBundle, Circumstances
from ios_mdm.app.pair.service import PairService
from ios_mdm.app.wording import notice_text
from ios_mdm.core.pair.decision import Notice, Severity
from ios_mdm.core.pair.definition import (
    AfterDays,
    InstallMain,
    InstallReserve,
    Slot,
)
from ios_mdm.core.pair.forecast import foreseen_life
from ios_mdm.core.times import FIRST, LAST
from ios_mdm.settings import InstallMainSettings
from tests.support.certificates import HOST, NOW, Chain, pem, private_pem
from tests.support.custom import Given
from tests.support.pairs import HandClock, World, definition
from tests.support.sealed import READER

if TYPE_CHECKING:
    from pathlib import Path

YEAR_1, BEFORE_2019, YEAR_9999 = "00010101000000Z", "20180101000000Z", "99991231235959Z"


def checked_bundle(folder: Path, owner: str, *times: str) -> CheckedBundle:
    """Return a certificate with these dates, read as by a preview."""
    made = Chain().but(leaf={"owner": owner, "times": times}, issuing={"times": times}, root={"times": times}).make()
    (folder / "bundle.pem").write_bytes(private_pem(made.keys[0]) + pem(*made.chain))
    settings = InstallMainSettings.model_validate({"bundle": "bundle.pem"})
    reader = BundleReader(base=folder, environ={}, sealed=READER)
    read = reader.read(settings, Circumstances(host=HOST, now=NOW, slot=Slot.MAIN))
    assert read.report.violations == ()
    return read


@pytest.mark.parametrize("start", [YEAR_1, BEFORE_2019])
def test_a_certificate_without_an_end_is_installed_and_forecast(tmp_path: Path, start: str) -> None:
    """A notAfter of 99991231235959Z means that there is no end (RFC 5280, 4.1.2.5)."""  # R21
    read = checked_bundle(tmp_path, "endless", start, YEAR_9999)
    offered = read.offered_certificate
    assert offered.not_after == LAST
    world = World(clock=HandClock(NOW))
    wanted = replace(definition(None), host=HOST, main=InstallMain(offered=offered))
    request = world.request(wanted)
    service = PairService(world.store, world.clock, custom=Given({Slot.MAIN: read.credential}))
    service.apply(request)
    assert world.facts(1).not_before == offered.not_before
    assert world.facts(1).not_after == LAST
    view = service.view(request)
    assert view.desired.requests == ()
    reserve = InstallReserve(offered=offered, apply=AfterDays(days=30))
    for forecast_definition in (wanted, replace(wanted, reserve=reserve)):
        life = foreseen_life(forecast_definition, start=NOW, days=400)
        assert life.certificates[0].not_after == LAST


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_notice_about_an_extreme_time_has_a_text(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """A zone of this machine that shifts the time out of the calendar is not shown."""  # R5
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    for due in (FIRST, LAST):
        notice = Notice(reason="late", severity=Severity.WARNING, message="text", due=due)
        assert notice_text(notice, NOW).startswith("text (")
    monkeypatch.undo()
    time.tzset()


def test_the_forecast_of_the_last_year_ends_with_it() -> None:
    """A forecast never leaves the calendar."""
    start = LAST - timedelta(days=800)
    for interval in (timedelta(days=1), timedelta(days=7)):
        assert foreseen_life(definition(), start=start, days=4000, interval=interval).end == LAST
