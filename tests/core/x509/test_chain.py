"""The choice of the certificate and the key of a bundle, and the order of the chain (R18, R20, R22)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ios_mdm.core.bundle import Bundle, BundleError
from ios_mdm.core.rules import Context, best_judgment
from ios_mdm.core.x509.chain import candidates, ordered_chain
from ios_mdm.core.x509.digests import fingerprint, root_digest
from ios_mdm.core.x509.links import Link, Pool
from ios_mdm.core.x509.names import display_name, is_name_of
from ios_mdm.core.x509.signatures import is_signed_by
from tests.support.certificates import CLIENT, HOST, ISSUING, LEAF, NOW, ROOT, Chain, SelfSigned, key
from tests.support.long import examples

SHA1 = hashes.SHA1()  # noqa: S303 - what R27 refuses
MADE = Chain(issuing=(ISSUING, ISSUING.but(name="Policy", path_length=1))).make()
OTHER = Chain(leaf=LEAF.but(name="other", owner="other", sans=("other.example.com",))).make()


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))])
def test_the_chain_is_put_in_order(order: tuple[int, ...]) -> None:
    """For any order in the file, the chain leads from the leaf to the root, each issued by the next one."""  # R20 R22
    bundle = Bundle(certificates=tuple(MADE.chain[index] for index in order), keys=(MADE.keys[0],))
    (found,) = candidates(bundle, host=HOST)
    assert found.chain == MADE.chain
    assert found.links == (Link.VERIFIED,) * 3
    assert (found.root, found.set_aside, found.notices) == (MADE.root, (), ())


def test_unrelated_certificates_are_set_aside_with_a_notice() -> None:
    """Certificates of another chain are named in notices and not used."""  # R20
    stranger = Chain(leaf=LEAF, root=ROOT.but(name="Stranger")).make().root
    found = candidates(MADE.bundle(stranger), host=HOST)[0]
    assert found.chain == MADE.chain
    assert found.set_aside == (stranger,)
    assert found.notices == ("not part of the chain, ignored: CN=Stranger",)


@pytest.mark.parametrize("source", ["trust", "roots"])
def test_the_root_may_come_from_elsewhere(source: str) -> None:
    """A file without the root is complete if the root is trusted or known."""  # R22
    bundle = MADE.bundle(without=(MADE.root,))
    assert candidates(bundle, host=HOST)[0].root is None
    given: dict[str, Any] = {source: (MADE.root,)}
    found = candidates(bundle, host=HOST, **given)[0]
    assert (found.chain, found.root) == (MADE.chain, MADE.root)
    assert found.notices == ("not in the file, taken from elsewhere: CN=Root",)


def test_issuing_cas_may_come_from_trust() -> None:
    """A file with only the leaf is completed with trusted certificates."""  # R22
    bundle = MADE.bundle(without=MADE.chain[1:])
    assert candidates(bundle, host=HOST, trust=MADE.chain[1:])[0].chain == MADE.chain


def test_of_several_keys_the_one_for_the_address_is_meant() -> None:
    """Of two keys with certificates in a file, the one for the connection address is chosen."""  # R18
    bundle = Bundle(certificates=(*OTHER.chain, MADE.leaf, *MADE.chain[1:]), keys=(OTHER.keys[0], MADE.keys[0]))
    found = candidates(bundle, host=HOST)[0]
    assert (found.leaf, found.key) == (MADE.leaf, MADE.keys[0])
    assert candidates(bundle, host="other.example.com")[0].leaf == OTHER.leaf


def test_no_key_for_the_address_is_refused_with_the_names() -> None:
    """If none of several keys is for the address, the error names their certificates."""  # R18
    bundle = Bundle(certificates=(OTHER.leaf, MADE.leaf), keys=(OTHER.keys[0], MADE.keys[0]))
    with pytest.raises(BundleError, match=r"2 private keys, and none") as refused:
        candidates(bundle, host="third.example.com")
    assert refused.value.code == "no-key"
    for made, host in ((OTHER, "other.example.com"), (MADE, HOST)):
        assert f"({host}, serial number {made.leaf.serial_number:x}, expires 20" in str(refused.value)


def test_two_keys_for_the_address_are_refused_with_the_names() -> None:
    """If two of several keys are for the address, none is chosen."""  # R18
    second = Chain(leaf=LEAF.but(name="second", owner="second", sans=("*.example.com",))).make()
    bundle = Bundle(certificates=(MADE.leaf, second.leaf), keys=(MADE.keys[0], second.keys[0]))
    with pytest.raises(BundleError, match=r"2 of them have") as refused:
        candidates(bundle, host=HOST)
    assert refused.value.code == "no-key"
    for made, name in ((MADE, f"{HOST} ({HOST}"), (second, "second (*.example.com")):
        assert f"CN={name}, serial number {made.leaf.serial_number:x}, expires 20" in str(refused.value)


def test_keys_without_certificates_are_refused() -> None:
    """Two keys without a certificate for either are refused."""  # R18
    with pytest.raises(BundleError, match="no certificate belongs to them"):
        candidates(Bundle(certificates=MADE.chain, keys=(key("p256", "a"), key("p256", "b"))), host=HOST)


def test_the_key_of_the_ca_is_reported() -> None:
    """In a file with the CA's key, the server certificate is chosen, and its key is reported as missing."""  # R28
    found = candidates(Bundle(certificates=MADE.chain, keys=(MADE.keys[1],)), host=HOST)[0]
    assert found.leaf == MADE.leaf
    (violation,) = best_judgment(
        Bundle(certificates=MADE.chain, keys=(MADE.keys[1],)), Context(host=HOST, now=NOW)
    ).report.violations
    assert violation.code == "key-mismatch"
    assert "which belongs to CN=Issuing" in violation.found


