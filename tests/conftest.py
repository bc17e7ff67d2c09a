"""Fixtures and settings of all tests: real tools and services, started once per session, and the Hypothesis profile."""

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

# The tests call openssl by its name. On a machine without openssl, the path gets the copy that the bootstrap unpacked.
if shutil.which("openssl") is None and (unpacked := Toolchain.verifier("openssl")) is not None:
    os.environ["PATH"] += os.pathsep + str(unpacked.parent)

# On a busy machine any example may be slow, so examples have no deadline, and the check for slow examples is off.
settings.register_profile("ios-mdm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
_BASE = settings.get_profile("ios-mdm")
# CI tests a change, so each run tries the same examples.
settings.register_profile("ios-mdm-ci", _BASE, derandomize=True, print_blob=True)
settings.register_profile("ios-mdm-long", _BASE, max_examples=examples(_BASE.max_examples))
settings.load_profile("ios-mdm-long" if LONG else "ios-mdm-ci" if os.environ.get("CI") else "ios-mdm")


@pytest.fixture(scope="session", autouse=True)
def _unpaused() -> Iterator[None]:
    """Do not wait between two reads of a double in this process: the double does not change between them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confirm, "pause", lambda _seconds: None)
        yield


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers of `-n auto`: tests of the engine wait for processes as long as they compute."""
    return (os.cpu_count() or 1) + 2
