"""The secret stores and schedulers that the contract tests run on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid4, uuid5

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from ios_mdm.adapters import aws
from ios_mdm.adapters.prerequisites import AwsPrerequisites
from ios_mdm.adapters.scheduler import EventBridgeScheduler
from ios_mdm.adapters.secrets_manager import SecretsManager
from tests.support.aws import AWS
from tests.support.memory import MemorySecretStore
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler
from tools.services import ministack, process
from tools.services.ports import LOOPBACK
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.ports import Prerequisites, Scheduler, SecretStore

_REAL_AWS = os.environ.get("IOS_MDM_TEST_REAL_AWS") == "1"
_BACKENDS = ("memory", "moto", "ministack", *(("aws",) if _REAL_AWS else ()))
_AWS_VARIABLES = (
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A store, and a secret name that is used only here.

    Args:
        name: memory, moto, ministack or aws.
        store: store under test.
        secret: name of the secret; the secret does not exist yet.
    """

    name: str
    store: SecretStore
    secret: str

    def version(self, ordinal: int) -> str:
        """Return the version id of the certificate with this number."""
        return str(uuid5(NAMESPACE_URL, f"{self.secret}/{ordinal}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchBackend:
    """The adapters of a switch, and a prefix of names that is used only here.

    Args:
        name: memory, moto, ministack or aws.
        scheduler: scheduler under test.
        prerequisites: prerequisites under test.
        store: a secret store in the same account.
        stem: prefix of the names of schedules, role and queue.
    """

    name: str
    scheduler: Scheduler
    prerequisites: Prerequisites
    store: SecretStore
    stem: str


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Remove every AWS setting of this machine; drop the cached clients afterwards."""
    for variable in _AWS_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    aws.close_clients()
    yield monkeypatch
    aws.close_clients()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """Run moto on a free port of loopback."""
    server = ThreadedMotoServer(LOOPBACK, 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://{LOOPBACK}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def ministack_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run ministack as a process on a free port of loopback."""
    state = tmp_path_factory.mktemp("ministack")
    service = ministack.service(Toolchain.load().ministack, state / "data")
    yield process.ensure(state, service).url
    process.stop(state, service.name)


def point_to_emulator(name: str, request: pytest.FixtureRequest) -> None:
    """Point AWS clients to the emulator of this name."""
    patch: pytest.MonkeyPatch = request.getfixturevalue("no_aws")
    patch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue(f"{name}_url"))
    for variable, value in ministack.CREDENTIALS.items():
        patch.setenv(variable, value)


@pytest.fixture(params=_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each store in turn, with the name of a secret that does not exist yet."""
    name: str = request.param
    secret = f"ios-mdm-test/{uuid4()}"
    if name == "memory":
        yield Backend(name=name, store=MemorySecretStore(), secret=secret)
        return
    if name != "aws":
        point_to_emulator(name, request)
    store = SecretsManager(aws=AWS)
    yield Backend(name=name, store=store, secret=secret)
    if name == "aws":
        store.delete(secret, recovery_window_days=7)
        aws.close_clients()


def _switch(name: str, stem: str) -> SwitchBackend:
    return SwitchBackend(
        name=name,
        scheduler=EventBridgeScheduler(aws=AWS),
        prerequisites=AwsPrerequisites(aws=AWS),
        store=SecretsManager(aws=AWS),
        stem=stem,
    )


@pytest.fixture(params=["moto", "ministack"])
def emulated(request: pytest.FixtureRequest) -> SwitchBackend:
    """Each emulator in turn, for manual changes in the console: the tests make them with the emulator's clients."""
    point_to_emulator(request.param, request)
    return _switch(request.param, f"ios-mdm-test-{uuid4().hex[:20]}")


@pytest.fixture(params=_BACKENDS)
def switch_backend(request: pytest.FixtureRequest) -> Iterator[SwitchBackend]:
    """Each switch in turn, without schedules, role and queue."""
    name: str = request.param
    stem = f"ios-mdm-test-{uuid4().hex[:20]}"
    if name == "memory":
        scheduler, prerequisites = MemoryScheduler(), MemoryPrerequisites()
        yield SwitchBackend(
            name=name, scheduler=scheduler, prerequisites=prerequisites, store=MemorySecretStore(), stem=stem
        )
        return
    if name != "aws":
        point_to_emulator(name, request)
    found = _switch(name, stem)
    yield found
    if name == "aws":
        found.scheduler.delete(stem)
        found.prerequisites.delete_role(stem)
        found.prerequisites.delete_queue(stem)
        found.store.delete(stem, recovery_window_days=7)
        aws.close_clients()
