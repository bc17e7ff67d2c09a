"""Mutations of the files that an administrator has: bundles, certificates and passwords."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import strategies as st

from tests.support.bundles import EC, PASSWORD, ROOT, samples
from tests.support.certificates import ROOT as AUTHORITY
from tests.support.certificates import Chain, pem, private_pem
from tests.support.odd_certificates import DEFECTS, MADE, changed_certificate

__all__ = ["WHOLE", "bundles", "certificate_files", "password_files"]

WHOLE = Chain().make()
"""Chain and key of the files that are changed."""
_CHAIN = pem(*WHOLE.chain)
_ODD = [changed_certificate(MADE.leaf, AUTHORITY, change) for change, _ in DEFECTS.values()]
_FORMS = (
    _CHAIN,
    WHOLE.root.public_bytes(Encoding.DER),
    base64.encodebytes(_CHAIN),
    _CHAIN.decode().encode("utf-16"),
    b"text\r\n" + _CHAIN.replace(b"\n", b"\r\n"),
    pkcs7.serialize_certificates([EC.certificate, ROOT.certificate], Encoding.DER),
    pkcs7.serialize_certificates(list(WHOLE.chain), Encoding.PEM),
    *_ODD,
)
_BUNDLES = (private_pem(WHOLE.keys[0]) + _CHAIN, *(data for data, _ in samples().values()))

# An edit: the position, the number of removed bytes, and the inserted bytes.
_edits = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.integers(0, 30) | st.sampled_from([0, 1, 1, 1]),
        st.binary(max_size=6) | st.sampled_from([b"\0\0", b"\x80", b"\x30\x80", b"\xff", b"-----", b"\n", b""]),
    ),
    max_size=4,
)


def _changed_data(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in edits:
        start = at % (len(data) + 1)
        data = data[:start] + new + data[start + length :]
    return data


def _mutations(files: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    return st.builds(_changed_data, st.sampled_from(files), _edits)


certificate_files = _mutations(_FORMS)
"""Files of certificates, with changes."""
bundles = _mutations(_BUNDLES)
"""Bundles, with changes."""
_CODES = ("utf-8", "utf-8-sig", "utf-16", "latin-1")
password_files = _mutations(tuple(f"{PASSWORD}{end}".encode(code) for end in ("", "\r\n") for code in _CODES))
"""Password files, with changes."""
