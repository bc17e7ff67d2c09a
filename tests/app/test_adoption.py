"""Only a version that a run announced is adopted: `PutSecretValue` alone adds no certificate to a profile (R38)."""

from __future__ import annotations

import base64
import json
import re
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ios_mdm.app.pair.found_certificates import value_digest
from ios_mdm.core.pair.definition import AfterCurrentExpires, IssueMain, KeyType
from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.pair.layout import (
    ANNOUNCED_TAG,
    HIGHEST_TAG,
    OWNER_TAG,
    PAIR_ID_TAG,
    announced_value,
    facts_tag,
    facts_value,
    version_id,
)
from ios_mdm.core.pair.observed import Announcement, Role
from ios_mdm.core.x509.credential import credential_from_json
from ios_mdm.core.x509.digests import fingerprint, root_digest
from ios_mdm.errors import IdentityError, OwnershipError, StoreError
from tests.support.adoption import CA, QUIET, principal, put, value
from tests.support.bundles import tlv
from tests.support.certificates import NOW as AT
from tests.support.certificates import Chain, Made, SelfSigned, key
from tests.support.crashes import Crash, CrashError
from tests.support.pairs import FOREIGN, KNOWN, NOW, SECRET, HandClock, World, definition
from tests.support.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from ios_mdm.app.pair.values import KnownPair, PairResult


pytestmark = pytest.mark.usefixtures("unlabeled")

LABELS = ((), ("STAGED",), ("RESERVE",), ("OTHER",), ("RESERVE", "STAGED"))


@pytest.fixture
def world() -> World:
    """Return a pair without a reserve."""
    one = World(clock=HandClock(AT))
    one.apply(QUIET)
    return one


PUT_AND_TAG = "`PutSecretValue` and `TagResource`"
ALL_BUT_TAG = "`PutSecretValue`, `UpdateSecretVersionStage` and `UntagResource`"


def announce(world: World, number: int, made: Made) -> None:
    """Write the announcement, as a program can that also has the permission TagResource."""
    announced = Announcement(ordinal=number, sha256=value_digest(value(made)))
    principal(world, PUT_AND_TAG).tag(SECRET, {ANNOUNCED_TAG: announced_value(announced)})


def test_a_principal_does_only_what_it_may(world: World) -> None:
    """Control: each operation is refused to a principal without the permission for it."""  # R38
    calls: dict[str, Callable[[Principal], object]] = {
        "PutSecretValue": lambda one: one.put(SECRET, FOREIGN, "", ["OTHER"]),
        "GetSecretValue": lambda one: one.read(SECRET, FOREIGN),
        "UpdateSecretVersionStage": lambda one: one.move_label(SECRET, "OTHER", to=None, current=None),
        "TagResource": lambda one: one.tag(SECRET, {"a": "b"}),
        "UntagResource": lambda one: one.untag(SECRET, ["a"]),
    }
    for allowed in calls:
        for action, call in calls.items():
            one = Principal(store=world.store, actions=frozenset({allowed}))
            with nullcontext() if action == allowed else pytest.raises(PermissionError, match=action):
                call(one)


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: "+".join(labels) or "no label")
@pytest.mark.parametrize("version", [version_id(SECRET, 2), FOREIGN], ids=["the next version id", "another version id"])
def test_a_version_that_no_run_announced_is_not_adopted(world: World, version: str, labels: Sequence[str]) -> None:
    """The run issues another certificate, or is refused before it changes a label or facts tag of the pair."""
    # R38
    attacker = CA.make()
    put(world, version, labels, attacker)
    for _ in range(2):
        known = replace(KNOWN, certificates={world.facts(1).sha256: world.chain(1)})
        if "RESERVE" in labels and version != FOREIGN:
            with pytest.raises(StoreError, match="has a label of the pair, but no facts tag"):
                world.apply(definition(NOW), known=known)
            assert facts_tag(version) not in world.tags
            continue
        result = world.apply(definition(NOW), known=known)
        assert fingerprint(attacker.leaf) not in {one.facts.sha256 for one in result.certificates.values()}
        assert world.labels["RESERVE"] in {2, 3}
        assert sorted(result.certificates) == [1, world.labels["RESERVE"]]


