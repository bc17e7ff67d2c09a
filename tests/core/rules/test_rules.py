"""The rules that depend on the slot or the current certificate (R21, R24), and the report."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtensionOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.core.bundle import Bundle, BundleError, read_bundle
from ios_mdm.core.bundle.certificates import loaded_certificates
from ios_mdm.core.pair.definition import KeyType, Slot
from ios_mdm.core.rules import RULES, Context, Outcome, best_judgment, unread_report
from ios_mdm.core.x509.issuing import is_issued, issue
from ios_mdm.core.x509.pem import chain as chain_of
from tests.support.certificates import ANY, HOST, ISSUING, LEAF, NOW, ROOT, Chain, SelfSigned, Spec, pem, private_pem
from tests.support.defects import POLICY, REQUIRED
from tests.support.long import examples

if TYPE_CHECKING:
    from ios_mdm.core.rules import Report
    from tests.support.certificates import Made

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
MADE = Chain().make()
CURRENT = Chain(leaf=LEAF.but(days=(-300, 60))).make()


def report(made: Made, **context: Any) -> Report:
    """Return the report of the rules for a chain."""
    return best_judgment(made.bundle(), Context(**{"host": HOST, "now": NOW, **context})).report


def codes(made: Made, **context: Any) -> set[str]:
    """Return the codes of the violations."""
    return {violation.code for violation in report(made, **context).violations}


def outcome(found: Report, title: str) -> Outcome:
    """Return the outcome of the rule with this title."""
    return next(check.outcome for check in found.checklist if title in check.title)


# R21


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (MADE.leaf.not_valid_before_utc - SECOND, {"not-yet-valid"}),
        (MADE.leaf.not_valid_before_utc, set()),
        (MADE.leaf.not_valid_after_utc, set()),
        (MADE.leaf.not_valid_after_utc + SECOND, {"expired"}),
    ],
    ids=["a second before", "at the start", "at the end", "a second after"],
)
def test_both_ends_of_the_validity_belong_to_it(moment: Any, expected: set[str]) -> None:
    """The certificate is valid from its notBefore to its notAfter, both included."""  # R21
    assert codes(MADE, now=moment) == expected


def test_a_reserve_outlives_the_apply_time() -> None:
    """A reserve that expires exactly at its apply time is refused; one more second is enough."""  # R21
    end = MADE.leaf.not_valid_after_utc
    assert codes(MADE, slot=Slot.RESERVE, apply_at=end) == {"expires-too-early"}
    assert codes(MADE, slot=Slot.RESERVE, apply_at=end - SECOND) == set()
    assert codes(MADE, slot=Slot.MAIN, apply_at=end + DAY) == set()


def test_a_reserve_outlives_main() -> None:
    """A reserve that expires with main or before it is refused, regardless of its apply time."""  # R21
    later = Chain(leaf=LEAF.but(days=(-10, 400))).make()
    for current in (later, MADE):
        found = report(MADE, slot=Slot.RESERVE, apply_at=NOW + DAY, current=current.chain).violations
        assert [one.code for one in found] == ["expires-too-early"]
        assert "when the main certificate expires" in found[0].required
    assert codes(MADE, slot=Slot.RESERVE, apply_at=NOW + DAY, current=CURRENT.chain) == set()


def test_issuers_outlive_what_the_reserve_must() -> None:
    """A reserve whose issuing CA has expired at the apply time is refused, and the error names the CA."""  # R21
    made = Chain(issuing=(ISSUING.but(days=(-900, 30)),)).make()
    (found,) = report(made, slot=Slot.RESERVE, apply_at=NOW + 31 * DAY).violations
    assert (found.code, found.subject) == ("expires-too-early", "CN=Issuing")
    assert codes(made, slot=Slot.RESERVE, apply_at=NOW + 29 * DAY) == set()


def test_an_issuer_that_expires_first_is_noticed() -> None:
    """For main, this is a notice and not a violation."""  # R21
    made = Chain(issuing=(ISSUING.but(days=(-900, 30)),)).make()
    found = report(made)
    assert found.is_valid
    assert [notice for notice in found.notices if "CN=Issuing expires on 2041-03-31" in notice]


def test_a_reserve_with_nothing_to_outlive_is_noticed() -> None:
    """If neither the apply time nor main is known, the rule is not applicable, and a notice says so."""  # R21
    found = report(MADE, slot=Slot.RESERVE)
    assert found.is_valid
    assert outcome(found, "outlives") is Outcome.NOT_APPLICABLE
    assert "neither the apply time nor the main certificate is known" in found.notices


@pytest.mark.parametrize(("earlier", "expected"), [(0, {"validity-too-long"}), (1, set())])
def test_long_validities_are_bound_since_july_2019(earlier: int, expected: set[str]) -> None:
    """A certificate that starts before 2019-07-01 may be valid for longer than 825 days."""  # R28
    start = datetime(2019, 7, 1, tzinfo=UTC) - earlier * SECOND
    days = ((start - NOW) / DAY, (start - NOW) / DAY + 900)
    made = Chain().but(leaf={"days": days}, issuing={"days": days}, root={"days": days}).make()
    assert made.leaf.not_valid_before_utc == start
    assert codes(made, now=start + DAY) == expected


PUBLIC_LIMITS = [
    (datetime(2020, 8, 31, tzinfo=UTC), None),
    (datetime(2020, 9, 1, tzinfo=UTC), 398),
    (datetime(2026, 3, 14, tzinfo=UTC), 398),
    (datetime(2026, 3, 15, tzinfo=UTC), 200),
    (datetime(2027, 3, 14, tzinfo=UTC), 200),
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2029, 3, 14, tzinfo=UTC), 100),
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
]


@pytest.mark.parametrize("listed", [True, False], ids=["public root", "private root"])
@pytest.mark.parametrize(("start", "limit"), PUBLIC_LIMITS)
def test_a_leaf_that_is_longer_than_public_cas_may_issue_is_noticed(
    start: datetime,
    limit: int | None,
    listed: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """The limit follows from notBefore. Both ends count, so one more second than the limit is too long."""  # R28 R49
    longest = (limit or 800) * DAY - SECOND
    for length in (longest, longest + SECOND):
        days = ((start - NOW) / DAY, (start - NOW + length) / DAY)
        made = Chain().but(leaf={"days": days}, issuing={"days": days}, root={"days": days}).make()
        public = [made.root] if listed else []
        found = report(made, now=start + DAY, is_public_root=public.__contains__)
        assert found.is_valid
        notices = [one for one in found.notices if "public root" in one]
        if limit is None or not listed or length == longest:
            assert notices == []
            continue
        (notice,) = notices
        assert f"has a validity of {limit + 1} days under CN=Root" in notice
        assert notice.endswith(f"Have it issued again for {limit} days or less")


# R24


def test_the_root_is_that_of_the_current_certificate() -> None:
    """The same root passes even if the current chain lacks it; another root is refused."""  # R24
    other = Chain(issuing=(ISSUING.but(owner="other"),), root=ROOT.but(name="Other")).make()
    for shown in (CURRENT.chain, CURRENT.chain[:-1], CURRENT.chain[:1]):
        assert outcome(report(MADE, current=shown), "root is that") is Outcome.PASSED
        assert codes(other, current=shown) == {"root-mismatch"}
    assert codes(other, root=MADE.root) == {"root-mismatch"}


def test_another_root_above_the_same_ca_is_another_root() -> None:
    """Another root that also certified the key of the current issuing CA is not the root that devices trust."""  # R24
    cross = Chain(root=ROOT.but(name="Other")).make()
    for shown in (CURRENT.chain, CURRENT.chain[:-1]):
        assert codes(cross, current=shown) == {"root-mismatch"}


def test_a_rekeyed_root_is_another_root() -> None:
    """Devices do not trust a root with the same name and another key."""  # R24
    rekeyed = Chain(root=ROOT.but(owner="new key")).make()
    (found,) = report(rekeyed, current=CURRENT.chain).violations
    assert found.code == "root-mismatch"
    assert "another key" in found.found
    assert codes(rekeyed, current=CURRENT.chain[:-1]) == {"root-mismatch"}


def test_a_renewed_root_is_the_same_root() -> None:
    """A new root certificate with the same name and key passes with a notice."""  # R24
    renewed = Chain(root=ROOT.but(days=(-5, 7000), hash=hashes.SHA512())).make()
    found = report(renewed, current=CURRENT.chain)
    assert found.is_valid
    assert "CN=Root is a renewed root with the subject and the key that devices trust" in found.notices


def test_another_root_may_follow_an_issued_main() -> None:
    """If main is issued, any root may follow, and a notice says that it is distributed first."""  # R24
    ours = issue(HOST, key=KeyType.EC_P256, validity_days=397, now=NOW - 30 * DAY)
    current = chain_of(ours.chain)
    assert is_issued(current)
    longer = Chain(leaf=LEAF.but(days=(-10, 800))).make()
    found = report(longer, slot=Slot.RESERVE, current=current, issued=True)
    assert found.is_valid
    assert outcome(found, "root is that") is Outcome.NOT_APPLICABLE
    assert [one for one in found.notices if "CN=Root is distributed to the devices first" in one]
    assert codes(longer, slot=Slot.RESERVE, current=current, issued=False) == {"root-mismatch"}
    assert codes(longer, slot=Slot.RESERVE, current=current, issued=True, root=current[1]) == {"root-mismatch"}


def test_a_self_signed_main_that_was_installed_is_its_own_root() -> None:
    """R24 applies, because main is a custom certificate: only the same key and name may follow."""  # R24
    current, renewed = SelfSigned(leaf=LEAF.but(ca=None, days=(-300, 60))).make(), SelfSigned().make()
    assert not is_issued(current.chain)
    assert codes(renewed, slot=Slot.RESERVE, current=current.chain) == set()
    assert codes(MADE, slot=Slot.RESERVE, current=current.chain) == {"root-mismatch"}


def test_the_roots_place_in_the_file_does_not_matter() -> None:
    """The root of the current certificate completes a file without one."""  # R22 R24
    bundle = MADE.bundle(without=(MADE.root,))
    assert best_judgment(bundle, Context(host=HOST, now=NOW, current=CURRENT.chain)).report.is_valid
    assert best_judgment(bundle, Context(host=HOST, now=NOW, root=MADE.root)).report.is_valid
    assert best_judgment(bundle, Context(host=HOST, now=NOW, trust=(MADE.root,))).report.is_valid
    other = Chain(root=ROOT.but(name="Other")).make().root
    (found,) = best_judgment(bundle, Context(host=HOST, now=NOW, root=other)).report.violations
    assert found.code == "chain-incomplete"
    assert "the known root CN=Other did not issue it" in found.found


def test_a_broken_self_signature_is_no_root() -> None:
    """A certificate that names itself as issuer but is signed with another key is not a root."""  # R22
    made = Chain(root=ROOT.but(signer=("p384", "impostor"))).make()
    (found,) = report(made).violations
    assert (found.code, found.subject) == ("chain-incomplete", "CN=Root")


# Ambiguities that make other verifiers fail


def test_key_identifiers_settle_which_issuer_is_meant() -> None:
    """Two CAs of the chain with one name need distinct key identifiers; a wrong identifier is reported."""  # R20
    renewed = ISSUING.but(name="Root", owner="new")
    assert codes(Chain(issuing=(renewed,)).make()) == set()
    assert codes(Chain(leaf=LEAF.but(identifiers=False), issuing=(renewed,)).make()) == {"issuer-mismatch"}
    # The identifier is the issuing CA's, the signature is another's.
    crossed = Chain(leaf=LEAF.but(issuer="Root", signer=("p384", "Root")))
    assert codes(crossed.make()) == {"issuer-mismatch"}


SERIAL_7 = ISSUING.but(serial_number=7)


@pytest.mark.parametrize("form", ["serial", "both"])
def test_issuer_and_serial_number_name_an_issuer(form: str) -> None:
    """Both forms of the authority key identifier count: OpenSSL uses no issuer with another serial number."""  # R20
    made = Chain(leaf=LEAF.but(key_identifier=form), issuing=(SERIAL_7,)).make()
    assert report(made).violations == ()
    renewed = Chain(issuing=(ISSUING.but(serial_number=8),)).make()
    bundle = Bundle(certificates=(made.leaf, *renewed.chain[1:]), keys=made.keys[:1])
    (found,) = best_judgment(bundle, Context(host=HOST, now=NOW)).report.violations
    assert (found.code, found.subject) == ("issuer-mismatch", "CN=mdm.example.com")
    assert found.found == (
        "an authority key identifier with the serial number 7, which is not the serial number 8 of CN=Issuing"
    )
    # If the file has both certificates of the CA, in any order, the right one is used.
    for issuers in ((made.chain[1], renewed.chain[1]), (renewed.chain[1], made.chain[1])):
        bundle = Bundle(certificates=(made.leaf, *issuers, made.root), keys=made.keys[:1])
        judgment = best_judgment(bundle, Context(host=HOST, now=NOW))
        assert judgment.report.is_valid
        assert judgment.candidate.chain == made.chain


def test_the_issuer_name_of_an_identifier_counts() -> None:
    """An authority key identifier can name the issuer of the issuer, which must then agree."""  # R20
    made = Chain(leaf=LEAF.but(key_identifier="serial"), issuing=(SERIAL_7,)).make()
    other = Chain(issuing=(SERIAL_7,), root=ROOT.but(name="Other")).make()
    bundle = Bundle(certificates=(made.leaf, *other.chain[1:]), keys=made.keys[:1])
    (found,) = best_judgment(bundle, Context(host=HOST, now=NOW)).report.violations
    assert "an issuer name that is not the issuer name of CN=Issuing" in found.found


# Policies


def test_a_required_policy_must_be_present() -> None:
    """The error names the CA that requires a policy, and the certificate that has none."""  # R28
    required = (x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None), True)
    (found,) = report(Chain(issuing=(ISSUING.but(extensions=(required,)),)).make()).violations
    assert (found.code, found.subject) == ("critical-extension", "CN=Issuing")
    assert found.found.startswith("policy constraints that require a certificate policy, and no policy")
    late = (x509.PolicyConstraints(require_explicit_policy=1, inhibit_policy_mapping=None), True)
    (found,) = report(Chain(issuing=(ISSUING.but(extensions=(late,)),)).make()).violations
    assert "and CN=mdm.example.com has no policy that" in found.found
    assert codes(Chain(root=ROOT.but(extensions=(required,))).make()) == set()  # the root is no part of the path


@pytest.mark.parametrize("content", ["0500", "3000", "30023000", "300730050601010601", "300830060601010601ff"])
def test_damaged_policy_mappings_are_refused(content: str) -> None:
    """Policy mappings that are not two identifiers each are a violation, or have no effect, without a crash."""  # R28
    odd = x509.UnrecognizedExtension(ExtensionOID.POLICY_MAPPINGS, bytes.fromhex(content))
    expected = set() if content == "3000" else {"critical-extension"}
    assert codes(Chain(issuing=(ISSUING.but(extensions=((odd, False),)),)).make()) == expected


# Names


def common_name(text: str, kind: _ASN1Type) -> x509.Name:
    """Return a name whose text has this string type."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, kind)])


