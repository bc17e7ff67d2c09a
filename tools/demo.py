"""``make demo``: starts local services, runs `pulumi up` on the stack `demo`, and shows the result.

All files are in ``.demo/`` of the checkout (mode 0700): state, data, logs, and ``env``, which a shell can source. If
the default port of NanoMDM is taken, ``.demo/`` also has a copy of ``Pulumi.demo.yaml`` with another port.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.core.ledger.values import DeviceState, StatePolicy
from ios_mdm.errors import IosMdmError
from tools.services import local, ministack, process, records
from tools.services.fleet import FleetError
from tools.services.ports import LOOPBACK
from tools.services.process import ServiceError
from tools.services.secret_file import secret, write_private
from tools.steps import duration, say
from tools.toolchain import ROOT, Toolchain, ToolchainMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEVICES = 5
PORTS = local.Ports(aws=4566, mdm=9000, scep=9001)
RECEIVER_PORT = 9100
STACK = "demo"
STACK_FILE = ROOT / f"Pulumi.{STACK}.yaml"
CONFIG_FILE = "PULUMI_OPTION_CONFIG_FILE"
"""Environment variable for the engine's option ``--config-file``."""
API_KEY_SECRET = "mdm/api-key"  # noqa: S105 - the name of a secret
RECEIVER = "receiver"
ANSWER_LIMIT = 60.0
"""Seconds to wait until the devices' answers are in the ledger."""

SHELL_VARIABLES = (
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",  # it has priority over AWS_ENDPOINT_URL
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    CONFIG_FILE,
    "PULUMI_STACK",
)
"""Variables of other stacks and of the real AWS in the user's shell. None of them must reach the demo."""
LAST_EXIT_CODE_WITH_A_RESULT = 2
"""Exit codes of `status`: 0 ok, 1 warning, 2 critical. A greater code means that the state is unknown."""

_URL = re.compile(r"(?<=url: )http://127\.0\.0\.1:\d+")


class DemoError(Exception):
    """The demo failed. The message is the line that the user sees."""


def main(arguments: list[str]) -> int:
    """Run ``up``, ``down`` or ``clean``; return the exit code."""
    _forget_the_shell()
    commands = {"up": up, "down": down, "clean": clean}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"usage: python -m tools.demo {'|'.join(commands)}", file=sys.stderr)
        return 2
    try:
        commands[arguments[0]](ROOT / ".demo")
    except (BotoCoreError, ClientError) as error:
        print(f"error: the AWS emulator reported: {error}", file=sys.stderr)
        return 1
    except (DemoError, ServiceError, FleetError, IosMdmError, ToolchainMissingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: `make demo` continues, `make demo-down` stops the services", file=sys.stderr)
        return 130
    return 0


def up(state: Path) -> None:
    """Start the services, run `pulumi up`, let the devices fetch the profile, and print the status."""
    tools = Toolchain.load()
    if _is_copied(state):
        # A copy lacks the pair: the emulator writes its data to files only when it stops.
        print("== .demo is a copy from another checkout: the demo starts with empty data")
        clean(state)
    print("== local services")
    services = _services(state, tools)
    definition = _definition(state, services.mdm_url)
    environment = _environment(state, services, tools, definition)
    print("== pulumi up")
    began = time.monotonic()
    _pulumi(environment, "stack", "select", "--create", STACK)
    _pulumi(environment, "up", "--yes", "--suppress-outputs")
    say("pulumi", f"done in {duration(time.monotonic() - began)}")
    print("== devices")
    _check_in(state, services, environment)
    print("== result", flush=True)
    code = subprocess.run(
        [tools.python, "-m", "ios_mdm", "status", definition],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    ).returncode
    if code > LAST_EXIT_CODE_WITH_A_RESULT:
        raise DemoError("`ios-mdm status` failed, see its output above")
    print(_NEXT)


def _is_copied(state: Path) -> bool:
    """Return whether the folder is a copy of another one. A moved or renamed folder is not a copy."""
    marker = state / "folder"
    return marker.exists() and marker.read_text(encoding="ascii") != _folder_id(state)


def _folder_id(state: Path) -> str:
    found = state.stat()
    return f"{found.st_dev}:{found.st_ino}"


def down(state: Path) -> None:
    """Stop the services that :func:`up` started, and keep the data."""
    stopped = list(local.down(state))
    if state.exists():
        with records.state_lock(state.resolve()):
            stopped += [RECEIVER] if process.stop(state.resolve(), RECEIVER) else []
    print(f"stopped: {', '.join(stopped) or 'nothing was running'}")


def clean(state: Path) -> None:
    """Stop the services and delete the data."""
    down(state)
    if state.exists():
        shutil.rmtree(state)
    print("deleted: .demo")


def _services(state: Path, tools: Toolchain) -> local.LocalServices:
    """Start the services, the receiver first: the enrollments of the devices are its first events."""
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "folder").write_text(_folder_id(state), encoding="ascii")
    began = time.monotonic()
    with records.state_lock(state.resolve()):
        receiver = process.ensure(state.resolve(), _receiver(state.resolve(), tools), wished_port=RECEIVER_PORT)
    executables = local.Executables(
        ministack=tools.ministack, nanomdm=tools.nanomdm, scepserver=tools.scepserver, mdmb=tools.mdmb
    )
    services = local.up(state, executables, webhook_url=f"{receiver.url}/", devices=DEVICES, ports=PORTS)
    say("AWS emulator", services.aws_url)
    say("NanoMDM", services.mdm_url)
    say("SCEP server", services.scep_url)
    say("receiver", f"{receiver.url}, records the devices' answers in .demo/ledger.sqlite")
    say("devices", f"{len(services.fleet.ids())} enrolled, ready in {duration(time.monotonic() - began)}")
    (state / "devices.txt").write_text("".join(f"{one}\n" for one in services.fleet.ids()), encoding="ascii")
    _store_api_key(services)
    return services