@pytest.mark.parametrize("known", [True, False], ids=["with a state", "without a state"])
def test_a_main_that_no_run_announced_is_refused(world: World, *, known: bool) -> None:
    """PutSecretValue moves AWSCURRENT. The message names the version with this label and the remedy."""  # R38
    state = world.known_pair if known else None
    put(world, version_id(SECRET, 2), ["AWSCURRENT"], CA.make())
    writes = list(world.store.calls)
    moved = rf"Move the label AWSCURRENT back with `aws .* --remove-from-version-id {version_id(SECRET, 2)} "
    with pytest.raises(StoreError, match=rf"version {version_id(SECRET, 2)} \(certificate 2\) .* {moved}"):
        world.apply(QUIET, known=state)
    assert world.store.calls == writes


@pytest.mark.parametrize("slot", ["AWSCURRENT", "RESERVE"])
def test_an_announced_version_in_a_slot_is_checked_by_the_rules(world: World, slot: str) -> None:
    """A program that can also write tags cannot add a CA to a profile."""  # R38
    attacker = CA.make()
    put(world, version_id(SECRET, 2), [slot], attacker)
    announce(world, 2, attacker)
    with pytest.raises(StoreError, match=r"\(certificate 2\) has a label of the pair"):
        world.apply(definition(NOW), known=KNOWN)


@pytest.mark.parametrize(("label", "role"), [("RESERVE", Role.RESERVE), ("AWSCURRENT", Role.MAIN)])
@pytest.mark.parametrize("form", [CA, Chain()], ids=["authority", "custom"])
def test_a_record_of_an_issued_certificate_does_not_make_it_one(
    world: World, label: str, role: Role, form: SelfSigned | Chain
) -> None:
    """A program that can also write tags records a version as issued, but its form decides (R31)."""  # R38 R31
    attacker, version = form.make(), version_id(SECRET, 2)
    put(world, version, [label], attacker)
    forged = CertificateFacts(
        ordinal=2,
        source=Source.ISSUED,
        generation=1,
        chain="",
        not_before=attacker.leaf.not_valid_before_utc,
        not_after=attacker.leaf.not_valid_after_utc,
        sha256=fingerprint(attacker.leaf),
        root=root_digest(attacker.root),
    )
    tags = {facts_tag(version): facts_value(forged, role), HIGHEST_TAG: "2"}
    principal(world, PUT_AND_TAG).tag(SECRET, tags)
    said = rf"recorded as issued.*does not have the form of an issued certificate.* Move the label {label} back"
    with pytest.raises(StoreError, match=said):
        world.apply(definition(NOW), known=KNOWN)


def test_an_announced_main_that_passes_all_rules_is_accepted(world: World) -> None:
    """This is the state after a run that was interrupted before it wrote the facts of a custom main."""  # R30 R38
    made = Chain().make()
    put(world, version_id(SECRET, 2), ["AWSCURRENT"], made)
    announce(world, 2, made)
    assert world.apply(QUIET, known=KNOWN).certificates[2].facts.sha256 == fingerprint(made.leaf)


LATER = Chain().but(leaf={"days": (-5, 395)})
OTHER_ROOT = LATER.but(root={"owner": "other"})


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        pytest.param(LATER, None, id="the root of main, and expires later"),
        pytest.param(LATER.but(root={"days": (-900, 3700)}), None, id="main's root renewed"),
        pytest.param(OTHER_ROOT, "root-mismatch: .* not the root of main", id="another root of the same name"),
        pytest.param(Chain(), "a validity beyond", id="does not outlive main"),
        pytest.param(LATER.but(issuing={"days": (-10, 100)}), "a validity beyond", id="its issuer does not"),
    ],
)
def test_an_announced_reserve_is_checked_against_a_custom_main(world: World, form: Chain, problem: str | None) -> None:
    """The root of a custom main is the root of its reserve, and the reserve expires later."""  # R21 R24 R38
    _custom_main(world)
    made = form.make()
    put(world, version_id(SECRET, 3), ["RESERVE"], made)
    announce(world, 3, made)
    _check_found(world, made, problem)


