"""Every rule is broken alone and in pairs, and OpenSSL and cryptography verify each chain, too (R19-R28).

A chain that both of them refuse for a server of that name never passes, and a chain that fulfills the
rules always passes.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.core.bundle import Bundle
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.rules import Context, best_judgment
from tests.support.certificates import (
    ANY,
    CLIENT,
    HOST,
    ISSUING,
    LEAF,
    NOW,
    ROOT,
    SERVER,
    Chain,
    cryptography_accepts,
    key,
    openssl_accepts,
)
from tests.support.defects import DEFECTS, GOOD, ODD, SHA1, SHA384, Defect
from tests.support.long import examples

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.certificates import Made

APPLY_AT = NOW + timedelta(days=100)


ALSO = {"expired issuer": {"expires-too-early"}}  # an expired issuer does not outlive main, either


def verdict(*defects: Defect) -> tuple[Made, set[str]]:
    """Create a reserve with these defects; return its chain and the codes of its violations."""
    changes: dict[str, dict[str, Any]] = {"leaf": {}, "issuing": {}, "root": {}}
    for defect in defects:
        changes["leaf"] |= defect.leaf
        changes["issuing"] |= defect.issuing
        changes["root"] |= defect.root
    chain = Chain().but(**changes)
    made = chain.make()
    other = ROOT.but(name="Other", owner="other") if any(one.other_root for one in defects) else chain.root
    current = Chain(leaf=LEAF.but(days=(-300, 90)), root=other).make()
    root = current.root if any(one.other_root for one in defects) else made.root
    missing = (made.chain[1],) if any(one.missing for one in defects) else ()
    private = key("p256", "other") if any(one.other_key for one in defects) else made.keys[0]
    bundle = Bundle(certificates=tuple(one for one in made.chain if one not in missing), keys=(private,))
    context = Context(
        host=HOST, now=NOW, slot=Slot.RESERVE, apply_at=APPLY_AT, current=(*current.chain[:-1], root), trust=()
    )
    report = best_judgment(bundle, context).report
    codes = {violation.code for violation in report.violations}
    assert report.is_valid == (not codes)
    for violation in report.violations:
        assert violation.subject
        assert violation.found
        assert violation.required
        assert len(violation.message.splitlines()) == 1
        assert violation.found in violation.message
    return made, codes


def expected_codes(*names: str) -> set[str]:
    """Return the expected codes of these defects."""
    incomplete = any(DEFECTS[name].missing for name in names)
    seen = [name for name in names if DEFECTS[name].missing or not (incomplete and DEFECTS[name].is_above)]
    return {DEFECTS[name].code for name in seen}.union(*(ALSO.get(name, set()) for name in seen))


def test_the_codes_are_those_of_the_requirements() -> None:
    """Each code of R19 to R28 that a rule can find has a defect here."""  # R19 R20 R21 R22 R23 R24 R25 R26 R27 R28
    words = (
        "san-mismatch issuer-mismatch not-yet-valid expired expires-too-early chain-incomplete eku-missing "
        "root-mismatch rsa-too-small root-rsa-too-small hash-not-sha2 key-mismatch validity-too-long leaf-is-ca "
        "not-a-ca path-length key-usage name-constraints critical-extension key-type"
    )
    assert {defect.code for defect in DEFECTS.values()} == set(words.split())


def test_a_good_chain_passes(tmp_path: Path) -> None:
    """A chain without a defect has no violations, and every verifier accepts it."""
    made, codes = verdict()
    assert codes == set()
    assert openssl_accepts(made.chain, tmp_path, strict=True)
    assert cryptography_accepts(made.chain)


@pytest.mark.parametrize("name", DEFECTS)
def test_each_rule_alone(name: str) -> None:
    """A chain that breaks one rule has exactly its code."""  # R19 R20 R21 R22 R23 R24 R25 R26 R27 R28
    assert verdict(DEFECTS[name])[1] == expected_codes(name)


PAIRS = [
    pair for pair in combinations(DEFECTS, 2) if not DEFECTS[pair[0]].changed_fields & DEFECTS[pair[1]].changed_fields
]


@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_rules_in_pairs(names: tuple[str, str]) -> None:
    """Two broken rules are reported together; neither hides the other."""  # R19 R20 R21 R22 R23 R24 R25 R26 R27 R28
    assert verdict(*(DEFECTS[name] for name in names))[1] == expected_codes(*names)


def test_all_violations_of_all_rules_together() -> None:
    """All rules that can be broken at the same time are reported together."""
    names = [name for name in DEFECTS if name not in {"not yet valid", "expires too early", "issuer missing"}]
    assert verdict(*(DEFECTS[name] for name in names))[1] == expected_codes(*names)


# These chains fulfill the rules and must pass; at least one of the two libraries accepts each.


@pytest.mark.parametrize("name", GOOD)
def test_a_certificate_that_fulfills_the_rules_passes(name: str, tmp_path: Path) -> None:
    """An unusual chain passes if it breaks no rule, and at least one of the two libraries accepts it."""
    made = GOOD[name].make()
    report = best_judgment(made.bundle(), Context(host=HOST, now=NOW)).report
    assert report.violations == ()
    assert openssl_accepts(made.chain, tmp_path) or cryptography_accepts(made.chain)


@pytest.mark.parametrize("name", ODD)
def test_the_limits_of_the_rules(name: str, tmp_path: Path) -> None:
    """Each edge case has exactly its codes; OpenSSL or cryptography accepts each one that passes."""  # R19 R25 R26 R27
    described, codes = ODD[name]
    made = described.make()
    report = best_judgment(made.bundle(), Context(host=HOST, now=NOW)).report
    assert {violation.code for violation in report.violations} == codes
    if not codes:
        assert openssl_accepts(made.chain, tmp_path) or cryptography_accepts(made.chain)


@pytest.mark.parametrize("name", DEFECTS)
def test_certificates_refused_by_openssl_and_cryptography_do_not_pass(name: str, tmp_path: Path) -> None:
    """With the certificates of the issuers, no chain passes that both OpenSSL and cryptography refuse."""
    made, codes = verdict(DEFECTS[name])
    refused = not openssl_accepts(made.chain, tmp_path) and not cryptography_accepts(made.chain)
    assert codes or not refused


NAMES = ["*.example.com", "*.com", "mdm.example.com", "*.xn--bcher-kva.example", "xn--mdm-hoa.xn--bcher-kva.example"]
HOSTS = ["mdm.example.com", "example.com", "a.mdm.example.com", "xn--mdm-hoa.xn--bcher-kva.example", "other.com"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", NAMES)
def test_names_match_as_others_have_it(name: str, host: str, tmp_path: Path) -> None:
    """A name of the SAN covers a host exactly if OpenSSL and, apart from one difference, cryptography say so."""
    made = Chain().but(leaf={"sans": (name,)}).make()
    passes = best_judgment(made.bundle(), Context(host=host, now=NOW)).report.is_valid
    assert passes == openssl_accepts(made.chain, tmp_path, host=host)
    if name != "*.com":  # OpenSSL requires two labels after the star
        assert passes == cryptography_accepts(made.chain, host=host)


def test_a_self_issued_certificate_does_not_count_in_a_path() -> None:
    """A certificate in which a CA certifies its new key under its own name does not count in a path length."""  # R28
    renewed = ISSUING.but(name="Root", owner="new", path_length=None)
    made = Chain(issuing=(ISSUING, renewed), root=ROOT.but(path_length=1)).make()
    assert best_judgment(made.bundle(), Context(host=HOST, now=NOW)).report.violations == ()


BEYOND = {
    "eku-missing",
    "hash-not-sha2",
    "key-mismatch",
    "key-type",
    "key-usage",
    "root-rsa-too-small",
    "rsa-too-small",
    "validity-too-long",
}
"""Codes of the rules that neither OpenSSL nor cryptography checks."""
CERTIFICATES = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(["p256", "p384", "p224", "rsa-1024", "rsa-2048", "ed25519"]),
        "hash": st.sampled_from([SHA1, SHA384]),  # SHA-224 passes R27, but no setting makes cryptography accept it
        "days": st.sampled_from([(-400, 0.01), (-0.01, 500), (-10, 900), (1, 20), (-20, -1)]),
        "inverted": st.booleans(),
        "ca": st.sampled_from([None, True, False]),
        "path_length": st.sampled_from([None, 0, 1]),
        "usages": st.sampled_from(
            [None, ("digital_signature",), ("key_encipherment",), ("key_cert_sign",), ("crl_sign",), ("key_agreement",)]
        ),
        "purposes": st.sampled_from([None, (SERVER,), (CLIENT,), (ANY,), (SERVER, CLIENT)]),
        "sans": st.sampled_from([(), (HOST,), ("*.example.com",), ("other.com",), (HOST, "a.other.com")]),
        "permitted": st.sampled_from([(x509.DNSName(name),) for name in ("example.com", HOST, "other.com", "")]),
        "excluded": st.sampled_from([(x509.DNSName(name),) for name in ("example.com", "other.com", "")]),
        "unknown": st.booleans(),
        "identifiers": st.booleans(),
        "name": st.sampled_from(["Root", "Issuing", HOST]),
        "issuer": st.sampled_from(["Root", "Issuing"]),
        "signer": st.sampled_from([("p256", "Issuing"), ("p384", "Root"), ("p384", "impostor")]),
    },
)


@settings(max_examples=examples(150), derandomize=True, suppress_health_check=list(HealthCheck))
@given(leaf=CERTIFICATES, issuing=CERTIFICATES, root=CERTIFICATES, levels=st.integers(0, 2))
def test_others_agree_with_the_rules(
    tmp_path_factory: pytest.TempPathFactory,
    leaf: dict[str, Any],
    issuing: dict[str, Any],
    root: dict[str, Any],
    levels: int,
) -> None:
    """No chain passes that both libraries refuse; a chain that both accept breaks only rules that neither checks."""
    issuers = (ISSUING, ISSUING.but(name="Policy", path_length=1))[:levels]
    made = Chain(issuing=issuers).but(leaf=leaf, issuing=issuing, root=root).make()
    judgment = best_judgment(made.bundle(), Context(host=HOST, now=NOW))
    chain, codes = judgment.candidate.chain, {violation.code for violation in judgment.report.violations}
    folder, accepted = tmp_path_factory.getbasetemp(), cryptography_accepts(chain, private=True)
    assert codes or accepted or openssl_accepts(chain, folder)
    if accepted and judgment.candidate.root is not None:  # unlike R22, other verifiers need no self-signed anchor
        assert codes <= BEYOND or not openssl_accepts(chain, folder, strict=True)