@pytest.mark.parametrize(
    ("issuer", "difference"),
    [
        (common_name("Issuing", _ASN1Type.PrintableString), "the string type of CN: PrintableString and UTF8String"),
        (common_name("ISSUING", _ASN1Type.UTF8String), "upper and lower case or blanks of CN"),
        (common_name("Issuing ", _ASN1Type.UTF8String), "upper and lower case or blanks of CN"),
        (common_name("Former name", _ASN1Type.UTF8String), ""),
    ],
)
def test_names_are_compared_as_bytes_and_shown_with_their_difference(issuer: x509.Name, difference: str) -> None:
    """Go and iOS compare the bytes of names. A difference that no text shows is named."""  # R20
    (found,) = report(Chain(leaf=LEAF.but(issuer=issuer)).make()).violations
    assert (found.code, found.subject) == ("issuer-mismatch", "CN=mdm.example.com")
    note = f" (the names differ only in {difference})" if difference else ""
    assert found.found.endswith(f"but was signed with the key of CN=Issuing{note}")


def test_a_ca_needs_a_subject() -> None:
    """Apple, OpenSSL (strict) and cryptography refuse an issuing CA or a root whose subject is empty."""  # R20
    for made, count in (
        (Chain().but(issuing={"name": ""}).make(), 1),
        (Chain().but(root={"name": ""}).make(), 1),
        (SelfSigned(leaf=LEAF.but(name="", ca=None, usages=None)).make(), 1),
    ):
        found = report(made).violations
        assert [(one.code, one.found) for one in found] == [("issuer-mismatch", "an empty subject")] * count


