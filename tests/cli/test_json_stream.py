"""JSON that is written in parts."""

from __future__ import annotations

import json
from itertools import count, islice

import pytest

from ios_mdm.cli.json_stream import json_parts

VALUES = [
    {},
    [],
    None,
    "a\x1b\u65e5",
    {"a": [], "b": {}, "c": [1, [2, {"d": True}], None], "e": {"f": 1.5}},
    [{"a": 1}, {"a": 2}],
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_text_is_that_of_the_standard_library(value: object) -> None:
    """Keys, strings and indentation do not differ."""
    assert "".join(json_parts(value)) == json.dumps(value, indent=2)


def test_an_iterator_is_an_array_that_is_computed_when_it_is_printed() -> None:
    """The first items of an endless array are printed."""
    assert "".join(json_parts({"a": iter([1, 2]), "b": iter(())})) == json.dumps({"a": [1, 2], "b": []}, indent=2)
    assert "".join(islice(json_parts(count()), 2)) == "[\n  0,\n  1"