def test_without_a_hint_the_lowest_certificate_is_meant() -> None:
    """If neither key nor name decides, a certificate that issued no other is chosen."""  # R28
    bundle = Bundle(certificates=tuple(reversed(MADE.chain)), keys=(key("p256", "unknown"),))
    assert candidates(bundle, host="third.example.com")[0].leaf == MADE.leaf


def test_a_renewed_certificate_of_the_same_key_is_preferred() -> None:
    """Of an expired and a new certificate for one key, the new one is chosen."""  # R18 R21
    old = Chain(leaf=LEAF.but(days=(-800, -10))).make()
    new = Chain().make()
    bundle = Bundle(certificates=(old.leaf, *new.chain), keys=(new.keys[0],))
    judgment = best_judgment(bundle, Context(host=HOST, now=NOW))
    assert judgment.report.is_valid
    assert judgment.candidate.leaf == new.leaf
    assert judgment.candidate.set_aside == (old.leaf,)


def test_the_self_signed_certificate_of_a_request_is_not_meant() -> None:
    """Java's keytool stores both certificates; the CA's is chosen, even if its chain is incomplete."""  # R18
    made, own = Chain().make(), SelfSigned().make()
    bundle = Bundle(certificates=(own.leaf, made.leaf), keys=(made.keys[0],))
    judgment = best_judgment(bundle, Context(host=HOST, now=NOW))
    assert judgment.candidate.leaf == made.leaf
    assert {one.code for one in judgment.report.violations} == {"chain-incomplete"}


def test_a_cross_signed_chain_leads_to_the_wanted_root() -> None:
    """Of two paths, the one to the root that devices trust is chosen, in any order of the file."""  # R22 R24
    new, old = Chain(root=ROOT.but(name="New")).make(), Chain(root=ROOT.but(name="Old")).make()
    # The new root's key under the old root: leaf, issuing, cross, old root.
    cross = Chain(issuing=(ISSUING, ROOT.but(name="New", days=(-900, 900))), root=ROOT.but(name="Old")).make().chain[2]
    for certificates in ((*new.chain, cross, old.root), (new.leaf, new.chain[1], old.root, cross, new.root)):
        bundle = Bundle(certificates=certificates, keys=(new.keys[0],))
        for root, length in ((new.root, 3), (old.root, 4)):
            found = candidates(bundle, host=HOST, roots=(root,))[0]
            assert (found.root, len(found.chain)) == (root, length)
            assert best_judgment(bundle, Context(host=HOST, now=NOW, root=root)).report.is_valid


def test_of_two_ways_the_one_that_breaks_no_rule_is_taken() -> None:
    """An issuing CA with an old certificate, with SHA-1 or expired, passes with its new certificate."""  # R20 R27
    made = Chain(issuing=(ISSUING.but(key="rsa-2048"),)).make()
    for change in ({"hash": SHA1}, {"days": (-900, -1)}):
        old = Chain(issuing=(ISSUING.but(key="rsa-2048", **change),)).make().chain[1]
        bundle = Bundle(certificates=(made.leaf, old, made.chain[1], made.root), keys=(made.keys[0],))
        judgment = best_judgment(bundle, Context(host=HOST, now=NOW))
        assert judgment.report.is_valid
        assert judgment.candidate.chain == made.chain


def test_a_wrong_root_of_the_right_name_is_reported_and_a_right_one_is_found() -> None:
    """A root with the issuer's name that did not sign breaks R20, unless the real root is known otherwise."""  # R20
    made, impostor = Chain().make(), Chain(root=ROOT.but(owner="impostor")).make().root
    bundle = Bundle(certificates=(*made.chain[:-1], impostor), keys=(made.keys[0],))
    judgment = best_judgment(bundle, Context(host=HOST, now=NOW))
    assert {one.code for one in judgment.report.violations} == {"issuer-mismatch"}
    assert judgment.candidate.links == (Link.VERIFIED, Link.NAME_ONLY)
    completed = best_judgment(bundle, Context(host=HOST, now=NOW, root=made.root))
    assert completed.report.is_valid
    assert completed.candidate.chain == made.chain


