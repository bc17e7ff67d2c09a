"""The remedies of violations, by the role of the certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ios_mdm.core.bundle import Bundle
from ios_mdm.core.rules import Context, best_judgment
from ios_mdm.core.rules.roles import is_strong_root, replacement_advice
from ios_mdm.core.rules.strength import hashes_are_sha2, key_types_are_known, root_key_is_large
from ios_mdm.core.x509.chain import Candidate
from ios_mdm.core.x509.digests import fingerprint
from ios_mdm.core.x509.links import Link
from ios_mdm.core.x509.names import distinct_name
from ios_mdm.public_roots import public_roots
from tests.support.certificates import HOST, ISSUING, LEAF, NOW, ROOT, SERVER, Chain

if TYPE_CHECKING:
    from ios_mdm.core.rules import Violation
    from tests.support.certificates import Made

MADE = Chain().make()
CROSS = ISSUING.but(name="Known Root", key="p384", owner="known", path_length=None)
TWIN = Chain(root=ROOT.but(name="Known Root", owner="known")).make().root
OLD = ROOT.but(name="Old Root", key="rsa-2048")


def violations(made: Made, *, without: tuple[x509.Certificate, ...] = (), **context: Any) -> tuple[Violation, ...]:
    """Return the violations of a chain."""
    found = best_judgment(made.bundle(without=without), Context(**{"host": HOST, "now": NOW, **context}))
    return found.report.violations


@pytest.mark.parametrize(
    ("chain", "advice"),
    [
        (Chain(leaf=LEAF.but(key="rsa-1024")), "Have it issued again with a larger key"),
        (Chain().but(leaf={"hash": hashes.SHA1()}), "Have it issued again with SHA-256"),  # noqa: S303 - refused
        (
            Chain().but(issuing={"key": "rsa-1024"}),
            "It belongs to an issuing CA: ask the CA for an issuing certificate",
        ),
        (Chain().but(issuing={"unknown": True}), "It belongs to an issuing CA: ask the CA for an issuing certificate"),
        (Chain().but(issuing={"days": (-900, -1)}), "It belongs to a CA: put the renewed certificate of this CA"),
        (
            Chain().but(root={"key": "rsa-2048"}),
            "It is the root of a private CA, or no longer a public root: ask its operator for a root with a",
        ),
        (Chain(leaf=LEAF.but(days=(1, 100))), "Wait until then, or have it issued again"),
        (Chain().but(issuing={"days": (1, 1800)}), "Wait until then, or ask the CA for another chain"),
        (Chain(leaf=LEAF.but(days=(-100, -1))), "Have it renewed, and put the new certificate into the file"),
    ],
)
def test_only_the_administrator_s_certificate_is_issued_again(chain: Chain, advice: str) -> None:
    """A certificate of a CA has another remedy than the certificate of the server."""  # R25 R26 R27
    (found,) = violations(chain.make())
    assert f". {advice}" in found.message


def public_root(common_name: str) -> x509.Certificate:
    """Return a public root by its common name."""
    (found,) = (
        one
        for one in public_roots()
        if [name.value for name in one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [common_name]
    )
    return found


def advice_for(root: x509.Certificate) -> str:
    """Return the advice for a chain that ends in a root which breaks a rule."""
    candidate = Candidate(
        leaf=MADE.leaf,
        key=MADE.bundle().keys[0],
        chain=(MADE.leaf, root),
        links=(Link.NAME_ONLY,),
        root=root,
    )
    context = Context(host=HOST, now=NOW, public_roots=public_roots)
    return replacement_advice(root, candidate, context, how="with a larger key")


def test_a_public_root_has_alternatives() -> None:
    """The advice names other roots of the same CA that fulfill the rules, although the CA writes its name variously."""
    advice = advice_for(public_root("DigiCert Global Root G2"))  # R26
    assert advice.startswith(
        "It is a public root, which cannot change: ask its CA for a chain to one of its other roots"
    )
    assert "DigiCert Global Root G3" in advice
    assert "DigiCert Assured ID Root G2" not in advice


def test_a_ca_without_another_root_is_replaced() -> None:
    """If no root of the CA fulfills the rules, the advice is another CA."""  # R26
    advice = advice_for(public_root("SZAFIR ROOT CA2"))
    assert advice.endswith("so have the certificate issued by another CA")


@pytest.mark.parametrize("knows_old_root", [False, True], ids=["without the old root", "with the old root"])
def test_a_cross_certificate_has_a_self_signed_twin(*, knows_old_root: bool) -> None:
    """The advice is the self-signed root instead of the old root that certified it, and the advice is right."""  # R22
    made = Chain(issuing=(ISSUING, CROSS), root=OLD).make()
    without = () if knows_old_root else (made.root,)
    (found,) = violations(made, without=without, public_roots=lambda: (TWIN,))
    assert found.code == ("root-rsa-too-small" if knows_old_root else "chain-incomplete")
    assert "CN=Known Root is a cross-certificate of a public root with the same name and key" in found.message
    assert fingerprint(TWIN) in found.message
    assert violations(made, without=without, trust=(TWIN,)) == ()


def test_an_expired_twin_is_no_advice() -> None:
    """A public root that has expired does not replace another root."""  # R22
    expired = Chain(root=ROOT.but(name="Known Root", owner="known", days=(-1800, -1))).make().root
    made = Chain(issuing=(ISSUING, CROSS), root=OLD).make()
    (found,) = violations(made, public_roots=lambda: (expired,))
    assert "cross-certificate" not in found.message


def test_a_twin_does_not_help_below_it() -> None:
    """A defect of a certificate below the cross-certificate has its usual advice."""  # R25
    made = Chain(issuing=(ISSUING.but(key="rsa-1024"), CROSS), root=ROOT).make()
    (found,) = violations(made, public_roots=lambda: (TWIN,))
    assert "cross-certificate" not in found.message


def test_a_missing_issuer_has_an_address() -> None:
    """If the certificate says where the CA publishes the issuer, the error repeats the address."""  # R22
    place = x509.UniformResourceIdentifier("http://ca.example.com/issuing.cer")
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
    leaf = (
        x509.CertificateBuilder(MADE.leaf.issuer, MADE.leaf.subject, MADE.leaf.public_key(), 7)
        .not_valid_before(MADE.leaf.not_valid_before_utc)
        .not_valid_after(MADE.leaf.not_valid_after_utc)
        .add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([SERVER]), critical=False)
        .sign(ISSUING.private, hashes.SHA256())
    )
    bundle = Bundle(certificates=(leaf,), keys=MADE.bundle().keys)
    (found,) = best_judgment(bundle, Context(host=HOST, now=NOW)).report.violations
    assert found.code == "chain-incomplete"
    assert found.message.endswith("to the file or to `trust`. The CA publishes it at http://ca.example.com/issuing.cer")


def test_equal_names_are_distinguished() -> None:
    """Two certificates of one name have their serial number and expiry in a message."""
    renewed = Chain(leaf=LEAF.but(days=(-5, 395))).make()
    name = distinct_name(MADE.leaf, renewed.leaf)
    assert name == f"CN={HOST} (serial number {MADE.leaf.serial_number:x}, expires 2042-03-26T12:30:15Z)"
    assert distinct_name(MADE.leaf, MADE.leaf, MADE.root) == f"CN={HOST}"
    found = best_judgment(MADE.bundle(renewed.leaf), Context(host=HOST, now=NOW)).report
    (notice,) = (one for one in found.notices if one.startswith("not part of the chain"))
    assert "serial number" in notice


def test_a_strong_root_is_a_root_that_the_rules_accept() -> None:
    """For each public root, the advice and the rules agree."""  # R26 R27
    context = Context(host=HOST, now=NOW)
    for root in public_roots():
        alone = Candidate(leaf=root, key=MADE.bundle().keys[0], chain=(root,), links=(), root=root)
        broken = [
            finding
            for rule in (root_key_is_large, hashes_are_sha2, key_types_are_known)
            for finding in rule(alone, context)
        ]
        assert is_strong_root(root) == (not broken), root.subject


def test_the_public_roots_are_not_loaded_for_a_valid_chain() -> None:
    """A chain without a violation needs no advice."""
    assert violations(MADE, public_roots=None) == ()
