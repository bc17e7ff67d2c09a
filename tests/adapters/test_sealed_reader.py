"""The child process that opens encrypted files: its limits, its end, and no traces of secrets (R18, R28, R29)."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.sealed_reader import ChildReader, Limits, child, process
from ios_mdm.core.bundle import BundleError, Opened, Refusal, SealedKind, read_bundle
from ios_mdm.errors import InterpreterError
from tests.support.bundles import (
    EC,
    PASSWORD,
    certificate_bag,
    encrypted_key_bag,
    encrypted_pkcs8,
    encrypted_safe,
    key_bag,
    octets,
    pbes2,
    pem,
    pfx,
    scrypt,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = pfx(encrypted_safe(key_bag(EC), certificate_bag(EC)))
BOMB = pfx(encrypted_safe(encrypted_key_bag(EC, rounds=2**31 - 1)))
ROOT = Path(__file__).parent.parent.parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
KILLS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGXCPU, signal.SIGTERM)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, in which a core file would be written, and allow core files as far as possible."""
    monkeypatch.chdir(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.fixture
def reader() -> Iterator[ChildReader]:
    """Return a reader with a separate child."""
    made = ChildReader()
    yield made
    made.close()


def open_file(reader: ChildReader) -> Opened:
    """Open the good file."""
    found = reader.open(SealedKind.PFX, FILE, PASSWORD)
    assert isinstance(found, Opened)
    assert found.key == EC.pkcs8
    assert found.certificates == ((EC.der, None),)
    return found


def process_id(reader: ChildReader) -> int:
    """Return the process id of the child."""
    assert reader._child is not None
    return reader._child.process.pid


def call_before_answer(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Call *act* once, after the next request was sent and before its answer is read."""
    real = child.read_parts
    calls: list[int] = []

    def read_parts(source: object) -> list[bytes] | None:
        if not calls:
            calls.append(1)
            act()
        return real(source)  # type: ignore[arg-type]

    monkeypatch.setattr(child, "read_parts", read_parts)


def leaves_nothing(folder: Path) -> bool:
    """Return whether there is no core file and no other file."""
    return not list(folder.iterdir())


def test_one_child_serves_all_files(reader: ChildReader) -> None:
    """The child starts with the first file and stays."""
    assert reader._child is None
    open_file(reader)
    first = process_id(reader)
    assert reader.open(SealedKind.PFX, FILE, "wrong") is Refusal.PASSWORD
    assert reader.open(SealedKind.PFX, b"0", PASSWORD) is Refusal.FORMAT
    assert reader.open(SealedKind.PKCS8, encrypted_pkcs8(EC), PASSWORD) == Opened(key=EC.pkcs8)
    open_file(reader)
    assert process_id(reader) == first


def test_a_child_that_used_its_time_is_replaced() -> None:
    """A child ends after an answer if it has used the shared part of its processor time, so each file has enough."""
    reader = ChildReader(limits=Limits(spent=0))
    open_file(reader)
    assert reader._child is None
    open_file(reader)


def test_threads_share_a_child(reader: ChildReader) -> None:
    """Each thread gets the answer to its file."""
    with ThreadPoolExecutor(8) as threads:
        good = [threads.submit(open_file, reader) for _ in range(20)]
        bad = [threads.submit(reader.open, SealedKind.PFX, FILE, "wrong") for _ in range(20)]
        assert all(one.result() for one in good)
        assert {one.result() for one in bad} == {Refusal.PASSWORD}


@pytest.mark.parametrize("number", KILLS, ids=str)
def test_a_child_killed_at_work_leaves_nothing(
    folder: Path, reader: ChildReader, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that a new child could not read gives an error, and the next file gets another child."""  # R29
    started = process.start(reader.limits, None)
    reader._child = None
    monkeypatch.setattr(process, "start", lambda *_: started)
    call_before_answer(monkeypatch, lambda: os.kill(started.process.pid, number))
    with pytest.raises(BundleError) as refused:
        read_bundle(BOMB, PASSWORD, reader)
    assert refused.value.code == "unreadable"
    assert refused.value.__context__ is None
    assert PASSWORD not in repr(refused.value)
    assert leaves_nothing(folder)
    monkeypatch.undo()
    open_file(reader)


@pytest.mark.parametrize("number", KILLS, ids=str)
def test_a_child_that_served_before_is_replaced_once(reader: ChildReader, number: int) -> None:
    """A child that was killed between two files is replaced, and the next file is read."""
    open_file(reader)
    os.kill(process_id(reader), number)
    open_file(reader)


def test_the_limit_of_processor_time(folder: Path) -> None:
    """A file whose hidden rounds take too long ends the child without a core file."""  # R28 R29
    reader = ChildReader(limits=Limits(cpu=1, spent=0.5))
    with pytest.raises(BundleError) as refused:
        read_bundle(BOMB, PASSWORD, reader)
    assert refused.value.code == "too-many-iterations"
    assert reader._child is None
    assert leaves_nothing(folder)


def test_the_limit_of_time(folder: Path) -> None:
    """Without a limit of processor time, the parent kills the child."""  # R28
    reader = ChildReader(limits=Limits(wall=0.2))
    with pytest.raises(BundleError) as refused:
        read_bundle(BOMB, PASSWORD, reader)
    assert refused.value.code == "too-many-iterations"
    assert leaves_nothing(folder)


@LINUX
def test_the_limit_of_memory(folder: Path) -> None:
    """A derivation that needs more memory than the limit is refused, and the child is not swapped to disk."""  # R28
    reader = ChildReader(limits=Limits(memory=200 << 20))
    data = sequence(scrypt(2**17, 16, 1), octets(bytes(32)))
    found = reader.open(SealedKind.PKCS8, data, PASSWORD)
    assert isinstance(found, Refusal)
    open_file(reader)
    reader.close()
    assert leaves_nothing(folder)


@LINUX
def test_the_limits_of_the_child(reader: ChildReader) -> None:
    """No core file, and a hard limit of processor time, because a soft one sends a signal that writes a core file."""
    open_file(reader)
    limits = {
        line[:26].strip(): line[26:].split()[:2]
        for line in Path(f"/proc/{process_id(reader)}/limits").read_text(encoding="ascii").splitlines()
    }
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max cpu time"] == ["12", "12"]
    assert limits["Max address space"] == [str(512 << 20)] * 2


def test_a_limit_that_the_system_lacks_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other limits are set, and without the module nothing happens: the parent limits the time."""  # R28
    found: list[tuple[int, tuple[int, int]]] = []

    def setrlimit(which: int, limits: tuple[int, int]) -> None:
        if which == 2:
            raise ValueError
        found.append((which, limits))

    monkeypatch.setitem(sys.modules, "resource", SimpleNamespace(RLIMIT_CPU=1, RLIMIT_CORE=2, setrlimit=setrlimit))
    child._limit(cpu=12, memory=1 << 29)
    assert found == [(1, (12, 12))]
    monkeypatch.setitem(sys.modules, "resource", None)
    child._limit(cpu=12, memory=1 << 29)


@LINUX
def test_nothing_secret_is_in_the_arguments_or_the_environment(reader: ChildReader) -> None:
    """The environment is empty, and files, passwords and keys are transferred through pipes."""  # R29
    open_file(reader)
    folder = Path(f"/proc/{process_id(reader)}")
    assert (folder / "environ").read_bytes() == b""
    arguments = (folder / "cmdline").read_bytes()
    assert b"\0-I\0" in arguments
    assert PASSWORD.encode() not in arguments


@LINUX
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=str)
def test_the_child_ends_with_its_parent(number: int) -> None:
    """No process stays after the parent was killed."""
    code = (
        "import sys; sys.path[:0] = ['.', 'provider']\n"
        "from tests.adapters import test_sealed_reader as tests\n"
        "reader = tests.ChildReader(); tests.open_file(reader)\n"
        "print(tests.process_id(reader), flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as running:  # type: ignore[call-overload]
        watched = os.pidfd_open(int(running.stdout.readline()))
        running.send_signal(number)
    try:
        assert select.select([watched], [], [], 60)[0]
    finally:
        os.close(watched)


def test_an_interrupted_exchange_ends_the_child(reader: ChildReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C, the answer to one file is never taken for the answer to another."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    open_file(reader)
    first = process_id(reader)
    call_before_answer(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        reader.open(SealedKind.PFX, FILE, PASSWORD)
    assert reader._child is None
    open_file(reader)
    assert process_id(reader) != first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_another_child(reader: ChildReader) -> None:
    """After a fork, both processes read files, each with its child."""
    open_file(reader)
    first = process_id(reader)
    forked = os.fork()
    if not forked:
        try:
            open_file(reader)
            is_other = process_id(reader) != first
            reader.close()
            os._exit(0 if is_other else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    open_file(reader)
    assert process_id(reader) == first


ANSWERS = [
    b"",
    b"garbage",
    b"\xff\xff\xff\xff",
    b"\0\0\0\1\xff\xff\xff\xff",
    child.pack([]),
    child.pack([child.MORE]),
    child.pack([child.MORE, b"unknown"]),
    child.pack([child.MORE, child.OK, b"key", b"certificate without a name"]),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_an_invalid_answer_is_refused(
    tmp_path_factory: pytest.TempPathFactory, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that answers anything else gives an error for the file, and is ended."""  # R18
    script = tmp_path_factory.mktemp("child") / "child.py"
    ready = child.pack([child.MORE, child.OK])
    script.write_text(f"import os\nos.write(1, {ready!r})\nos.read(0, 4)\nos.write(1, {answer!r})\n", encoding="utf-8")
    monkeypatch.setattr(child, "__file__", str(script))
    reader = ChildReader()
    with pytest.raises(BundleError) as refused:
        read_bundle(FILE, PASSWORD, reader)
    assert refused.value.code == "unreadable"
    assert reader._child is None


def test_a_child_that_cannot_start_is_reported(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the interpreter does not run or does not find the library, one error says so."""
    monkeypatch.setattr(sys, "executable", str(tmp_path_factory.mktemp("python") / "missing"))
    with pytest.raises(InterpreterError, match="No such file"):
        read_bundle(FILE, PASSWORD, ChildReader())
    monkeypatch.undo()
    monkeypatch.setattr(process, "_library_folders", lambda: ())
    with pytest.raises(InterpreterError, match="imports cryptography"):
        read_bundle(FILE, PASSWORD, ChildReader())


@pytest.mark.parametrize(("name", "value"), [("executable", ""), ("executable", None), ("frozen", True)])
def test_an_interpreter_without_a_path_is_reported(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded or frozen interpreter cannot start a child; the error names the alternatives."""
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.raises(InterpreterError, match="path of the Python interpreter is unknown"):
        read_bundle(FILE, PASSWORD, ChildReader())


def test_an_unencrypted_file_starts_no_child(reader: ChildReader) -> None:
    """PEM without encryption is read in process."""
    assert read_bundle(pem("CERTIFICATE", EC.der) + pem("PRIVATE KEY", EC.pkcs8), None, reader).keys
    assert reader._child is None


def test_a_file_with_too_many_visible_rounds_starts_no_child(reader: ChildReader) -> None:
    """Rounds that are visible are judged before the child gets the file."""  # R28
    data = pem("CERTIFICATE", EC.der) + pem("ENCRYPTED PRIVATE KEY", sequence(pbes2(2**31 - 1), octets(bytes(32))))
    with pytest.raises(BundleError) as refused:
        read_bundle(data, PASSWORD, reader)
    assert refused.value.code == "too-many-iterations"
    assert reader._child is None


def test_nothing_shows_a_secret(reader: ChildReader) -> None:
    """The texts of the objects do not show a key or a password."""  # R29
    found = open_file(reader)
    for one in (found, reader, reader._child):
        assert PASSWORD not in repr(one)
        assert repr(EC.pkcs8)[2:20] not in repr(one)


def test_closing_ends_the_child(reader: ChildReader) -> None:
    """A closed reader has no child, and can be closed again."""
    open_file(reader)
    assert reader._child is not None
    ended = reader._child.process
    reader.close()
    reader.close()
    assert ended.returncode is not None
