"""What several folders of tests share: the real tools and services, started once a session, and how many workers."""

import os

from hypothesis import settings

from tests.support.long import examples
from tools.services.testing import executables, mdm_services

__all__ = ["executables", "mdm_services"]

# No test asserts a duration: on a busy machine any example may take long.
settings.register_profile("no deadline", deadline=None, max_examples=examples(100))
settings.load_profile("no deadline")


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` starts: tests of the engine wait for processes as long as they compute."""
    return (os.cpu_count() or 1) + 2
