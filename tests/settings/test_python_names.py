"""Settings in a Python program have snake_case names, and the same errors as in YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.core.pair.definition import KeyType, When
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import AwsSettings, parse_server, parse_stack
from ios_mdm.settings.certificates import (
    ApplySettings,
    IssueMainSettings,
    IssueReserveSettings,
    MainSettings,
    ReserveSettings,
)
from ios_mdm.settings.channels.nanomdm import NanoMdmSettings
from ios_mdm.settings.fields import Model
from ios_mdm.settings.parsing import parse_arguments
from ios_mdm.settings.servers import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVER: dict[str, Any] = {"name": "berlin", "address": "mdm.example.com"}


def problems(construct: Callable[[], object]) -> list[str]:
    """Return the lines of the error that a constructor raises."""
    with pytest.raises(DefinitionError) as caught:
        construct()
    hidden = caught.value.__suppress_context__ or caught.value.__context__ is None
    assert hidden, "a traceback must not show pydantic's error, which has the values"
    return str(caught.value).splitlines()


def models(base: type[Model] = Model) -> Iterator[type[Model]]:
    """Return each model of the settings."""
    for model in base.__subclasses__():
        yield model
        yield from models(model)


def test_python_names_and_camel_case_mean_the_same() -> None:
    """A definition in Python equals the one in YAML, and both record only the given keys."""
    by_name = ServerSettings(
        name="berlin",
        address="mdm.example.com",
        main=MainSettings(issue=IssueMainSettings(validity_days=300, key=KeyType.EC_P256)),
        reserve=ReserveSettings(
            issue=IssueReserveSettings(when=When.NOW, before_days=50, apply=ApplySettings(after_days=30))
        ),
        warn_days=20,
    )
    raw = {
        **SERVER,
        "main": {"issue": {"validityDays": 300, "key": "ec-p256"}},
        "reserve": {"issue": {"when": "now", "beforeDays": 50, "apply": {"afterDays": 30}}},
        "warnDays": 20,
    }
    assert by_name == parse_server(raw, "berlin")
    assert by_name.model_dump(mode="json", by_alias=True, exclude_unset=True) == raw


@pytest.mark.parametrize(
    "change",
    [
        {"warn_days": 20},
        {"main": {"replace_now": True}},
        {"reserve": {"issue": {"before_days": 50}}},
        {"reserve": {"issue": {"apply": {"after_days": 30}}}},
        {"promotion": {"lead_minutes": 60}},
    ],
)
def test_yaml_takes_no_python_names(change: dict[str, Any]) -> None:
    """A key in snake_case is unknown at any depth."""
    for parse in (lambda raw: parse_server(raw, "berlin"), lambda raw: parse_stack({"servers": [raw]})):
        (line,) = problems(lambda parse=parse: parse({**SERVER, **change}))  # type: ignore[misc]
        assert "_" in line.partition(" is not a known key")[0]
        assert line.endswith("is not a known key (see docs/definition.md)")


def test_python_takes_no_camel_case() -> None:
    """Each language has one spelling."""
    camel_case: Any = {"beforeDays": 50}
    assert problems(lambda: IssueReserveSettings(**camel_case)) == [
        "IssueReserveSettings: beforeDays is not a known key (see docs/definition.md)"
    ]
    assert problems(lambda: ReserveSettings(issue=camel_case)) == [
        "ReserveSettings: issue.beforeDays is not a known key (see docs/definition.md)"
    ]


def test_a_constructor_reports_all_problems_together() -> None:
    """One error has a line for each problem, which names the argument."""
    assert problems(lambda: IssueReserveSettings(before_days=0, generation=0)) == [
        "IssueReserveSettings: before_days should be greater than or equal to 1",
        "IssueReserveSettings: generation should be greater than or equal to 1",
    ]
    assert problems(ApplySettings) == [
        "ApplySettings: takes exactly one of afterCurrentExpires: true, afterDays and at"
    ]


@pytest.mark.parametrize("secret", ["5f" * 20, "pass word", "hunter2!"])
def test_a_constructor_never_repeats_a_value(secret: str) -> None:
    """A secret value instead of the name of a secret is not shown."""  # R29
    (line,) = problems(lambda: NanoMdmSettings(url="https://mdm.example.com", api_key_secret=secret))
    assert "NanoMdmSettings: api_key_secret must be the name or ARN of a secret" in line
    assert secret not in line


def test_a_constructor_refuses_a_private_key() -> None:
    """The error for a private key in an argument does not repeat the key."""  # R29
    body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
    key = f"-----BEGIN {''}PRIVATE KEY-----\n{body}\n"
    (line,) = problems(lambda: AwsSettings(kms_key=key))
    assert "holds a private key" in line
    assert body not in line


def test_every_model_has_the_same_errors() -> None:
    """No model of the settings shows pydantic's own errors to a program."""
    found = list(models())
    assert ServerSettings in found
    for model in found:
        (line, *_) = problems(lambda model=model: model(surprise=1))  # type: ignore[misc]
        assert line.startswith(f"{model.__name__}: ")


class TestArguments:
    """The arguments of a component."""

    def test_arguments_become_the_settings_of_a_server(self) -> None:
        """Without settings of AWS the defaults apply."""
        reserve = ReserveSettings(none=True)
        server, aws = parse_arguments("berlin", {"address": "mdm.example.com", "reserve": reserve})
        assert server == parse_server({**SERVER, "reserve": {"none": True}}, "berlin")
        assert server.model_fields_set == {"name", "address", "reserve"}
        assert aws == AwsSettings()

    def test_all_problems_are_reported_together(self) -> None:
        """The error has the problems of the server, of AWS and of nested arguments, each with its Python name."""
        arguments = {"address": "mdm_1.example.com", "warn_days": 0, "reserve": {"isue": {}}}
        lines = problems(lambda: parse_arguments("Berlin", arguments, AwsSettings().model_copy()))
        assert all(line.startswith("server Berlin: ") for line in lines)
        assert [line.split()[2] for line in lines] == ["name", "address", "reserve.isue", "warn_days"]
        wrong: Any = {"region": 3}
        (line,) = problems(lambda: parse_arguments("berlin", {"address": "mdm.example.com"}, wrong))
        assert line == "server berlin: aws.region should be a valid string"

    def test_rules_between_arguments_hold(self) -> None:
        """Arguments that are valid alone can be invalid together."""  # R8
        reserve = ReserveSettings(issue=IssueReserveSettings(validity_days=398))
        (line,) = problems(lambda: parse_arguments("berlin", {"address": "mdm.example.com", "reserve": reserve}))
        assert line.startswith("server berlin: reserve.issue.validityDays is 398, but a reserve must not")