def test_a_right_root_of_a_wrong_name_is_reported() -> None:
    """A certificate signed with the key of a CA with another name breaks R20."""  # R20
    made = Chain(issuing=(ISSUING.but(issuer="Former name"),)).make()
    judgment = best_judgment(made.bundle(), Context(host=HOST, now=NOW))
    assert {one.code for one in judgment.report.violations} == {"issuer-mismatch"}
    assert judgment.candidate.links == (Link.VERIFIED, Link.KEY_ONLY)


def test_a_foreign_issuing_ca_is_reported() -> None:
    """A file with the chain of another CA breaks R20 and R22."""  # R20 R22
    foreign = Chain(issuing=(ISSUING.but(name="Foreign"),)).make().chain[1:]
    bundle = MADE.bundle(*foreign, without=MADE.chain[1:])
    codes = {one.code for one in best_judgment(bundle, Context(host=HOST, now=NOW)).report.violations}
    assert codes == {"issuer-mismatch", "chain-incomplete"}


def test_circles_end() -> None:
    """Two roots that signed each other give no endless chain."""  # R22
    first, second = ROOT.but(name="First"), ROOT.but(name="Second")
    one = Chain(issuing=(first,), root=second).make()
    two = Chain(issuing=(second,), root=first).make()
    bundle = Bundle(certificates=(one.leaf, one.chain[1], two.chain[1]), keys=(one.keys[0],))
    assert [len(found.chain) for found in candidates(bundle, host=HOST)] == [3]
    assert candidates(bundle, host=HOST)[0].root is None


def test_a_mesh_is_not_followed_for_ever() -> None:
    """Many CAs that all signed each other give a limited number of paths."""
    names = [f"CA {number}" for number in range(6)]
    mesh = [
        Chain(leaf=LEAF, issuing=(ROOT.but(name=lower),), root=ROOT.but(name=upper)).make().chain[1]
        for lower, upper in itertools.permutations(names, 2)
    ]
    leaf = Chain(issuing=(), root=ROOT.but(name=names[0])).make()
    found = candidates(Bundle(certificates=(leaf.leaf, *mesh), keys=(leaf.keys[0],)), host=HOST)
    assert 1 < len(found) <= 32


EDGES = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 5)).filter(lambda edge: edge[0] != edge[1]),
    st.sampled_from(["", "expired", "no CA", "excluded", "for clients"]),
    min_size=1,
    max_size=20,
)
FAULTS: dict[str, dict[str, Any]] = {
    "": {},
    "expired": {"days": (-900, -1)},
    "no CA": {"ca": False, "usages": None},
    "excluded": {"excluded": (x509.DNSName("example.com"),)},
    "for clients": {"purposes": (CLIENT,)},
}


def cross_certificate(lower: int, upper: int, **changes: Any) -> x509.Certificate:
    """Return a certificate in which CA *upper* certifies CA *lower*; CA 5 is the root."""
    authorities = [ROOT.but(name=f"CA {number}", key="p256") for number in range(5)] + [ROOT]
    return Chain(issuing=(authorities[lower].but(**changes),), root=authorities[upper]).make().chain[1]


@settings(max_examples=examples(60), derandomize=True, suppress_health_check=list(HealthCheck))
@given(edges=EDGES, last=st.booleans())
def test_a_path_without_faults_is_found_in_any_mesh(edges: dict[tuple[int, int], str], *, last: bool) -> None:
    """If CAs certify each other in any way, a path to the root without faults is found exactly if there is one."""
    # R20 R22
    mesh = [cross_certificate(*edge, **FAULTS[fault]) for edge, fault in edges.items()]
    leaf = Chain(issuing=(), root=ROOT.but(name="CA 0", key="p256")).make()
    root = Chain().make().root
    reached, waiting = set(), [0]
    while waiting:
        number = waiting.pop()
        reached.add(number)
        waiting += [up for (low, up), fault in edges.items() if low == number and not fault and up not in reached]
    bundle = Bundle(certificates=(leaf.leaf, *mesh, *[root] * last), keys=(leaf.keys[0],))
    context = Context(host=HOST, now=NOW) if last else Context(host=HOST, now=NOW, root=root)
    assert best_judgment(bundle, context).report.is_valid == (5 in reached)