@pytest.mark.parametrize(
    ("days", "problem"), [(395, "a validity beyond"), (700, None)], ids=["before main", "after main"]
)
def test_an_announced_reserve_of_an_issued_main_has_any_root_and_outlives_main(
    world: World, days: int, problem: str | None
) -> None:
    """Devices are sent the root of the reserve before the reserve becomes main."""  # R21 R24 R38
    made = Chain().but(leaf={"days": (-5, days)}).make()
    put(world, version_id(SECRET, 2), ["RESERVE"], made)
    announce(world, 2, made)
    _check_found(world, made, problem, number=2)


@pytest.mark.parametrize("label", ["AWSCURRENT", "RESERVE"])
def test_the_root_of_an_announced_version_is_the_root_of_its_chain(world: World, label: str) -> None:
    """The chain leads to main's root, but the value has another root of the same name, which devices would get."""
    # R22 R24 R38
    _custom_main(world)
    good, other = LATER.make(), OTHER_ROOT.make()
    made = Made(chain=(*good.chain, other.root), keys=good.keys)
    put(world, version_id(SECRET, 3), [label], made)
    announce(world, 3, made)
    _check_found(world, made, "root")


def _custom_main(world: World) -> None:
    """Make a custom certificate main, number 2."""
    made = Chain().make()
    put(world, version_id(SECRET, 2), ["AWSCURRENT"], made)
    announce(world, 2, made)
    world.apply(definition(None), known=KNOWN)


def _check_found(world: World, made: Made, problem: str | None, number: int = 3) -> None:
    """Check that a run accepts a certificate, or refuses it with a problem before it records its facts."""
    if problem is None:
        assert world.apply(definition(None), known=KNOWN).certificates[number].facts.sha256 == fingerprint(made.leaf)
        return
    with pytest.raises(StoreError, match=rf"\(certificate {number}\) has a label of the pair.*{problem}"):
        world.apply(definition(None), known=KNOWN)
    assert facts_tag(version_id(SECRET, number)) not in world.tags


def test_an_announced_certificate_authority_is_not_taken_for_an_issued_reserve(world: World) -> None:
    """The version has STAGED, as after an interrupted run, but is not the requested certificate (R31)."""  # R38 R31
    attacker = CA.make()
    put(world, version_id(SECRET, 2), ["STAGED"], attacker)
    announce(world, 2, attacker)
    result = world.apply(definition(NOW))
    assert fingerprint(attacker.leaf) not in {one.facts.sha256 for one in result.certificates.values()}
    assert world.labels["RESERVE"] == 3


@pytest.mark.parametrize("edge", ["before", "after"])
@pytest.mark.parametrize("write", [1, 2, 3])
def test_a_run_that_dies_around_its_announcement_is_continued(world: World, write: int, edge: str) -> None:
    """A value that was stored is adopted. A value that was only announced is replaced. The number stays the same."""
    # R30 R38
    world.store.fail = Crash(write, edge)  # type: ignore[arg-type]
    with pytest.raises(CrashError):
        world.apply(definition(NOW))
    world.store.fail = None
    stored = world.store.read(SECRET, version_id(SECRET, 2))
    world.apply(definition(NOW))
    assert world.labels["RESERVE"] == 2
    assert stored in {None, world.value(2)}


