"""The conformance kit: what every channel must do.

A test of a channel writes a bench, which knows the far end of the channel, and runs every check on it::

    @pytest.mark.parametrize("check", checks_of(MyBench), ids=lambda check: check.__name__)
    def test_the_channel_conforms(check: Check) -> None:
        with MyBench.running() as bench:
            check(bench)

A bench of an MDM server is a ``DeviceBench``, and a bench of files is a ``Bench``. The tests in
``tests/adapters/test_conformance.py`` run the kit on each channel, and show that each check finds its defect.
"""

from tests.support.channel_kit.bench import Bench, DeviceBench, Failure
from tests.support.channel_kit.checks import CHECKS, DEVICE_CHECKS, Check, checks_of, failed_checks

__all__ = ["CHECKS", "DEVICE_CHECKS", "Bench", "Check", "DeviceBench", "Failure", "checks_of", "failed_checks"]
