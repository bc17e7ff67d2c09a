"""The storage format of a pair. After a change of a literal, pairs in users' accounts can no longer be read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.pair.facts import CertificateFacts, Source
from ios_mdm.core.pair.layout import (
    ADDRESS_TAG,
    ARMED_TAG,
    HIGHEST_TAG,
    KEY_TAG,
    MAIN_GENERATION_TAG,
    OWNER_TAG,
    PAIR_ID_TAG,
    PROMOTED_TAG,
    REPLACED_TAG,
    RESERVE_SINCE_TAG,
    RESOURCE_ID_TAG,
    SENT_TAG,
    TAGS_TAG,
    added_tags,
    armed_value,
    facts_tag,
    facts_value,
    former_key_tag,
    is_profile_sent,
    is_sent_to,
    observed_pair,
    profile_tag,
    promoted_value,
    sent_value,
    tags_value,
    value_without_profile,
    version_id,
)
from ios_mdm.core.pair.observed import ArmedPromotion, Role
from ios_mdm.core.pair.secret import Label, SecretDescription
from ios_mdm.core.x509.credential import credential_from_json, credential_to_json
from ios_mdm.core.x509.issuing import issue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.core.pair.observed import ObservedPair

SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
FACTS = CertificateFacts(
    ordinal=2,
    source=Source.ISSUED,
    generation=3,
    not_before=datetime(2039, 12, 31, 23, 55, tzinfo=UTC),
    not_after=datetime(2041, 1, 31, 23, 54, 59, tzinfo=UTC),
    sha256="ab" * 32,
    root="cd" * 32,
)
VALUE = (
    "n=2 source=issued generation=3 role=reserve notBefore=20391231T235500Z notAfter=20410131T235459Z sha256="
    "abababababababababababababababababababababababababababababababab root="
    "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
)


def pair_with(
    tags: Mapping[str, str], labels: Mapping[str, frozenset[str]] | None = None, ids: tuple[str, ...] = ()
) -> ObservedPair:
    """Return the pair in a secret with these tags and labels."""
    return observed_pair(SECRET, SecretDescription(arn="arn", tags=tags, labels=labels or {}), ids)


@pytest.mark.parametrize(
    ("ordinal", "expected"),
    [
        (1, "c1c7014d-e2b1-5f09-bee3-7e89b6eba8b1"),
        (2, "926ae8c4-3d84-5e06-832b-f6086e8e542f"),
        (3, "d412a666-7234-5c9b-abd5-869f2cf42154"),
    ],
)
def test_version_ids_are_frozen(ordinal: int, expected: str) -> None:
    """The version id of a certificate follows from its number and never changes."""
    assert version_id(SECRET, ordinal) == expected


def test_tag_keys_are_frozen() -> None:
    """The keys of all tags never change."""
    assert (OWNER_TAG, ADDRESS_TAG) == ("ios-mdm:owner", "ios-mdm:address")
    assert (HIGHEST_TAG, MAIN_GENERATION_TAG) == ("ios-mdm:highest-ordinal", "ios-mdm:main-generation")
    assert (PROMOTED_TAG, RESERVE_SINCE_TAG) == ("ios-mdm:promoted", "ios-mdm:reserve-since")
    assert REPLACED_TAG == "ios-mdm:replaced"
    assert SENT_TAG == "ios-mdm:sent"
    assert (PAIR_ID_TAG, RESOURCE_ID_TAG) == ("ios-mdm:pair-id", "ios-mdm:resource-id")
    assert profile_tag("com.example.trust.6b1f0d3a59c8") == "ios-mdm:profile:3Nm-73R9aC3T"
    assert (TAGS_TAG, KEY_TAG) == ("ios-mdm:tags", "ios-mdm:kms-key")
    assert former_key_tag("2") == "ios-mdm:former-kms-key:2"
    assert ARMED_TAG == "ios-mdm:armed"
    assert facts_tag(version_id(SECRET, 2)) == "ios-mdm:certificate:926ae8c4-3d84-5e06-832b-f6086e8e542f"


def test_the_record_of_a_sent_profile_is_frozen() -> None:
    """The record has the certificates, and the start of the digests of the devices and of the profile."""  # R36 R49
    devices, profile = "ab" * 32, "cd" * 32
    value = sent_value([2, 1], devices=devices, profile=profile)
    assert value == "1 2 devices:abababababababab profile:cdcdcdcdcdcdcdcd"
    assert sent_value([1]) == "1"
    assert pair_with({SENT_TAG: value}).sent == {1, 2}
    tags = {SENT_TAG: value}
    assert is_sent_to(tags, devices)
    assert is_profile_sent(tags, profile)
    assert not is_profile_sent(tags, devices)
    assert value_without_profile(tags) == "1 2 devices:abababababababab"
    for text in ("", "1 2", "1 2 devices:abababababababab"):
        assert not is_profile_sent({SENT_TAG: text}, profile)
        assert value_without_profile({SENT_TAG: text}) is None
    assert value_without_profile({}) is None


def test_the_record_of_an_armed_promotion_is_frozen() -> None:
    """The record has number and time. A damaged record still means that a schedule can exist."""  # R36
    armed = ArmedPromotion(certificate=2, at=datetime(2040, 1, 31, tzinfo=UTC))
    assert armed_value(armed) == "2 20400131T000000Z"
    assert pair_with({ARMED_TAG: "2 20400131T000000Z"}).armed == armed
    assert pair_with({}).armed is None
    for text, certificate in (("", 0), ("2", 2), ("2 soon", 2), ("x 20400131T000000", 0), ("0 20400131", 0)):
        assert pair_with({ARMED_TAG: text}).armed == ArmedPromotion(certificate=certificate, at=None)


def test_the_facts_of_a_certificate_are_frozen() -> None:
    """The format of a facts tag never changes."""
    assert facts_value(FACTS, Role.RESERVE) == VALUE
    custom = replace(FACTS, source=Source.INSTALLED, generation=1, chain="0123456789abcdef")
    assert facts_value(custom, Role.MAIN) == VALUE.replace(
        "issued generation=3", "installed chain=0123456789abcdef"
    ).replace("role=reserve", "role=main")


def test_a_custom_certificate_without_a_chain_on_record_is_read() -> None:
    """The facts tag of a custom certificate can have a generation and no chain."""
    tags = {facts_tag(version_id(SECRET, 2)): VALUE.replace("source=issued", "source=installed")}
    (found,) = pair_with(tags).versions
    assert found.facts == replace(FACTS, source=Source.INSTALLED)


def test_the_record_of_added_tags_is_frozen() -> None:
    """Each key has a digest of 12 characters, so the record of 20 keys of any length fits into one tag."""
    assert tags_value(["team", "cost center"]) == "8VLI1pslDu02yosi0NuDoi2x"
    longest = [f"{number:02}{'k' * 126}" for number in range(20)]
    tags = dict.fromkeys([*longest, "foreign"], "") | {TAGS_TAG: tags_value(longest)}
    assert len(tags[TAGS_TAG]) == 240
    assert added_tags(tags) == set(longest)


def test_labels_are_frozen() -> None:
    """The staging labels, which consumers and schedules use, never change."""
    assert {label.name: label.value for label in Label} == {
        "MAIN": "AWSCURRENT",
        "FORMER": "AWSPREVIOUS",
        "RESERVE": "RESERVE",
        "STAGED": "STAGED",
    }


def test_roles_and_sources_are_frozen() -> None:
    """The words for roles and sources in a facts tag never change."""
    assert [role.value for role in Role] == ["main", "reserve", "deleted", "kept"]
    assert [source.value for source in Source] == ["issued", "installed"]


def test_the_keys_of_a_secret_are_frozen() -> None:
    """The value of a version is JSON with the keys `tls.crt`, `tls.key` and `ca.crt`, which consumers mount."""
    credential = issue("mdm.example.com", key=KeyType.EC_P256, validity_days=1, now=datetime(2040, 1, 1, tzinfo=UTC))
    value = credential_to_json(credential)
    assert json.loads(value) == {
        "tls.crt": credential.certificate,
        "tls.key": credential.private_key,
        "ca.crt": credential.root,
    }
    assert credential_from_json(value, where="test") == credential


def test_the_longest_facts_are_a_tag_that_aws_takes() -> None:
    """The longest key and value are within AWS's limits of 128 and 256 characters, and in its alphabet."""
    longest = CertificateFacts(
        ordinal=999_999,
        source=Source.INSTALLED,
        generation=999_999_999,
        not_before=FACTS.not_before,
        not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        sha256="f" * 64,
        root="f" * 64,
    )
    both = (longest, replace(longest, chain="f" * 16))
    key = facts_tag(version_id(SECRET, 2))
    value = max((facts_value(facts, role) for role in Role for facts in both), key=len)
    assert len(value) <= 256
    assert len(key) <= 128
    assert re.fullmatch(r"[A-Za-z0-9 +\-=._:/@]+", key)
    assert re.fullmatch(r"[A-Za-z0-9 +\-=._:/@]+", value)