def _lost_tags(world: World, *trusted: int) -> KnownPair:
    """Remove the facts tags and records; return the pair as the state has it, with the trusted certificates."""
    kept_by_state = {world.facts(one).sha256 for one in trusted}
    chains = {sha256: chain for sha256, chain in world.known_pair.certificates.items() if sha256 in kept_by_state}
    known = replace(KNOWN, certificates=chains)
    kept = {OWNER_TAG, PAIR_ID_TAG}
    world.store.untag(SECRET, [key for key in world.tags if key.startswith("ios-mdm:") and key not in kept])
    return known


def _lose_all(world: World) -> dict[str, str]:
    """Remove all tags of the pair, and return them."""
    lost = {key: value for key, value in world.tags.items() if key.startswith("ios-mdm:")}
    world.store.untag(SECRET, list(lost))
    return lost


def _run_error(world: World) -> str:
    """Return the error of a run without a state."""
    with pytest.raises(OwnershipError) as error:
        world.apply(definition(NOW))
    return str(error.value)


def _taken_over(world: World, message: str) -> PairResult:
    """Set the tag that a message names, and take over the pair with the id that the message names."""
    tag, take_over = re.search(rf"{PAIR_ID_TAG} to `(.+?)`", message), re.search(r"`takeOver: (.+?)`", message)
    assert tag is not None
    assert take_over is not None
    world.store.tag(SECRET, {PAIR_ID_TAG: tag[1]})
    return world.service.apply(replace(world.request(definition(NOW)), take_over=take_over[1]))


def test_the_first_message_about_a_lost_state_and_lost_tags_has_the_whole_remedy(world: World) -> None:
    """The message also names the facts tags of main and reserve: without them, their versions are refused."""
    # R34 R38
    world.apply(definition(NOW))
    lost, before = _lose_all(world), {number: world.chain(number) for number in (1, 2)}
    message, needed = _run_error(world), {facts_tag(version_id(SECRET, number)) for number in (1, 2)}
    assert f"`{facts_tag(version_id(SECRET, 1))}` (certificate 1, AWSCURRENT)" in message
    assert f"`{facts_tag(version_id(SECRET, 2))}` (certificate 2, RESERVE)" in message
    world.store.tag(SECRET, {key: value for key, value in lost.items() if key in needed})
    result = _taken_over(world, message)
    assert {number: one.pem for number, one in result.certificates.items()} == before


def test_a_message_about_a_lost_id_names_no_tag_that_is_there(world: World) -> None:
    """Only the tags with the id and the owner are missing."""  # R34
    world.store.untag(SECRET, [PAIR_ID_TAG, OWNER_TAG])
    assert "ios-mdm:certificate:" not in _run_error(world)


def test_a_pair_whose_tags_have_no_backup_is_taken_over_with_its_main(world: World) -> None:
    """As in docs/storage.md: an administrator announces the value of main, and another reserve is issued."""
    # R34 R38
    world.apply(definition(NOW))
    _lose_all(world)
    announced = Announcement(ordinal=1, sha256=value_digest(world.value(1)))
    world.store.tag(SECRET, {ANNOUNCED_TAG: announced_value(announced)})
    main, former = world.chain(1), world.chain(2)
    world.move("RESERVE", None)
    result = _taken_over(world, _run_error(world))
    assert result.certificates[1].pem == main
    assert world.labels["AWSCURRENT"] == 1
    assert world.labels["RESERVE"] in {2, 3}
    assert result.certificates[int(world.labels["RESERVE"])].pem != former


def test_lost_tags_of_a_former_main_that_has_expired_are_written_again() -> None:
    """The certificate still has AWSPREVIOUS, but is no longer in the state. No profile contains it."""  # R30 R33 R38
    world = World(clock=HandClock(AT))
    yearly = definition(replace(NOW, apply=AfterCurrentExpires()))
    world.apply(yearly)
    world.later(days=396)
    world.apply(yearly)
    world.later(days=2)
    before = world.apply(yearly)
    assert (world.labels["AWSCURRENT"], world.labels["AWSPREVIOUS"]) == (3, 2)
    former, known = world.facts(2), _lost_tags(world, *before.certificates.keys() - {1, 2})
    after = world.apply(yearly, known=known)
    assert sorted(after.certificates) == [3, 4]
    assert (after.view.desired.main, after.view.desired.reserve) == (3, 4)
    assert world.facts(2) == former
    calls = list(world.store.calls)
    world.apply(yearly, known=known)
    assert world.store.calls == calls


