"""Decisions of the bootstrap. The tests need no network and build nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tools import bootstrap, builds, steps, toolchain
from tools.bootstrap import Virtualenv
from tools.builds import Go, GoModule
from tools.steps import BootstrapError
from tools.toolchain import Toolchain, ToolchainMissingError, cache_dir, parsed_version


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate cache directory for the test."""
    monkeypatch.setenv("IOS_MDM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def script(path: Path, text: str = "") -> Path:
    """Write an executable shell script, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class TestCacheDirectory:
    """The cache directory for builds and downloads."""

    def test_the_users_own_choice_comes_first(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """`IOS_MDM_CACHE` has the highest priority, and the directory may be missing."""
        monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
        assert cache_dir() == tmp_path / "cache"

    def test_the_desktops_cache_folder_comes_second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`XDG_CACHE_HOME` is used, unless it is relative, which is invalid by its specification."""
        monkeypatch.delenv("IOS_MDM_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
        assert cache_dir() == Path("/elsewhere/ios-mdm")
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert cache_dir() == Path.home() / ".cache" / "ios-mdm"

    def test_the_home_directory_comes_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without these variables, the cache directory is below `~/.cache`."""
        monkeypatch.delenv("IOS_MDM_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        assert cache_dir() == Path.home() / ".cache" / "ios-mdm"


class TestVersions:
    """Parsing of version numbers."""

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("v3.259.0", (3, 259, 0)),
            ("go1.26.8", (1, 26, 8)),
            ("go1.27rc1", (1, 27, 0)),
            ("go version go1.24 linux/amd64", (1, 24, 0)),
            ("v3.300.1-alpha.x8664", (3, 300, 1)),
        ],
    )
    def test_a_version_is_read_as_numbers(self, text: str, version: tuple[int, int, int]) -> None:
        """Versions are compared as numbers: 3.99 is older than 3.259."""
        assert parsed_version(text) == version

    def test_words_are_no_version(self) -> None:
        """A text without a version number is an error."""
        with pytest.raises(ValueError, match="no version number in 'devel'"):
            parsed_version("devel")


class TestPrerequisites:
    """Prerequisites that only the user can install."""

    def test_each_missing_tool_is_one_line_that_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """All missing tools are reported together, before any step runs."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(bootstrap, "find_spec", lambda _name: None)
        assert bootstrap.main([]) == 1
        shown = capsys.readouterr()
        lines = shown.err.splitlines()
        assert [line.split(" is missing")[0] for line in lines] == ["Python's venv module", "git", "make"]
        assert "apt install python3-venv" in lines[0]
        assert "apt install git" in lines[1]
        assert shown.out == ""
        assert not cache_dir().exists()

    def test_nothing_is_missing_where_all_is_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """If git, make and venv exist, nothing is missing."""
        for tool in ("git", "make"):
            script(tmp_path / "bin" / tool)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.setattr(bootstrap, "find_spec", lambda name: name)
        assert bootstrap.missing_prerequisites() == []

    def test_an_old_python_is_reported_in_one_line(self) -> None:
        """The output has no syntax error and no traceback."""
        old = "import runpy, sys; sys.version_info = (3, 9); runpy.run_path(sys.argv[1], run_name='__main__')"
        run = subprocess.run(
            [sys.executable, "-c", old, bootstrap.__file__], capture_output=True, text=True, check=False
        )
        assert run.returncode == 1
        assert run.stderr.startswith("Python 3.11 or newer is needed; this is ")
        assert len(run.stderr.splitlines()) == 1


@pytest.fixture
def venv(tmp_path: Path) -> Virtualenv:
    """A virtualenv whose files look complete."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("package==1\n")
    made = Virtualenv(subject="packages", directory=tmp_path / "venv", requirements=requirements)
    script(made.python)
    (made.directory / "lib" / f"python{made.expected_stamp()['python']}" / "site-packages" / "pip").mkdir(parents=True)
    stamp(made, made.expected_stamp())
    return made


def stamp(venv: Virtualenv, content: dict[str, str] | None) -> None:
    """Write *content* as the stamp of *venv*, or delete the stamp."""
    path = venv.directory / "ios-mdm-stamp.json"
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(json.dumps(content))


class TestVirtualenvStamp:
    """States in which a virtualenv is kept, completed, or created again."""

    def test_a_complete_virtualenv_is_left_unchanged(self, venv: Virtualenv, monkeypatch: pytest.MonkeyPatch) -> None:
        """A second run starts no process."""
        monkeypatch.setattr(bootstrap, "run", lambda *_, **__: pytest.fail("something was run"))
        venv.ensure()
        assert venv.state() == "ready"

    def test_other_requirements_are_installed_into_the_virtualenv(self, venv: Virtualenv) -> None:
        """A changed pin needs no new virtualenv."""
        venv.requirements.write_text("package==2\n")
        assert venv.state() == "outdated"

    def test_an_interrupted_installation_is_completed(self, venv: Virtualenv) -> None:
        """Without a stamp, the packages are installed again into the existing virtualenv."""
        stamp(venv, None)
        assert venv.state() == "outdated"

    @pytest.mark.parametrize("change", [{"python": "3.9"}, {"directory": "/moved"}])
    def test_a_virtualenv_with_another_python_or_path_is_created_again(
        self, venv: Virtualenv, change: dict[str, str]
    ) -> None:
        """After these changes, neither packages nor scripts of the virtualenv can be used."""
        stamp(venv, {**venv.expected_stamp(), **change})
        assert venv.state() == "absent"

    def test_a_virtualenv_whose_python_was_removed_is_created_again(self, venv: Virtualenv, tmp_path: Path) -> None:
        """A link to a removed interpreter is not an interpreter."""
        venv.python.unlink()
        venv.python.symlink_to(tmp_path / "gone")
        assert venv.state() == "absent"

    def test_a_broken_stamp_is_no_stamp(self, venv: Virtualenv) -> None:
        """An incomplete stamp does not stop the bootstrap."""
        (venv.directory / "ios-mdm-stamp.json").write_text('{"python": ')
        assert venv.state() == "outdated"

    def test_the_stamp_is_written_only_after_success(self, venv: Virtualenv, monkeypatch: pytest.MonkeyPatch) -> None:
        """A failed installation is repeated by the next run."""
        venv.requirements.write_text("package==2\n")
        monkeypatch.setattr(bootstrap, "ROOT", venv.requirements.parent)

        def failing(*_: object, **__: object) -> str:
            raise BootstrapError("no network")

        monkeypatch.setattr(bootstrap, "run", failing)
        with pytest.raises(BootstrapError):
            venv.ensure()
        assert venv.recorded_stamp() is None
        monkeypatch.setattr(bootstrap, "run", lambda *_, **__: "")
        venv.ensure()
        assert venv.state() == "ready"


class TestPackageLink:
    """Links from a virtualenv to the checkout's package."""

    @staticmethod
    def files(venv: Virtualenv) -> tuple[Path, Path]:
        """Return the path file and the command of *venv*."""
        (packages,) = venv.directory.glob("lib/python*/site-packages")
        return packages / "ios-mdm.pth", venv.directory / "bin" / "ios-mdm"

    def test_the_link_to_the_package_is_relative(self, venv: Virtualenv, tmp_path: Path) -> None:
        """No file contains the path of the checkout, so a copy uses its own files."""
        bootstrap.link_package(venv)
        path_file, command = self.files(venv)
        assert (path_file.parent / path_file.read_text().strip()).resolve() == tmp_path / "provider"
        assert [file for file in (path_file, command) if str(tmp_path) in file.read_text()] == []
        assert os.access(command, os.X_OK)

    def test_a_second_run_writes_nothing(self, venv: Virtualenv) -> None:
        """Other processes might be reading the files."""
        bootstrap.link_package(venv)
        before = [file.stat().st_ino for file in self.files(venv)]
        bootstrap.link_package(venv)
        assert [file.stat().st_ino for file in self.files(venv)] == before

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_changed_file_is_written_again(self, venv: Virtualenv, number: int) -> None:
        """A changed path or command is replaced."""
        bootstrap.link_package(venv)
        changed = self.files(venv)[number]
        text = changed.read_text()
        changed.write_text("/elsewhere\n")
        changed.chmod(0o600)
        bootstrap.link_package(venv)
        assert changed.read_text() == text
        assert changed.stat().st_mode & 0o777 == (0o644, 0o755)[number]


class TestGoModules:
    """Builds from a go.mod."""

    def test_every_tool_directive_is_read(self, tmp_path: Path) -> None:
        """Directives on a single line and in a block are read, with comments."""
        (tmp_path / "go.mod").write_text(
            "module m\n\ngo 1.25.11\n\ntool example.com/a/cmd/one\n\ntool (\n"
            "\texample.com/b/v2/cmd/two // why\n\texample.com/three/v3\n)\n\nrequire example.com/a v1.0.0\n"
        )
        (tmp_path / "go.sum").touch()
        module = GoModule.read(tmp_path)
        assert module.go == (1, 25, 11)
        assert [builds.executable(tool) for tool in module.tools] == ["one", "two", "three"]

    def test_the_key_follows_what_is_pinned(self, tmp_path: Path) -> None:
        """A changed checksum causes a new build."""
        (tmp_path / "go.mod").write_text("module m\n")
        (tmp_path / "go.sum").write_text("a")
        before = GoModule.read(tmp_path).key
        assert GoModule.read(tmp_path).key == before
        (tmp_path / "go.sum").write_text("b")
        assert GoModule.read(tmp_path).key != before

    def test_the_services_of_this_checkout_are_found(self) -> None:
        """The engine is not among them, because it is built separately."""
        names = {builds.executable(tool) for module in builds.go_modules() for tool in module.tools}
        assert {"nanomdm", "mdmb", "scepserver"} <= names
        assert "pulumi" not in names

    def test_a_build_that_is_there_is_not_repeated(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The name of the directory is a digest of all inputs of the build."""
        (module, *_) = builds.go_modules()
        monkeypatch.setattr(Go, "find", lambda _needed: pytest.fail("Go was searched for"))
        target = cache / "tools" / f"{module.directory.name}-{steps.digest(module.key, '-ldflags', '-s -w')}"
        for tool in module.tools:
            script(target / builds.executable(tool))
        assert {path.parent for path in builds.ensure_tools(module).values()} == {target}


class TestGoChoice:
    """Choice of the Go that builds."""

    @pytest.mark.parametrize(
        ("shown", "used"), [("go1.25.11", True), ("go1.30.0", True), ("go1.19.8", False), ("nothing", False)]
    )
    def test_the_go_on_path_is_used_if_it_is_new_enough(
        self, shown: str, *, used: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """An older Go, or one without a version, is replaced by the packaged Go."""
        found = script(tmp_path / "bin" / "go", f"echo {shown}")
        monkeypatch.setenv("PATH", str(found.parent))
        monkeypatch.setattr(builds, "_packaged_go", lambda: Path("/packaged/go"))
        assert Go.find((1, 25, 11)).command == (found if used else Path("/packaged/go"))

    def test_the_users_settings_do_not_leak_into_the_build(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """The user's proxy is used. Caches, target and vendor mode are set by the bootstrap."""
        for name, value in {"GOOS": "plan9", "GOFLAGS": "-mod=vendor", "GOPROXY": "https://proxy.example"}.items():
            monkeypatch.setenv(name, value)
        found = Go(command=Path("go")).environment()
        assert "GOOS" not in found
        assert "-mod=readonly" in found["GOFLAGS"].split()
        assert found["GOPROXY"] == "https://proxy.example"
        assert found["GOTOOLCHAIN"] == "local"
        assert found["GOMODCACHE"] == str(cache / "go" / "mod")

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Go asks the system for these directories")
    def test_the_counters_of_go_stay_in_the_cache(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """The settings of `go env -w` still have an effect."""
        monkeypatch.setenv("XDG_CONFIG_HOME", "/home/user/settings")
        monkeypatch.delenv("GOENV", raising=False)
        found = Go(command=Path("go")).environment()
        assert found["XDG_CONFIG_HOME"] == str(cache / "config")
        assert found["GOENV"] == "/home/user/settings/go/env"


class TestInstalledEngine:
    """Conditions for the use of the user's Pulumi."""

    @staticmethod
    def install(directory: Path, version: str, *, host: bool = True) -> Path:
        """Write a `pulumi` that reports *version*, and return its path."""
        if host:
            script(directory / "pulumi-language-python")
        return script(directory / "pulumi", f"echo {version}")

    def test_a_new_engine_with_its_language_host_is_used(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The pinned version is the oldest that is accepted."""
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        engine = self.install(tmp_path / "bin", f"v{builds.engine_version()}")
        assert builds.installed_engine() == engine

    def test_a_link_is_followed_to_the_files_next_to_the_engine(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Package managers install the engine behind a link."""
        engine = self.install(tmp_path / "cellar", "v3.999.0")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "pulumi").symlink_to(engine)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        assert builds.installed_engine() == engine

    @pytest.mark.parametrize(
        ("version", "host", "reason"),
        [
            ("v3.99.0", True, "or newer is needed"),
            ("v4.0.0", True, "or newer is needed"),
            ("v3.999.0", False, "has no pulumi-language-python"),
            ("hello", True, "does not report a version"),
        ],
    )
    def test_any_other_engine_is_refused_with_a_reason(
        self,
        version: str,
        *,
        host: bool,
        reason: str,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The engine is too old, of another major version, incomplete, or not Pulumi."""
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        self.install(tmp_path / "bin", version, host=host)
        assert builds.installed_engine() is None
        assert reason in capsys.readouterr().out

    def test_an_engine_of_the_bootstrap_is_not_the_users(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """The demo's shell has our engine on PATH. After a change of the pin, it must still be replaced."""
        self.install(cache / "engine" / "old", "v3.999.0")
        monkeypatch.setenv("PATH", str(cache / "engine" / "old"))
        assert builds.installed_engine() is None


class TestToolchain:
    """Paths of tools for the tests and the demo."""

    @pytest.fixture
    def complete(self, tmp_path: Path) -> dict[str, Path]:
        """Path of each tool by name."""
        return {name: script(tmp_path / name / name) for name in Toolchain.__slots__}

    def test_the_recorded_tools_are_loaded(self, complete: dict[str, Path], tmp_path: Path) -> None:
        """The manifest has the results of several runs with single steps."""
        manifest = tmp_path / "manifest.json"
        python = {"python": complete.pop("python")}
        bootstrap.record(complete, manifest)
        bootstrap.record(python, manifest)
        found = Toolchain.load(manifest)
        assert found.python == python["python"]
        assert found.mdmb == complete["mdmb"]

    def test_a_missing_tool_is_named_with_the_command_to_run(self, complete: dict[str, Path], tmp_path: Path) -> None:
        """A tool is missing if it was never recorded, or if it was deleted."""
        manifest = tmp_path / "manifest.json"
        del complete["mdmb"]
        bootstrap.record(complete, manifest)
        complete["pulumi"].unlink()
        with pytest.raises(ToolchainMissingError, match=r"missing tools: pulumi, mdmb\. Run `make bootstrap`"):
            Toolchain.load(manifest)

    def test_before_the_first_bootstrap_all_is_missing(self, tmp_path: Path) -> None:
        """A missing manifest gives the same error."""
        with pytest.raises(ToolchainMissingError, match="Run `make bootstrap`"):
            Toolchain.load(tmp_path / "none.json")

    def test_the_engine_and_the_virtualenv_come_first_on_path(
        self, complete: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The engine's directory is first, so that its language host is used."""
        monkeypatch.setenv("PATH", "/usr/bin")
        found = Toolchain(**complete).environment()
        assert found["PATH"].split(os.pathsep) == [
            str(complete["pulumi"].parent),
            str(complete["python"].parent),
            "/usr/bin",
        ]
        assert found["VIRTUAL_ENV"] == str(complete["python"].parent.parent)


class TestSteps:
    """Runs of a step."""

    def test_a_failure_is_one_line_with_the_log(self, cache: Path) -> None:
        """For an unknown failure, the error has the last line of the output."""
        with pytest.raises(BootstrapError) as error:
            steps.run("some step", ["sh", "-c", "echo first; echo 'it broke.' >&2; exit 3"])
        log = cache / "log" / "some-step.log"
        assert str(error.value) == f"some step failed: it broke. Log: {log}"
        assert log.read_text() == "first\nit broke.\n"

    @pytest.mark.parametrize(
        ("printed", "meaning"),
        [
            ("write /x: No space left on device", "the disk is full"),
            ("dial tcp: lookup proxy: no such host", "check the network and GOPROXY"),
            ("verifying module: checksum mismatch", "is not the pinned one"),
        ],
    )
    def test_a_known_failure_says_what_to_do(self, printed: str, meaning: str) -> None:
        """The user gets advice in place of the output of the tool, which is in the log."""
        with pytest.raises(BootstrapError, match=meaning):
            steps.run("build", ["sh", "-c", f"echo '{printed}'; echo noise; exit 1"])

    def test_a_long_step_says_how_far_it_is(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """The progress is computed from the output so far."""
        monkeypatch.setattr(steps, "REPORT_EVERY", 0.01)
        (tmp_path / "gate").touch()

        def progress(text: str) -> str:
            if "one" in text:
                (tmp_path / "gate").unlink(missing_ok=True)
            return f"{text.count('one')} things"

        steps.run(
            "build", ["sh", "-c", 'echo one; while [ -e "$0" ]; do :; done', tmp_path / "gate"], progress=progress
        )
        assert "build            … 1 things, 0." in capsys.readouterr().out

    def test_two_bootstraps_take_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second bootstrap prints that it waits, and continues after the end of the first."""
        waiting = threading.Event()
        monkeypatch.setattr(steps, "say", lambda *_: waiting.set())
        order = []

        def second() -> None:
            with steps.exclusive():
                order.append("second")

        thread = threading.Thread(target=second)
        with steps.exclusive():
            thread.start()
            assert waiting.wait(60)
            order.append("first")
        thread.join()
        assert order == ["first", "second"]

    def test_no_traceback_reaches_the_user(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """After a failed step, the bootstrap prints its error and exits with 1."""
        monkeypatch.setattr(bootstrap, "missing_prerequisites", list)

        def failing(_steps: tuple[str, ...]) -> dict[str, Path]:
            raise BootstrapError("engine failed: the disk is full")

        monkeypatch.setattr(bootstrap, "ensure", failing)
        assert bootstrap.main([]) == 1
        assert capsys.readouterr().err == "engine failed: the disk is full\n"

    @pytest.mark.parametrize(("seconds", "shown"), [(0.42, "0.4s"), (38, "38s"), (125, "2m05s"), (59.7, "1m00s")])
    def test_durations_are_short(self, seconds: float, shown: str) -> None:
        """Minutes and seconds are rounded."""
        assert steps.duration(seconds) == shown


def test_the_stand_in_is_replaced_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's directory is shared by checkouts with different versions of the language host."""
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.setattr(builds, "_STAND_IN", source)
    target = tmp_path / "engine"
    target.mkdir()
    for version in ("one", "two"):
        for name in ("pulumi-language-python", "host.py"):
            (source / name).write_text(version)
        builds._install_stand_in(target)
        assert (target / "pulumi-language-python").read_text() == version
        assert (target / "libexec" / "host.py").read_text() == version
    assert os.access(target / "pulumi-language-python", os.X_OK)
    assert sorted(path.name for path in target.iterdir()) == ["libexec", "pulumi-language-python"]


def test_the_real_cache_is_not_touched_by_these_tests() -> None:
    """The tests of this module use a separate cache directory."""
    assert toolchain.cache_dir() != Path.home() / ".cache" / "ios-mdm"
