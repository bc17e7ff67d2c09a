"""The identity of a pair in its stored format, and the identifier of its profile."""

from __future__ import annotations

import pytest

from ios_mdm.core.pair.home import Home, PairIdentity, profile_identifier

IDENTITY = PairIdentity(
    pair_id="6b1f0d3a59c84be0a7c25d1e90f3b742",
    home=Home(account="111122223333", region="eu-west-1"),
    secret="ios-mdm/berlin",  # noqa: S106 - a name
)
TEXT = "6b1f0d3a59c84be0a7c25d1e90f3b742 111122223333:eu-west-1:ios-mdm/berlin"


def test_the_record_of_the_identity_is_frozen() -> None:
    """The record has pair id, account, region and name of the secret."""  # R33
    assert IDENTITY.text == TEXT
    assert PairIdentity.from_text(TEXT) == IDENTITY


@pytest.mark.parametrize("text", [None, "", "x", TEXT[1:], TEXT.upper(), TEXT + " x", TEXT.replace(":", " ")])
def test_a_damaged_record_is_no_identity(text: str | None) -> None:
    """A damaged record counts as lost."""  # R33
    assert PairIdentity.from_text(text) is None


def test_the_longest_record_fits_into_a_tag() -> None:
    """A prefix of 120, a server name of 63 and a region name of 25 characters fit into 256 characters."""  # R40
    longest = PairIdentity(
        pair_id="0" * 32, home=Home(account="0" * 12, region="r" * 25), secret=f"{'p' * 120}/{'n' * 63}"
    )
    assert len(longest.text) <= 256


def test_the_identifier_of_a_profile_is_frozen() -> None:
    """With another identifier, every device gets a second profile."""  # R35
    assert profile_identifier("com.example.trust", IDENTITY.pair_id) == "com.example.trust.6b1f0d3a59c8"
    assert profile_identifier("com.example.trust", None) == "com.example.trust.manual"