@pytest.mark.parametrize(
    ("sans", "subtree", "fits"),
    [
        ((x509.RFC822Name("it@example.com"),), x509.RFC822Name("example.com"), True),
        ((x509.RFC822Name("it@mail.example.com"),), x509.RFC822Name("example.com"), False),
        ((x509.RFC822Name("it@mail.example.com"),), x509.RFC822Name(".example.com"), True),
        ((x509.RFC822Name("it@Example.com"),), x509.RFC822Name("it@example.com"), True),
        ((x509.RFC822Name("me@example.com"),), x509.RFC822Name("it@example.com"), False),
        (
            (x509.UniformResourceIdentifier("https://mdm.example.com:8443/a?b#c"),),
            x509.UniformResourceIdentifier("mdm.example.com"),
            True,
        ),
        (  # OpenSSL takes the user for a part of the host
            (x509.UniformResourceIdentifier("https://me@mdm.example.com:8443/a?b#c"),),
            x509.UniformResourceIdentifier("mdm.example.com"),
            False,
        ),
        (
            (x509.UniformResourceIdentifier("https://mdm.example.com/"),),
            x509.UniformResourceIdentifier(".example.com"),
            True,
        ),
        (
            (x509.UniformResourceIdentifier("https://mdm.example.com/"),),
            x509.UniformResourceIdentifier("example.com"),
            False,
        ),
        (
            (x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            False,
        ),
        ((), x509.RFC822Name("example.com"), True),
    ],
)
def test_constraints_of_other_names(sans: tuple[Any, ...], subtree: x509.GeneralName, *, fits: bool) -> None:
    """E-mail addresses and URIs are checked against constraints; types that cannot be checked are refused."""  # R28
    made = Chain(leaf=LEAF.but(sans=(HOST, *sans)), root=ROOT.but(permitted=(subtree,))).make()
    assert codes(made) == (set() if fits else {"name-constraints"})


@pytest.mark.parametrize(("count", "expected"), [(900, set()), (3000, {"name-constraints"})])
def test_many_names_under_many_constraints_have_a_verdict(count: int, expected: set[str]) -> None:
    """The number of names times the number of constraints is limited, as in other verifiers."""  # R28
    names = (HOST, *(f"{number}.example.com" for number in range(count)))
    permitted = tuple(x509.DNSName(name) for name in names)
    made = Chain().but(leaf={"sans": names}, issuing={"permitted": permitted}).make()
    found = report(made).violations
    assert {one.code for one in found} == expected
    assert [one.found for one in found] == [
        "3,002 names, too many for 3,001 name constraints: OpenSSL refuses to compare them"
    ] * len(expected)


@pytest.mark.parametrize(
    "name",
    [
        x509.UniformResourceIdentifier("urn:mdm"),
        x509.RFC822Name._init_without_validation("a@b@example.com"),
        x509.DNSName("a b.example.com"),
    ],
)
def test_a_malformed_name_under_a_constraint_is_refused(name: Any) -> None:
    """A name that cannot be compared is neither permitted nor excluded."""  # R28
    subtree = type(name)("other.com")
    made = Chain(leaf=LEAF.but(sans=(HOST, name)), issuing=(ISSUING.but(excluded=(subtree,)),)).make()
    (found,) = report(made).violations
    assert found.code == "name-constraints"
    assert "which cannot be compared with the constraints on names of its type" in found.found


def test_of_many_forbidden_names_some_are_shown() -> None:
    """The error shows five names and the number of the others."""  # R28
    names = (HOST, *(f"{number}.other.com" for number in range(300)))
    made = Chain().but(leaf={"sans": names}, issuing={"permitted": (x509.DNSName(HOST),)}).make()
    found = [one.found for one in report(made).violations]
    assert found[0] == "the name 0.other.com, which is not permitted"
    assert found[5:] == ["295 more names that are not allowed"]


def test_constraints_on_directory_names_ignore_case_and_blanks() -> None:
    """A distinguished name is compared part by part (RFC 5280, 7.1)."""  # R28
    subtree = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MDM.example.com ")]))
    made = Chain(issuing=(ISSUING.but(permitted=(subtree,)),)).make()
    found = report(made)
    assert found.is_valid
    assert [one for one in found.notices if "strict validation refuses the chain" in one]


def test_a_wildcard_for_a_top_level_domain_is_refused() -> None:
    """RFC 9525 allows such a wildcard, but Apple and OpenSSL do not accept it."""  # R19
    made = Chain(leaf=LEAF.but(sans=("*.Internal",))).make()
    (found,) = report(made, host="mdm.internal").violations
    assert found.code == "san-mismatch"
    assert found.found.endswith("(devices accept no wildcard for the whole top-level domain internal)")


def test_a_leaf_with_an_empty_subject_needs_a_critical_san() -> None:
    """Apple, OpenSSL (strict) and cryptography refuse such a certificate."""  # R19
    assert codes(Chain(leaf=LEAF.but(name="")).make()) == set()
    (found,) = report(Chain(leaf=LEAF.but(name="", san_is_critical=False)).make()).violations
    assert (found.code, found.found) == ("san-mismatch", "an empty subject and a SAN that is not critical")


def test_a_common_name_is_no_name() -> None:
    """The error explains that devices ignore the common name."""  # R19
    (found,) = report(Chain(leaf=LEAF.but(sans=())).make()).violations
    assert found.code == "san-mismatch"
    assert found.found == "no subject alternative names"
    assert "devices ignore the common name" in found.message


# The report


def test_every_rule_is_in_the_checklist() -> None:
    """A report lists whether the file can be read, then each rule with its requirement, and last the handshakes."""
    found = report(MADE)
    assert [check.title for check in found.checklist[1:-1]] == [rule.title for rule in RULES]
    assert found.checklist[-1].title == "TLS clients accept a handshake with it"
    requirements = [check.requirement for check in found.checklist]
    assert requirements == sorted(requirements)
    assert set(requirements) == {f"R{number}" for number in range(18, 29)}
    for rule in RULES:
        assert (rule.findings.__doc__ or "").startswith(f"{rule.requirement}: ")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"key": "rsa-2048", "form": "pss"}, "an RSASSA-PSS key (1.2.840.113549.1.1.10)"),
        ({"form": "explicit"}, "an EC key with explicit parameters instead of the name of its curve (secp256r1)"),
        ({"key": "p224"}, "a key of type EC on secp224r1"),
        ({"key": "dsa"}, "a key of type DSA"),
        ({"key": "ed25519"}, "a key of type Ed25519 (1.3.101.112)"),
    ],
)
def test_the_bytes_of_a_key_decide_its_type(change: dict[str, Any], found: str) -> None:
    """The error names the form of a key that the library itself shows as RSA or EC."""  # R28
    (violation,) = report(Chain().but(leaf=change).make()).violations
    assert (violation.code, violation.found) == ("key-type", found)


