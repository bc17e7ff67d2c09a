"""Every channel passes the conformance kit, and each check of the kit finds its defect in a bad channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.bad_channels import BAD_CHANNELS, LeakingChannel
from tests.support.channel_benches import LocalFolderBench, NanoMdmBench, S3Bench
from tests.support.channel_kit import checks_of, failed_checks
from tests.support.toy_mdm import ToyBench, ToyChannel

if TYPE_CHECKING:
    from tests.support.channel_kit import Bench, Check

BENCHES: tuple[type[Bench], ...] = (NanoMdmBench, LocalFolderBench, S3Bench, ToyBench)
CASES = {f"{bench.__name__}-{check.__name__}": (bench, check) for bench in BENCHES for check in checks_of(bench)}


@pytest.mark.parametrize(("bench", "check"), CASES.values(), ids=CASES)
@pytest.mark.usefixtures("no_aws")
def test_a_channel_conforms(bench: type[Bench], check: Check) -> None:
    """One check of one channel. The server at its other end is real if that is possible."""
    with bench.running() as one:
        check(one)


@pytest.mark.parametrize("kind", BAD_CHANNELS, ids=lambda kind: kind.__name__)
def test_a_bad_channel_fails_the_check_for_its_defect_only(kind: type[ToyChannel]) -> None:
    """So each check can fail, and no check fails for the defect of another one."""

    class BadBench(ToyBench):
        pass

    BadBench.kind = kind
    failed = failed_checks(BadBench)
    for one in LeakingChannel.kept:
        one.close()
    assert list(failed) == [BAD_CHANNELS[kind]], failed


def test_each_check_finds_a_bad_channel() -> None:
    """A check without a bad channel might pass always."""
    assert {check.__name__ for check in checks_of(ToyBench)} == set(BAD_CHANNELS.values())
    assert len(BAD_CHANNELS) >= 10
