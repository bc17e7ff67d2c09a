"""Values that one run stores in AWS, on devices and in Pulumi's state. A change here is a change of a format.

Rare records (a damaged tag, a former key, a custom certificate) are frozen in ``tests/core/pair/test_layout.py``, and
the payloads of a profile in ``tests/core/test_profile.py``. ``docs/storage.md`` describes the formats.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from ios_mdm.core.pair.schedule import Kind
from tests.support.days import DAY_0, at
from tests.support.engine import check_safety
from tests.support.engine_aws import Aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.engine import World

SERVER = "frozen"
"""No other test has this server. Its name makes all names and version ids below predictable."""
MAIN, RESERVE = "60a3a63b-80db-52b2-98a1-ce9202edaa06", "e9badefd-301d-5256-9a2c-bae8a389c324"
SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:ios-mdm/frozen-<6>"  # noqa: S105 - a name
ROLE_ARN = "arn:aws:iam::000000000000:role/ios-mdm/ios-mdm-frozen-35c727a86f"
QUEUE_ARN = "arn:aws:sqs:eu-west-1:000000000000:ios-mdm-frozen-9a1a0f9ff2-dead-letters"
TOPIC_ARN = "arn:aws:sns:eu-west-1:000000000000:alarms"

FACTS = "source=issued generation=1 role={} notBefore=20391231T235500Z notAfter=20410131T235459Z sha256=<64> root=<64>"
TAGS = {
    "ios-mdm:address": "mdm.example.com",
    "ios-mdm:announced": "2 <64>",
    "ios-mdm:armed": "2 20400131T000000Z",
    f"ios-mdm:certificate:{MAIN}": f"n=1 {FACTS.format('main')}",
    f"ios-mdm:certificate:{RESERVE}": f"n=2 {FACTS.format('reserve')}",
    "ios-mdm:highest-ordinal": "2",
    "ios-mdm:main-generation": "1",
    "ios-mdm:owner": "organization/ios-mdm/test",
    "ios-mdm:pair-id": "<pair id> 000000000000:eu-west-1:ios-mdm/frozen",
    "ios-mdm:profile:<12>": "com.example.frozen.trust.<pair id, 12>",
    "ios-mdm:resource-id": "<resource id>",
    "ios-mdm:sent": "1 2 devices:<16>",
}
LABELS = {MAIN: ["AWSCURRENT", "TRUSTED-1"], RESERVE: ["RESERVE", "TRUSTED-2"]}

PROMOTION_INPUT = {
    "MoveToVersionId": RESERVE,
    "RemoveFromVersionId": MAIN,
    "SecretId": SECRET_ARN,
    "VersionStage": "AWSCURRENT",
}
SCHEDULES = {
    "ios-mdm-frozen-9a1a0f9ff2-promote": (
        "at(2040-01-31T00:00:00)",
        "arn:aws:scheduler:::aws-sdk:secretsmanager:updateSecretVersionStage",
        PROMOTION_INPUT,
    ),
    "ios-mdm-frozen-9a1a0f9ff2-overdue": (
        "at(2040-02-03T00:00:00)",
        TOPIC_ARN,
        {"source": "ios-mdm", "server": SERVER, "alarm": "overdue", "message": "<message>"},
    ),
    "ios-mdm-frozen-9a1a0f9ff2-expiry": (
        "at(2041-01-01T23:55:00)",
        TOPIC_ARN,
        {"source": "ios-mdm", "server": SERVER, "alarm": "expiry", "message": "<message>"},
    ),
}

DEFINITION = {
    "name": SERVER,
    "address": "mdm.example.com",
    "endpoints": [],
    "main": {"issue": {"key": "ec-p256"}},
    "promotion": {"alarmArn": TOPIC_ARN},
    "reserve": {"issue": {"when": "now", "apply": {"afterDays": 30}}},
}
DISTRIBUTION = {
    "channel": {"nanomdm": {"apiKeySecret": "mdm/api-key", "push": False, "url": "<url>"}},
    "devices": ["<device>"] * 5,
    "ledger": "sqlite:///ledger.sqlite",
    "profile": {"identifier": "com.example.frozen.trust", "organization": "Example"},
}
CERTIFICATE = {
    "issuer": "<root>",
    "key": "EC P-256",
    "notAfter": "2041-01-31T23:54:59Z",
    "notBefore": "2039-12-31T23:55:00Z",
    "pem": "<pem>",
    "root": "<root>",
    "rootSha256": "<64>",
    "sans": ["mdm.example.com"],
    "serialNumber": "<serial number>",
    "sha256": "<64>",
    "source": "issued",
    "subject": "CN=mdm.example.com",
}
SWITCH = {
    "expiry": {"at": "2041-01-01T23:55:00Z", "message": "<message>"},
    "overdue": {"at": "2040-02-03T00:00:00Z", "message": "<message>"},
    "promote": {"at": "2040-01-31T00:00:00Z", "certificate": 2, "formerVersion": MAIN, "version": RESERVE},
}
PAIR_INPUTS = {
    "__provider": ("ios_mdm.resources.certificate_pair", "CertificatePairProvider"),
    "aws": {},
    "definition": DEFINITION,
    "desired": {
        "main": "certificate 1",
        "phase": "overlap",
        "reason": "the reserve becomes main 30 days after it was issued",
        "reserve": "certificate 2",
        "trusted": [1, 2],
    },
    "distributed": True,
    "home": {"account": "000000000000", "region": "eu-west-1"},
    "mainSha256": "<64>",
    "observed": "<16>",
    "owner": "organization/ios-mdm/test",
    "pairId": "<pair id>",
    "repairs": 0,
    "resourceId": "<resource id>",
    "secret": "ios-mdm/frozen",
    "secretArn": SECRET_ARN,
    "server": SERVER,
}
PAIR_OUTPUTS = {
    **PAIR_INPUTS,
    "applyAt": "2040-01-31T00:00:00Z",
    "certificates": {
        "certificate 1": {**CERTIFICATE, "number": 1},
        "certificate 2": {**CERTIFICATE, "number": 2},
    },
    "deadLetterArn": QUEUE_ARN,
    "roleArn": ROLE_ARN,
    "switch": SWITCH,
}
DISTRIBUTION_OUTPUTS = {
    "__provider": ("ios_mdm.resources.profile_distribution", "ProfileDistributionProvider"),
    "aws": {},
    "chains": {"1": "<64>", "2": "<64>"},
    "deviceCount": 5,
    "devicesSha256": "<64>",
    "distribution": DISTRIBUTION,
    "host": "mdm.example.com",
    "identifier": "com.example.frozen.trust.<pair id, 12>",
    "profileSha256": "<64>",
    "repairs": 0,
    "revision": 1,
    "secret": "ios-mdm/frozen",
    "server": SERVER,
    "trusted": [1, 2],
}
DISTRIBUTION_INPUTS = {
    **DISTRIBUTION_OUTPUTS,
    "isDecided": True,
    "pairId": "<pair id>",
    "promotion": {"alarmArn": TOPIC_ARN},
    "resourceId": "<resource id>",
    "secretArn": SECRET_ARN,
    "switch": SWITCH,
}
STATE = {
    "pulumi-python:dynamic/ios-mdm:CertificatePair": ("ios-mdm/frozen", PAIR_INPUTS, PAIR_OUTPUTS),
    "pulumi-python:dynamic/ios-mdm:ProfileDistribution": ("frozen-profile", DISTRIBUTION_INPUTS, DISTRIBUTION_OUTPUTS),
}

RANDOM = (
    (
        r"^OU=One-time root [0-9a-f]{16},CN=mdm.example.com$|^CN=mdm.example.com,OU=One-time root [0-9a-f]{16}$",
        "<root>",
    ),
    (r"(?s)-----BEGIN CERTIFICATE-----.*", "<pem>"),
    (r"(?<=[= ])[0-9a-f]{64}\b|^[0-9a-f]{64}$", "<64>"),
    (r"(?<=devices:)[0-9a-f]{16}$|^[0-9a-f]{16}$", "<16>"),
    (r"(?<=secret:ios-mdm/frozen-)\w{6}$", "<6>"),
    (r"(?<=^ios-mdm:profile:)[\w-]{12}$", "<12>"),
    (r"^http://127.0.0.1:\d+$", "<url>"),
    (r"^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$", "<device>"),
)
"""Patterns of values that differ between runs."""


@pytest.fixture
def stored(world: World) -> Iterator[World]:
    """Return a world with a pair, its reserve and a distribution, after a second run, which records the ids."""
    world.server = SERVER
    promotion = {"alarmArn": TOPIC_ARN}
    world.stack.define([world.definition(promotion=promotion, distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    world.stack.up(**at(DAY_0)).ok()
    yield world
    world.client.delete_secret(SecretId=world.secret, ForceDeleteWithoutRecovery=True)


def _stable(value: Any, ids: dict[str, str]) -> Any:
    """Return *value* with placeholders for random values."""
    if isinstance(value, dict):
        found = {_stable(key, ids): _stable(one, ids) for key, one in value.items()}
        names = {"serialNumber": "<serial number>", "message": "<message>"}
        return {key: names.get(key, one) for key, one in found.items()}
    if isinstance(value, list):
        return [_stable(one, ids) for one in value]
    if not isinstance(value, str):
        return value
    text = value
    for one, name in ids.items():
        text = text.replace(one, name)
    for pattern, name in RANDOM:
        text = re.sub(pattern, name, text)
    return text


def _ids(world: World) -> dict[str, str]:
    tags = world.tags()
    pair_id, resource_id = tags["ios-mdm:pair-id"].split(" ")[0], tags["ios-mdm:resource-id"]
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in (pair_id, resource_id))
    return {pair_id: "<pair id>", pair_id[:12]: "<pair id, 12>", resource_id: "<resource id>"}


def _class(provider: str) -> tuple[str, ...]:
    """Return module and class in the state's reference to the provider."""
    return tuple(re.findall(r"[A-Za-z_.]{12,}", base64.b64decode(provider).decode("latin-1")))


