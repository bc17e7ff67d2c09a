"""docs/how-it-works.md names files and folders that exist."""

from __future__ import annotations

import re

import pytest

from tools.toolchain import ROOT

PAGE = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`((?:provider|components|tests|tools)[\w/.]*|__main__\.py)`", PAGE)))


@pytest.mark.parametrize("name", NAMES)
def test_each_named_file_exists(name: str) -> None:
    """Names are relative to the root of the checkout."""
    assert (ROOT / name).exists()


def test_the_page_follows_a_certificate_through_the_package() -> None:
    """``NAMES`` has modules of each layer that the page describes."""
    layers = {name.split("/")[2] for name in NAMES if name.startswith("provider/ios_mdm/")}
    assert {"core", "app", "adapters", "settings", "resources"} <= layers
