"""Bundles that are hostile or damaged (R18, R28)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from ios_mdm.adapters.sealed_reader import ChildReader, Limits
from ios_mdm.core import bundle as reading
from ios_mdm.core import der
from ios_mdm.core.bundle import Bundle, BundleError
from ios_mdm.core.bundle.model import MAX_ROUNDS
from ios_mdm.core.library import attempt
from tests.support.bundle_reading import KEY, LEAF, bundle_error, holds
from tests.support.bundles import (
    EC,
    PASSWORD,
    RSA,
    bag,
    certificate_bag,
    clear,
    encrypted_key_bag,
    encrypted_safe,
    indefinite,
    integer,
    key_bag,
    mac,
    octets,
    oid,
    outcome,
    pbes2,
    pbmac1,
    pem,
    pfx,
    read_bundle,
    samples,
    scrypt,
    sequence,
    spki,
    tlv,
)
from tests.support.certificates import ROOT as ROOT_SPEC
from tests.support.odd_certificates import MADE, changed_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

BOMB = 2**31 - 1
HALF = MAX_ROUNDS // 2


@pytest.fixture
def no_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test as soon as the child gets a file, because a file must be refused before the first derivation."""

    def opened(*_: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(ChildReader, "open", opened)


@pytest.fixture
def bounded_reader() -> Iterator[ChildReader]:
    """Return a reader whose child has one second of processor time."""
    reader = ChildReader(limits=Limits(cpu=1, spent=0.5))
    yield reader
    reader.close()


def pkcs12_pbe(rounds: int) -> bytes:
    """Return the AlgorithmIdentifier of the triple DES of PKCS#12."""
    return sequence(oid("1.2.840.113549.1.12.1.3"), sequence(octets(b"saltsalt"), integer(rounds)))


def encrypted_pem(algorithm: bytes) -> bytes:
    """Return a PEM file with a key encrypted with this algorithm."""
    return LEAF + pem("ENCRYPTED PRIVATE KEY", sequence(algorithm, octets(bytes(32))))


def with_mac(rounds: int, *safes: bytes) -> bytes:
    """Return a PKCS#12 file whose MAC needs these rounds."""
    return pfx(*safes, mac_data=mac(sequence(*safes), rounds=rounds))


CERTIFICATES = clear(certificate_bag(EC))


@pytest.mark.usefixtures("no_derivation")
@pytest.mark.parametrize(
    "data",
    [
        with_mac(BOMB, CERTIFICATES),
        with_mac(MAX_ROUNDS + 1, CERTIFICATES),
        with_mac(2 ** (8 * 5000), CERTIFICATES),
        pfx(encrypted_safe(certificate_bag(EC), rounds=BOMB)),
        pfx(CERTIFICATES, clear(encrypted_key_bag(EC, rounds=BOMB))),
        pfx(CERTIFICATES, clear(bag(6, sequence(encrypted_key_bag(EC, rounds=BOMB))))),
        with_mac(HALF, CERTIFICATES, encrypted_safe(key_bag(EC), rounds=HALF + 1)),
        pfx(
            encrypted_safe(rounds=HALF), clear(encrypted_key_bag(EC, rounds=HALF), encrypted_key_bag(RSA, rounds=HALF))
        ),
        pfx(encrypted_safe(rounds=BOMB), mac_data=b""),
        indefinite(pfx(CERTIFICATES, clear(encrypted_key_bag(EC, rounds=BOMB)))),
        pem("PKCS12", with_mac(BOMB, CERTIFICATES)),
        encrypted_pem(pbes2(BOMB)),
        encrypted_pem(pkcs12_pbe(BOMB)),
        encrypted_pem(scrypt(2**24, 8, 1)),
        encrypted_pem(scrypt(2**14, 8, 2**20)),
        encrypted_pem(scrypt(2, 2**30, 1)),
        encrypted_pem(pbes2(HALF)) + encrypted_pem(pkcs12_pbe(HALF + 1)),
        pfx(CERTIFICATES, mac_data=pbmac1(b"", rounds=BOMB)),
    ],
)
def test_too_many_rounds(data: bytes) -> None:
    """A file that needs too many rounds, in one place or in total, is refused before the first derivation."""  # R28
    assert bundle_error(data, PASSWORD).code == "too-many-iterations"


def test_rounds_behind_a_password(bounded_reader: ChildReader) -> None:
    """A key in an encrypted safe that needs too many rounds reaches the limit of processor time."""  # R28
    with pytest.raises(BundleError) as raised:
        reading.read_bundle(pfx(encrypted_safe(encrypted_key_bag(EC, rounds=BOMB))), PASSWORD, bounded_reader)
    assert raised.value.code == "too-many-iterations"


@pytest.mark.parametrize("rounds", [0, -1, -BOMB])
def test_no_rounds(rounds: int) -> None:
    """A count below one is damage."""  # R18
    for data in (with_mac(rounds, CERTIFICATES), encrypted_pem(pbes2(rounds)), encrypted_pem(scrypt(rounds, 1, 1))):
        assert bundle_error(data, PASSWORD).code == "unreadable"


def test_costs_that_scrypt_does_not_know() -> None:
    """The N of scrypt must be a power of two; a file with another N is damaged."""  # R18
    for n in (1, 3, 1000):
        assert bundle_error(encrypted_pem(scrypt(n, 1, 1)), PASSWORD).code == "unreadable"


def nested_bags(depth: int) -> bytes:
    """Return nested bags."""
    inner = key_bag(EC)
    for _ in range(depth):
        inner = bag(6, sequence(inner))
    return inner


def segments(depth: int) -> bytes:
    """Return nested octet strings."""
    return b"\x24\x80" * depth + b"\0\0" * depth


def nested_keys(depth: int) -> bytes:
    """Return nested PKCS#8 keys."""
    made = RSA.traditional
    for _ in range(depth):
        made = sequence(integer(0), sequence(oid("1.2.840.113549.1.1.1")), octets(made))
    return made


def deep(depth: int) -> bytes:
    """Return nested sequences with definite lengths."""
    made = b""
    for _ in range(depth):
        made = sequence(made)
    return made


def many_extensions(content: bytes) -> bytes:
    """Return the contents of a certificate with 25,000 extensions, the last one twice."""
    if len(content) < 40:
        return content
    fields = [child.encoding for child in der.parse(sequence(content)).children()[:-1]]
    extensions = [sequence(oid(f"1.2.{number}"), octets(b"")) for number in range(25_000)]
    return b"".join(fields) + tlv(0xA3, sequence(*extensions, extensions[-1]))


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80" * 500_000,
        b"\x30\x80" * 250_000 + b"\0\0" * 250_000,
        b"\x30\x80" + b"\x05\x00" * 500_000 + b"\0\0",
        b"\x30\x84\x7f\xff\xff\xff" * 100_000,
        sequence(b"\x05\x00" * 500_000),
        deep(5000),
        LEAF + pem("PRIVATE KEY", nested_keys(250)),
        LEAF + pem("PRIVATE KEY", nested_keys(5000)),
        pfx(clear(nested_bags(3000), certificate_bag(EC))),
        sequence(integer(3), sequence(oid("1.2.840.113549.1.7.1"), tlv(0xA0, segments(5000)))),
        b"-----BEGIN CERTIFICATE-----" * 38_000,
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" * 19_000,
        b"-----END CERTIFICATE-----" * 38_000,
        b"-----BEGIN " * 90_000,
        b"-----BEGIN CERTIFICATE-----" + b" " * 1_000_000 + b"-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----" + b"a:\n " * 200_000 + b"-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----" + b"a-" * 500_000 + b"-----END CERTIFICATE-----",
        b"MI" + b"A" * 1_000_000,
        b"MI" + b"A" * 1_000_000 + b"!",
        b"\0" * (1 << 20),
        b"0" * (1 << 20),
        LEAF + b"".join(pem("PRIVATE KEY", EC.pkcs8) for _ in range(9)),
        b"".join(pem("PKCS12", pfx(clear(certificate_bag(EC), key_bag(EC)))) for _ in range(9)),
        KEY + b"".join(pem("CERTIFICATE", sequence(integer(number))) for number in range(201)),
        KEY + b"".join(pem("CERTIFICATE", sequence(integer(number))) for number in range(12_000)),
        KEY + pem("CERTIFICATE", changed_certificate(MADE.leaf, ROOT_SPEC, many_extensions)),
        KEY + pem("PKCS7", sequence(oid("1.2.840.113549.1.7.2"), tlv(0xA0, sequence()))[:-1]),
        base64.b64encode(b"A" * 700_000),
    ],
)
def test_bombs(data: bytes) -> None:
    """Nesting, repetition and false lengths give an error of one line."""  # R18
    assert bundle_error(data, PASSWORD).code == "unreadable"


