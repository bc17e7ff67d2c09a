"""The command line and the real engine read the same stack file with every kind of value, and get equal values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from ios_mdm.__main__ import app
from ios_mdm.cli.definition_file import read_definition
from ios_mdm.core.times import parsed_time
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import parse_stack
from ios_mdm.settings.engine_yaml import engine_yaml
from tools.stack import Stack, make_stack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.engine import World

PROGRAM = """import os, pathlib
pathlib.Path("seen.json").write_text(os.environ["PULUMI_CONFIG"], encoding="utf-8")
"""
"""Saves the configuration that a program gets from the engine."""

RUNTIME = "runtime: {name: python, options: {virtualenv: .venv}}\n"

SCALARS = """
    no|No|off|on|yes|y|n|true|True|TRUE|tRue|false|null|Null|~|nULL||
    2027-03-01T00:00:00Z|2027-03-01t01:02:03Z|2027-03-01T00:00:00z|2027-03-01T01:00:00+01:00|2027-03-01T01:00:00+00:00|
    2027-03-01T01:00:00.50-05:30|2027-03-01T01:00:00.123456789123Z|2027-03-01 00:00:00|2027-03-01 00:00:00Z|
    2027-03-01T00:00:00|2027-03-01|2027-3-1|2027-3-1T1:2:3Z|0001-01-01|2027-13-01|2027-02-30|2027-03-01T24:00:00Z|
    2027-03-01 00:00:00 +0000 UTC|1:30|190:20:30|1:30:00.5|
    0|00|010|-010|0o10|0O17|-0o7|0o8|08|0777|0x1F|0X1f|-0x1f|0x|0x1p-2|0b11|0b2|+12|-0|1_000|1__0|1_|_1|
    1.0|-0.0|1.5|1.|.5|-.5|+.5|1_000.5|1e3|1E5|1e6|1e20|1e21|1.5e300|1e999|1e-7|123456789.5|0.1|12e03|1e|1.2.3|inf|nan|1,000|
    9223372036854775807|-9223372036854775808|9223372036854775808|18446744073709551616|123456789012345678901234567890|
    +|=|<<|-x|x#y|a:1|"2027-03-01"|'no'|"1"|"a\\tb\\u00e9"|""|'it''s'|
    !!str 12|!!str no|!!int "12"|!!int 0x10|!!float 1|!!float 1.5|!!bool "true"|!!null ~|!!timestamp "2027-03-01"|
    !!binary aGVsbG8=|!other x|!other {b: 1}|!other [1]|!!set {a, b}|!!omap [a: 1]|
    *anchor|*text|{}|[]|{a: }|{a: 1, 'b':2, c: no}|[1,\t2]|1\t# a comment|
    {1: a, true: b, 1.5: c, ~: d, no: e, 2027-03-01: f}
"""
"""Values that often have different meanings in YAML 1.1, YAML 1.2 and Go; a bar separates them."""

BLOCKS = """
    anchor: &anchor {a: 1, b: 2}
    other: &other {a: 9, c: 3}
    text: &text 2027-03-01
    merged: {<<: *anchor, b: 5}
    merged twice: {<<: [*anchor, *other], d: 1}
    merged within: {<<: {q: 1, <<: {q: 2, r: 3}}}
    tab:\t1
    literal: |
      no
       1

    folded: >
      2027-03-01
      on
    two lines: 1
      2
    at: {at: 2027-03-01T00:00:00Z}
"""

REFUSED = {
    "key twice": "{a: 1, a: 2}",
    "key twice, quoted": "{a: 1, 'a': 2}",
    "merged key twice": "{<<: {a: 1}, <<: {b: 2}}",
    "merge of a number": "{<<: 3}",
    "list as a key": "{[1]: 2}",
    "infinite": ".inf",
    "not a number": ".nan",
    "wrong tag": "!!int 1.0",
    "bad base64": "!!binary '*'",
    "contains itself": "&a [*a]",
    "unknown anchor": "*nowhere",
    "reserved": "@x",
    "value in a value": "x: 1",
}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack with a program that saves its configuration."""
    stack = make_stack(tmp_path, "http://127.0.0.1:9")
    stack.environment["TZ"] = "UTC"  # the engine adds the name of the local zone to times with its offset
    for name, text in (("__main__.py", PROGRAM), ("Pulumi.yaml", f"name: ios-mdm\n{RUNTIME}")):
        (stack.directory / name).unlink()
        (stack.directory / name).write_text(text, encoding="utf-8")
    return stack


def write_stack_file(stack: Stack, text: str) -> Path:
    """Write the stack's file and return it."""
    file = stack.directory / f"Pulumi.{stack.name}.yaml"
    salt = next(line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("encryptionsalt"))
    file.write_text(f"{text}\n{salt}\n", encoding="utf-8")
    return file


