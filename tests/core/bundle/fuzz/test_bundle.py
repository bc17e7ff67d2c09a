"""Reading any bytes gives a bundle or an error of one line (R18).

A few seconds of it run with the other tests, always with the same files. To run longer, with other files each time:

    FUZZ_EXAMPLES=100000 .venv/bin/python -m pytest -q tests/core/bundle/fuzz
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.core.bundle import BundleError
from tests.support.bundles import (
    EC,
    PASSWORD,
    RSA,
    clear,
    integer,
    octets,
    oid,
    outcome,
    pem,
    pfx,
    read_bundle,
    samples,
    sequence,
    tlv,
)
from tests.support.long import bounds

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
CODES = {"unreadable", "bad-password", "no-key", "no-certificate", "too-many-iterations"}
NAMES = sorted(samples())
OIDS = (
    *(f"1.2.840.113549.1.12.10.1.{kind}" for kind in range(1, 7)),
    *(f"1.2.840.113549.1.12.1.{scheme}" for scheme in range(1, 7)),
    *(f"1.2.840.113549.1.7.{content}" for content in (1, 2, 3, 6)),
    *(f"1.2.840.113549.1.5.{scheme}" for scheme in (3, 6, 10, 11, 12, 13, 14)),
    *("1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.2.840.113549.3.2", "1.3.6.1.4.1.11591.4.11"),
)

many = settings(
    max_examples=EXAMPLES or bounds(300, long=5_000),
    derandomize=not EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def check(data: bytes, password: str | None) -> None:
    """Read *data*, and check the result against the contract of the reader."""
    bundle = outcome(data, password)
    if isinstance(bundle, BundleError):
        text = str(bundle)
        assert bundle.code in CODES
        assert text.isprintable()
        assert len(text) < 500
        assert bundle.__context__ is None
        assert PASSWORD not in text
        return
    assert bundle.certificates
    assert bundle.keys
    for certificate in bundle.certificates:
        assert certificate.extensions is not None
        assert certificate.public_key() is not None
    assert all(notice.isprintable() for notice in bundle.notices)


passwords = st.sampled_from([PASSWORD, None, "", "other", "pä€ 𝄞", "a\0b", "\ud800"]) | st.text(max_size=5)


# A change of a file: the position, the number of removed bytes, and the inserted bytes.
changes = st.tuples(
    st.integers(0, 4000), st.integers(0, 40), st.binary(max_size=8) | st.sampled_from([b"\x80", b"\0\0"])
)
primitives = (
    st.sampled_from([oid(one) for one in OIDS])
    | st.integers(-2, 70_000).map(integer)
    | st.binary(max_size=40).map(octets)
    | st.sampled_from([EC.pkcs8, EC.traditional, EC.der, RSA.traditional, octets(EC.der), octets(EC.pkcs8), b"\x05\0"])
    | st.builds(tlv, st.integers(0, 255), st.binary(max_size=12))
)
trees = st.recursive(
    primitives,
    lambda inner: st.builds(
        lambda tag, parts: tlv(tag, *parts),
        st.sampled_from([0x30, 0x30, 0x30, 0x31, 0xA0, 0xA1, 0x24, 0x04, 0x80]),
        st.lists(inner, max_size=4),
    ),
    max_leaves=20,
)
LABELS = (
    "CERTIFICATE",
    "TRUSTED CERTIFICATE",
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "EC PRIVATE KEY",
    "PKCS7",
    "PKCS12",
)
LEAF, KEY = pem("CERTIFICATE", EC.der), pem("PRIVATE KEY", EC.pkcs8)


@many
@given(st.sampled_from(NAMES), st.lists(changes, min_size=1, max_size=4), passwords | st.none())
def test_damaged_files(name: str, edits: list[tuple[int, int, bytes]], password: str | None) -> None:
    """A file with some changes, and with its password or any other password."""  # R18
    data, own = samples()[name]
    for at, length, new in edits:
        start = at % (len(data) + 1)
        data = data[:start] + new + data[start + length :]
    check(data, own)
    check(data, password)


@many
@given(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, 4000), st.integers(0, 4000))
def test_files_that_were_mixed_up(first: str, second: str, stop: int, start: int) -> None:
    """The start of one file, followed by the end of another file."""  # R18
    check(samples()[first][0][:stop] + samples()[second][0][start:], PASSWORD)


@many
@given(trees, passwords)
def test_files_that_are_nearly_pkcs12(tree: bytes, password: str | None) -> None:
    """Any tree of elements, as a whole file and inside a PKCS#12 file with a valid MAC."""  # R18
    bag = sequence(oid("1.2.840.113549.1.12.10.1.2"), tlv(0xA0, tree))
    for data in (tree, sequence(integer(3), tree), pfx(tree), pfx(clear(tree)), pfx(clear(bag)), pfx(mac_data=tree)):
        check(data, password)
        check(data, PASSWORD)


@many
@given(st.sampled_from(LABELS), trees | st.binary(max_size=60), passwords)
def test_blocks_with_anything_in_them(label: str, tree: bytes, password: str | None) -> None:
    """A PEM block with any tree of elements, together with a valid certificate and a valid key."""  # R18
    check(LEAF + pem(label, tree or b"x") + KEY, password)


@many
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"-----BEGIN {text}-----".encode()), passwords)
def test_anything(data: bytes, password: str | None) -> None:
    """Any octets."""  # R18
    check(data, password)


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_are_good(name: str) -> None:
    """The files that the tests above damage can be read before."""
    check(*samples()[name])
    assert read_bundle(*samples()[name]).keys
