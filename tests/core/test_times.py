"""Times as text: accepted and refused forms, and written times that are read again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ios_mdm.core.times import FIRST, LAST, parsed_precise_time, parsed_time, rfc3339, shifted_time

TIME = datetime(2027, 3, 1, 12, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2027-03-01T12:30:05Z",
        "2027-03-01t12:30:05z",
        "2027-03-01 12:30:05Z",
        "2027-03-01T12:30:05.999Z",
        "2027-03-01T14:30:05+02:00",
        "2027-03-01T07:00:05-05:30",
        "2027-03-01 12:30:05 +0000 UTC",
        "2027-03-01 12:30:05.999 +0000 UTC",
        "2027-03-01 14:30:05 +0200 +0200",
        "2027-03-01 14:30:05 +0200 CEST",
    ],
)
def test_every_accepted_form_is_one_time_in_utc(text: str) -> None:
    """All forms of RFC 3339, and Go's form, in which the engine passes an unquoted YAML time."""
    # R7
    assert parsed_time(text) == TIME
    assert parsed_time(text).tzinfo is UTC


def test_seconds_and_the_colon_of_the_zone_may_be_missing() -> None:
    """This is not RFC 3339, but users often write it."""
    assert parsed_time("2027-03-01T12:30Z") == TIME.replace(second=0)
    assert parsed_time("2027-03-01T14:30:05+0200") == TIME


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2027-03-01",
        "2027-03-01T12:30:05",
        "2027-W09-1T12:30:05Z",
        "2027-02-30T12:30:05Z",
        "2027-03-01T24:30:05Z",
        "0001-01-01T00:00:00+23:59",
        "2027-03-01 12:30:05 UTC",
        "٢٠٢٧-03-01T12:30:05Z",
    ],
)
def test_anything_else_is_refused_by_its_text(text: str) -> None:
    """The message names the text and shows the right form."""
    with pytest.raises(ValueError, match="is not a date and time of RFC 3339, such as 2040-01-01T00:00:00Z") as error:
        parsed_time(text)
    assert str(error.value).startswith(repr(text))


def test_written_times_are_utc_and_are_read_back() -> None:
    """A time of any zone is written in UTC."""
    elsewhere = TIME.astimezone(timezone(timedelta(hours=-9)))
    assert rfc3339(elsewhere) == rfc3339(TIME) == "2027-03-01T12:30:05Z"
    assert parsed_time(rfc3339(elsewhere)) == TIME
    with pytest.raises(ValueError, match="has no zone"):
        rfc3339(TIME.replace(tzinfo=None))


def test_a_year_has_four_digits() -> None:
    """Go writes the year 1 for a time that is not set. The texts sort like the times."""
    early = datetime(1, 1, 1, tzinfo=UTC)
    assert rfc3339(early) == "0001-01-01T00:00:00Z" < rfc3339(TIME)
    assert parsed_time(rfc3339(early)) == early


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2027-03-01T12:30:05.123456789Z", 123456),
        ("2027-03-01T14:30:05.5+02:00", 500_000),
        ("2027-03-01T12:30:05Z", 0),
        ("2027-03-01t12:30:05.000001z", 1),
    ],
)
def test_a_precise_time_keeps_microseconds(text: str, microsecond: int) -> None:
    """Events of a device are less than a second apart; Go writes up to nine digits."""
    # R42
    assert parsed_precise_time(text) == TIME.replace(microsecond=microsecond)
    assert parsed_precise_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "2027-03-01", "2027-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "2027-03-01T12:30:05"]
)
def test_a_precise_time_needs_a_date_a_time_and_a_zone(text: str) -> None:
    """Other forms are refused."""
    with pytest.raises(ValueError, match="RFC 3339"):
        parsed_precise_time(text)


def test_a_shifted_time_stays_in_the_years_that_a_certificate_can_contain() -> None:
    """A sum that Python cannot represent is the first or the last time."""
    day = timedelta(days=1)
    assert shifted_time(TIME, day) == TIME + day
    assert shifted_time(LAST - day, day) == LAST
    assert shifted_time(LAST, timedelta(microseconds=1)) == LAST
    assert shifted_time(FIRST, -day) == FIRST
    assert shifted_time(LAST, timedelta.min) == FIRST
    assert shifted_time(FIRST, timedelta.max) == LAST
