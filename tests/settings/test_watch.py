"""The settings of watched certificates."""

from __future__ import annotations

from typing import Any

import pytest

from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_stack

TOPIC = "com.apple.mgmt.External.e3b8ceac-1f18-2c8e-8a63-dd17d99435d9"
NANOMDM = {"url": "https://mdm.example.com", "apiKeySecret": "mdm/api-key"}
SERVERS = [{"name": "berlin", "address": "mdm.example.com"}]


def complaint(*entries: dict[str, Any], **aws: Any) -> str:
    """Return the error of a stack with these entries."""
    with pytest.raises(DefinitionError) as raised:
        parse_stack({"aws": aws, "servers": SERVERS, "watch": list(entries)})
    return str(raised.value)


def test_each_source_is_accepted() -> None:
    """The entries keep their order."""
    entries = [
        {"name": "push", "nanomdm": NANOMDM, "topic": TOPIC, "warnDays": 60},
        {"name": "scep-ca", "scep": {"url": "http://scep.example.com/scep"}},
        {"name": "pem", "file": "certificates/push.pem", "topic": TOPIC},
    ]
    found = parse_stack({"servers": SERVERS, "watch": entries}).watch
    assert [one.name for one in found] == ["push", "scep-ca", "pem"]
    assert parse_stack({"servers": SERVERS}).watch == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, "exactly one of file, nanomdm and scep"),
        ({"file": "a.pem", "scep": {"url": "https://a.example/scep"}}, "exactly one of file, nanomdm and scep"),
        ({"nanomdm": NANOMDM}, "takes topic together with nanomdm"),
        ({"scep": {"url": "https://a.example/scep"}, "topic": TOPIC}, "takes no topic together with scep"),
        ({"scep": {"url": "https://user:word@a.example/scep"}}, "must be the URL of a SCEP server"),
        ({"scep": {"url": "https://a.example/scep?operation=x"}}, "must be the URL of a SCEP server"),
        ({"scep": {"url": "ldap://a.example"}}, "must be the URL of a SCEP server"),
        ({"nanomdm": {**NANOMDM, "url": "http://mdm.example.com"}, "topic": TOPIC}, "must be https"),
        ({"file": "a.pem", "warnDays": 0}, "warnDays"),
        ({"file": "a.pem", "color": "red"}, "is not a known key"),
    ],
)
def test_a_wrong_entry_is_an_error(entry: dict[str, Any], expected: str) -> None:
    """The error names the entry, and shows no password."""
    found = complaint({"name": "one", **entry})
    assert found.startswith("ios-mdm:watch[0]")
    assert expected in found
    assert "word@" not in found


def test_names_are_unique() -> None:
    """The name is a label of the metrics."""
    assert "'one' is used twice" in complaint({"name": "one", "file": "a"}, {"name": "one", "file": "b"})


def test_an_api_key_in_the_secret_of_a_pair_is_refused() -> None:
    """The error names the entry and its key."""  # R39
    entry = {"name": "push", "nanomdm": {**NANOMDM, "apiKeySecret": "ios-mdm/berlin"}, "topic": TOPIC}
    assert "watch 'push': nanomdm.apiKeySecret names a secret under ios-mdm/" in complaint(entry)
    other = {"name": "push", "nanomdm": {**NANOMDM, "apiKeySecret": "mine/berlin"}, "topic": TOPIC}
    assert "nanomdm.apiKeySecret names a secret under mine/" in complaint(other, secretPrefix="mine")