def test_stored_data_of_a_run(stored: World) -> None:
    """Tags and labels of the secret; names and content of the schedules; role and queue; the profile; the state."""
    # R14 R33 R34 R35 R36
    world, ids, aws = stored, _ids(stored), Aws(stored)
    assert _stable(world.tags(), ids) == TAGS
    stages = world.client.describe_secret(SecretId=world.secret)["VersionIdsToStages"]
    assert {version: sorted(labels) for version, labels in stages.items()} == LABELS
    schedules = {}
    for schedule in map(aws.schedule, Kind):
        assert schedule is not None
        target = schedule["Target"]
        assert (target["RoleArn"], target["DeadLetterConfig"]["Arn"]) == (ROLE_ARN, QUEUE_ARN)
        content = _stable(json.loads(target["Input"]), ids)
        schedules[schedule["Name"]] = (schedule["ScheduleExpression"], target["Arn"], content)
    assert schedules == SCHEDULES
    assert (aws.role(), str(aws.queue()).rpartition("/")[2]) == (ROLE_ARN, QUEUE_ARN.rpartition(":")[2])
    world.services.fleet.poll()
    profiles = {one.identifier for one in world.services.fleet.profiles(world.services.fleet.ids()[0])}
    assert "com.example.frozen.trust.<pair id, 12>" in {_stable(one, ids) for one in profiles}
    state = {}
    for one in json.loads(world.stack.export())["deployment"]["resources"]:
        if one["type"] in STATE:
            paths = [_class(one[side].pop("__provider")) for side in ("inputs", "outputs")]
            inputs, outputs = (
                {**_stable(one[side], ids), "__provider": path}
                for side, path in zip(("inputs", "outputs"), paths, strict=True)
            )
            state[one["type"]] = (one["id"], inputs, outputs)
    assert state == STATE
    aws.close()
    check_safety(world)
