"""Writes ``docs/public-roots.md``: ``python -m tools.public_roots [--check]``.

The roots are those of the package certifi. If a new version of certifi changes them, a test fails until the page is
written again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from ios_mdm.core.rules.roles import is_strong_root, root_name
from ios_mdm.core.x509.digests import root_digest
from ios_mdm.public_roots import public_roots

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["PAGE", "page_text"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "public-roots.md"

_HEAD = """# Public roots

A custom certificate of a public CA passes only if its root fulfills two rules.
The RSA key of the root has at least 4096 bits, or the key is EC.
The signature of the root uses SHA-2.
Many older public roots have an RSA key of 2048 bits.
Ask the CA for a chain to one of the roots in the first table.
Most CAs have such a root, and some certified it with an older root: see [cross-certificates](#cross-certificates).

The tables are generated from the package `certifi`, which has Mozilla's roots.
The digest is the start of the SHA-256 of name and key, so that a root that is renewed with the same key keeps it.

## Roots that fulfill the rules

"""
_BETWEEN = """
## Roots that break a rule

"""
_TAIL = """
## Cross-certificates

If a root is new, an older root often certifies its name and its key, too.
The file of a CA can then contain this cross-certificate, and lead to the older root.
If the older root breaks a rule, add the self-signed certificate of the new root to the file or to `trust`.
The chain then ends there, and `ios-mdm validate` names the root and its fingerprint.
"""


def page_text() -> str:
    """Return the text of the page."""
    strong = [one for one in public_roots() if is_strong_root(one)]
    weak = [one for one in public_roots() if not is_strong_root(one)]
    return _HEAD + _table(strong) + _BETWEEN + _table(weak) + _TAIL


def _table(roots: list[x509.Certificate]) -> str:
    rows = sorted(f"| {_owner(one)} | `{root_name(one)}` | {_key(one)} | {root_digest(one)[:16]} |" for one in roots)
    return "\n".join(["| CA | root | key | digest |", "|---|---|---|---|", *rows, ""])


def _owner(root: x509.Certificate) -> str:
    names = root.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return ", ".join(str(one.value) for one in names) or "(none)"


def _key(root: x509.Certificate) -> str:
    algorithm = root.signature_hash_algorithm
    signature = "another hash" if algorithm is None else algorithm.name.upper().replace("SHA", "SHA-")
    match root.public_key():
        case rsa.RSAPublicKey() as key:
            return f"RSA {key.key_size}, {signature}"
        case ec.EllipticCurvePublicKey() as key:
            return f"EC P-{key.key_size}, {signature}"
    return f"another type, {signature}"


def main() -> int:
    """Write the page. With ``--check``, write nothing and return 0 if the file is up to date, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.public_roots", description="Write docs/public-roots.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is out of date")
    text = page_text()
    if parser.parse_args().check:
        fresh = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        if not fresh:
            print("docs/public-roots.md is out of date: run `python -m tools.public_roots`", file=sys.stderr)
        return 0 if fresh else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
