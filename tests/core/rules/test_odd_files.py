"""Bundles with certificates that are unusual, that cannot be read, or that are missing (R18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ios_mdm.core.bundle import BundleError, read_bundle
from ios_mdm.core.rules import Context, best_judgment
from tests.support.bundles import oid
from tests.support.bundles import pem as block
from tests.support.certificates import HOST, ISSUING, LEAF, NOW, ROOT, Chain, key, pem, private_pem
from tests.support.odd_certificates import (
    DEFECTS,
    MADE,
    ODD_ROOT,
    changed_certificate,
    common_name,
    with_serial_number,
)

if TYPE_CHECKING:
    from ios_mdm.core.rules import Report

KEY = private_pem(MADE.keys[0])
OWN, OWN_ROOT = pem(MADE.leaf), pem(MADE.root)
WHOLE = Chain().make()


def report(*parts: bytes) -> Report:
    """Return the report about a file with these parts."""
    return best_judgment(read_bundle(b"".join(parts)), Context(host=HOST, now=NOW)).report


def refusal(*parts: bytes) -> BundleError:
    """Return the error for a file with these parts."""
    with pytest.raises(BundleError) as caught:
        report(*parts)
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("name", DEFECTS)
def test_the_certificate_of_the_server_must_be_readable(name: str) -> None:
    """The error names the field, also if the file has readable certificates of CAs."""  # R18
    change, field = DEFECTS[name]
    odd = block("CERTIFICATE", changed_certificate(MADE.leaf, ROOT, change))
    error = refusal(KEY, odd, OWN_ROOT)
    assert error.code == "unreadable"
    assert str(error).startswith(f"certificate 1 of the file cannot be read because of its {field} (")
    assert report(KEY, OWN, OWN_ROOT, odd).is_valid, "the same certificate without the defect is in the file, too"


def test_an_issuer_must_be_readable_only_if_the_chain_needs_it() -> None:
    """A root that cannot be read is the error if the chain needs it. Any other certificate is ignored."""  # R18
    change = common_name(0x14, b"M\xfcnchen ")
    root = block("CERTIFICATE", changed_certificate(ODD_ROOT.root, ROOT.but(name="@@@@@@@@"), change))
    (notice,) = report(KEY, OWN, OWN_ROOT, root).notices
    assert notice.startswith("not readable by the library cryptography, ignored: certificate 3: issuer, attribute CN")
    (violation,) = report(KEY, OWN, root).violations
    assert violation.code == "chain-incomplete", "another root is missing"
    damaged = block("CERTIFICATE", MADE.root.public_bytes(Encoding.DER)[:-9])
    assert "certificate 2" in str(refusal(KEY, OWN, damaged))


def test_an_issuer_that_is_needed_and_unreadable_is_the_error() -> None:
    """Its name, and not its position, shows that the chain needs it."""  # R18
    change, field = DEFECTS["extension twice"]
    root = block("CERTIFICATE", changed_certificate(MADE.root, ROOT.but(key="p384"), change))
    error = refusal(KEY, OWN, root)
    assert str(error).startswith(f"certificate 2 of the file cannot be read because of its {field} (it occurs twice)")


def test_a_forgotten_certificate_is_the_only_violation() -> None:
    """A private key with certificates of CAs gives `no-certificate` and no advice about the CAs."""  # R18
    error = refusal(KEY, pem(*WHOLE.chain[1:]))
    assert error.code == "no-certificate"
    assert "the certificates of CAs (CN=Issuing, CN=Root), but not the server's certificate" in str(error)
    two = refusal(KEY, private_pem(key("p256", "another")), pem(*WHOLE.chain[1:]))
    assert two.code == "no-certificate"


def test_a_forgotten_certificate_is_not_confused_with_an_unreadable_one() -> None:
    """If a certificate with another key cannot be read, the error names it, too."""  # R18
    change, field = DEFECTS["extension twice"]
    odd = changed_certificate(WHOLE.chain[1], ROOT, change)
    error = refusal(KEY, pem(WHOLE.root), block("CERTIFICATE", odd))
    assert error.code == "no-certificate"
    assert f"ignored: certificate 2: {field} (it occurs twice))" in str(error)


def test_a_certificate_of_another_key_is_not_a_forgotten_one() -> None:
    """If the file has the certificate of a server, the private key is the wrong one."""  # R28
    other = private_pem(key("p256", "another"))
    assert {one.code for one in report(other, pem(*WHOLE.chain)).violations} == {"key-mismatch"}
    authority = Chain(leaf=LEAF.but(ca=True, usages=None)).make()
    assert {one.code for one in report(other, pem(*authority.chain)).violations} >= {"key-mismatch", "leaf-is-ca"}


def test_certificates_outside_the_chain_give_one_notice() -> None:
    """The notice names the first ones and counts the others."""  # R18
    others = [Chain(issuing=(), leaf=ISSUING.but(name=f"Other {number}")).make().leaf for number in range(7)]
    (notice,) = report(KEY, OWN, OWN_ROOT, pem(*others)).notices
    assert notice == f"not part of the chain, ignored: {', '.join(f'CN=Other {n}' for n in range(5))}, and 2 more"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"\0", "a serial number that is zero"),
        (b"\xff", "a serial number that is negative"),
        (b"\x7f" * 21, "a serial number of more than 20 octets"),
    ],
)
def test_an_unusual_serial_number_is_a_notice(value: bytes, words: str) -> None:
    """The notice is ours. The library's warning does not appear."""  # R28
    odd = changed_certificate(MADE.leaf, ROOT, with_serial_number(value))
    found = report(KEY, block("CERTIFICATE", odd), OWN_ROOT)
    assert found.is_valid
    assert f"CN=@@@@@@@@ has {words}, which some verifiers refuse: have it issued again" in found.notices


def test_an_unusual_length_of_a_name_is_a_notice() -> None:
    """The attribute and the permitted length are named."""
    as_country = changed_certificate(MADE.leaf, ROOT, lambda content: content.replace(oid("2.5.4.3"), oid("2.5.4.6")))
    found = report(KEY, block("CERTIFICATE", as_country), OWN_ROOT)
    assert "C=@@@@@@@@ has 8 characters in the attribute C of its subject; RFC 5280 permits 2" in found.notices