def rsa_key(*numbers: int) -> bytes:
    """Return a PEM file with an RSA key of these numbers."""
    return LEAF + pem("RSA PRIVATE KEY", sequence(integer(0), *map(integer, numbers)))


def rsa_numbers() -> list[int]:
    """Return the numbers of a good RSA key."""
    node = der.parse(RSA.traditional)
    return [child.integer() for child in node.children()[1:]]


def test_rsa_numbers_must_belong_together() -> None:
    """Each number of an RSA key is checked against the others."""  # R18
    numbers = rsa_numbers()
    assert holds(read_bundle(rsa_key(*numbers)), RSA)
    for at in range(len(numbers)):
        for other in (numbers[at] + 2, 0, 1, -numbers[at]):
            changed = [*numbers[:at], other, *numbers[at + 1 :]]
            assert bundle_error(rsa_key(*changed)).code == "unreadable"


@pytest.mark.parametrize("bits", [(4100, 4100), (8000, 100), (15_000, 15_000)], ids=str)
def test_rsa_keys_of_costly_sizes(bits: tuple[int, int]) -> None:
    """A key whose primes take long to test is refused without a test, even if they are primes."""  # R18
    p, q = ((1 << size - 1) + 2 * at + 1 for at, size in enumerate(bits))
    d = pow(65537, -1, (p - 1) * (q - 1))
    assert bundle_error(rsa_key(p * q, 65537, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))).code == "unreadable"