def test_a_former_main_without_a_facts_tag_is_refused_before_it_expires(world: World) -> None:
    """Another program can move AWSPREVIOUS to its version."""  # R38
    attacker = CA.make()
    put(world, version_id(SECRET, 2), ["AWSPREVIOUS"], attacker)
    with pytest.raises(StoreError, match=r"\(certificate 2\) has a label of the pair, but no facts tag"):
        world.apply(QUIET, known=world.known_pair)


def test_lost_tags_of_a_distrusted_former_main_are_written_again(world: World) -> None:
    """The certificate is no longer in the state, but the definition has its fingerprint."""  # R33 R35
    stolen = world.facts(1).sha256
    wish = replace(QUIET, replace_main=True, confirm_main=stolen, distrust=frozenset({stolen}))
    world.apply(wish)
    assert (world.labels["AWSCURRENT"], world.labels["AWSPREVIOUS"]) == (2, 1)
    after = world.apply(replace(QUIET, distrust=frozenset({stolen})), known=_lost_tags(world, 2))
    assert sorted(after.certificates) == [2]
    assert world.facts(1).sha256 == stolen


UNTAGGED = {
    "no tag": "",
    "the facts": "ios-mdm:certificate:",
    "the announcement": ANNOUNCED_TAG,
    "the highest number": HIGHEST_TAG,
    "all tags": "ios-mdm:",
}


@pytest.mark.parametrize("removed", UNTAGGED)
@pytest.mark.parametrize("labels", [*LABELS, ("AWSCURRENT",)], ids=lambda labels: "+".join(labels) or "no label")
def test_without_tag_resource_no_certificate_is_added(labels: Sequence[str], removed: str) -> None:
    """A program with PutSecretValue, UpdateSecretVersionStage and UntagResource stops runs, but adds no certificate."""
    # R38
    for has_reserve, form in ((False, CA), (True, Chain())):
        world = World(clock=HandClock(AT))
        world.apply(definition(NOW) if has_reserve else QUIET)
        for state in (world.known_pair, None):
            attacker = form.make()
            put(world, version_id(SECRET, 3 if has_reserve else 2), labels, attacker, by=ALL_BUT_TAG)
            keys = [key for key in world.tags if removed and key.startswith(removed)]
            principal(world, ALL_BUT_TAG).untag(SECRET, keys)
            for _ in range(2):
                with suppress(StoreError, IdentityError, OwnershipError):
                    result = world.apply(definition(NOW), known=state)
                    assert fingerprint(attacker.leaf) not in {one.facts.sha256 for one in result.certificates.values()}


def with_another_root(value: str, form: str) -> str:
    """Return a stored certificate and its key under an attacker's CA, which has the name of the issuer."""
    stored = json.loads(value)
    former = x509.load_pem_x509_certificates((stored["tls.crt"] + stored["ca.crt"]).encode())[-1]
    signer = ec.generate_private_key(ec.SECP256R1())
    cross = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Attacker")])
    own = former.subject if form == "same name" else cross
    root = _authority(own, own, signer.public_key(), signer)
    if form == "cross-signed":
        crossed = _authority(former.subject, own, former.public_key(), signer)
        stored["tls.crt"] += crossed.public_bytes(Encoding.PEM).decode()
    elif form == "self-signed issuer":
        stored["tls.crt"] += (
            _authority(former.subject, former.subject, signer.public_key(), signer).public_bytes(Encoding.PEM).decode()
        )
        return json.dumps(stored)
    return json.dumps({**stored, "ca.crt": root.public_bytes(Encoding.PEM).decode()})


