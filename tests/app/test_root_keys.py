"""The key of a one-time root is not stored after its certificate is issued: not in AWS, results, reports or logs."""

from __future__ import annotations

import base64
import gc
import json
import logging
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ios_mdm.core.profile import trust_profile
from ios_mdm.core.x509.pem import chain
from tests.support.pairs import World

if TYPE_CHECKING:
    from collections.abc import Iterator

IDENTIFIER = "com.example.mdm.trust"


@pytest.fixture
def roots(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ec.EllipticCurvePrivateKey]]:
    """Record each generated key on the curve of the roots."""
    made: list[ec.EllipticCurvePrivateKey] = []
    generate = ec.generate_private_key

    def recorded(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        key = generate(curve)
        if isinstance(curve, ec.SECP384R1):
            made.append(key)
        return key

    monkeypatch.setattr(ec, "generate_private_key", recorded)
    yield made
    made.clear()


def _forms(key: ec.EllipticCurvePrivateKey) -> list[str]:
    """Return the forms of a private key in a text, except those that its public part has, too."""
    number = key.private_numbers().private_value
    octets = number.to_bytes(48, "big")
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    start = der.index(octets)
    pem = base64.b64encode(der).decode()
    # The characters of base64 that depend only on the private number, for each position of a line break.
    inside = pem[-(-start * 4 // 3) + 1 : (start + 48) * 4 // 3 - 1]
    return [
        str(number),
        octets.hex(),
        octets.hex().upper(),
        *(base64.b64encode(octets[shift:]).decode()[:40] for shift in range(3)),
        inside[:20],
        inside[-20:],
        repr(octets)[2:-1],
    ]


def test_no_text_that_stays_has_the_key_of_a_root(
    roots: list[ec.EllipticCurvePrivateKey], caplog: pytest.LogCaptureFixture
) -> None:
    """The search covers two cycles of a pair: its secret, profiles, results, reports, and logs."""  # R29, R31
    caplog.set_level(logging.DEBUG)
    world, results, profiles = World(), [], []
    for _ in range(3):
        results.append(world.apply())
        chains = [one.pem for one in results[-1].certificates.values()]
        profiles.append(trust_profile(chains, identifier=IDENTIFIER, server="berlin", host="mdm.example.com"))
        world.later(days=30)
    stored = [version.value for secret in world.store._secrets.values() for version in secret.versions.values()]
    used = [chain(json.loads(value)["ca.crt"])[0].public_key() for value in stored]
    assert len(used) == 4
    assert all(any(key.public_key() == one for key in roots) for one in used), "the keys are those of the roots"
    text = "\n".join(
        [
            *stored,
            repr(world.store.calls),
            repr(world.tags),
            *world.reports,
            repr(results),
            *(profile.decode() for profile in profiles),
            caplog.text,
        ]
    )
    flat = text.replace("\n", "").replace("\\n", "").replace("\t", "")
    for key in roots:
        for form in _forms(key):
            assert len(form) >= 20
            assert form not in text
            assert form not in flat


def test_the_search_finds_a_key_that_is_there(roots: list[ec.EllipticCurvePrivateKey]) -> None:
    """Control: each form of a key in a text is found."""
    key = ec.generate_private_key(ec.SECP384R1())
    assert roots == [key]
    number = key.private_numbers().private_value
    written = [str(number), f"{number:096x}", repr(number.to_bytes(48, "big"))]
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        pem = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        written.append(pem.replace("\n", ""))
    for text in written:
        assert any(form in text for form in _forms(key))


def test_no_object_that_stays_has_the_key_of_a_root(roots: list[ec.EllipticCurvePrivateKey]) -> None:
    """After an `up`, only the list of the test refers to the keys."""  # R31
    world = World()
    result = world.apply()
    assert len(roots) >= len(result.certificates) == 2
    gc.collect()
    control = [ec.derive_private_key(1, ec.SECP384R1())]
    in_a_list_only = sys.getrefcount(control[0])
    assert {sys.getrefcount(roots[number]) for number in range(len(roots))} == {in_a_list_only}