def test_other_keys_of_costly_sizes() -> None:
    """A DSA key with a huge modulus and an RSA key with three primes are refused without a test."""  # R18
    huge = integer((1 << 19_999) + 1)
    dsa = sequence(oid("1.2.840.10040.4.1"), sequence(huge, integer(7), huge))
    assert "too large for a server" in str(
        bundle_error(LEAF + pem("PRIVATE KEY", sequence(integer(0), dsa, octets(integer(5)))))
    )
    assert "two primes" in str(bundle_error(rsa_key(*rsa_numbers(), 3)))


@pytest.mark.parametrize("length", range(24))
def test_dek_info_of_any_length(length: int, capfd: pytest.CaptureFixture[str]) -> None:
    """An IV of the wrong length gives an error. The library panics on some lengths and writes to stderr."""  # R18
    headers = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{'ab' * length}\n\n".encode()
    block = pem("EC PRIVATE KEY", bytes(32)).replace(b"-----\n", b"-----\n" + headers, 1)
    assert bundle_error(LEAF + block, PASSWORD).code in {"bad-password", "unreadable"}
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("header", ["AES-256-CBC", "AES-256-CBC,xyz", ",", "CAMELLIA-256-CBC,00", "é" * 9])
def test_dek_info_of_any_kind(header: str) -> None:
    """A header without a cipher or without an IV is refused."""  # R18
    block = pem("EC PRIVATE KEY", bytes(32)).replace(b"-----\n", f"-----\nDEK-Info: {header}\n\n".encode(), 1)
    assert bundle_error(LEAF + block, PASSWORD).code == "unreadable"


def test_panics_are_refusals_and_interrupts_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    """A panic of the library, which is not an Exception, is a refusal; Ctrl-C still ends the program."""  # R18
    with pytest.raises(BaseException, match="NulError") as raised:
        pkcs12.load_pkcs12(pfx(CERTIFICATES), b"a\0b")
    assert not isinstance(raised.value, Exception)
    assert attempt(lambda: pkcs12.load_pkcs12(pfx(CERTIFICATES), b"a\0b")) is None
    assert "panicked" in capfd.readouterr().err

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(interrupted)


def test_certificates_are_read_through() -> None:
    """A certificate whose extensions cannot be read is refused, not returned."""  # R18
    san = oid("2.5.29.17")
    twice = EC.der.replace(san, oid("2.5.29.14"), 1)
    assert twice != EC.der
    x509.load_der_x509_certificate(twice)
    assert "certificate 1" in str(bundle_error(KEY + pem("CERTIFICATE", twice)))


@pytest.mark.parametrize("name", samples())
def test_cut_off_anywhere(name: str) -> None:
    """A part of a file gives an error, unless only the last line end is missing."""  # R18
    data, password = samples()[name]
    whole = read_bundle(data, password)
    assert whole.keys
    for stop in range(len(data)):
        found = outcome(data[:stop], password)
        if isinstance(found, Bundle):
            assert stop >= len(data.rstrip())
            assert found.certificates == whole.certificates


@pytest.mark.parametrize("name", samples())
def test_one_bit_is_wrong(name: str) -> None:
    """A wrong bit gives an error or the same key, but never another key."""  # R18
    data, password = samples()[name]
    whole = spki(read_bundle(data, password))
    for changed in flips(data):
        found = outcome(changed, password)
        if isinstance(found, Bundle):
            assert all(key in whole for key in spki(found))


def flips(data: bytes) -> Iterator[bytes]:
    """Yield copies of *data* with one changed bit each, one copy for each octet."""
    for at in range(len(data)):
        yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