TIMES = st.datetimes(datetime(1950, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)).map(  # noqa: DTZ001 - hypothesis wants naive bounds
    lambda moment: moment.replace(microsecond=0)
)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(
    ordinal=st.integers(1, 500),
    source=st.sampled_from(Source),
    role=st.sampled_from(Role),
    generation=st.integers(1, 999_999_999),
    dates=st.tuples(TIMES, TIMES),
    digests=st.tuples(DIGESTS, DIGESTS),
    recorded=st.booleans(),
)
def test_written_facts_are_read_back(  # noqa: PLR0917 - hypothesis passes by name
    ordinal: int,
    source: Source,
    role: Role,
    generation: int,
    dates: tuple[datetime, datetime],
    digests: tuple[str, str],
    recorded: bool,  # noqa: FBT001 - hypothesis passes by name
) -> None:
    """Facts are read from their tag unchanged, with and without a recorded highest ordinal."""
    facts = CertificateFacts(
        ordinal=ordinal,
        source=source,
        generation=generation,
        not_before=dates[0],
        not_after=dates[1],
        sha256=digests[0],
        root=digests[1],
    )
    if source is Source.INSTALLED:
        facts = replace(facts, generation=1, chain=digests[0][:16])
    version = version_id(SECRET, ordinal)
    tags = {facts_tag(version): facts_value(facts, role)} | ({HIGHEST_TAG: str(ordinal)} if recorded else {})
    pair = pair_with(tags)
    (found,) = pair.versions
    assert (found.version_id, found.ordinal, found.facts, found.role) == (version, ordinal, facts, role)
    assert pair.highest_ordinal == ordinal
    assert pair.recorded_ordinal == (ordinal if recorded else 0)


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        VALUE[:-1],
        VALUE + " ",
        VALUE.replace("n=2", "n=3"),
        VALUE.replace("n=2", "n=02"),
        VALUE.replace("role=reserve", "role=spare"),
        VALUE.replace("source=issued", "source=found"),
        VALUE.replace("generation=3", "generation=0"),
        VALUE.replace("20391231T235500Z", "20391331T235500Z"),
        VALUE.replace("20391231T235500Z", "2039-12-31T23:55"),
        VALUE.replace("sha256=ab", "sha256=AB"),
        VALUE.replace("n=2", "n=٢"),
    ],
)
def test_a_damaged_tag_counts_as_missing(damaged: str) -> None:
    """An edited tag, or the tag of another certificate, is not used."""
    version = version_id(SECRET, 2)
    pair = pair_with({HIGHEST_TAG: "2", facts_tag(version): damaged}, {version: frozenset({Label.RESERVE})})
    (found,) = pair.versions
    assert (found.ordinal, found.facts, found.role) == (2, None, None)


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "2.0", "1" * 10, " 3"])
def test_a_damaged_counter_counts_as_missing(text: str) -> None:
    """A counter that is not a number is recovered like a lost counter."""
    version = version_id(SECRET, 4)
    pair = pair_with({HIGHEST_TAG: text, MAIN_GENERATION_TAG: text}, {version: frozenset({Label.MAIN})})
    assert (pair.recorded_ordinal, pair.highest_ordinal, pair.main_generation) == (0, 4, None)