def _authority(
    subject: x509.Name, issuer: x509.Name, public: CertificatePublicKeyTypes, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=public,
        serial_number=1,
        not_valid_before=AT - timedelta(days=1),
        not_valid_after=AT + timedelta(days=300),
    )
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        signer, hashes.SHA256()
    )


@pytest.mark.parametrize("form", ["same name", "cross-signed", "self-signed issuer"])
@pytest.mark.parametrize("is_custom", [False, True], ids=["issued", "custom"])
def test_a_known_certificate_under_another_root_is_refused(world: World, form: str, *, is_custom: bool) -> None:
    """A program with main's key and PutSecretValue stores main again, under a CA that can issue for any name.

    The state contains the certificate, but devices must not get the CA.
    """  # R38 R31
    if is_custom:
        made = Chain().make()
        put(world, version_id(SECRET, 2), ["AWSCURRENT"], made)
        announce(world, 2, made)
        world.apply(QUIET, known=KNOWN)
    number = 2 if is_custom else 1
    known = replace(world.known_pair, main=world.facts(number).sha256)
    version = version_id(SECRET, number + 1)
    world.store.put(SECRET, version, with_another_root(world.value(number), form))
    world.store.move_label(SECRET, "AWSCURRENT", to=version, current=version_id(SECRET, number))
    tags = world.tags
    with pytest.raises(StoreError, match="chain"):
        world.apply(QUIET, known=known)
    assert world.tags == tags


def test_a_key_that_only_claims_to_be_the_certificates_is_refused() -> None:
    """A certificate is public, so a program without its key can write the public numbers into a private key.

    With only PutSecretValue, it stores main again with a key that consumers cannot use.
    """  # R38
    world = World(clock=HandClock(AT))
    quiet = replace(QUIET, main=IssueMain(key=KeyType.RSA_2048))
    world.apply(quiet)
    known, stored, version = world.known_pair, json.loads(world.value(1)), version_id(SECRET, 2)
    public = x509.load_pem_x509_certificate(stored["tls.crt"].encode()).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    other = key("rsa-2048", "attacker")
    assert isinstance(other, rsa.RSAPrivateKey)
    for numbers in (other.private_numbers(), None):
        claimed = _mismatched_key(public.public_numbers(), numbers)
        with pytest.raises(StoreError, match="not the PKCS#8 key of the certificate"):
            credential_from_json(json.dumps({**stored, "tls.key": claimed}))
    world.store.put(SECRET, version, json.dumps({**stored, "tls.key": claimed}))
    world.store.move_label(SECRET, "AWSCURRENT", to=version, current=version_id(SECRET, 1))
    with pytest.raises(StoreError, match="not the PKCS#8 key of the certificate"):
        world.apply(quiet, known=known)


def _mismatched_key(public: rsa.RSAPublicNumbers, private: rsa.RSAPrivateNumbers | None) -> str:
    """Return PKCS#8 PEM with the numbers of one public key and another private key, or with made-up ones."""
    secret = (3, 3, 5, 1, 1, 1)
    if private is not None:
        secret = (private.d, private.p, private.q, private.dmp1, private.dmq1, private.iqmp)
    numbers = b"".join(_integer(one) for one in (0, public.n, public.e, *secret))
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    content = tlv(0x30, _integer(0) + algorithm + tlv(0x04, tlv(0x30, numbers)))
    return f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(content).decode()}\n-----END PRIVATE KEY-----\n"


def _integer(number: int) -> bytes:
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def test_a_known_custom_certificate_is_accepted_with_its_chain(world: World) -> None:
    """Its facts are written again after their tag was lost."""  # R38
    made = Chain().make()
    put(world, version_id(SECRET, 2), ["AWSCURRENT"], made)
    announce(world, 2, made)
    world.apply(QUIET, known=KNOWN)
    known = world.known_pair
    world.store.untag(SECRET, [facts_tag(version_id(SECRET, 2)), ANNOUNCED_TAG])
    assert world.apply(QUIET, known=known).certificates[2].facts.sha256 == fingerprint(made.leaf)
