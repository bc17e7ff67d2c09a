"""Checks files: selects the reader for each, and applies the rules and the opt-outs."""

from __future__ import annotations

import ast
import subprocess
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tools.prose.comment_source import comment_texts
from tools.prose.layout import LAYOUT_RULES, layout_findings
from tools.prose.markdown_source import read_page
from tools.prose.naming import NAME_RULES, name_findings
from tools.prose.opt_out import OPT_OUT, opt_outs, remaining
from tools.prose.phrases import SPELLING, phrase_findings, phrase_rules
from tools.prose.python_source import Name, names, opt_out_comments, texts, tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from tools.prose.text import Finding, Line, Text

__all__ = ["RULES", "check", "file_findings", "source_paths"]

RULES = (*dict.fromkeys(rule.name for rule in phrase_rules()), SPELLING, *NAME_RULES, *LAYOUT_RULES, OPT_OUT)
"""The names of all rules."""

_HASH_SUFFIXES = frozenset({".cfg", ".in", ".mk", ".sh", ".toml", ".yaml", ".yml"})
_HASH_NAMES = frozenset({"CODEOWNERS", "Makefile"})
_SKIPPED = ("tests/fixtures/",)
"""Written by others."""


def source_paths(root: Path, selected: Iterable[str] = ()) -> list[str]:
    """Return the paths of the files in the repository, below *root* and sorted; deleted ones are left out.

    Args:
        root: the checkout.
        selected: paths of files and folders, relative to *root*; all files if empty.

    Raises:
        CalledProcessError: git cannot list the files.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *selected]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return sorted(path for path in set(listed.split("\0")) if path and (root / path).is_file())


def check(root: Path, paths: Iterable[str], rules: Collection[str] = RULES) -> Iterator[tuple[str, Finding]]:
    """Return the findings with the paths of their files, ordered by path and line."""
    for path in paths:
        if not path.startswith(_SKIPPED) and _is_read(path):
            source = (root / path).read_text(encoding="utf-8")
            for finding in file_findings(path, source, rules):
                yield path, finding


def file_findings(path: str, source: str, rules: Collection[str] = RULES) -> list[Finding]:
    """Return the findings of one file, ordered by line.

    Args:
        path: its path in the repository, which selects the reader.
        source: its text.
        rules: the rules to check.

    Raises:
        SyntaxError: A Python file cannot be parsed.
    """
    findings, comments = _read(path, source)
    checked = [finding for finding in findings if finding.rule in rules]
    unchecked = set(RULES).difference(rules)
    kept = remaining(checked, opt_outs(comments), unchecked)
    return sorted(
        (finding for finding in kept if finding.rule in rules), key=lambda finding: (finding.line, finding.rule)
    )


def _read(path: str, source: str) -> tuple[list[Finding], list[Line]]:
    """Return the findings of all rules, and the lines or comments that may hold opt-outs."""
    lines = source.splitlines()
    numbered = list(enumerate(lines, 1))
    suffix = PurePosixPath(path).suffix
    if suffix == ".py" or (not suffix and "".join(lines[:1]).endswith("python3")):
        return _read_python(path, source)
    if suffix == ".md":
        page = read_page(lines)
        return [*_of_texts(path, page.texts), *layout_findings(page)], numbered
    return list(_of_texts(path, comment_texts(lines, slashes=suffix == ".go"))), numbered


def _read_python(path: str, source: str) -> tuple[list[Finding], list[Line]]:
    tree = ast.parse(source)
    found = tokens(source)
    module = Name(1, PurePosixPath(path).stem, "module")
    findings = list(_of_texts(path, texts(tree, found)))
    findings += (finding for name in (module, *names(tree)) for finding in name_findings(name))
    return findings, list(opt_out_comments(found))


def _of_texts(path: str, found: Iterable[Text]) -> Iterator[Finding]:
    return (finding for text in found for finding in phrase_findings(path, text))


def _is_read(path: str) -> bool:
    name = PurePosixPath(path)
    return (
        name.suffix in {".go", ".md", ".py", *_HASH_SUFFIXES}
        or name.name in _HASH_NAMES
        or name.parent.name == ".ci"
        or name.name == "pulumi-language-python"
    )
