"""Fixtures and settings of all tests: the real tools and services, started once a session, and Hypothesis's profile."""

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

# The tests call openssl by its name. A machine without it has that of the bootstrap, as it has GnuTLS and NSS.
if shutil.which("openssl") is None and (unpacked := Toolchain.verifier("openssl")) is not None:
    os.environ["PATH"] += os.pathsep + str(unpacked.parent)

# On a busy machine any example may take long, so no test has a deadline, and none is called too slow.
settings.register_profile("ios-mdm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
_BASE = settings.get_profile("ios-mdm")
# A run of CI is about the change, so it tries the same examples every time.
settings.register_profile("ios-mdm-ci", _BASE, derandomize=True, print_blob=True)
settings.register_profile("ios-mdm-long", _BASE, max_examples=examples(_BASE.max_examples))
settings.load_profile("ios-mdm-long" if LONG else "ios-mdm-ci" if os.environ.get("CI") else "ios-mdm")


@pytest.fixture(scope="session", autouse=True)
def _unpaused() -> Iterator[None]:
    """Do not wait between two reads of a double in this process: it does not change meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confirm, "pause", lambda _seconds: None)
        yield


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` starts: tests of the engine wait for processes as long as they compute."""
    return (os.cpu_count() or 1) + 2
