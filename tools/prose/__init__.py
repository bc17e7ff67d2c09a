"""Checks the wording of the project: ``python -m tools.prose [--rule RULE]… [PATH]…``.

It reads comments, docstrings and string literals of Python, Markdown pages, the comments of other sources, and the
names of Python's modules, functions, classes and constants. Code is not read.
It cannot see colon chains, messages without a remedy, names of parameters and variables, or whether a policy is a
subject with a condition: a reviewer checks these.

Each finding is one line, ``PATH:LINE: RULE: "PHRASE". Write … instead.``, and the exit code is 1 if there are any.

``phrases.toml`` holds the phrases, ``spelling.toml`` the British spellings, and ``names.toml`` the parts of names. To
add a rule, add an entry there, and a case that it finds and one that it accepts to ``tests/tools/prose/cases.toml``.

``names.toml`` also holds the names that stay, and ``check.py`` the paths that are not read, with the reasons.

A comment on the same line, or after the end of a docstring or of a long string, keeps a phrase and gives the reason:
``# prose: allow RULE: REASON``. In Markdown: ``<!-- prose: allow RULE: REASON -->``. An opt-out without a reason, and
one that suppresses nothing, are findings of the rule ``opt-out``.
"""
