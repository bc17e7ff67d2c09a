"""Shared fixtures: real tools and services, started once per session, and the number of workers."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from ios_mdm.app import confirm
from tests.support.long import examples
from tools.services.testing import executables, mdm_services

__all__ = ["executables", "mdm_services"]

# No test asserts a duration, because any example can take long on a busy machine.
settings.register_profile("no deadline", deadline=None, max_examples=examples(100))
settings.load_profile("no deadline")


@pytest.fixture(scope="session", autouse=True)
def _unpaused() -> Iterator[None]:
    """Do not wait between two reads of a double in this process, because it does not change in between."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confirm, "pause", lambda _seconds: None)
        yield


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `-n auto`: tests of the engine wait for processes half of their time."""
    return (os.cpu_count() or 1) + 2