def test_a_violation_says_what_is_wrong_and_what_to_do() -> None:
    """The parts are separate for programs, and one message for users."""
    (found,) = report(Chain(leaf=LEAF.but(key="rsa-1024")).make()).violations
    assert (found.code, found.subject, found.found, found.required) == (
        "rsa-too-small",
        "CN=mdm.example.com",
        "an RSA key of 1024 bits",
        "at least 2048 bits",
    )
    assert found.message == (
        "CN=mdm.example.com has an RSA key of 1024 bits; required: at least 2048 bits. "
        "Have it issued again with a larger key"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leaf": {"hash": hashes.SHA224()}}, "SHA-224"),
        ({"leaf": {"key": "rsa-2048", "usages": ("key_encipherment",)}}, "forward secrecy"),
        ({"issuing": {"purposes": (ANY,)}}, "any purpose"),
        ({"leaf": {"form": "compressed"}}, "an EC key with a compressed point"),
        ({"leaf": {"key": "rsa-2048", "form": "no parameters"}}, "an RSA key without the NULL parameters"),
    ],
)
def test_a_doubtful_certificate_passes_with_a_notice(change: dict[str, Any], words: str) -> None:
    """A rule adds a notice if some clients refuse a chain that passes."""  # R27 R28
    found = report(Chain().but(**change).make())
    assert found.is_valid
    assert [one for one in found.notices if words in one]


