"""Fixtures: the real engine, an AWS emulator and NanoMDM; the calls to the emulator and to NanoMDM are recorded."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from ios_mdm.core.pair.secret import TRUSTED_PREFIX
from ios_mdm.core.x509.digests import fingerprint
from tests.support.engine_aws import Aws, client
from tests.support.stack import Recorded, Stack, make_stack, recording_proxy
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from tools.services.testing import MdmServices

API_KEY_SECRET = "mdm/api-key"  # noqa: S105 - the name of a secret


@dataclass(slots=True, kw_only=True)
class World:
    """A separate stack on services that the session shares, and the account and region of its pair."""

    stack: Stack
    aws: Recorded
    mdm: Recorded
    services: MdmServices
    server: str
    client: Any
    region: str = ministack.REGION
    key: str = "test"

    @property
    def secret(self) -> str:
        """Name of the pair's secret."""
        return f"ios-mdm/{self.server}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the engine, with credentials of this account and region."""
        return {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region, "AWS_ACCESS_KEY_ID": self.key}

    @contextmanager
    def elsewhere(self, *, region: str = ministack.REGION, key: str = "test") -> Iterator[World]:
        """Yield the same server in another region or account, where the API key is stored, too."""
        other = client("secretsmanager", self.services.services.aws_url, region=region, key=key)
        add_api_key(other, self.services)
        yield replace(self, client=other, region=region, key=key)
        other.close()

    def definition(self, **changes: Any) -> dict[str, Any]:
        """Return a server that always has a reserve, without a distribution."""
        issue = {"when": "now", "apply": {"afterDays": 30}}
        base = {
            "name": self.server,
            "address": "mdm.example.com",
            "endpoints": [],
            "main": {"issue": {"key": "ec-p256"}},
            "reserve": {"issue": issue},
        }
        return {key: value for key, value in {**base, **changes}.items() if value is not None}

    def distribution(self, **changes: Any) -> dict[str, Any]:
        """Return a distribution to all simulated devices."""
        base = {
            "profile": {"identifier": f"com.example.{self.server}.trust", "organization": "Example"},
            "channel": {"nanomdm": {"url": self.mdm.url, "apiKeySecret": API_KEY_SECRET, "push": False}},
            "devices": list(self.services.fleet.ids()),
            "ledger": "sqlite:///ledger.sqlite",
        }
        return {**base, **changes}

    def profile(self, pair_id: str | None = None) -> str:
        """Return the PayloadIdentifier of a pair's profile; None for the pair of this server."""
        pair_id = pair_id or self.tags()["ios-mdm:pair-id"].partition(" ")[0]
        return f"com.example.{self.server}.trust.{pair_id[:12]}"

    def tags(self) -> dict[str, str]:
        """Return the tags of the pair's secret."""
        found = self.client.describe_secret(SecretId=self.secret)["Tags"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def trusted_roots(self) -> dict[str, set[str]]:
        """Return the fingerprints of the roots that each simulated device trusts, after processing its commands."""
        self.services.fleet.poll()
        return {
            device: {fingerprint(load_der_x509_certificate(der)) for one in profiles for der in one.roots()}
            for device, profiles in self.services.fleet.all_profiles().items()
        }

    def labels(self) -> dict[str, str]:
        """Return the version id that each label of a slot is on."""
        return {label: version for label, version in self._all_labels() if not label.startswith(TRUSTED_PREFIX)}

    def offered_certificates(self) -> set[int]:
        """Return the numbers of the certificates that devices may trust."""
        return {
            int(label.removeprefix(TRUSTED_PREFIX))
            for label, _ in self._all_labels()
            if label.startswith(TRUSTED_PREFIX)
        }

    def _all_labels(self) -> list[tuple[str, str]]:
        found = self.client.describe_secret(SecretId=self.secret)["VersionIdsToStages"]
        return [(label, version) for version, labels in found.items() for label in labels]

    def value(self, version: str) -> str:
        """Return the secret value of a version."""
        text: str = self.client.get_secret_value(SecretId=self.secret, VersionId=version)["SecretString"]
        return text

    def forget_calls(self) -> None:
        """Clear the recorded calls."""
        self.aws.calls.clear()
        self.mdm.calls.clear()


def check_safety(world: World, *, devices: Collection[str] = (), is_scheduled: bool = True) -> None:
    """Check the invariants of every operation on a server whose devices were sent its profile.

    Args:
        world: world of the server.
        devices: enrollment ids of the devices that were sent the profile; empty for all simulated devices.
        is_scheduled: whether a schedule promotes: the switch is not on hold, and Scheduler answers.

    These devices trust main, which the server presents. A promotion is armed if devices were sent the reserve: AWS has
    a schedule for it, with its role and its queue.
    """
    labels, tags = world.labels(), world.tags()
    main = json.loads(world.value(labels["AWSCURRENT"]))
    root = fingerprint(load_pem_x509_certificate(main["ca.crt"].encode()))
    trusted = world.trusted_roots()
    lost = [device for device in devices or world.services.fleet.ids() if root not in trusted.get(device, set())]
    assert not lost, f"devices do not trust main: {lost}"
    if labels.get("RESERVE") in {None, labels["AWSCURRENT"]}:
        return  # no reserve, or it became main, which the next run finds
    facts = tags[f"ios-mdm:certificate:{labels['RESERVE']}"]
    is_sent = facts.split()[0].removeprefix("n=") in tags.get("ios-mdm:sent", "").split()
    assert ("ios-mdm:armed" in tags) == (is_sent and is_scheduled)
    aws = Aws(world)
    found = aws.schedule()
    assert (found is not None) == (is_sent and is_scheduled), "armed if and only if devices were sent the reserve"
    if found is not None:
        assert json.loads(found["Target"]["Input"])["MoveToVersionId"] == labels["RESERVE"]
        assert found["Target"]["RoleArn"] == aws.role()
        assert aws.queue() is not None
    aws.close()


def add_api_key(secrets: Any, services: MdmServices) -> None:
    """Store the API key of the MDM server, unless it is stored already."""
    api_key = services.services.api_key.read_text(encoding="utf-8")
    with suppress(secrets.exceptions.ResourceExistsException):
        secrets.create_secret(Name=API_KEY_SECRET, SecretString=api_key)


@pytest.fixture
def world(tmp_path: Path, mdm_services: MdmServices) -> Iterator[World]:
    """Create a stack; its server has a name that no other test uses."""
    services = mdm_services.services
    secrets = client("secretsmanager", services.aws_url)
    add_api_key(secrets, mdm_services)
    with recording_proxy(services.aws_url) as aws, recording_proxy(services.mdm_url) as mdm:
        yield World(
            stack=make_stack(tmp_path, aws.url),
            aws=aws,
            mdm=mdm,
            services=mdm_services,
            server=f"s{uuid4().hex[:8]}",
            client=secrets,
        )
    secrets.close()


@pytest.fixture
def aws(world: World) -> Iterator[Aws]:
    """Return the emulator's other services."""
    found = Aws(world)
    yield found
    found.close()
