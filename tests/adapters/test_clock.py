"""The clock: this machine's, or a fixed clock for a rehearsal on an emulator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ios_mdm.adapters.aws import Aws
from ios_mdm.adapters.clock import FixedClock, SystemClock, clock_from_environment
from ios_mdm.errors import DefinitionError

EMULATOR = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}


def test_the_machines_clock_shows_whole_seconds_of_utc() -> None:
    """All times are aware UTC and whole seconds."""
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert now.microsecond == 0
    assert before - timedelta(seconds=1) < now <= datetime.now(UTC)


def test_a_fixed_clock_stands_still_in_utc() -> None:
    """The time zone of the argument makes no difference."""
    clock = FixedClock(time=datetime(2040, 1, 1, 1, 0, 0, 999, tzinfo=timezone(timedelta(hours=1))))
    assert clock.now() == datetime(2040, 1, 1, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("environ", [{}, {"IOS_MDM_CLOCK": ""}, EMULATOR])
def test_the_clock_is_the_machines_unless_it_is_set(environ: dict[str, str]) -> None:
    """An empty variable counts as unset."""
    assert clock_from_environment(environ) == SystemClock()


@pytest.mark.parametrize(
    "text",
    [
        "2040-02-29T12:00:00Z",
        "2040-02-29t12:00:00z",
        "2040-02-29 12:00:00Z",
        "2040-02-29T13:30:00+01:30",
        "2040-02-29T12:00:00.75Z",
        "2040-02-29T12:00:00.123456789Z",
    ],
)
def test_a_rehearsal_sets_the_clock(text: str) -> None:
    """All forms of RFC 3339 are accepted. Fractions of a second are cut off."""
    clock = clock_from_environment({**EMULATOR, "IOS_MDM_CLOCK": text})
    assert clock.now() == datetime(2040, 2, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "2040-01-01",
        "2040-01-01T00:00:00",
        "2040-W01-1T00:00:00Z",
        "20400101T000000Z",
        "2039-02-29T00:00:00Z",
        "2040-01-01T24:00:01Z",
        "2040-01-01T00:00:00+25:00",
        "0001-01-01T00:00:00+01:00",
    ],
)
def test_an_invalid_time_is_refused(text: str) -> None:
    """The message shows an example of a valid time."""
    with pytest.raises(DefinitionError, match=r"IOS_MDM_CLOCK: .* such as 2040-01-01T00:00:00Z"):
        clock_from_environment({**EMULATOR, "IOS_MDM_CLOCK": text})


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_ENDPOINT_URL": "https://secretsmanager.eu-west-1.amazonaws.com"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1@example.com"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1.example.com"},
        {"AWS_ENDPOINT_URL": "http://[::1"},
        {**EMULATOR, "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://secretsmanager.eu-west-1.amazonaws.com"},
        {**EMULATOR, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    ],
)
def test_the_clock_is_not_set_where_aws_is_real(environ: dict[str, str]) -> None:
    """No certificate with invented dates is stored in a real account."""
    assert not Aws(environ=environ).is_emulator
    with pytest.raises(DefinitionError, match="rehearsals only"):
        clock_from_environment({**environ, "IOS_MDM_CLOCK": "2040-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    "environ",
    [
        EMULATOR,
        {"AWS_ENDPOINT_URL": "http://localhost:4566"},
        {"AWS_ENDPOINT_URL": "http://[::1]:4566"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.2:4566"},
        {
            f"AWS_ENDPOINT_URL_{service}": "http://127.0.0.2:4566"
            for service in ("SECRETS_MANAGER", "SCHEDULER", "IAM", "SQS", "SNS", "STS", "S3", "DYNAMODB")
        },
    ],
)
def test_an_emulator_is_recognized_by_its_address(environ: dict[str, str]) -> None:
    """Every spelling of loopback counts. The endpoint of a service takes precedence over the common one."""
    assert Aws(environ=environ).is_emulator


@pytest.mark.parametrize("service", ["SECRETS_MANAGER", "SCHEDULER", "IAM", "SQS", "SNS", "S3"])
def test_one_service_on_real_aws_makes_it_no_emulator(service: str) -> None:
    """The schedule or role of a rehearsal must not be created in a real account either."""
    assert not Aws(environ=EMULATOR | {f"AWS_ENDPOINT_URL_{service}": "https://example.com"}).is_emulator
    assert not Aws(environ={f"AWS_ENDPOINT_URL_{service}": "http://127.0.0.1:4566"}).is_emulator
