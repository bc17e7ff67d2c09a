"""`status` shows the watched certificates of a definition."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support.answering import answering_server
from tests.support.certificates import LEAF, NOW, Chain, SelfSigned, pem, private_pem
from tests.support.command_line import START, Pair
from tools.services import ministack

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

TOPIC = "com.apple.mgmt.External.e3b8ceac-1f18-2c8e-8a63-dd17d99435d9"
OTHER = "com.apple.mgmt.External.00000000-1f18-2c8e-8a63-dd17d99435d9"


def push_certificate(days: float) -> Certificate:
    """Return a push certificate that expires this many days after the start of the pair."""
    end = (START + timedelta(days=days) - NOW) / timedelta(days=1)
    name = x509.Name([x509.NameAttribute(NameOID.USER_ID, TOPIC), x509.NameAttribute(NameOID.COMMON_NAME, "APSP")])
    return SelfSigned(leaf=LEAF.but(name=name, days=(end - 365, end))).make().leaf


def watch(pair: Pair, *entries: dict[str, Any]) -> None:
    """Add entries to the definition."""
    stack = yaml.safe_load(pair.file.read_text(encoding="utf-8"))
    stack["config"]["ios-mdm:watch"] = list(entries)
    pair.file.write_text(yaml.safe_dump(stack), encoding="utf-8")


@pytest.fixture
def healthy(pair: Pair) -> Pair:
    """Return a pair without a warning."""
    pair.make(distributed=False)
    return pair


def test_a_valid_certificate_is_shown_after_the_servers(healthy: Pair) -> None:
    """The text has its name, source, subject and expiry; the exit code stays 0."""
    (healthy.folder / "push.pem").write_bytes(pem(push_certificate(200)))
    watch(healthy, {"name": "push", "file": "push.pem", "topic": TOPIC})
    result = healthy.status()
    assert result.code == 0, result.out + result.err
    block = result.out.partition("also watched: ok")[2]
    assert "push " in block
    assert "file push.pem" in block
    assert TOPIC in block
    assert "to 2040-07-19 00:00:00 UTC, 200 days left" in block


def test_json_has_the_watched_certificates(healthy: Pair) -> None:
    """Each entry has one shape. Without entries the list is empty."""
    assert json.loads(healthy.status("--json").out)["watched"] == []
    (healthy.folder / "push.pem").write_bytes(pem(push_certificate(20)))
    watch(
        healthy,
        {"name": "push", "file": "push.pem", "topic": OTHER},
        {"name": "gone", "file": "gone.pem"},
    )
    result = healthy.status("--json")
    answer = json.loads(result.out)
    assert result.code == 2
    assert answer["severity"] == "critical"
    push, gone = answer["watched"]
    assert list(push) == [
        *("name", "source", "subject", "sha256", "topic", "notAfter", "daysLeft", "severity", "notices"),
    ]
    assert (push["name"], push["topic"], push["severity"]) == ("push", TOPIC, "critical")
    assert [(one["reason"], one["severity"]) for one in push["notices"]] == [
        ("watched-topic", "critical"),
        ("watched-expiring", "warning"),
    ]
    assert "identity.apple.com/pushcert" in push["notices"][1]["message"]
    assert (gone["severity"], gone["notAfter"]) == ("warning", None)
    assert "gone.pem cannot be read: No such file or directory" in gone["notices"][0]["message"]


def test_a_source_that_does_not_answer_hides_nothing(healthy: Pair) -> None:
    """The server and the other entries are shown, and the exit code is that of a warning."""
    (healthy.folder / "ca.pem").write_bytes(pem(*Chain().make().chain))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/scep"
        watch(healthy, {"name": "scep-ca", "scep": {"url": url}}, {"name": "ca", "file": "ca.pem"})
        result = healthy.status()
    assert result.code == 1
    assert f"{healthy.name} (mdm.example.com): ok" in result.out
    assert "is down: connection refused" in " ".join(result.out.split())
    assert "file ca.pem" in result.out


def test_one_server_is_shown_without_the_watched_certificates(healthy: Pair) -> None:
    """With `--server`, no source is read."""
    watch(healthy, {"name": "gone", "file": "gone.pem"})
    result = healthy.status("--server", healthy.name, "--json")
    assert (result.code, json.loads(result.out)["watched"]) == (0, [])


def test_a_private_key_in_a_file_is_reported_without_its_text(healthy: Pair) -> None:
    """The message names the file."""  # R29 R39
    made = SelfSigned().make()
    key = private_pem(made.keys[0])
    (healthy.folder / "push.pem").write_bytes(pem(made.leaf) + key)
    watch(healthy, {"name": "push", "file": "push.pem"})
    result = healthy.status()
    assert result.code == 1
    assert "push.pem: it contains a private key" in " ".join(result.out.split())
    assert not any(line in result.out + result.err for line in key.decode().splitlines())


def test_the_push_certificate_in_nanomdm_is_watched(healthy: Pair) -> None:
    """The API key is read from its secret, and sent only to a URL that the secret allows."""  # R39
    client = boto3.client(
        "secretsmanager",
        endpoint_url=healthy.url,
        region_name=ministack.REGION,
        aws_access_key_id=ministack.CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ministack.CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    name = f"mdm/{healthy.name}"
    client.create_secret(Name=name, SecretString="an-api-key")
    with answering_server(json.dumps({"topic": TOPIC, "not_after": "2040-01-20T00:00:00Z"}).encode()) as server:
        watch(healthy, {"name": "push", "nanomdm": {"url": server.url, "apiKeySecret": name}, "topic": TOPIC})
        result = healthy.status("--json")
        (push,) = json.loads(result.out)["watched"]
        assert (push["notAfter"], push["daysLeft"], push["severity"]) == ("2040-01-20T00:00:00Z", 19, "warning")
        assert server.requests == [f"/v1/pushcert?topic={TOPIC}"]
        server.status, server.content = 500, b'{"error": "retrieve push cert: sql: no rows in result set"}'
        (push,) = json.loads(healthy.status("--json").out)["watched"]
        assert (push["severity"], push["notices"][0]["reason"]) == ("critical", "watched-topic")
        client.tag_resource(SecretId=name, Tags=[{"Key": "ios-mdm:url", "Value": "https://mdm.example.com"}])
        server.requests.clear()
        (push,) = json.loads(healthy.status("--json").out)["watched"]
        assert "watch push: nanomdm.apiKeySecret" in push["notices"][0]["message"]
        assert server.requests == []
