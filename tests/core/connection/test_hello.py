"""The ServerHello, read from complete, incomplete, damaged and arbitrary bytes."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.connection.hello import EXTENDED_MASTER_SECRET, ServerHello, server_hello
from tests.support.certificates import Chain
from tests.support.wrong_servers import write_files

if TYPE_CHECKING:
    from pathlib import Path

_RETRY = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")
"""Random value of a HelloRetryRequest (RFC 8446, 4.1.3)."""
_WARNING = bytes.fromhex("15030300020170")
"""The alert unrecognized_name as a warning, which some servers send before the ServerHello."""

Extensions = dict[int, bytes]


def with_length(data: bytes, octets: int) -> bytes:
    """Return data after its length."""
    return len(data).to_bytes(octets, "big") + data


def message(
    version: int, cipher: int, extensions: Extensions | None, *, session: bytes = b"", random: bytes = bytes(32)
) -> bytes:
    """Return a ServerHello as a handshake message; without extensions, the block of extensions is missing."""
    body = version.to_bytes(2, "big") + random + with_length(session, 1) + cipher.to_bytes(2, "big") + b"\0"
    if extensions is not None:
        block = b"".join(kind.to_bytes(2, "big") + with_length(content, 2) for kind, content in extensions.items())
        body += with_length(block, 2)
    return b"\2" + with_length(body, 3)


def records(content: bytes, size: int = 1 << 14) -> bytes:
    """Return the content in handshake records of at most *size* octets."""
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"\x16\x03\x03" + with_length(part, 2) for part in parts)


versions = st.integers(0x0300, 0x0303)
numbers = st.integers(0, 0xFFFF)
extensions_of_tls_1_2 = st.dictionaries(numbers.filter(lambda one: one != 0x2B), st.binary(max_size=40), max_size=12)


@given(
    version=versions,
    cipher=numbers,
    extensions=st.none() | extensions_of_tls_1_2,
    session=st.binary(max_size=32),
    random=st.binary(min_size=32, max_size=32),
    size=st.integers(1, 300),
    rest=st.binary(max_size=50),
    warnings=st.integers(0, 2),
)
def test_every_hello_of_tls_1_2_is_read(
    *,
    version: int,
    cipher: int,
    extensions: Extensions | None,
    session: bytes,
    random: bytes,
    size: int,
    rest: bytes,
    warnings: int,
) -> None:
    """The message can extend over several records, and other messages can follow it."""  # R48
    sent = records(message(version, cipher, extensions, session=session, random=random), size)
    assert server_hello(_WARNING * warnings + sent + rest) == ServerHello(
        version=version, cipher=cipher, extensions=frozenset(extensions or {})
    )


@given(cipher=numbers, extensions=extensions_of_tls_1_2, random=st.just(_RETRY) | st.binary(min_size=32, max_size=32))
def test_the_version_of_tls_1_3_is_in_an_extension(cipher: int, extensions: Extensions, random: bytes) -> None:
    """The field for the version has TLS 1.2 then, also in a HelloRetryRequest."""  # R48
    sent = message(0x0303, cipher, {**extensions, 0x2B: b"\x03\x04"}, random=random)
    found = server_hello(records(sent))
    assert found == ServerHello(version=0x0304, cipher=cipher, extensions=frozenset({*extensions, 0x2B}))


@given(extensions=extensions_of_tls_1_2, size=st.integers(1, 300), data=st.data())
def test_no_prefix_of_a_hello_is_read(extensions: Extensions, size: int, data: st.DataObject) -> None:
    """An incomplete message has no result, so a missing extension is never concluded from it."""  # R48
    sent = records(message(0x0303, 0xC02F, extensions), size)
    assert server_hello(sent[: data.draw(st.integers(0, len(sent) - 1))]) is None


@given(
    st.binary(max_size=400)
    | st.binary(max_size=400).map(records)
    | st.binary(max_size=400).map(b"\2".__add__).map(records)
)
def test_arbitrary_bytes_never_raise(received: bytes) -> None:
    """The bytes are those of a server that is not trusted."""  # R48
    found = server_hello(received)
    assert found is None or isinstance(found, ServerHello)


@given(extensions=extensions_of_tls_1_2, data=st.data())
def test_a_changed_byte_never_raises(extensions: Extensions, data: st.DataObject) -> None:
    """Each position of a valid message can be damaged."""  # R48
    sent = bytearray(records(message(0x0303, 0xC02F, extensions)))
    sent[data.draw(st.integers(0, len(sent) - 1))] ^= data.draw(st.integers(1, 255))
    found = server_hello(bytes(sent))
    assert found is None or isinstance(found, ServerHello)


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("15030100020246"),
        _WARNING,
        _WARNING * 100 + records(message(0x0303, 0xC02F, {})),
        b"\x16\x03\x03\x00\x00" + records(message(0x0303, 0xC02F, {})),
        b"\x16\x03\x03\x40\x01" + bytes(1 << 15),
        b"\x16\x02\x00" + with_length(message(0x0303, 0xC02F, {}), 2),
        records(b"\1" + with_length(b"", 3)),
        records(b"\2\xff\xff\xff" + bytes(100)),
        records(b"\2" + with_length(message(0x0303, 0xC02F, {})[4:] + b"\0", 3)),
        records(b"\2" + with_length(message(0x0303, 0xC02F, None)[4:] + with_length(b"\0\x17\0\0\0\x17\0\0", 2), 3)),
        records(message(0x0303, 0xC02F, {0x2B: b"\3"})),
    ],
    ids=[
        *("nothing", "HTTP", "fatal alert", "warning only", "many warnings", "empty record", "long record"),
        *("SSL 2", "ClientHello", "long message", "octets after it", "extension twice", "short version"),
    ],
)
def test_other_bytes_are_no_hello(received: bytes) -> None:
    """Only a well-formed first message is read."""  # R48
    assert server_hello(received) is None


@pytest.mark.parametrize("has_secret", [True, False])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_hello_of_a_real_server_is_read(tmp_path: Path, version: ssl.TLSVersion, *, has_secret: bool) -> None:
    """OpenSSL sends the extension unless an option forbids it. TLS 1.3 has no such extension."""  # R48
    write_files(Chain().make(), tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    server.minimum_version = server.maximum_version = version
    server.options |= ssl.Options(0 if has_secret else 0x1)  # SSL_OP_NO_EXTENDED_MASTER_SECRET
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    to_server, to_client, unused = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(unused, to_server, server_hostname="mdm.example.com")
    with suppress(ssl.SSLWantReadError):
        asking.do_handshake()
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    with suppress(ssl.SSLWantReadError):
        answering.do_handshake()
    found = server_hello(to_client.read())
    assert found is not None
    assert found.version == version
    expected = has_secret and version is ssl.TLSVersion.TLSv1_2
    assert (EXTENDED_MASTER_SECRET in found.extensions) == expected