def handed_over(stack: Stack) -> dict[str, Any]:
    """Return the configuration that a program gets."""
    stack.run("preview").ok()
    seen: dict[str, str] = json.loads((stack.directory / "seen.json").read_text(encoding="utf-8"))
    return {key: json.loads(value) for key, value in seen.items()}


def kinds(value: object) -> str:
    """Return a value as text that distinguishes 1, 1.0, "1" and true."""
    return json.dumps(value, sort_keys=True)


def test_every_kind_of_value_is_read_as_the_engine_reads_it(stack: Stack) -> None:
    """Words, times, numbers, tags, anchors, merges and blocks have the same type and value."""
    scalars = [line.strip() for line in SCALARS.replace("\n    ", "").strip("\n").split("|")]
    lines = "".join(f"    value {number}: {scalar}\n" for number, scalar in enumerate(scalars))
    file = write_stack_file(stack, f"config:\n  ios-mdm:servers:\n{BLOCKS.lstrip(chr(10))}{lines}")
    engine = handed_over(stack)["ios-mdm:servers"]
    ours = engine_yaml(file.read_bytes())["config"]["ios-mdm:servers"]  # type: ignore[index] # a mapping, as written
    differences = {
        scalar: (engine[f"value {number}"], ours[f"value {number}"])
        for number, scalar in enumerate(scalars)
        if kinds(engine[f"value {number}"]) != kinds(ours[f"value {number}"])
    }
    assert differences == {}
    assert kinds(ours) == kinds(engine)
    assert parsed_time(ours["at"]["at"]) == parsed_time("2027-03-01T00:00:00Z")


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_a_value_that_the_engine_refuses_is_refused(value: str, stack: Stack) -> None:
    """Both readers refuse the value."""
    file = write_stack_file(stack, f"config:\n  ios-mdm:servers: {value}\n")
    assert stack.run("config", "--json").code != 0
    with pytest.raises(DefinitionError):
        engine_yaml(file.read_bytes())


A, B = "{name: a, address: a.example}", "{name: b, address: b.example}"
CONFIGURATIONS = {
    "renamed": ("name: other\n", f"config:\n  other:servers: [{A}]\n  ios-mdm:servers: [{B}]\n"),
    "without a namespace": ("name: other\n", f"config: {{servers: [{A}], aws: {{region: eu-west-1}}}}\n"),
    "with the old namespace": ("name: other\n", f"config: {{other:config:servers: [{A}]}}\n"),
    "defaults of the project": (
        f"name: other\nconfig: {{aws: {{type: object, default: {{region: no}}}}, other:servers: {{value: [{A}]}}}}\n",
        "config: {}\n",
    ),
    "an unused default": (
        f"name: other\nconfig: {{aws: {{default: {{region: eu-west-1}}}}, servers: [{B}]}}\n",
        f"config: {{other:servers: [{A}]}}\n",
    ),
    "defaults and no configuration": (f"name: other\nconfig: {{servers: [{A}]}}\n", ""),
}
"""Pairs of project file and stack file that define server a."""


@pytest.mark.parametrize(("project", "text"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_the_keys_are_those_of_the_project(project: str, text: str, stack: Stack) -> None:
    """The namespace of the keys is the project's name, and Pulumi.yaml may contain their values."""
    (stack.directory / "Pulumi.yaml").write_text(f"{project}{RUNTIME}", encoding="utf-8")
    stack.run("stack", "init", stack.name).ok()
    file = write_stack_file(stack, text)
    engine = handed_over(stack)
    values = {key: engine[f"other:{key}"] for key in ("aws", "servers") if f"other:{key}" in engine}
    assert read_definition(file).settings == parse_stack(values)
    assert [server.name for server in read_definition(file).settings.servers] == ["a"]


def test_an_unquoted_time_is_accepted_by_the_engine_and_by_forecast(world: World) -> None:
    """A pair is issued with an apply time that is an unquoted YAML time."""  # R7
    stack = world.stack
    server = json.dumps(world.definition(reserve={"issue": {"when": "now", "apply": {"at": "TIME"}}}))
    file = write_stack_file(stack, f"config:\n  ios-mdm:servers: [{server}]".replace('"TIME"', "2040-03-01T00:00:00Z"))
    stack.up(IOS_MDM_CLOCK="2040-01-01T00:00:00Z").ok()
    assert stack.outputs()["servers"][world.server]["applyAt"] == "2040-03-01T00:00:00Z"
    forecast = CliRunner().invoke(app, ["forecast", str(file), "--from", "2040-01-01T00:00:00Z", "--json"])
    events = [(event["event"], event["at"]) for event in json.loads(forecast.output)["events"]]
    assert ("apply-reserve", "2040-03-01T00:00:00Z") in events
