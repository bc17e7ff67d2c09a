"""Shared fixtures (real tools and services, started once per session) and Hypothesis's profile."""

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from ios_mdm.app import confirm
from tests.support.long import LONG, examples
from tools.services.testing import executables, mdm_services
from tools.toolchain import Toolchain

__all__ = ["executables", "mdm_services"]

# The tests call openssl by its name. If the machine lacks it, they use the one of the bootstrap.
if shutil.which("openssl") is None and (unpacked := Toolchain.verifier("openssl")) is not None:
    os.environ["PATH"] += os.pathsep + str(unpacked.parent)

# Any example can take long on a busy machine, so no test has a deadline or fails as too slow.
settings.register_profile("ios-mdm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
_BASE = settings.get_profile("ios-mdm")
# A run of CI uses the same examples every time, so that its result depends on the change only.
settings.register_profile("ios-mdm-ci", _BASE, derandomize=True, print_blob=True)
settings.register_profile("ios-mdm-long", _BASE, max_examples=examples(_BASE.max_examples))
settings.load_profile("ios-mdm-long" if LONG else "ios-mdm-ci" if os.environ.get("CI") else "ios-mdm")


@pytest.fixture(scope="session", autouse=True)
def _unpaused() -> Iterator[None]:
    """Do not wait between two reads of a double in this process, because it does not change in between."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confirm, "pause", lambda _seconds: None)
        yield


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `-n auto`: tests of the engine wait for processes half of their time."""
    return (os.cpu_count() or 1) + 2
