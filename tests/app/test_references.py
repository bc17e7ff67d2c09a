"""Attacks through the references of a definition: each tries to read a secret or to send it, on an emulator of AWS."""

from __future__ import annotations

import base64
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ios_mdm.app.references import url_refusal
from ios_mdm.errors import DefinitionError, IosMdmError
from ios_mdm.settings import DistributionSettings, InstallReserveSettings, parse_stack
from ios_mdm.wiring import Wiring
from tests.support.backends import ministack_url, no_aws
from tests.support.command_line import Pair, pair
from tests.support.custom_files import BY, PASSWORD, START, Leaf
from tests.support.taker import Taker, attacker
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["attacker", "ministack_url", "no_aws", "pair"]

KEY = "an-api-key"


def client(pair: Pair) -> Any:
    """Return a client of the emulator with all permissions."""
    return boto3.client(
        "secretsmanager",
        endpoint_url=pair.url,
        region_name=ministack.REGION,
        aws_access_key_id=ministack.CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ministack.CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def store_secret(pair: Pair, value: str | bytes, tags: Mapping[str, str] = MappingProxyType({})) -> str:
    """Store a value in a secret without a pair, and return the name of the secret."""
    name = f"mdm/{pair.name}"
    content = {"SecretString": value} if isinstance(value, str) else {"SecretBinary": value}
    client(pair).create_secret(Name=name, Tags=[{"Key": key, "Value": text} for key, text in tags.items()], **content)
    return name


def send_error(pair: Pair, secret: str, url: str) -> str:
    """Send a command to the MDM server at *url* with the API key in *secret*; return the error."""
    settings = DistributionSettings.model_validate(
        {
            "profile": {"identifier": "com.example.mdm"},
            "channel": {"nanomdm": {"url": url, "apiKeySecret": secret, "push": False}},
            "devices": ["AAAA-1"],
        }
    )
    with pytest.raises(IosMdmError) as caught:
        Wiring(environ=pair.environment(), base=pair.folder).channel(settings, None).enqueue(["AAAA-1"], b"<plist/>")
    return str(caught.value)


def references(pair: Pair) -> dict[str, str]:
    """Return the ways to name the secret of a pair."""
    arn = str(client(pair).describe_secret(SecretId=pair.secret)["ARN"])
    return {"name": pair.secret, "full ARN": arn, "partial ARN": arn.rpartition("-")[0]}


@pytest.mark.parametrize("kind", ["name", "full ARN", "partial ARN"])
def test_the_key_of_a_pair_is_never_sent_as_an_api_key(pair: Pair, attacker: Taker, kind: str) -> None:
    """The secret is recognized by its tags, so another prefix in the same definition does not help."""
    # R39
    pair.make(distributed=False)
    message = send_error(pair, references(pair)[kind], attacker.url)
    assert attacker.received == []
    assert "it has the tags of a pair" in message


@pytest.mark.parametrize("kind", ["name", "full ARN", "partial ARN"])
@pytest.mark.parametrize("key", ["bundle", "passwordSecret"])
def test_a_pair_is_no_bundle_and_no_password(pair: Pair, kind: str, key: str) -> None:
    """The value of the secret is not even read."""
    # R39
    pair.make(distributed=False)
    (pair.folder / "next.pfx").write_bytes(Leaf(START, 397).pfx())
    name = references(pair)[kind]
    given = {"bundle": f"secret:{name}"} if key == "bundle" else {"bundle": "next.pfx", key: name}
    reader = Wiring(environ=pair.environment(), base=pair.folder).bundles(None)
    with pytest.raises(DefinitionError, match=rf"^reserve\.install\.{key}: .*it has the tags of a pair"):
        reader.read(InstallReserveSettings.model_validate(given), BY)


PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA\n-----END EC PRIVATE KEY-----\n"
MISPLACED = {
    "JSON": ('{"tls.key": "hush-hush"}', "JSON"),
    "a JSON list": ('["hush-hush"]', "JSON"),
    "JSON after a byte order mark": ('\ufeff {"tls.key": "hush-hush"}\n', "JSON"),
    "lines": ("hush-hush\nhush-hush\n", "2 lines"),
    "lines of a Mac": ("hush-hush\rhush-hush", "2 lines"),
    "a private key": (PEM, "a PEM file"),
    "a private key on one line": (PEM.replace("\n", "\\n"), "a PEM file"),
    "a private key in Base64": (base64.b64encode(b"\x30\x81\x87" + bytes(0x87)).decode(), "Base64"),
    "a private key in URL-safe Base64": (
        base64.urlsafe_b64encode(b"\x30\x82\x01\x02" + b"\xfb" * 258).decode(),
        "Base64",
    ),
    "bytes": (b"\x30\x82\xff\xfe", "bytes"),
    "control characters": ("hush\0hush", "control characters"),
    "a text of 5,000 characters": ("hush-hush" * 600, "more than 4,096 characters"),
}


@pytest.mark.parametrize(("value", "said"), MISPLACED.values(), ids=list(MISPLACED))
def test_a_value_that_is_no_api_key_is_not_sent(pair: Pair, attacker: Taker, value: str | bytes, said: str) -> None:
    """A private key or a document in another secret is not sent either, and the message does not quote it."""
    # R39
    message = send_error(pair, store_secret(pair, value), attacker.url)
    assert attacker.received == []
    assert said in message
    assert "hush" not in message
    assert "MHcCAQEEIA" not in message


@pytest.mark.parametrize("value", [KEY, f"{KEY}\n", f" {KEY}\r\n", "4711", "{half", "MIIB", "a b"])
def test_an_api_key_is_sent(pair: Pair, attacker: Taker, value: str) -> None:
    """One line is sent without the white space around it. Other tags of the secret have no effect."""
    send_error(pair, store_secret(pair, value, {"team": "mobile"}), attacker.url)
    assert attacker.received == [f"nanomdm:{value.strip()}"]


def test_an_api_key_is_not_sent_to_another_url(pair: Pair, attacker: Taker) -> None:
    """A changed URL in the definition is not sufficient to get an API key, because its secret names the URL."""
    # R39
    name = store_secret(pair, KEY, {"ios-mdm:url": "https://mdm.example.com"})
    message = send_error(pair, name, attacker.url)
    assert attacker.received == []
    assert f"the secret {name} allows sending its API key only to https://mdm.example.com" in message
    assert f"aws secretsmanager tag-resource --secret-id {name} --tags Key=ios-mdm:url,Value=" in message


def test_an_api_key_is_sent_to_its_own_url(pair: Pair, attacker: Taker) -> None:
    """The tag with the URL does not mark the secret as that of a pair."""
    send_error(pair, store_secret(pair, KEY, {"ios-mdm:url": attacker.url}), attacker.url)
    assert attacker.received == [f"nanomdm:{KEY}"]


def test_an_api_key_without_a_url_is_sent_to_loopback_only(pair: Pair) -> None:
    """A first stack on one machine needs no tag. Each other URL needs the tag, even for the first use of a key."""
    # R39
    message = send_error(pair, store_secret(pair, KEY), "https://mdm.example.com")
    assert "has no tag ios-mdm:url that allows sending its API key to https://mdm.example.com" in message


@pytest.mark.parametrize(
    ("url", "allowed", "is_sent"),
    [
        ("https://mdm.example.com", "https://mdm.example.com/", True),
        ("https://MDM.example.com:443/", "https://mdm.example.com", True),
        ("https://mdm.example.com/nano", "https://mdm.example.com", True),
        ("https://mdm.example.com/a%7Eb/nano", "https://mdm.example.com/a~b", True),
        ("https://mdm.example.com", "https://mdm.example.com/nano", False),
        ("https://mdm.example.com/nanomdm", "https://mdm.example.com/nano", False),
        ("https://mdm.example.com/nano/../x", "https://mdm.example.com/nano", False),
        ("https://mdm.example.com/nano/%2e%2e/x", "https://mdm.example.com/nano", False),
        ("https://mdm.example.com/nano/..%2Fx", "https://mdm.example.com/nano", False),
        ("https://mdm.example.com/nano/%252e%252e/x", "https://mdm.example.com/nano", False),
        (r"https://mdm.example.com/nano/..\x", "https://mdm.example.com/nano", False),
        ("https://mdm.example.com/nano/..%5Cx", "https://mdm.example.com/nano", False),
        ("https://mdm.example.com/nano/..;/x", "https://mdm.example.com/nano", False),
        ("https://mdm.example.com/nano/..%00/x", "https://mdm.example.com/nano", False),
        ("http://127.0.0.1:9000", "https://127.0.0.1:9000", False),
        ("https://mdm.example.com:8443", "https://mdm.example.com", False),
        ("https://mdm.example.com.evil.example", "https://mdm.example.com", False),
        ("https://evil.example/mdm.example.com", "https://mdm.example.com", False),
        ("https://mdm.example.com", "mdm.example.com", False),
        ("https://mdm.example.com", "", False),
        ("https://mdm.example.com", "https://[", False),
        ("http://127.0.0.1:9000", "", False),
        ("http://localhost:9000", None, True),
        ("http://[::1]:9000", None, True),
        ("https://127.0.0.1.evil.example", None, False),
        ("https://localhost.evil.example", None, False),
    ],
)
def test_the_url_of_an_api_key(url: str, allowed: str | None, *, is_sent: bool) -> None:
    """Scheme, host and port must be equal, and the path must start with the path in the tag."""
    # R39
    assert (url_refusal(url, allowed, "mdm/api-key") is None) == is_sent


@pytest.mark.parametrize("password", [f'{{"password": "{PASSWORD}"}}', f"{PASSWORD}\n{PASSWORD}\n", PEM])
def test_a_value_that_is_no_password_is_not_quoted(pair: Pair, password: str) -> None:
    """A password, too, must be one line."""
    # R39
    (pair.folder / "next.pfx").write_bytes(Leaf(START, 397).pfx())
    install = InstallReserveSettings.model_validate(
        {"bundle": "next.pfx", "passwordSecret": store_secret(pair, password)}
    )
    reader = Wiring(environ=pair.environment(), base=pair.folder).bundles(None)
    with pytest.raises(DefinitionError, match=r"^reserve\.install\.passwordSecret: the secret \S+ holds ") as caught:
        reader.read(install, BY)
    assert PASSWORD not in str(caught.value)
    assert "MHcCAQEEIA" not in str(caught.value)


PREFIXED = {
    "name": "ios-mdm/berlin",
    "another case": "IOS-MDM/Berlin",
    "full ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ios-mdm/berlin-AbCdEf",
    "partial ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ios-mdm/berlin",
    "ARN in another case": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:Ios-Mdm/berlin",
    "another partition": "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:ios-mdm/berlin",
}


@pytest.mark.parametrize("secret", PREFIXED.values(), ids=list(PREFIXED))
@pytest.mark.parametrize("key", ["apiKeySecret", "passwordSecret", "bundle"])
def test_a_reference_to_a_secret_under_the_prefix_is_refused_without_aws(secret: str, key: str) -> None:
    """The definition alone shows it, so preview, status and forecast refuse it. The prefix decides what is refused."""
    # R39

    def server() -> dict[str, Any]:
        one: dict[str, Any] = {"name": "berlin", "address": "mdm.example.com"}
        if key == "apiKeySecret":
            nanomdm = {"url": "https://mdm.example.com", "apiKeySecret": secret}
            profile = {"identifier": "com.example.mdm"}
            return {**one, "distribution": {"profile": profile, "channel": {"nanomdm": nanomdm}, "devices": ["A-1"]}}
        given = {"bundle": f"secret:{secret}"} if key == "bundle" else {"bundle": "next.pfx", key: secret}
        return {**one, "reserve": {"install": given}}

    with pytest.raises(DefinitionError, match=rf"server 'berlin': \S+{key} names a secret under ios-mdm/"):
        parse_stack({"servers": [server()]})
    parse_stack({"aws": {"secretPrefix": "pairs"}, "servers": [server()]})


@pytest.mark.parametrize(
    "name", ["ios-mdm/berlin:x", "x:secret:ios-mdm/berlin", "ARN:aws:secretsmanager:eu:1:secret:a"]
)
def test_a_reference_in_another_form_is_refused(name: str) -> None:
    """Only names and ARNs in the form of AWS are accepted, so no other form can refer to a pair."""
    # R39
    with pytest.raises(DefinitionError, match="must be the name or ARN of a secret"):
        InstallReserveSettings(bundle="next.pfx", password_secret=name)
