"""British spellings and the American ones, by ``spelling.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

__all__ = ["american_spellings"]

_FILE = Path(__file__).with_name("spelling.toml")
_E_ENDINGS = ("e", "ed", "es", "er", "ers", "ing")
_NOUN_ENDINGS = ("ation", "ations")
_OUR_ENDINGS = ("", "s", "ed", "ing", "al", "able", "ful", "less", "hood", "ite", "ites")
_LL_ENDINGS = ("ed", "ing", "er", "ers")


@cache
def american_spellings() -> dict[str, str]:
    """Return the American spelling by the British one, both lower-case."""
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    found: dict[str, str] = dict(data["words"])
    for stem in data["ise"]:
        found.update({f"{stem}is{end}": f"{stem}iz{end}" for end in (*_E_ENDINGS, *_NOUN_ENDINGS)})
    for stem in data["yse"]:
        found.update({f"{stem}ys{end}": f"{stem}yz{end}" for end in _E_ENDINGS if end != "es"})
    for stem in data["our"]:
        found.update({f"{stem}our{end}": f"{stem}or{end}" for end in _OUR_ENDINGS})
    for stem in data["ll"]:
        found.update({f"{stem}ll{end}": f"{stem}l{end}" for end in _LL_ENDINGS})
    return found