def test_a_lost_highest_ordinal_is_recovered_from_version_ids() -> None:
    """The number of a deleted certificate without label and tag is not used again."""
    pair = pair_with(
        {}, {version_id(SECRET, 2): frozenset({Label.MAIN})}, tuple(version_id(SECRET, n) for n in (1, 2, 9))
    )
    assert pair.highest_ordinal == 9


def test_an_ordinal_that_a_crash_left_unrecorded_is_seen() -> None:
    """A version whose facts were not recorded yet counts for the highest ordinal."""
    pair = pair_with({HIGHEST_TAG: "1"}, {version_id(SECRET, 2): frozenset({Label.STAGED})})
    assert (pair.highest_ordinal, pair.recorded_ordinal) == (2, 1)


def test_a_version_of_another_program_has_no_ordinal() -> None:
    """A version id that is not derived from the secret's name belongs to another program."""
    other = version_id("ios-mdm/paris", 1)
    (found,) = pair_with({}, {other: frozenset({Label.MAIN})}).versions
    assert (found.version_id, found.ordinal, found.facts) == (other, None, None)


def test_no_two_certificates_share_a_version_id() -> None:
    """The version ids of many pairs and certificates are unique."""
    ids = {version_id(secret, n) for secret in (SECRET, "ios-mdm/berlin/1", "ios-mdm/b") for n in range(1, 200)}
    assert len(ids) == 3 * 199


def test_times_are_written_in_utc() -> None:
    """A tag has times in UTC."""
    assert FACTS.not_after - FACTS.not_before == timedelta(days=397) - timedelta(seconds=1)
    assert "notAfter=20410131T235459Z" in facts_value(FACTS, Role.MAIN)


@pytest.mark.parametrize(
    ("value", "promoted", "highest"),
    [("", None, 0), ("3", 3, 3), ("2 3", 2, 3), ("x", None, 0), ("2 x", 2, 2), ("x 3", None, 3)],
)
def test_the_mains_that_were_promoted_are_read(value: str, promoted: int | None, highest: int) -> None:
    """The last one, and the highest number if that is another one."""  # R35
    found = pair_with({PROMOTED_TAG: value})
    assert (found.promoted, found.highest_main) == (promoted, highest)


@pytest.mark.parametrize(("number", "highest", "value"), [(2, 0, "2"), (3, 2, "3"), (3, 3, "3"), (2, 3, "2 3")])
def test_the_highest_main_stays_recorded(number: int, highest: int, value: str) -> None:
    """A reserve that waited while main was replaced has a lower number than that main."""  # R35
    assert promoted_value(number, highest) == value
