"""Every rule is broken alone and in pairs, and OpenSSL and cryptography verify each chain, too (R19-R28).

A chain that both of them refuse for a server of that name never passes, and a chain that fulfills the
rules always passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.core.bundle import Bundle
from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.rules import Context, judged
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
from tests.support.long import examples

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.certificates import Made

MD5, SHA1 = hashes.MD5(), hashes.SHA1()  # noqa: S303 - what R27 refuses
SHA224, SHA384, SHA512 = hashes.SHA224(), hashes.SHA384(), hashes.SHA512()
APPLY_AT = NOW + timedelta(days=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A change of a valid chain that breaks one rule.

    Args:
        code: of the rule.
        leaf: changes to the leaf.
        issuing: changes to the issuing CA.
        root: changes to the root.
        missing: the issuing CA is not in the file.
        other_key: the private key is another one.
        other_root: the current certificate has another root.
    """

    code: str
    leaf: dict[str, Any] = field(default_factory=dict)
    issuing: dict[str, Any] = field(default_factory=dict)
    root: dict[str, Any] = field(default_factory=dict)
    missing: bool = False
    other_key: bool = False
    other_root: bool = False

    @property
    def touched(self) -> set[tuple[str, str]]:
        """The fields of the certificates that the defect changes."""
        levels = {"leaf": self.leaf, "issuing": self.issuing, "root": self.root}
        return {(level, name) for level, changes in levels.items() for name in changes}

    @property
    def is_above(self) -> bool:
        """Whether the defect is found in complete chains only."""
        return bool(self.issuing or self.root or self.other_root)


# All of these can be combined in pairs, except pairs that change the same fields.
DEFECTS = {
    "another name": Defect(code="san-mismatch", leaf={"sans": ("other.example.com",)}),
    "signed by an impostor": Defect(code="issuer-mismatch", issuing={"signer": ("p384", "impostor")}),
    "not yet valid": Defect(code="not-yet-valid", leaf={"days": (0.5, 390)}),
    "expired issuer": Defect(code="expired", issuing={"days": (-900, 99.5)}, root={"days": (-1800, -0.5)}),
    "expires too early": Defect(code="expires-too-early", leaf={"days": (-10, 99.5)}),
    "issuer missing": Defect(code="chain-incomplete", missing=True),
    "no purpose": Defect(code="eku-missing", leaf={"purposes": None}),
    "another root": Defect(code="root-mismatch", other_root=True),
    "small key": Defect(code="rsa-too-small", leaf={"key": "rsa-1024"}),
    "small root": Defect(code="root-rsa-too-small", root={"key": "rsa-2048"}),
    "SHA-1": Defect(code="hash-not-sha2", issuing={"hash": SHA1}),
    "key of another": Defect(code="key-mismatch", other_key=True),
    "valid too long": Defect(code="validity-too-long", leaf={"days": (-10, 826)}),
    "leaf is a CA": Defect(code="leaf-is-ca", leaf={"ca": True}),
    "issuer is none": Defect(code="not-a-ca", issuing={"ca": False}),
    "path too long": Defect(code="path-length", root={"path_length": 0}),
    "may not sign": Defect(code="key-usage", issuing={"usages": ("crl_sign",)}),
    "name forbidden": Defect(code="name-constraints", root={"excluded": (x509.DNSName("example.com"),)}),
    "unknown extension": Defect(code="critical-extension", leaf={"unknown": True}),
    "unknown curve": Defect(code="key-type", issuing={"key": "k256"}),
}
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
    report = judged(bundle, context).report
    codes = {violation.code for violation in report.violations}
    assert report.valid == (not codes)
    for violation in report.violations:
        assert violation.subject
        assert violation.found
        assert violation.required
        assert len(violation.message.splitlines()) == 1
        assert violation.found in violation.message
    return made, codes


def expected(*names: str) -> set[str]:
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
    assert verdict(DEFECTS[name])[1] == expected(name)


PAIRS = [pair for pair in combinations(DEFECTS, 2) if not DEFECTS[pair[0]].touched & DEFECTS[pair[1]].touched]