def _receiver(state: Path, tools: Toolchain) -> process.Service:
    key = state / "mdm-webhook-key"
    secret(key)

    def command(port: int) -> process.Command:
        arguments = ("--ledger", f"sqlite:///{state / 'ledger.sqlite'}", "--listen", f"{LOOPBACK}:{port}")
        return process.Command(
            argv=(str(tools.python), "-m", "ios_mdm", "receive", *arguments, "--hmac-key-file", str(key)),
        )

    return process.Service(name=RECEIVER, command=command, health="/")


def _store_api_key(services: local.LocalServices) -> None:
    """Store NanoMDM's API key in Secrets Manager, under the name in the definition."""
    import boto3  # noqa: PLC0415 - `down` and `clean` need no AWS

    client = boto3.client(
        "secretsmanager",
        endpoint_url=services.aws_url,
        region_name=ministack.REGION,
        aws_access_key_id=ministack.CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ministack.CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    key = services.api_key.read_text(encoding="ascii")
    try:
        client.create_secret(Name=API_KEY_SECRET, SecretString=key)
    except client.exceptions.ResourceExistsException:
        if client.get_secret_value(SecretId=API_KEY_SECRET)["SecretString"] != key:
            client.put_secret_value(SecretId=API_KEY_SECRET, SecretString=key)


def _environment(state: Path, services: local.LocalServices, tools: Toolchain, definition: Path) -> Mapping[str, str]:
    """Return the environment variables of the demo's commands, and write them to ``.demo/env`` for a shell."""
    backend = state / "pulumi"
    backend.mkdir(exist_ok=True)
    settings = {
        **tools.environment(),
        **ministack.CREDENTIALS,
        "AWS_ENDPOINT_URL": services.aws_url,
        "AWS_DEFAULT_REGION": ministack.REGION,  # some versions of the AWS CLI read only this variable
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PULUMI_BACKEND_URL": backend.resolve().as_uri(),
        "PULUMI_HOME": str(state.resolve() / "pulumi-home"),
        # Empty, because the state has no secret to protect (R29).
        "PULUMI_CONFIG_PASSPHRASE": "",
    }
    if definition != STACK_FILE:
        settings[CONFIG_FILE] = str(definition)
    path = settings.pop("PATH").removesuffix(os.environ.get("PATH", os.defpath))
    lines = [f"unset {' '.join(SHELL_VARIABLES)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(settings.items())]
    lines.append(f'export PATH={shlex.quote(path)}"$PATH"')
    lines += [f'export {name}="{LOOPBACK}${{{name}:+,${name}}}"' for name in ("NO_PROXY", "no_proxy")]
    write_private(state / "env", ("\n".join(lines) + "\n").encode())
    return {**settings, "PATH": path + os.environ.get("PATH", os.defpath)}


def _forget_the_shell() -> None:
    """Remove the settings of other stacks, of the real AWS, and of a proxy for 127.0.0.1 from the environment."""
    for name in SHELL_VARIABLES:
        os.environ.pop(name, None)
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [LOOPBACK, os.environ.get(name)]))


