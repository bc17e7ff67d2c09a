"""The component, declared with Python arguments and with a stack's configuration, without an engine."""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

import pulumi
import pytest
from pulumi.runtime import mocks, rpc, settings

import components
from components import (
    ApplySettings,
    AwsSettings,
    CertificateOutput,
    DefinitionError,
    IosMdmServer,
    IssueMainSettings,
    IssueReserveSettings,
    KeyType,
    MainSettings,
    PromotionSettings,
    ReserveSettings,
    ServerArguments,
    When,
    server_arguments,
)
from ios_mdm.app.read_ahead import Reading
from ios_mdm.resources.read_ahead import readings_of
from ios_mdm.settings import ServerSettings, parse_stack
from tools.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CERTIFICATE: dict[str, Any] = {
    "subject": "CN=mdm.example.com",
    "issuer": "OU=One-time root 0a,CN=mdm.example.com",
    "sans": ["mdm.example.com"],
    "serialNumber": "0a",
    "sha256": "ab" * 32,
    "root": "OU=One-time root 0a,CN=mdm.example.com",
    "rootSha256": "cd" * 32,
    "key": "EC P-256",
    "notBefore": "2040-01-01T00:00:00Z",
    "notAfter": "2041-01-01T00:00:00Z",
    "source": "issued",
    "pem": "PEM",
}
DESIRED = {"phase": "steady", "reason": "nothing is due", "main": "certificate 1", "reserve": "none", "trusted": []}


@dataclass(slots=True)
class Declared(mocks.Mocks):
    """Inputs of each resource by the last part of its type (and its name), and the registered outputs."""

    inputs: dict[str, Any] = field(default_factory=dict)
    all: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Record a resource, and return the outputs of a provider."""
        inputs = {k: v for k, v in args.inputs.items() if k != "__provider"}
        # The inputs of the run do not belong to the definition and are not recorded.
        kept = {k: v for k, v in inputs.items() if k not in {"run", "readings"}}
        self.inputs[args.typ.rpartition(":")[2]] = kept
        self.all.setdefault(args.typ.rpartition(":")[2], {})[args.name] = inputs
        pair = {"desired": DESIRED, "certificates": {"certificate 1": CERTIFICATE}, "applyAt": None, "switch": {}}
        return f"{args.name}-id", {
            **args.inputs,
            **pair,
            "secretArn": "arn:secret",
            "roleArn": "arn:role",
            "deadLetterArn": "arn:queue",
        }

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], None]:
        """Return nothing, because the component calls no functions."""
        raise NotImplementedError(args.token)


class _Monitor(mocks.MockMonitor):
    """Records the registered outputs, which Pulumi's own mock drops."""

    mocks: Declared

    def RegisterResourceOutputs(self, request: Any) -> object:  # noqa: N802 - the protocol's name
        outputs = rpc.deserialize_properties(request.outputs)
        if outputs:
            self.mocks.outputs.append(outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


@pytest.fixture
def declared() -> Iterator[Callable[[Callable[[], object]], Declared]]:
    """Return a function that runs a program against mocks, and returns what it declared."""

    def run(program: Callable[[], object]) -> Declared:
        found = Declared()
        mocks.set_mocks(found, project="other", stack="dev", preview=False, monitor=_Monitor(found))
        mocks.test(program)()  # type: ignore[no-untyped-call]
        return found

    # Pulumi uses the current event loop, and `asyncio.run` in another test removes it.
    try:
        asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:
        asyncio.set_event_loop(asyncio.new_event_loop())
    yield run
    settings.reset_options()


ISSUE = IssueReserveSettings(when=When.NOW, apply=ApplySettings(after_days=30))
ISSUE_YAML = {"when": "now", "apply": {"afterDays": 30}}


def test_a_server_with_an_address_only(declared: Callable[..., Declared]) -> None:
    """Inputs contain only given arguments, so that a preview shows nothing else."""
    found = declared(lambda: IosMdmServer("berlin", address="mdm.example.com"))
    pair = found.inputs["CertificatePair"]
    assert pair["definition"] == {"name": "berlin", "address": "mdm.example.com"}
    assert pair["aws"] == {}
    assert pair["secret"] == "ios-mdm/berlin"  # noqa: S105 - a name
    assert "ProfileDistribution" not in found.inputs


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ({}, {}),
        ({"reserve": ReserveSettings(issue=ISSUE)}, {"reserve": {"issue": ISSUE_YAML}}),
        ({"reserve": ReserveSettings(none=True)}, {"reserve": {"none": True}}),
        ({"reserve": None, "warn_days": None}, {"reserve": None}),
        (
            {"main": MainSettings(issue=IssueMainSettings(key=KeyType.EC_P256))},
            {"main": {"issue": {"key": "ec-p256"}}},
        ),
        ({"warn_days": 30, "take_over": "ab" * 16, "protect": True}, {"warnDays": 30, "takeOver": "ab" * 16}),
        ({"endpoints": ()}, {"endpoints": []}),
        ({"promotion": PromotionSettings(lead_minutes=60)}, {"promotion": {"leadMinutes": 60}}),
    ],
)
def test_python_and_yaml_declare_the_same(
    declared: Callable[..., Declared], arguments: dict[str, Any], written: dict[str, Any]
) -> None:
    """The arguments of a program and the same keys in a configuration give equal inputs."""
    aws = AwsSettings(secret_prefix="teams/mdm")  # noqa: S106 - a name
    by_hand = declared(lambda: IosMdmServer("berlin", address="MDM.example.com", aws=aws, **arguments))
    raw = {"name": "berlin", "address": "MDM.example.com", **written}
    stack = parse_stack({"aws": {"secretPrefix": "teams/mdm"}, "servers": [raw]})
    (server,) = stack.servers
    configured = declared(lambda: IosMdmServer(server.name, aws=stack.aws, **server_arguments(server)))
    assert by_hand.inputs == configured.inputs
    shown = {key: value for key, value in written.items() if key != "protect" and value is not None}
    definition = by_hand.inputs["CertificatePair"]["definition"]
    assert definition == {"name": "berlin", "address": "mdm.example.com", **shown}
    assert by_hand.inputs["CertificatePair"]["secret"] == "teams/mdm/berlin"  # noqa: S105 - a name


