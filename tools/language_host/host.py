"""Serves Pulumi's LanguageRuntime protocol for Python programs, in place of the real language host.

The engine starts this script through the launcher ``pulumi-language-python``, reads the port from the first line of
its output, and requests runs of the program. The script supports ``pulumi up``, ``preview``, ``refresh``, ``destroy``
and ``about``. It does not generate code, convert programs, run plugins or install packages. Protocol:
``pulumi/language.proto`` of the Pulumi SDK.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING


def _skip_package_init() -> None:
    """Make ``pulumi.runtime.proto`` importable without running ``pulumi/__init__.py``.

    The package imports the whole SDK, which takes longer than all other work of this process.
    """
    spec = find_spec("pulumi")
    if spec is None or spec.origin is None:
        sys.exit(f"{sys.executable} has no Pulumi SDK: run `make bootstrap` in the checkout, then run `pulumi` again")
    root = Path(spec.origin).parent
    for name, directory in (
        ("pulumi", root),
        ("pulumi.runtime", root / "runtime"),
        ("pulumi.runtime.proto", root / "runtime" / "proto"),
    ):
        package = ModuleType(name)
        package.__path__ = [str(directory)]
        sys.modules[name] = package


if __name__ == "__main__":
    _skip_package_init()

import grpc  # noqa: E402 - after the bypass, which must run first
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # noqa: E402
from pulumi.runtime.proto import language_pb2 as proto  # noqa: E402
from pulumi.runtime.proto import plugin_pb2  # noqa: E402
from pulumi.runtime.proto.language_pb2_grpc import (  # noqa: E402
    LanguageRuntimeServicer,
    add_LanguageRuntimeServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTOR = Path(__file__).resolve().parent.parent / "pulumi-language-python-exec"
"""Pulumi's script that runs a program, in the engine's directory. This file is in a subdirectory, because the engine's
directory is on the import path of each program and must not contain a module."""

BAIL = 32
"""Exit code of that script if the program's error was already shown."""

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL for a program. The engine kills this process after 5 seconds."""

_DEPENDENCIES = """
import importlib.metadata as m, json, re
key = lambda name: re.sub(r"[-_.]+", "-", name).lower()
found = {key(d.metadata["Name"]): (d.metadata["Name"], d.version) for d in m.distributions()}
needed = {key(re.match(r"[\\w.-]+", r)[0]) for d in m.distributions() for r in d.requires or () if "extra ==" not in r}
print(json.dumps([[*v, k in needed] for k, v in sorted(found.items())]))
"""


class MissingVirtualenvError(Exception):
    """The virtualenv that Pulumi.yaml names does not exist."""


def interpreter(info: proto.ProgramInfo) -> str:
    """Return the Python that runs the program that *info* describes.

    The Python is that of ``runtime.options.virtualenv`` in Pulumi.yaml, relative to the project's root, or ``python3``
    if the option is missing.

    Raises:
        MissingVirtualenvError: The virtualenv does not exist.
    """
    name = info.options.fields["virtualenv"].string_value
    if not name:
        return "python3"
    python = Path(info.root_directory, name, "bin", "python")
    if not python.is_file():
        raise MissingVirtualenvError(
            f"the virtualenv {name!r} of Pulumi.yaml is not in {info.root_directory}: "
            "run `make bootstrap` there, then run `pulumi` again"
        )
    return str(python)


def command(request: proto.RunRequest, *, engine: str) -> list[str]:
    """Return the command line that runs the program of *request* with the engine at *engine*."""
    return [
        interpreter(request.info),
        "-u",  # unbuffered: a line is shown as soon as it is printed
        str(EXECUTOR),
        *("--monitor", request.monitor_address),
        *("--engine", engine),
        *("--project", request.project),
        *("--root_directory", request.info.root_directory),
        *("--stack", request.stack),
        *("--pwd", request.pwd),
        *("--dry_run", "true" if request.dryRun else "false"),
        *("--parallel", str(request.parallel)),
        *("--organization", request.organization),
        request.info.entry_point,
        *request.args,
    ]


def environment(request: proto.RunRequest, *, python: str) -> dict[str, str]:
    """Return the environment of the program of *request*: the engine's, its configuration, and the virtualenv."""
    added = {
        "PULUMI_CONFIG": json.dumps(dict(request.config)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
    }
    directory = Path(python).parent
    if directory != Path():
        added |= {"VIRTUAL_ENV": str(directory.parent), "PATH": f"{directory}{os.pathsep}{os.environ.get('PATH', '')}"}
    return {name: value for name, value in os.environ.items() if name != "PYTHONHOME"} | added


def verdict(returncode: int) -> proto.RunResponse:
    """Return the response for a program that exited with *returncode*."""
    if returncode == 0:
        return proto.RunResponse()
    if returncode == BAIL:
        return proto.RunResponse(bail=True)
    if returncode < 0:
        return proto.RunResponse(error=f"the program was stopped by {signal.Signals(-returncode).name}")
    return proto.RunResponse(error=f"the program exited with code {returncode}")


def too_large(size: int, project: str) -> str:
    """Return the error for a configuration of *size* bytes, which the system does not pass to a program.

    The real language host shows the system's error: "argument list too long".
    """
    return (
        f"the stack's configuration takes {size} bytes, which is more than this system passes to a program (128 KiB "
        f"on Linux). Make Pulumi.<stack>.yaml smaller: with ios-mdm, move each server into a separate file, and set "
        f"`{project}:serversDirectory` to their folder instead of `{project}:servers` (docs/scale.md)"
    )


class LanguageHost(LanguageRuntimeServicer):
    """Runs and stops the programs of one engine, whose gRPC address is *engine*."""

    def __init__(self, engine: str) -> None:
        """Start with no program."""
        self._engine = engine
        self._lock = threading.Lock()
        self._programs: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def Handshake(  # noqa: N802 - the protocol's names, here and below
        self, request: proto.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> proto.LanguageHandshakeResponse:
        """Store the address of the engine."""
        del context
        self._engine = request.engine_address or self._engine
        return proto.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:  # noqa: N802
        """Return no version, because this is not a release of Pulumi."""
        del request, context
        return plugin_pb2.PluginInfo()

    def GetRequiredPackages(  # noqa: N802
        self, request: proto.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> proto.GetRequiredPackagesResponse:
        """Return no packages: dynamic providers are not plugins, and the engine finds plugins when it needs them."""
        del request, context
        return proto.GetRequiredPackagesResponse()

    def About(self, request: proto.AboutRequest, context: grpc.ServicerContext) -> proto.AboutResponse:  # noqa: N802
        """Return the interpreter and its version."""
        del context
        python = interpreter(request.info)
        shown = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
        return proto.AboutResponse(
            executable=python,
            version=shown.stdout.removeprefix("Python ").strip(),
            metadata={"languageHost": "stand-in of ios-mdm"},
        )

    def GetProgramDependencies(  # noqa: N802
        self, request: proto.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> proto.GetProgramDependenciesResponse:
        """Return the packages in the program's virtualenv; by default only those that no other package needs."""
        del context
        python = interpreter(request.info)
        listed = subprocess.run([python, "-c", _DEPENDENCIES], capture_output=True, text=True, check=True)
        return proto.GetProgramDependenciesResponse(
            dependencies=[
                proto.DependencyInfo(name=name, version=version)
                for name, version, needed in json.loads(listed.stdout)
                if request.transitiveDependencies or not needed
            ]
        )

    def InstallDependencies(  # noqa: N802
        self, request: proto.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[proto.InstallDependenciesResponse]:
        """Refuse the request, and name the command that installs packages."""
        del request
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "packages are installed by `make bootstrap`, not by `pulumi`")
        yield from ()

    def RuntimeOptionsPrompts(  # noqa: N802
        self, request: proto.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> proto.RuntimeOptionsResponse:
        """Return no prompts."""
        del request, context
        return proto.RuntimeOptionsResponse()

    def Run(self, request: proto.RunRequest, context: grpc.ServicerContext) -> proto.RunResponse:  # noqa: N802
        """Run the program until it exits. It inherits the output streams, which the engine shows."""
        try:
            arguments = command(request, engine=self._engine)
        except MissingVirtualenvError as error:
            return proto.RunResponse(error=str(error))
        with self._lock:
            if self._stopped:
                return proto.RunResponse(error="the operation was canceled before the program started")
            # The program stays in this process group, so that a SIGKILL of the engine to the group reaches it.
            variables = environment(request, python=arguments[0])
            try:
                program = subprocess.Popen(arguments, cwd=request.pwd, env=variables, stdin=subprocess.DEVNULL)
            except OSError as error:
                if error.errno != errno.E2BIG:
                    raise
                return proto.RunResponse(error=too_large(len(variables["PULUMI_CONFIG"]), request.project))
            self._programs.add(program)
        context.add_callback(program.terminate)  # the engine exited or canceled the request
        try:
            return verdict(program.wait())
        finally:
            with self._lock:
                self._programs.discard(program)

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        """Stop all programs, because the user pressed Ctrl-C."""
        del request, context
        self.stop()
        return Empty()

    def stop(self) -> None:
        """Stop all programs and start no more. Returns after all have exited."""
        with self._lock:
            self._stopped = True
            programs = list(self._programs)
        for program in programs:
            program.terminate()
        for program in programs:
            try:
                program.wait(GRACE)
            except subprocess.TimeoutExpired:
                program.kill()


def main() -> None:
    """Serve the engine, whose address is the last argument, until it closes stdin or sends a signal."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    host = LanguageHost(engine=sys.argv[-1])
    server = grpc.server(ThreadPoolExecutor(), options=[("grpc.max_receive_message_length", -1)])
    add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        # The engine holds the other end of this pipe. The pipe closes when the engine exits, also after a crash.
        while os.read(sys.stdin.fileno(), 4096):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        with contextlib.suppress(KeyboardInterrupt):  # ignore a second signal
            host.stop()
            server.stop(grace=None).wait()


if __name__ == "__main__":
    main()