def _definition(state: Path, mdm_url: str) -> Path:
    """Return the stack's file: that of the checkout, or a copy with another URL if NanoMDM's default port is taken."""
    text = STACK_FILE.read_text(encoding="utf-8")
    wanted = _URL.sub(mdm_url, text)
    if wanted == text:
        return STACK_FILE
    copy = state.resolve() / STACK_FILE.name
    copy.write_text(wanted, encoding="utf-8")
    say("definition", f".demo/{copy.name} is {STACK_FILE.name} with {mdm_url}")
    return copy


def _pulumi(environment: Mapping[str, str], *arguments: str) -> None:
    engine = shutil.which("pulumi", path=environment["PATH"])
    if engine is None:
        raise DemoError("pulumi is missing: run `make bootstrap`")
    code = subprocess.run([engine, *arguments], cwd=ROOT, env={**os.environ, **environment}, check=False).returncode
    if code != 0:
        raise DemoError(
            f"`pulumi {' '.join(arguments)}` exited with code {code}, see its output above: run `make demo` to "
            "continue, or `make demo-clean` to delete the demo's data"
        )


def _check_in(state: Path, services: local.LocalServices, environment: Mapping[str, str]) -> None:
    """Let the devices fetch and answer their commands, and wait until the answers are in the ledger."""
    began = time.monotonic()
    poll = services.fleet.poll()
    if poll.failed:
        raise DemoError(f"devices could not connect: {next(iter(poll.failed.values()))}")
    shown = subprocess.run(
        [str(shutil.which("pulumi", path=environment["PATH"])), "stack", "output", "servers", "--json"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
        stdout=subprocess.PIPE,
    )
    if shown.returncode != 0:
        raise DemoError("the outputs of the stack cannot be read, see the error above")
    server = next(iter(json.loads(shown.stdout)))
    ledger = SqliteLedger(state / "ledger.sqlite")

    def waiting() -> bool:
        publication = ledger.publication(server)
        policy = StatePolicy(revision=None if publication is None else publication.revision)
        return ledger.counts(server, policy, enrollment_ids=services.fleet.ids())[DeviceState.QUEUED] > 0

    try:
        Retrying(retry=retry_if_result(bool), wait=wait_fixed(0.1), stop=stop_after_delay(ANSWER_LIMIT))(waiting)
    except RetryError:
        raise DemoError(
            f"the devices' answers did not reach the ledger within {ANSWER_LIMIT:.0f} s: see .demo/receiver.log"
        ) from None
    say("devices", f"fetched and answered their commands in {duration(time.monotonic() - began)}")


_NEXT = """== next steps
  . .demo/env                          adds pulumi and the demo's settings to this shell; then, for example:
  pulumi preview                       no pending changes: 4 unchanged
  pulumi stack output servers          public details of the pair, for other programs
  IOS_MDM_CLOCK=$(date -u -d '31 days' +%FT%TZ) pulumi preview --diff
                                       pending changes in 31 days: the reserve becomes main
  ios-mdm status                       the table above
  make rehearse                        two cycles of a pair in 2040, and the devices that lose their connection
  make demo-down                       stops the services; `make demo` continues with the same pair
  make demo-clean                      stops the services and deletes the demo's data"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
