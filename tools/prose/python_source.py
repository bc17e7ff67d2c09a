"""Texts, names and opt-outs of a Python file."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING, NamedTuple

from tools.prose.text import Kind, Text, paragraphs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.prose.text import Line

__all__ = ["Name", "names", "opt_out_comments", "texts", "tokens"]

_PRAGMA = re.compile(r"(?:type: ignore|noqa|pragma|fmt|mypy|ruff|codespell|!)[^#]*#?\s*")
_OPT_OUT = re.compile(r"\s*#?\s*prose: allow.*")
_PREFIX = re.compile(r"(?P<prefix>[A-Za-z]*)(?P<quote>\"\"\"|'''|\"|')")
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_ESCAPED_LINE_END = re.compile(r"\\[nrt]")
_WORDS = re.compile(r"[A-Za-z]{2,}\S* .*[A-Za-z]")

# Python 3.11 has no such tokens: an f-string is one STRING there.
_FSTRING_START = getattr(tokenize, "FSTRING_START", -1)
_FSTRING_MIDDLE = getattr(tokenize, "FSTRING_MIDDLE", -1)
_FSTRING_END = getattr(tokenize, "FSTRING_END", -1)
_BETWEEN_PARTS = {tokenize.NL, tokenize.COMMENT}


class Name(NamedTuple):
    """A name that the file defines.

    Args:
        line: number of the line.
        text: the name.
        kind: ``module``, ``function``, ``local function``, ``fixture``, ``class`` or ``constant``.
    """

    line: int
    text: str
    kind: str


def tokens(source: str) -> list[tokenize.TokenInfo]:
    """Return the tokens of a file; raises tokenize.TokenError if it is not Python."""
    return list(tokenize.generate_tokens(io.StringIO(source).readline))


def opt_out_comments(found: list[tokenize.TokenInfo]) -> Iterator[Line]:
    """Return the comments, by line."""
    return ((token.start[0], token.string) for token in found if token.type == tokenize.COMMENT)


def texts(tree: ast.Module, found: list[tokenize.TokenInfo]) -> Iterator[Text]:
    """Return the prose of a file: comments, docstrings and string literals."""
    yield from _comments(found)
    docstrings = _docstrings(tree)
    for first, lines in _literals(found):
        kind = docstrings.get(first, Kind.MESSAGE)
        for block in paragraphs(lines):
            text = Text(kind, block, closing=lines[-1][0])
            if kind is Kind.DOCSTRING or _WORDS.search(text.raw):
                yield text


def names(tree: ast.Module) -> Iterator[Name]:
    """Return the functions, classes and constants that a file defines."""
    yield from _constants(tree)
    functions = [node for node in _statements(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    local = {inner for function in functions for inner in _statements(function)}
    for node in _statements(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kind = "local function" if node in local else "function"
            yield Name(node.lineno, node.name, "fixture" if any(map(_is_fixture, node.decorator_list)) else kind)
        elif isinstance(node, ast.ClassDef):
            yield Name(node.lineno, node.name, "class")
            yield from _constants(node)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Return all statements in *node*; expressions, which hold none, are not searched."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, block, ()):
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)


def _constants(scope: ast.Module | ast.ClassDef) -> Iterator[Name]:
    for node in scope.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper():
                yield Name(target.lineno, target.id, "constant")


def _docstrings(tree: ast.Module) -> dict[tuple[int, int], Kind]:
    """Return the kind of each string that is a statement, by line and column."""
    found: dict[tuple[int, int], Kind] = {}
    for node in _statements(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.setdefault((node.lineno, node.col_offset), Kind.DOCSTRING)
        elif isinstance(node, ast.FunctionDef) and any(map(_is_click, node.decorator_list)):
            found[node.body[0].lineno, node.body[0].col_offset] = Kind.MESSAGE
    return found


def _is_click(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).startswith("click.")


def _is_fixture(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).startswith("pytest.fixture")


def _comments(found: list[tokenize.TokenInfo]) -> Iterator[Text]:
    block: list[Line] = []
    column = -1
    for token in found:
        if token.type != tokenize.COMMENT:
            continue
        line, start = token.start
        text = _PRAGMA.sub("", _OPT_OUT.sub("", token.string).lstrip("# "), count=1).strip()
        is_alone = not token.line[:start].strip()
        if block and not (is_alone and column == start and line == block[-1][0] + 1):
            yield from (Text(Kind.COMMENT, part) for part in paragraphs(block))
            block = []
        block.append((line, text))
        column = start if is_alone else -1
    yield from (Text(Kind.COMMENT, part) for part in paragraphs(block))


def _literals(found: list[tokenize.TokenInfo]) -> Iterator[tuple[tuple[int, int], list[Line]]]:
    """Return each literal with its position; the parts of an implicit concatenation are one."""
    first = (0, 0)
    lines: list[Line] = []
    depth = 0
    for token in found:
        part: list[Line] = []
        if token.type == tokenize.STRING and not depth:
            part = _lines(token)
        elif token.type == _FSTRING_START:
            depth += 1
        elif token.type == _FSTRING_END:
            depth -= 1
        elif token.type == _FSTRING_MIDDLE:
            part = _text_lines(token.string + "{}", token.start[0])
        elif not depth and token.type not in _BETWEEN_PARTS:
            if lines:
                yield first, lines
            lines = []
        if part:
            first = first if lines else token.start
            lines = _concatenation(lines, part)


def _concatenation(lines: list[Line], part: list[Line]) -> list[Line]:
    """Join two parts of a literal: a part that starts without a space continues the last word."""
    if lines and lines[-1][0] == part[0][0]:
        return [*lines[:-1], (lines[-1][0], lines[-1][1] + part[0][1]), *part[1:]]
    return [*lines, *part]


def _lines(token: tokenize.TokenInfo) -> list[Line]:
    match = _PREFIX.match(token.string)
    if match is None or "b" in match["prefix"].lower():
        return []
    body = token.string[match.end() : -len(match["quote"])]
    if "f" in match["prefix"].lower():
        body = _PLACEHOLDER.sub(lambda found: "{}" + "\n" * found[0].count("\n"), body)
    return _text_lines(body, token.start[0])


def _text_lines(body: str, number: int) -> list[Line]:
    return list(enumerate(_ESCAPED_LINE_END.sub("  ", body).split("\n"), number))
