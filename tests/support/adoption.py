"""Versions of a secret that a run finds but did not store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ios_mdm.core.pair.definition import NoReserve
from ios_mdm.core.x509.credential import credential_to_json
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.values import Credential
from tests.support.certificates import Made, SelfSigned, Spec, pem, private_pem
from tests.support.pairs import SECRET, World, definition
from tests.support.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Sequence


QUIET = definition(NoReserve())
CA = SelfSigned(
    leaf=Spec(
        name="mdm.example.com",
        owner="attacker",
        ca=True,
        usages=("digital_signature", "key_cert_sign"),
        sans=("mdm.example.com",),
        days=(-10, 387),
    )
)
"""A CA certificate for any name, with the names, the key type and the validity of an issued certificate."""


def value(made: Made) -> str:
    """Return the value of a version with this certificate."""
    return credential_to_json(
        Credential(
            certificate=pem(*(made.chain[:-1] or made.chain)).decode(),
            private_key=private_pem(made.keys[0]).decode(),
            root=pem(made.root).decode(),
            sha256=fingerprint(made.leaf),
        )
    )


SECURITY = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
PUT = "`PutSecretValue`"
STRAY = "00000000-0000-4000-8000-000000000001"


def principal(world: World, permissions: str) -> Principal:
    """Return a principal with these permissions, as SECURITY.md names them."""
    places = (f"| {permissions} |", f"with {permissions} ", f"with {permissions}.")
    assert any(place in SECURITY for place in places)
    return Principal(store=world.store, actions=frozenset(re.findall(r"`(\w+)`", permissions)))


def put(world: World, version: str, labels: Sequence[str], made: Made, *, by: str = PUT) -> None:
    """Store a version by PutSecretValue, which moves labels: a label leaves the version that had it."""
    attacker = principal(world, by)
    attacker.put(SECRET, version, value(made), labels or ["STRAY"])
    if not labels:
        attacker.put(SECRET, STRAY, value(made), ["STRAY"])