def test_the_outputs_are_attributes_and_not_stored_with_the_component(declared: Callable[..., Declared]) -> None:
    """The engine would write the whole state again for the outputs of each component."""
    seen: list[object] = []
    summaries: list[dict[str, object]] = []

    def program() -> pulumi.Output[None]:
        server = IosMdmServer("berlin", address="mdm.example.com")
        values = pulumi.Output.all(server.phase, server.apply_at, server.secret_arn, server.main["sha256"])
        summary = pulumi.Output.from_input(dict(server.summary)).apply(summaries.append)
        return pulumi.Output.all(values.apply(seen.extend), summary).apply(lambda _: None)

    assert declared(program).outputs == []
    assert seen == ["steady", None, "arn:secret", "ab" * 32]
    (summary,) = summaries
    assert {key: value for key, value in summary.items() if value is not None and key != "main"} == {
        "address": "mdm.example.com",
        "phase": "steady",
        "reason": "nothing is due",
        "secretArn": "arn:secret",
        "promotion": {"roleArn": "arn:role", "deadLetterArn": "arn:queue"},
    }


def test_wrong_arguments_are_one_error_before_anything_is_declared(declared: Callable[..., Declared]) -> None:
    """Each problem is one line with the server and the argument."""

    def program() -> None:
        with pytest.raises(DefinitionError) as caught:
            IosMdmServer("berlin", address="https://mdm.example.com", warn_days=0)
        first, second = str(caught.value).splitlines()
        assert first.startswith("server berlin: address must be a host name with an optional port")
        assert second.startswith("server berlin: warn_days should be greater than or equal to 1")

    assert declared(program).inputs == {}


def test_each_key_of_a_server_is_an_argument() -> None:
    """A new key of the settings without an argument of the component fails this test."""
    keys = set(ServerSettings.model_fields) - {"name"}
    assert ServerArguments.__required_keys__ | ServerArguments.__optional_keys__ == keys
    parameters = inspect.signature(IosMdmServer).parameters
    assert set(parameters) == keys | {"name", "aws", "opts"}


def test_each_key_of_a_certificate_is_typed() -> None:
    """The type of main and reserve has the keys of `docs/outputs.md`."""
    page = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
    assert [key for key in get_type_hints(CertificateOutput) if f"| `{key}` |" not in page] == []
    assert set(get_type_hints(CertificateOutput)) == {"certificate", *CERTIFICATE}


def test_the_names_that_a_program_may_import_exist() -> None:
    """The public names are one list."""
    assert [name for name in components.__all__ if not hasattr(components, name)] == []


def test_the_first_pairs_announce_all_servers_of_a_run(declared: Callable[..., Declared]) -> None:
    """The first 16 of 20 servers have all 20 in one text, and all 20 have the same name of the run."""

    def program() -> None:
        for number in range(20):
            IosMdmServer(f"s{number}", address=f"s{number}.example.com:8443", endpoints=["10.0.0.1:443"])

    pairs = declared(program).all["CertificatePair"]
    assert len({pair["run"] for pair in pairs.values()}) == 1
    assert sorted(name for name, pair in pairs.items() if "readings" in pair) == sorted(f"s{n}" for n in range(16))
    (text,) = pairs["s0"]["readings"]
    readings = json.loads(text)
    assert [one["server"] for one in readings] == [f"s{number}" for number in range(20)]
    assert readings[19] == {
        "server": "s19",
        "secret": "ios-mdm/s19",
        "host": "s19.example.com",
        "endpoints": ["10.0.0.1:443"],
    }


def test_readings_follow_from_the_settings(declared: Callable[..., Declared]) -> None:
    """Only values that differ from the defaults are passed, and the provider adds the defaults."""
    queue = "arn:aws:sqs:eu-west-1:000000000000:mine"
    role = "arn:aws:iam::000000000000:role/mine"
    promotion = PromotionSettings(alarm_arn=queue, role_arn=role, dead_letter_arn=queue)
    aws = AwsSettings(region="eu-west-1")

    def program() -> None:
        IosMdmServer("s0", address="s0.example.com", endpoints=[])
        IosMdmServer("s1", address="s1.example.com:8443", promotion=promotion, aws=aws)

    (text,) = declared(program).all["CertificatePair"]["s0"]["readings"]
    assert readings_of([text]) == [
        Reading(server="s0", secret="ios-mdm/s0"),  # noqa: S106 - a name
        Reading(
            server="s1",
            secret="ios-mdm/s1",  # noqa: S106 - a name
            region="eu-west-1",
            host="s1.example.com",
            endpoints=("s1.example.com:8443",),
            alarms=True,
            role=False,
            queue=False,
        ),
    ]
