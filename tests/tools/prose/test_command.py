"""The command: its output, its exit code, its arguments, and the files that it reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.prose import __main__ as command
from tools.prose.check import check

ROOT = Path(__file__).parents[3]

WORD = "moment"
"""A word that the rule of this name finds."""
VERB = "told"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with two pages, a fixture, and an ignored page; the command reads it."""
    pages = {
        "docs/a.md": f"The {WORD}.\n",
        "docs/b.md": f"It is {VERB}.\n",
        "tests/fixtures/c.md": f"The {WORD}.\n",
        ".demo/d.md": f"The {WORD}.\n",
        ".gitignore": ".demo\n",
    }
    for path, text in pages.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_findings_are_printed_with_the_replacement(capsys: pytest.CaptureFixture[str]) -> None:
    """Files that git ignores, and fixtures, are not read."""
    assert command.main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f'docs/a.md:1: {WORD}: "{WORD}". Write "time" instead.',
        f'docs/b.md:1: {VERB}: "{VERB}". Write "reported", "returned", "shown" or "logged" instead.',
    ]


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["docs/b.md"], ["docs/b.md"]),
        (["docs"], ["docs/a.md", "docs/b.md"]),
        (["--rule", WORD], ["docs/a.md"]),
        (["--rule", WORD, "--rule", VERB, "docs"], ["docs/a.md", "docs/b.md"]),
        (["--rule", "anew"], []),
        (["--rule", VERB, "docs/a.md"], []),
    ],
)
def test_rules_and_paths_can_be_selected(
    arguments: list[str], files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 0 if there is no finding."""
    assert command.main(arguments) == bool(files)
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == files


def test_a_path_is_relative_to_the_working_directory(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output gives the path in the repository."""
    monkeypatch.chdir(checkout / "docs")
    assert command.main(["a.md"]) == 1
    assert capsys.readouterr().out.startswith("docs/a.md:1: ")


def test_a_deleted_file_is_left_out(checkout: Path) -> None:
    """The index may name files that the checkout lacks."""
    subprocess.run(["git", "-C", checkout, "add", "."], check=True)
    (checkout / "docs" / "a.md").unlink()
    (checkout / "docs" / "b.md").unlink()
    assert command.main([]) == 0


def test_the_script_follows_its_rules() -> None:
    """The package and its tests have no finding."""
    folders = (ROOT / "tools" / "prose", ROOT / "tests" / "tools" / "prose")
    paths = [path.relative_to(ROOT).as_posix() for folder in folders for path in sorted(folder.rglob("*.py"))]
    assert paths
    assert not list(check(ROOT, paths))