@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_rules_in_pairs(names: tuple[str, str]) -> None:
    """Two broken rules are reported together; neither hides the other."""  # R19 R20 R21 R22 R23 R24 R25 R26 R27 R28
    assert verdict(*(DEFECTS[name] for name in names))[1] == expected(*names)


def test_all_at_once() -> None:
    """All rules that can be broken at the same time are reported together."""
    names = [name for name in DEFECTS if name not in {"not yet valid", "expires too early", "issuer missing"}]
    assert verdict(*(DEFECTS[name] for name in names))[1] == expected(*names)


# These chains fulfill the rules and must pass; at least one of the two libraries accepts each.

DIRECTORY = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]))
BARE: dict[str, Any] = {"identifiers": False}
GOOD: dict[str, Chain | SelfSigned] = {
    "no key identifiers": Chain().but(leaf=BARE, issuing=BARE, root=BARE),
    "root without a key usage": Chain().but(root={"usages": None}),
    "private root and CA of the barest kind": Chain().but(
        issuing={**BARE, "usages": None, "path_length": None}, root={**BARE, "usages": None}
    ),
    "leaf without a key usage": Chain().but(leaf={"usages": None}),
    "leaf without basic constraints": Chain().but(leaf={"ca": None}),
    "leaf for RSA key exchange": Chain().but(leaf={"key": "rsa-2048", "usages": ("key_encipherment",)}),
    "leaf for servers and clients": Chain().but(leaf={"purposes": (SERVER, CLIENT)}),
    "issuer for servers": Chain().but(issuing={"purposes": (SERVER,)}),
    "issuer for anything": Chain().but(issuing={"purposes": (ANY,)}),
    "leaf without a subject": Chain().but(leaf={"name": ""}),
    "wildcard": Chain().but(leaf={"sans": ("*.example.com",)}),
    "other names, too": Chain().but(leaf={"sans": ("a.example", HOST, x509.IPAddress(IPv4Address("192.0.2.1")))}),
    "upper case": Chain().but(leaf={"sans": ("MDM.Example.COM",)}),
    "directly under the root": Chain(issuing=()),
    "three issuing CAs": Chain(
        issuing=(ISSUING, ISSUING.but(name="Policy", path_length=1), ISSUING.but(name="Region", path_length=None))
    ),
    "path length just enough": Chain().but(root={"path_length": 1}),
    "825 days": Chain().but(leaf={"days": (-10, 815)}),
    "one second of validity": Chain().but(leaf={"days": (0, 0)}),
    "RSA 2048 under RSA 2048 under RSA 4096": Chain().but(
        leaf={"key": "rsa-2048"}, issuing={"key": "rsa-2048"}, root={"key": "rsa-4096"}
    ),
    "RSA-PSS": Chain().but(leaf={"pss": True}, issuing={"key": "rsa-2048", "pss": True}, root={"key": "rsa-4096"}),
    "P-384": Chain().but(leaf={"key": "p384"}, issuing={"key": "p384"}),
    "P-521": Chain().but(leaf={"key": "p521"}, issuing={"key": "p521"}, root={"key": "p521"}),
    "P-256 at all levels": Chain().but(root={"key": "p256"}),
    "SHA-224": Chain().but(leaf={"hash": SHA224}, issuing={"hash": SHA224}, root={"hash": SHA224}),
    "SHA-384": Chain().but(leaf={"hash": SHA384}, issuing={"hash": SHA384}, root={"hash": SHA384}),
    "SHA-512": Chain().but(leaf={"hash": SHA512}, issuing={"hash": SHA512}, root={"hash": SHA512}),
    "names permitted": Chain().but(root={"permitted": (x509.DNSName("example.com"),)}),
    "wildcard permitted": Chain().but(
        leaf={"sans": ("*.example.com",)}, root={"permitted": (x509.DNSName("example.com"),)}
    ),
    "other names excluded": Chain().but(
        leaf={"sans": (HOST, x509.IPAddress(IPv4Address("192.0.2.1")), x509.IPAddress(IPv6Address("2001:db8::1")))},
        issuing={"excluded": (x509.DNSName("other.example.com"), x509.IPAddress(IPv4Network("10.0.0.0/8")))},
        root={"permitted": (x509.IPAddress(IPv4Network("192.0.2.0/24")), x509.IPAddress(IPv6Network("2001:db8::/32")))},
    ),
    "directory name permitted": Chain().but(issuing={"permitted": (DIRECTORY,)}),
    "self-signed": SelfSigned(),
    "self-signed CA": SelfSigned(leaf=LEAF.but(ca=True, usages=("digital_signature", "key_cert_sign"))),
    "self-signed RSA 4096": SelfSigned(leaf=LEAF.but(key="rsa-4096", ca=None, usages=None)),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_fulfils_the_rules_passes(name: str, tmp_path: Path) -> None:
    """An unusual chain passes if it breaks no rule, and at least one of the two libraries accepts it."""
    made = GOOD[name].make()
    report = judged(made.bundle(), Context(host=HOST, now=NOW)).report
    assert report.violations == ()
    assert openssl_accepts(made.chain, tmp_path) or cryptography_accepts(made.chain)


def _keys(size: int, level: str) -> tuple[Chain, set[str]]:
    found = {"rsa-too-small"} if size < 2048 else set()
    if level == "root" and size < 4096:
        found |= {"root-rsa-too-small"}
    return Chain().but(**{level: {"key": f"rsa-{size}"}}), found


LEVELS = ("leaf", "issuing", "root")
HASHES = {"MD5": MD5, "SHA-1": SHA1, "SHA-224": SHA224, "SHA-256": hashes.SHA256(), "SHA-384": SHA384}
RSA_ISSUERS = Chain().but(issuing={"key": "rsa-2048"}, root={"key": "rsa-4096"})
ODD: dict[str, tuple[Chain | SelfSigned, set[str]]] = {
    **{f"RSA {size} {level}": _keys(size, level) for size in (1024, 2047, 2048, 4095, 4096) for level in LEVELS},
    **{
        f"{name} {level}": (
            RSA_ISSUERS.but(**{level: {"hash": algorithm}}),
            {"hash-not-sha2"} if name in {"MD5", "SHA-1"} else set(),
        )
        for name, algorithm in HASHES.items()
        for level in LEVELS
    },
    **{
        f"SHA3-256 {level}": (Chain().but(**{level: {"hash": hashes.SHA3_256()}}), {"hash-not-sha2"})
        for level in LEVELS
    },
    **{f"SHA-1 by EC {level}": (Chain().but(**{level: {"hash": SHA1}}), {"hash-not-sha2"}) for level in LEVELS},
    "P-224 leaf": (Chain().but(leaf={"key": "p224"}), {"key-type"}),
    "P-224 root": (Chain().but(root={"key": "p224"}), {"key-type"}),
    "Ed25519 leaf": (Chain().but(leaf={"key": "ed25519"}), {"key-type"}),
    "Ed25519 root": (Chain().but(root={"key": "ed25519"}), {"key-type"}),
    "DSA root": (Chain().but(root={"key": "dsa"}), {"key-type"}),
    "two algorithms in one signature": (RSA_ISSUERS.but(leaf={"outer": SHA512}), {"issuer-mismatch"}),
    "no SAN": (Chain().but(leaf={"sans": ()}), {"san-mismatch"}),
    "IP address only": (Chain().but(leaf={"sans": (x509.IPAddress(IPv4Address("192.0.2.1")),)}), {"san-mismatch"}),
    "URI only": (
        Chain().but(leaf={"sans": (x509.UniformResourceIdentifier(f"https://{HOST}/"),)}),
        {"san-mismatch"},
    ),
    "wildcard too high": (Chain().but(leaf={"sans": ("*.com",)}), {"san-mismatch"}),
    "wildcard too low": (Chain().but(leaf={"sans": ("*.mdm.example.com",)}), {"san-mismatch"}),
    "wildcard in the middle": (Chain().but(leaf={"sans": ("mdm.*.com",)}), {"san-mismatch"}),
    "part of a label": (Chain().but(leaf={"sans": ("m*.example.com",)}), {"san-mismatch"}),
    "only a star": (Chain().but(leaf={"sans": ("*",)}), {"san-mismatch"}),
    "trailing dot": (Chain().but(leaf={"sans": ("mdm.example.com.",)}), {"san-mismatch"}),
    "any purpose": (Chain().but(leaf={"purposes": (ANY,)}), {"eku-missing"}),
    "for clients": (Chain().but(leaf={"purposes": (CLIENT,)}), {"eku-missing"}),
    "issuer for clients": (Chain().but(issuing={"purposes": (CLIENT,)}), {"eku-missing"}),
    "root for clients": (Chain().but(root={"purposes": (CLIENT,)}), {"eku-missing"}),
    "expired leaf": (Chain().but(leaf={"days": (-400, -1)}), {"expired"}),
    "expired issuer": (Chain().but(issuing={"days": (-400, -1)}), {"expired"}),
    "expired root": (Chain().but(root={"days": (-400, -1)}), {"expired"}),
    "issuer not yet valid": (Chain().but(issuing={"days": (1, 400)}), {"not-yet-valid"}),
    "dates inverted, between them": (
        Chain().but(leaf={"days": (-10, 10), "inverted": True}),
        {"not-yet-valid", "expired"},
    ),
    "dates inverted, in the past": (Chain().but(leaf={"days": (-20, -10), "inverted": True}), {"expired"}),
    "dates inverted, in the future": (Chain().but(leaf={"days": (10, 20), "inverted": True}), {"not-yet-valid"}),
    "825 days and a second": (Chain().but(leaf={"days": (-10, 815 + 1.1 / 86400)}), {"validity-too-long"}),
    "self-signed for too long": (SelfSigned(leaf=LEAF.but(ca=None, days=(-1, 900))), {"validity-too-long"}),
    "self-signed RSA 2048": (SelfSigned(leaf=LEAF.but(ca=None, key="rsa-2048")), {"root-rsa-too-small"}),
    "self-signed for another": (SelfSigned(leaf=LEAF.but(ca=None, sans=("a.example",))), {"san-mismatch"}),
    "issuer without basic constraints": (Chain().but(issuing={"ca": None}), {"not-a-ca"}),
    "root without basic constraints": (Chain().but(root={"ca": None}), {"not-a-ca"}),
    "root that may not sign": (Chain().but(root={"usages": ("digital_signature",)}), {"key-usage"}),
    "leaf that may sign certificates": (
        Chain().but(leaf={"usages": ("digital_signature", "key_cert_sign")}),
        {"key-usage"},
    ),
    "leaf that may sign no handshake": (Chain().but(leaf={"usages": ("content_commitment",)}), {"key-usage"}),
    "EC leaf for RSA key exchange": (Chain().but(leaf={"usages": ("key_encipherment",)}), {"key-usage"}),
    "path length of the CA in the middle": (
        Chain(issuing=(ISSUING, ISSUING.but(name="Policy", path_length=0))),
        {"path-length"},
    ),
    "unknown extension of the issuer": (Chain().but(issuing={"unknown": True}), {"critical-extension"}),
    "unknown extension of the root": (Chain().but(root={"unknown": True}), {"critical-extension"}),
    "name not permitted": (Chain().but(issuing={"permitted": (x509.DNSName("example.org"),)}), {"name-constraints"}),
    "only subdomains permitted": (
        Chain().but(issuing={"permitted": (x509.DNSName(f".{HOST}"),)}),
        {"name-constraints"},
    ),
    "wildcard around what is excluded": (
        Chain().but(leaf={"sans": ("*.example.com",)}, root={"excluded": (x509.DNSName(HOST),)}),
        {"name-constraints"},
    ),
    "address not permitted": (
        Chain().but(
            leaf={"sans": (HOST, x509.IPAddress(IPv4Address("192.0.2.1")))},
            issuing={"permitted": (x509.IPAddress(IPv4Network("10.0.0.0/8")),)},
        ),
        {"name-constraints"},
    ),
    "address of the other kind": (
        Chain().but(
            leaf={"sans": (HOST, x509.IPAddress(IPv6Address("2001:db8::1")))},
            issuing={"permitted": (x509.IPAddress(IPv4Network("0.0.0.0/0")),)},
        ),
        {"name-constraints"},
    ),
    "directory name excluded": (Chain().but(issuing={"excluded": (DIRECTORY,)}), {"name-constraints"}),
    "directory name not permitted": (
        Chain().but(leaf={"name": "Elsewhere"}, issuing={"permitted": (DIRECTORY,)}),
        {"name-constraints"},
    ),
    "name of the issuer not permitted": (
        Chain().but(root={"permitted": (DIRECTORY,)}),
        {"name-constraints"},
    ),
    "other kind of name": (
        Chain().but(
            leaf={"sans": (HOST, x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a"))},
            root={"excluded": (x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01b"),)},
        ),
        {"name-constraints"},
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_edges(name: str, tmp_path: Path) -> None:
    """Each edge case has exactly its codes; OpenSSL or cryptography accepts each one that passes."""  # R19 R25 R26 R27
    described, codes = ODD[name]
    made = described.make()
    report = judged(made.bundle(), Context(host=HOST, now=NOW)).report
    assert {violation.code for violation in report.violations} == codes
    if not codes:
        assert openssl_accepts(made.chain, tmp_path) or cryptography_accepts(made.chain)


@pytest.mark.parametrize("name", DEFECTS)
def test_what_openssl_and_cryptography_refuse_does_not_pass(name: str, tmp_path: Path) -> None:
    """With the certificates of the issuers, no chain passes that both OpenSSL and cryptography refuse."""
    made, codes = verdict(DEFECTS[name])
    refused = not openssl_accepts(made.chain, tmp_path) and not cryptography_accepts(made.chain)
    assert codes or not refused


NAMES = ["*.example.com", "*.com", "mdm.example.com", "*.xn--bcher-kva.example", "xn--mdm-hoa.xn--bcher-kva.example"]
HOSTS = ["mdm.example.com", "example.com", "a.mdm.example.com", "xn--mdm-hoa.xn--bcher-kva.example", "other.com"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", NAMES)
def test_names_match_as_others_have_it(name: str, host: str, tmp_path: Path) -> None:
    """A name of the SAN covers a host exactly if cryptography and, apart from one difference, OpenSSL say so."""
    made = Chain().but(leaf={"sans": (name,)}).make()
    passes = judged(made.bundle(), Context(host=host, now=NOW)).report.valid
    assert passes == cryptography_accepts(made.chain, host=host)
    if name != "*.com":  # OpenSSL requires two labels after the star
        assert passes == openssl_accepts(made.chain, tmp_path, host=host)


def test_a_self_issued_certificate_does_not_count_in_a_path() -> None:
    """A certificate in which a CA certifies its new key under its own name does not count in a path length."""  # R28
    renewed = ISSUING.but(name="Root", owner="new", path_length=None)
    made = Chain(issuing=(ISSUING, renewed), root=ROOT.but(path_length=1)).make()
    assert judged(made.bundle(), Context(host=HOST, now=NOW)).report.violations == ()


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


@settings(max_examples=examples(150), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
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
    judgement = judged(made.bundle(), Context(host=HOST, now=NOW))
    chain, codes = judgement.candidate.chain, {violation.code for violation in judgement.report.violations}
    folder, accepted = tmp_path_factory.getbasetemp(), cryptography_accepts(chain, private=True)
    assert codes or accepted or openssl_accepts(chain, folder)
    if accepted and judgement.candidate.root is not None:  # unlike R22, other verifiers need no self-signed anchor
        assert codes <= BEYOND or not openssl_accepts(chain, folder, strict=True)