@pytest.mark.parametrize("size", [4, 5])
def test_dead_ends_do_not_use_up_the_paths_to_the_root(size: int) -> None:
    """Of CAs that all certified each other, only the last one is under the root: the shortest path is found."""  # R22
    numbers = range(size)
    mesh = [cross_certificate(lower, upper) for lower, upper in itertools.permutations(numbers, 2)]
    mesh.append(cross_certificate(size - 1, 5))
    leaf = Chain(issuing=(), root=ROOT.but(name="CA 0", key="p256")).make()
    root = Chain().make().root
    for bundle, roots in (
        (Bundle(certificates=(leaf.leaf, *mesh), keys=(leaf.keys[0],)), (root,)),
        (Bundle(certificates=(leaf.leaf, *mesh, root), keys=(leaf.keys[0],)), ()),
    ):
        found = candidates(bundle, host=HOST, roots=roots)
        assert (found[0].root, len(found[0].chain)) == (root, 4)
        assert len(found) <= 32
        assert Pool((*mesh, root)).roots_above(leaf.leaf) == {root_digest(root)}


@pytest.mark.parametrize("identifiers", [True, False])
def test_the_number_of_verified_signatures_is_limited(monkeypatch: pytest.MonkeyPatch, *, identifiers: bool) -> None:
    """Many CAs of one name, each of which could be the issuer of each other one, take a limited time."""
    same = [ROOT.but(name="CA", key="p256", owner=f"key {number}", identifiers=identifiers) for number in range(60)]
    made = [Chain(issuing=(lower,), root=upper).make().chain[1] for lower, upper in itertools.pairwise(same)]
    leaf = Chain(leaf=LEAF.but(identifiers=identifiers), issuing=(), root=same[0]).make()
    tried = []

    def count(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        tried.append((certificate, issuer))
        return is_signed_by(certificate, issuer)

    monkeypatch.setattr("ios_mdm.core.x509.links.is_signed_by", count)
    assert candidates(Bundle(certificates=(leaf.leaf, *made), keys=(leaf.keys[0],)), host=HOST)
    assert len(tried) <= (200 if identifiers else 1000)


def test_a_chain_of_any_order_is_put_in_order() -> None:
    """The chain of the current certificate is read in any order, without unrelated certificates."""
    for order in itertools.permutations(MADE.chain):
        assert ordered_chain(order) == MADE.chain
    stranger = Chain(root=ROOT.but(name="Stranger")).make().root
    assert ordered_chain((*MADE.chain[:2], stranger)) == MADE.chain[:2]
    own = SelfSigned().make().chain
    assert ordered_chain(own) == own


def test_roots_are_found_by_their_signatures() -> None:
    """The roots above a certificate are found by signatures, not by names."""  # R24
    impostor = Chain(root=ROOT.but(owner="impostor")).make().root
    assert len(Pool((*MADE.chain, impostor)).roots_above(MADE.leaf)) == 1
    assert Pool((*MADE.chain[:-1], impostor)).roots_above(MADE.leaf) == frozenset()


def test_a_candidate_shows_no_key() -> None:
    """The repr has fingerprints only, and the PEM has certificates only."""  # R29
    found = candidates(MADE.bundle(), host=HOST)[0]
    assert repr(found) == f"Candidate(chain=({', '.join(map(fingerprint, MADE.chain))}))"
    assert found.pem.count("BEGIN CERTIFICATE") == 4
    assert "PRIVATE" not in found.pem
    own = candidates(SelfSigned().make().bundle(), host=HOST)[0]
    assert own.pem.count("BEGIN CERTIFICATE") == 1


@pytest.mark.parametrize(
    ("pattern", "host", "result"),
    [
        ("mdm.example.com", "mdm.example.com", True),
        ("MDM.example.com", "mdm.EXAMPLE.com", True),
        ("*.example.com", "mdm.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.mdm.example.com", False),
        ("*.example.com", ".example.com", False),
        ("m*.example.com", "mdm.example.com", False),
        ("*", "localhost", False),
        ("*.com", "example.com", False),
        ("*.local", "mdm.local", False),
        ("*.mdm.local", "a.mdm.local", True),
        ("*.", "mdm.", False),
        ("mdm.*.com", "mdm.example.com", False),
        ("*.*.com", "mdm.example.com", False),
        ("mdm.example.com.", "mdm.example.com", False),
        ("", "mdm.example.com", False),
    ],
)
def test_a_name_covers_a_host(pattern: str, host: str, *, result: bool) -> None:
    """A wildcard stands for exactly the whole left-most label (RFC 9525, 6.3)."""  # R19
    assert is_name_of(pattern, host) is result


def test_names_are_fit_for_a_line() -> None:
    """A subject is shown without line ends and terminal codes, and is cut off if it is too long."""
    odd = Chain(leaf=LEAF.but(name="a\n\x1b[2J" + "b" * 50)).make().leaf
    assert "\x1b" not in display_name(odd)
    assert "\n" not in display_name(odd)
    assert display_name(Chain(leaf=LEAF.but(name="")).make().leaf).startswith("serial number ")
