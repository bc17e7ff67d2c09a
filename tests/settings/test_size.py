"""The size of a configuration, and the limit of the system."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ios_mdm.settings.size import MAX_SIZE, WARNING_SIZE, configuration_size


@pytest.mark.skipif(
    sys.platform != "linux" or os.sysconf("SC_PAGE_SIZE") != 4096, reason="the limit is that of Linux with small pages"
)
def test_the_limit_is_the_systems() -> None:
    """A program starts with a configuration of this size, and not with one more byte."""  # R40
    assert WARNING_SIZE < MAX_SIZE
    subprocess.run(["true"], env={"PULUMI_CONFIG": "x" * MAX_SIZE}, check=True)
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["true"], env={"PULUMI_CONFIG": "x" * (MAX_SIZE + 1)}, check=True)


def test_the_size_is_that_of_json_in_json() -> None:
    """The engine passes each value as JSON except text, and all values as one JSON object."""  # R40
    passed = json.dumps({"a:list": '[{"x":1}]', "a:text": "é"}, separators=(",", ":"), ensure_ascii=False)
    assert configuration_size({"a:list": [{"x": 1}], "a:text": "é"}) == len(passed.encode())