SERIAL = ISSUING.but(serial_number=7, key_identifier="serial")


@pytest.mark.parametrize(
    "described",
    [
        Chain().but(leaf={"identifiers": False}, issuing={"identifiers": False}, root={"identifiers": False}),
        Chain().but(root={"usages": None}),
        Chain().but(issuing={"usages": None, "path_length": None}),
        Chain(leaf=LEAF.but(key_identifier="both"), issuing=(SERIAL,), root=ROOT.but(serial_number=8)),
    ],
    ids=["no key identifiers", "root without a key usage", "CA without a key usage", "serial numbers"],
)
def test_an_ordinary_private_ca_has_no_notice(described: Chain) -> None:
    """The path validation of the library has no objection to certificates from tools for private CAs."""
    found = report(described.make())
    assert found.is_valid
    assert found.notices == ()


def test_a_self_signed_certificate_is_its_own_root() -> None:
    """No rule reports a missing issuer, and a notice says that the certificate is its own root."""  # R28
    found = report(SelfSigned(leaf=LEAF.but(ca=True, usages=None)).make())
    assert found.is_valid
    assert "the certificate is self-signed: it is its own root" in found.notices


def test_a_certificate_that_is_issued_here_fulfills_the_rules() -> None:
    """An issued certificate passes the rules for custom certificates."""  # R31
    ours = issue(HOST, key=KeyType.RSA_4096, validity_days=397, now=NOW)
    bundle = read_bundle((ours.private_key + ours.chain).encode())
    assert best_judgment(bundle, Context(host=HOST, now=NOW)).report.violations == ()


