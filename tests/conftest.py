"""What several folders of tests share: the real tools and services, started once a session, and how many workers."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from ios_mdm.app import confirm
from tests.support.long import examples
from tools.services.testing import executables, mdm_services

__all__ = ["executables", "mdm_services"]

# No test asserts a duration: on a busy machine any example may take long.
settings.register_profile("no deadline", deadline=None, max_examples=examples(100))
settings.load_profile("no deadline")


@pytest.fixture(scope="session", autouse=True)
def _unpaused() -> Iterator[None]:
    """Do not wait between two reads of a double in this process: it does not change meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confirm, "pause", lambda _seconds: None)
        yield


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` starts: tests of the engine wait for processes as long as they compute."""
    return (os.cpu_count() or 1) + 2
