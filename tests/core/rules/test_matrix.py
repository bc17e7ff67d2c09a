"""Every rule is broken alone and in pairs, and OpenSSL, Go and cryptography verify each chain, too (R19-R28).

Every verdict that differs from that of the rules is listed with its reason.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.x509.oid import ExtensionOID
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
    SelfSigned,
    cryptography_accepts,
    key,
    openssl_accepts,
)
from tests.support.defects import DEFECTS, GOOD, ODD, SHA1, SHA384, Defect
from tests.support.disagreements import RULES_ACCEPT, RULES_REFUSE
from tests.support.key_forms import tlv
from tests.support.long import examples
from tests.support.verifiers import Question, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.certificates import Made

APPLY_AT = NOW + timedelta(days=100)
HANDSHAKE = "a handshake that OpenSSL refuses"
"""Start of a violation that the handshakes find. A rule that is left out must fail a test, although they find it."""


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
        assert not violation.found.startswith(HANDSHAKE)
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


@pytest.mark.parametrize("name", GOOD)
def test_a_certificate_that_fulfills_the_rules_passes(name: str) -> None:
    """An unusual chain passes if it breaks no rule."""
    report = best_judgment(GOOD[name].make().bundle(), Context(host=HOST, now=NOW)).report
    assert report.violations == ()


@pytest.mark.parametrize("name", ODD)
def test_the_limits_of_the_rules(name: str) -> None:
    """Each edge case has exactly its codes."""  # R19 R25 R26 R27
    described, codes = ODD[name]
    report = best_judgment(described.make().bundle(), Context(host=HOST, now=NOW)).report
    assert {violation.code for violation in report.violations} == codes
    assert not any(violation.found.startswith(HANDSHAKE) for violation in report.violations)


def matrix() -> dict[str, tuple[Chain | SelfSigned, bool]]:
    """Return each chain of the matrix by its name, and whether the rules accept it."""
    found: dict[str, tuple[Chain | SelfSigned, bool]] = {name: (chain, True) for name, chain in GOOD.items()}
    found |= {name: (chain, not codes) for name, (chain, codes) in ODD.items()}
    for name, one in DEFECTS.items():
        # A verifier has no later date to compare with, and gets the right root and no private key.
        if (one.leaf or one.issuing or one.root) and name not in {"expires too early", "expired issuer"}:
            found[name] = (Chain().but(leaf=one.leaf, issuing=one.issuing, root=one.root), False)
    return found


MATRIX = matrix()


@pytest.mark.parametrize("verifier", ["openssl", "go", "cryptography"])
def test_every_disagreement_with_others_has_a_reason(verifier: str, tmp_path: Path) -> None:
    """OpenSSL, Go and cryptography refuse the same chains as the rules, apart from the listed ones."""
    # R19 R20 R21 R22 R23 R25 R26 R27 R28
    verdicts = {}
    for name, (described, _) in MATRIX.items():
        made = described.make()
        question = Question(chain=made.chain, trusted=(made.root,), host=HOST, moment=NOW, folder=tmp_path)
        verdicts[name] = not refusal(verifier, question)
    for listed, by_rules in ((RULES_REFUSE, False), (RULES_ACCEPT, True)):
        explained = [case for one in listed if verifier in one.verifiers for case in one.cases]
        found = {
            name for name, (_, accepts) in MATRIX.items() if accepts is by_rules and verdicts[name] is not by_rules
        }
        assert found == set(explained)
        assert len(explained) == len(set(explained))


def test_no_chain_passes_that_all_others_refuse() -> None:
    """Each chain that breaks no rule is accepted by at least one verifier."""
    refused = [(case, verifier) for one in RULES_ACCEPT for case in one.cases for verifier in one.verifiers]
    for case, _ in refused:
        assert {verifier for name, verifier in refused if name == case} != {"openssl", "go", "cryptography"}


NAMES = ["*.example.com", "*.com", "mdm.example.com", "*.xn--bcher-kva.example", "xn--mdm-hoa.xn--bcher-kva.example"]
HOSTS = ["mdm.example.com", "example.com", "a.mdm.example.com", "xn--mdm-hoa.xn--bcher-kva.example", "other.com"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", NAMES)
def test_names_match_as_others_have_it(name: str, host: str, tmp_path: Path) -> None:
    """A name of the SAN covers a host exactly if OpenSSL and, apart from one difference, cryptography say so."""
    made = Chain().but(leaf={"sans": (name,)}).make()
    passes = best_judgment(made.bundle(), Context(host=host, now=NOW)).report.is_valid
    assert passes == openssl_accepts(made.chain, tmp_path, host=host)
    if name != "*.com":  # only cryptography accepts a wildcard for a top-level domain
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


OIDS = ("1.2.3", "1.2.4", "2.5.29.32.0")


def policies(*oids: str) -> tuple[x509.CertificatePolicies, bool]:
    """Return the extension with these policies."""
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(one), None) for one in oids]), False


def mappings(*pairs: tuple[str, str]) -> tuple[x509.UnrecognizedExtension, bool]:
    """Return the extension that maps the first policy of each pair to the second one."""
    content = b"".join(
        tlv(0x30, b"".join(encode_der(x509.ObjectIdentifier(one)) for one in pair)) for pair in dict.fromkeys(pairs)
    )
    return x509.UnrecognizedExtension(ExtensionOID.POLICY_MAPPINGS, tlv(0x30, content)), True


POLICIES = st.one_of(st.none(), st.lists(st.sampled_from(OIDS), min_size=1, max_size=2, unique=True))
SKIP = st.one_of(st.none(), st.none(), st.integers(0, 2))
POLICY_AUTHORITIES = st.fixed_dictionaries(
    {
        "policies": POLICIES,
        "required": SKIP,
        "unmapped": SKIP,
        "no_any": SKIP,
        "mapped": st.lists(st.tuples(st.sampled_from(OIDS[:2]), st.sampled_from(OIDS[:2])), max_size=2),
    }
)


def policy_extensions(wanted: dict[str, Any]) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """Return the extensions of a CA about policies."""
    found: list[tuple[x509.ExtensionType, bool]] = [policies(*wanted["policies"])] if wanted["policies"] else []
    if wanted["required"] is not None or wanted["unmapped"] is not None:
        found.append((x509.PolicyConstraints(wanted["required"], wanted["unmapped"]), True))
    if wanted["no_any"] is not None:
        found.append((x509.InhibitAnyPolicy(wanted["no_any"]), True))
    if wanted["mapped"]:
        found.append(mappings(*wanted["mapped"]))
    return tuple(found)


@settings(max_examples=examples(60), derandomize=True, suppress_health_check=list(HealthCheck))
@given(leaf=POLICIES, lower=POLICY_AUTHORITIES, upper=POLICY_AUTHORITIES, renewed=st.booleans())
def test_go_agrees_about_required_policies(
    tmp_path_factory: pytest.TempPathFactory,
    leaf: list[str] | None,
    lower: dict[str, Any],
    upper: dict[str, Any],
    *,
    renewed: bool,
) -> None:
    """Required policies, mappings and the limits of anyPolicy have the effect that Go gives them."""  # R28
    # A renewed CA certifies itself: its certificates do not count (RFC 5280, 6.1.4, h).
    above = ISSUING.but(name="Issuing" if renewed else "Policy", owner="upper", path_length=None)
    made = Chain(
        leaf=LEAF.but(extensions=(policies(*leaf),) if leaf else ()),
        issuing=(
            ISSUING.but(path_length=None, extensions=policy_extensions(lower)),
            above.but(extensions=policy_extensions(upper)),
        ),
    ).make()
    found = {one.code for one in best_judgment(made.bundle(), Context(host=HOST, now=NOW)).report.violations}
    question = Question(
        chain=made.chain, trusted=(made.root,), host=HOST, moment=NOW, folder=tmp_path_factory.getbasetemp()
    )
    assert found == ({"critical-extension"} if refusal("go", question) else set())