def test_the_report_for_a_file_includes_the_notices_of_the_reader() -> None:
    """The report for the bytes of a file includes the notices of the reader."""  # R18
    data = private_pem(MADE.keys[0]) + pem(*MADE.chain)
    found = best_judgment(read_bundle(data, "not needed"), Context(host=HOST, now=NOW)).report
    assert found.is_valid
    assert [one for one in found.notices if "password" in one]


@pytest.mark.parametrize(
    ("code", "requirement"),
    [
        ("unreadable", "R18"),
        ("bad-password", "R18"),
        ("no-key", "R18"),
        ("no-certificate", "R18"),
        ("too-many-iterations", "R28"),
    ],
)
def test_a_file_that_was_not_read_has_a_report(code: Any, requirement: str) -> None:
    """The error of the reader becomes the only violation of the report."""  # R18 R28
    found = unread_report(BundleError("the file is odd: do something", code=code))
    (check,) = found.checklist
    assert (check.requirement, check.outcome, found.is_valid) == (requirement, Outcome.FAILED, False)
    (violation,) = found.violations
    assert (violation.code, violation.subject, violation.message) == (code, "the file", "the file is odd: do something")
    assert violation.found
    assert violation.required


MAPPINGS = (
    x509.UnrecognizedExtension(ExtensionOID.POLICY_MAPPINGS, bytes.fromhex("300a300806022a0306022a03")),
    False,
)
PARTS = [
    Chain(
        leaf=LEAF.but(
            key="rsa-2048",
            sans=(HOST, x509.RFC822Name("a@example.com")),
            key_identifier="both",
            extensions=(POLICY,),
        ),
        issuing=(
            ISSUING.but(
                key="rsa-2048",
                serial_number=7,
                permitted=(x509.DNSName("example.com"), x509.RFC822Name("example.com")),
                extensions=(*REQUIRED, MAPPINGS),
            ),
        ),
        root=ROOT.but(key="rsa-4096", pss=True),
    )
    .make()
    .chain[index]
    .public_bytes(Encoding.DER)
    for index in range(3)
]


@settings(max_examples=examples(200))
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2000), st.sampled_from([*range(8), 0x17, 0x30, 0x80, 0xFF])),
        min_size=1,
        max_size=3,
    )
)
def test_no_damage_makes_judging_fail(changes: list[tuple[int, int, int]]) -> None:
    """A certificate with any changed byte is either unreadable or checked by the rules, without another error."""
    parts = [bytearray(part) for part in PARTS]
    for part, index, value in changes:
        parts[part][index % len(parts[part])] = value
    read, _ = loaded_certificates(bytes(part) for part in parts)
    if read:
        own = Spec(name=HOST, owner="leaf", key="rsa-2048").private
        context = Context(host=HOST, now=NOW, slot=Slot.RESERVE, apply_at=NOW, current=CURRENT.chain)
        with contextlib.suppress(BundleError):  # the server's certificate is missing
            assert not best_judgment(Bundle(certificates=read, keys=(own,)), context).report.is_valid


def test_an_unknown_mask_is_no_sha2() -> None:
    """An RSA-PSS signature with an unreadable mask is refused without a crash."""  # R27
    data = Chain(issuing=(ISSUING.but(key="rsa-2048"),), leaf=LEAF.but(pss=True)).make().leaf
    der = data.public_bytes(Encoding.DER).replace(
        bytes.fromhex("2a864886f70d010108"), bytes.fromhex("2a864886f70d010107")
    )
    made = Chain(issuing=(ISSUING.but(key="rsa-2048"),)).make()
    bundle = Bundle(certificates=(x509.load_der_x509_certificate(der), *made.chain[1:]), keys=(made.keys[0],))
    found = best_judgment(bundle, Context(host=HOST, now=NOW)).report
    assert {one.code for one in found.violations} == {"issuer-mismatch", "hash-not-sha2"}


def test_a_bundle_may_hold_a_key_of_any_kind() -> None:
    """A private key of another type than the certificate's is reported as a mismatch, without a crash."""  # R28
    odd = Spec(name="x", key="ed25519").private
    found = best_judgment(Bundle(certificates=MADE.chain, keys=(odd,)), Context(host=HOST, now=NOW)).report
    assert {one.code for one in found.violations} == {"key-mismatch"}


def test_a_year_has_four_digits_in_a_message() -> None:
    """The first year that a certificate can contain is written as 0001."""  # R21
    made = Chain(leaf=LEAF.but(times=("00010101000000Z", "00010102000000Z"))).make()
    (found,) = report(made).violations
    assert (found.code, found.found) == ("expired", "a validity that ended on 0001-01-02 00:00:00 UTC")
