"""The definition as users write it, and the errors of an invalid one."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from ios_mdm.core.pair.definition import (
    AfterCurrentExpires,
    AfterDays,
    AtTime,
    IssueMain,
    IssueReserve,
    KeyType,
    NoReserve,
    PairDefinition,
    Promotion,
    When,
)
from ios_mdm.errors import DefinitionError
from ios_mdm.settings import AwsSettings, StackSettings, parse_server, parse_stack

SERVER: dict[str, Any] = {"name": "berlin", "address": "mdm.example.com"}
DISTRIBUTION: dict[str, Any] = {
    "profile": {"identifier": "com.example.mdm.trust"},
    "channel": {"nanomdm": {"url": "https://mdm.example.com", "apiKeySecret": "mdm/api-key"}},
    "devices": ["a", "b"],
}


def server(**changes: Any) -> dict[str, Any]:
    """Return the settings of a server with these keys."""
    return copy.deepcopy(SERVER) | changes


def distribution(**changes: Any) -> dict[str, Any]:
    """Return a server with these keys of distribution."""
    return server(distribution=copy.deepcopy(DISTRIBUTION) | changes)


def nanomdm(**changes: Any) -> dict[str, Any]:
    """Return a server with these keys of a NanoMDM channel."""
    return distribution(channel={"nanomdm": DISTRIBUTION["channel"]["nanomdm"] | changes})


def reserve(**issue: Any) -> dict[str, Any]:
    """Return a server with these keys of reserve.issue."""
    return server(reserve={"issue": issue})


def complaint(one: object, **aws: Any) -> str:
    """Return the error of a stack with this server."""
    with pytest.raises(DefinitionError) as caught:
        parse_stack({"aws": aws, "servers": [one]})
    return str(caught.value)


class TestDefaults:
    """The meaning of a short definition."""

    def test_the_shortest_definition(self) -> None:
        """Name and address are enough; all other keys have the documented defaults."""
        stack = parse_stack({"servers": [SERVER]})
        assert stack.aws.secret_prefix == "ios-mdm"  # noqa: S105 - a name
        assert (stack.aws.recovery_window_days, stack.aws.tags) == (30, {})
        (one,) = stack.servers
        assert (one.protect, one.take_over, one.distribution) == (True, None, None)
        assert one.definition() == PairDefinition(
            name="berlin",
            host="mdm.example.com",
            main=IssueMain(validity_days=397, key=KeyType.RSA_4096, generation=1),
            reserve=None,
            confirm=None,
            warn_days=None,
            promotion=Promotion(lead_minutes=1440, hold=False),
        )

    def test_the_secret_of_a_pair_has_the_name_of_its_server_under_the_prefix(self) -> None:
        """The default prefix is the name of the project."""
        assert AwsSettings().secret_name("berlin") == "ios-mdm/berlin"
        assert AwsSettings.model_validate({"secretPrefix": "teams/mdm"}).secret_name("berlin") == "teams/mdm/berlin"

    def test_an_empty_reserve_is_a_silent_one(self) -> None:
        """A reserve with only `confirm` is neither issued nor deleted."""
        # R10
        one = parse_server(server(reserve={"confirm": "AB" * 32}), "berlin").definition()
        assert (one.reserve, one.confirm) == (None, "AB" * 32)

    def test_every_key_is_camel_case(self) -> None:
        """A definition with all keys in camelCase is accepted."""
        issue = {
            "when": "now",
            "beforeDays": 50,
            "apply": {"afterDays": 28},
            "validityDays": 300,
            "key": "ec-p256",
            "generation": 4,
        }
        one = parse_server(
            server(
                address="mdm.example.com:8443",
                takeOver="ab" * 16,
                protect=False,
                main={"issue": {"validityDays": 400, "key": "rsa-2048", "generation": 2}},
                reserve={"issue": issue},
                warnDays=20,
                promotion={"leadMinutes": 0, "hold": True},
            ),
            "berlin",
        )
        assert (one.take_over, one.protect) == ("ab" * 16, False)
        assert one.definition() == PairDefinition(
            name="berlin",
            host="mdm.example.com",
            main=IssueMain(validity_days=400, key=KeyType.RSA_2048, generation=2),
            reserve=IssueReserve(
                when=When.NOW,
                before_days=50,
                apply=AfterDays(days=28),
                validity_days=300,
                key=KeyType.EC_P256,
                generation=4,
            ),
            warn_days=20,
            promotion=Promotion(lead_minutes=0, hold=True),
        )

    def test_none(self) -> None:
        """`none: true` stands for no reserve."""
        # R10
        assert parse_server(server(reserve={"none": True}), "berlin").definition().reserve == NoReserve()

    def test_apply_times(self) -> None:
        """Each of the three apply times has a separate value in the core."""
        # R6 R7
        moments = [
            ({"afterCurrentExpires": True}, AfterCurrentExpires()),
            ({"afterDays": 7}, AfterDays(days=7)),
            ({"at": "2041-03-01T00:00:00Z"}, AtTime(time=datetime(2041, 3, 1, tzinfo=UTC))),
        ]
        for written, meant in moments:
            wanted = parse_server(reserve(apply=written), "berlin").definition().reserve
            assert isinstance(wanted, IssueReserve)
            assert wanted.apply == meant

    @pytest.mark.parametrize(
        "written",
        [
            "2041-03-01T12:30:05Z",
            "2041-03-01 12:30:05 +0000 UTC",
            "2041-03-01T14:30:05.5+02:00",
            datetime(2041, 3, 1, 12, 30, 5, 999, tzinfo=UTC),
            yaml.safe_load("2041-03-01T12:30:05Z"),
            yaml.safe_load("2041-03-01T14:30:05+02:00"),
        ],
        ids=str,
    )
    def test_an_apply_time_may_be_unquoted(self, written: object) -> None:
        """The engine passes an unquoted time as Go writes it, and a YAML loader as a datetime; all are UTC."""
        # R7
        wanted = parse_server(reserve(apply={"at": written}), "berlin").definition().reserve
        assert isinstance(wanted, IssueReserve)
        assert wanted.apply == AtTime(time=datetime(2041, 3, 1, 12, 30, 5, tzinfo=UTC))

    @pytest.mark.parametrize(
        "written",
        ["2041-03-01", "2041-03-01T00:00:00", "hunter2", 2245708800, True, yaml.safe_load("2041-03-01 00:00:00")],
        ids=str,
    )
    def test_an_apply_time_needs_date_time_and_zone(self, written: object) -> None:
        """The error names the path and the valid form, and never quotes the value."""
        # R7
        said = complaint(reserve(apply={"at": written}))
        assert said == (
            "ios-mdm:servers[0].reserve.issue.apply.at must be a date and time of RFC 3339 with its zone, such as "
            "2040-01-01T00:00:00Z"
        )

    @pytest.mark.parametrize(
        ("address", "host"),
        [
            ("bücher.example", "xn--bcher-kva.example"),
            ("MDM.Example.COM", "mdm.example.com"),
            ("mdm.example.com:443", "mdm.example.com"),
            ("bücher.example:0443", "xn--bcher-kva.example"),
        ],
    )
    def test_an_address_becomes_an_a_label(self, address: str, host: str) -> None:
        """Names in other scripts and capitals become the names in certificates."""
        assert parse_server(server(address=address), "berlin").definition().host == host


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": (server(adress="x"), "ios-mdm:servers[0].adress is not a known key"),
    "unknown key inside": (reserve(whenever="now"), "servers[0].reserve.issue.whenever is not a known key"),
    "snake case": (server(take_over="ab" * 16), "servers[0].take_over is not a known key"),
    "missing name": ({"address": "mdm.example.com"}, "servers[0].name is missing"),
    "missing address": ({"name": "berlin"}, "servers[0].address is missing"),
    "missing profile": (
        server(distribution={k: v for k, v in DISTRIBUTION.items() if k != "profile"}),
        "servers[0].distribution.profile is missing",
    ),
    "wrong type": (server(protect="yes"), "servers[0].protect should be a valid boolean"),
    "a number for a text": (server(name=7), "servers[0].name should be a valid string"),
    "a text for a block": (server(main="issue"), "servers[0].main should be"),
    "a text for a number": (server(warnDays="30"), "servers[0].warnDays should be a valid integer"),
    "a fraction of a day": (server(warnDays=1.5), "servers[0].warnDays should be a valid integer"),
    "yes for a number": (server(warnDays=True), "servers[0].warnDays should be a valid integer"),
    "no day": (server(warnDays=0), "servers[0].warnDays should be greater than or equal to 1"),
    "negative days": (reserve(beforeDays=-1), "servers[0].reserve.issue.beforeDays should be greater than or equal"),
    "no day to apply": (reserve(apply={"afterDays": 0}), "reserve.issue.apply.afterDays should be greater"),
    "too long": (server(main={"issue": {"validityDays": 825}}), "main.issue.validityDays should be less than or equal"),
    "unknown key type": (server(main={"issue": {"key": "rsa-1024"}}), "servers[0].main.issue.key should be"),
    "bad server name": (server(name="Berlin!"), "servers[0].name"),
    "bad DNS name": (server(address="mdm_1.example.com"), "servers[0].address"),
    "empty DNS name": (server(address=""), "servers[0].address"),
    "empty label": (server(address="mdm..example.com"), "servers[0].address"),
    "trailing dot": (server(address="mdm.example.com."), "without the trailing dot"),
    "wildcard": (server(address="*.example.com"), "servers[0].address"),
    "scheme": (server(address="https://mdm.example.com"), "address must be a host name with an optional port"),
    "path": (server(address="mdm.example.com/mdm"), "address must be a host name with an optional port"),
    "bad port": (server(address="mdm.example.com:70000"), "address has the invalid port '70000'"),
    "IP address": (server(address="10.0.0.5"), "servers[0].address must be a DNS name, not the IP address 10.0.0.5"),
    "short form of an IP address": (
        server(address="127.1"),
        "servers[0].address ends in a number, so programs read it as an IPv4 address",
    ),
    "IP address and port": (server(address="10.0.0.5:443"), "must be a DNS name, not the IP address 10.0.0.5"),
    "two apply times": (
        reserve(apply={"afterDays": 1, "afterCurrentExpires": True}),
        "servers[0].reserve.issue.apply takes exactly one",
    ),
    "no apply time": (reserve(apply={}), "servers[0].reserve.issue.apply takes exactly one"),
    "a time without its zone": (reserve(apply={"at": "2041-03-01T00:00:00"}), "reserve.issue.apply.at"),
    "issue and none": (server(reserve={"issue": {}, "none": True}), "servers[0].reserve has both issue and none"),
    "none: false": (server(reserve={"none": False}), "servers[0].reserve.none"),
    "bad confirm": (server(reserve={"confirm": "yes"}), "servers[0].reserve.confirm"),
    "empty devices": (distribution(devices=[]), "servers[0].distribution.devices is empty"),
    "duplicate devices": (distribution(devices=["a", "b", "a"]), "distribution.devices has a more than once"),
    "bad device": (distribution(devices=["a b"]), "servers[0].distribution.devices[0]"),
    "no kind of devices": (distribution(devices={}), "distribution.devices takes exactly one of file and ledger"),
    "devices of no ledger": (distribution(devices={"ledger": True}), "names no ledger"),
    "proof without a ledger": (
        distribution(proof={"certificateList": True}, resendDays=3),
        "distribution has proof, resendDays, but names no ledger",
    ),
    "no kind of proof": (distribution(ledger="sqlite:///l", proof={}), "distribution.proof.certificateList is missing"),
    "proof is off": (
        distribution(ledger="sqlite:///l", proof={"certificateList": False}),
        "distribution.proof.certificateList",
    ),
    "no days": (distribution(ledger="sqlite:///l", resendDays=0), "distribution.resendDays"),
    "too many days": (distribution(ledger="sqlite:///l", retentionDays=3651), "distribution.retentionDays"),
    "bad ledger": (distribution(ledger="/tmp/x"), "servers[0].distribution.ledger"),  # noqa: S108 - never opened
    "channel in the clear": (nanomdm(url="http://mdm.example.com"), "channel.nanomdm.url must be https"),
    "a long URL": (
        nanomdm(url=f"https://mdm.example.com/{'a' * 2048}"),
        "nanomdm.url has 2,072 characters, but at most 2,048 are allowed",
    ),
    "password in a URL": (nanomdm(url="https://u:p@mdm.example.com"), "nanomdm.url must not contain a user"),
    "an API key": (nanomdm(apiKeySecret="5f" * 20), "nanomdm.apiKeySecret must be the name or ARN"),
    "a token": (nanomdm(apiKeySecret="Ab3+" * 12), "nanomdm.apiKeySecret must be the name or ARN"),
    "bad identifier": (distribution(profile={"identifier": "trust"}), "distribution.profile.identifier"),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG.values(), ids=list(WRONG))
def test_one_clear_error_names_the_path(wrong: dict[str, Any], said: str) -> None:
    """An invalid setting gives one line with the server and the path, without pydantic's words."""
    # R30
    message = complaint(wrong)
    assert said in message
    assert message.startswith("ios-mdm:servers[0]")
    assert len(message.splitlines()) == 1
    assert "pydantic" not in message
    assert "Value error" not in message


@pytest.mark.parametrize(
    ("aws", "said"),
    [
        ({"secretPrefix": "a b"}, "ios-mdm:aws.secretPrefix"),
        ({"secretPrefix": "/x"}, "ios-mdm:aws.secretPrefix"),
        ({"recoveryWindowDays": 6}, "ios-mdm:aws.recoveryWindowDays should be greater than or equal to 7"),
        ({"tags": {"aws:x": "y"}}, "ios-mdm:aws.tags has the invalid key 'aws:x'"),
        ({"tags": {"ios-mdm:owner": "y"}}, "ios-mdm:aws.tags has the invalid key 'ios-mdm:owner'"),
        ({"tags": {"team": "a,b"}}, "ios-mdm:aws.tags has an invalid value for 'team'"),
        ({"tags": {f"k{n}": "" for n in range(21)}}, "ios-mdm:aws.tags has more than 20 tags"),
        ({"regoin": "eu-west-1"}, "ios-mdm:aws.regoin is not a known key"),
    ],
)
def test_wrong_settings_of_aws(aws: dict[str, Any], said: str) -> None:
    """Values that AWS refuses are refused before AWS is called."""
    assert complaint(SERVER, **aws).startswith(said)


def test_all_errors_are_reported_together() -> None:
    """Each mistake gives one line."""
    lines = complaint(server(adress="x", warnDays=0, protect=1)).splitlines()
    assert len(lines) == 3


@pytest.mark.parametrize("servers", [[], None, "berlin", {}])
def test_no_servers(servers: object) -> None:
    """A stack needs a list of at least one server."""
    with pytest.raises(DefinitionError, match=r"^ios-mdm:servers (is empty|should)"):
        parse_stack({"servers": servers})


def test_names_are_unique() -> None:
    """Two servers with one name would share a secret."""
    with pytest.raises(DefinitionError, match="the name 'berlin' is used twice"):
        parse_stack({"servers": [SERVER, server(address="other.example.com")]})


def test_profile_identifiers_are_unique() -> None:
    """Two profiles with one identifier would replace each other on the devices."""
    with pytest.raises(DefinitionError, match=r"'com\.example\.mdm\.trust' is used twice"):
        parse_stack({"servers": [distribution(), distribution() | {"name": "paris"}]})


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "ENCRYPTED "])
def test_a_private_key_is_refused_and_not_shown(kind: str) -> None:
    """The error for a private key in the configuration does not repeat the key."""
    # R29
    body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
    key = f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\n"
    for wrong in (nanomdm(apiKeySecret=key), server(main={"issue": {"key": key}}), server(extra=key)):
        message = complaint(wrong)
        assert "holds a private key" in message
        assert body not in message


@pytest.mark.parametrize("secret", ["5f" * 20, "Ab3+" * 12, "pass word", "hunter2!"])
def test_a_secret_value_is_never_repeated(secret: str) -> None:
    """The error does not show a value given instead of the name of a secret."""
    # R29
    message = complaint(nanomdm(apiKeySecret=secret))
    assert "create-secret" in message
    assert secret not in message


@pytest.mark.parametrize(
    "name",
    [
        "mdm/api-key",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mdm/api-key-AbCdEf",
        "production-emea-berlin-mdm/nanomdm/api-key",
    ],
)
def test_names_and_arns_of_secrets_are_taken(name: str) -> None:
    """Usual names of secrets are accepted."""
    parse_server(nanomdm(apiKeySecret=name), "berlin")


class TestFromTheDefinitionAlone:
    """Errors that do not depend on the state of the pair."""

    def test_a_rotation_must_not_need_more_labels_than_a_secret_has(self) -> None:
        """Each certificate keeps a label until it expires: with 397 days of validity, the minimum is 27 days."""
        # R7 R40
        definition = {"name": "berlin", "address": "mdm.example.com"}
        often = {"when": "now", "apply": {"afterDays": 26}}
        early = {"beforeDays": 371, "apply": {"afterDays": 1}}
        for issue, bound in ((often, "the minimum is 27"), (early, "the maximum is 370")):
            with pytest.raises(DefinitionError, match=bound):
                parse_server({**definition, "warnDays": 1, "reserve": {"issue": issue}}, "berlin")
        for issue in (often | {"apply": {"afterDays": 27}}, early | {"beforeDays": 370}):
            parse_server({**definition, "warnDays": 1, "reserve": {"issue": issue}}, "berlin")

    def test_tags_and_certificates_share_the_secrets_tags(self) -> None:
        """With a new certificate every 30 days, there is room for ten tags of the user."""  # R40
        server = {
            "name": "berlin",
            "address": "mdm.example.com",
            "reserve": {"issue": {"when": "now", "apply": {"afterDays": 30}}},
        }
        for count, accepted in ((10, True), (11, False)):
            raw = {"aws": {"tags": {f"key{number}": "" for number in range(count)}}, "servers": [server]}
            if accepted:
                StackSettings.model_validate(raw)
                continue
            with pytest.raises(ValueError, match=r"aws\.tags has 11 tags, but the secret of 'berlin' has room for 10"):
                StackSettings.model_validate(raw)

    def test_a_reserve_must_live_long_enough(self) -> None:
        """At its apply time, a reserve must be valid for beforeDays + warnDays more days, to the day."""
        # R7
        issue = {"when": "now", "apply": {"afterDays": 307}}
        parse_server(reserve(**issue), "berlin")
        message = complaint(reserve(**issue | {"apply": {"afterDays": 308}}))
        assert "only 89 days more" in message
        assert "beforeDays + warnDays = 90 days" in message
        assert "set apply.afterDays to at most 307" in message

    def test_now_goes_with_after_days(self) -> None:
        """A reserve that is issued with main and applied when main expires would expire with main."""
        # R7
        assert "at its apply time, the reserve is valid for only" in complaint(reserve(when="now"))

    def test_a_period_beyond_main_is_refused(self) -> None:
        """A period in days that ends after main expires is an error that names the maximum."""
        # R7
        said = complaint(reserve(apply={"afterDays": 61}))
        assert "afterDays is 61, which is after main expires: the maximum is 60" in said

    def test_a_reserve_is_valid_no_longer_than_main(self) -> None:
        """More days than those of main are an error that names the maximum."""
        # R8
        assert "must not be valid for longer than main: the maximum is 397" in complaint(reserve(validityDays=398))

    def test_a_silent_definition_is_held_against_the_rule_too(self) -> None:
        """A short main is refused if its automatic reserve would be too short, and accepted without a reserve."""
        short = {"issue": {"validityDays": 100}}
        assert "at its apply time" in complaint(server(main=short, warnDays=62, reserve={"issue": {"beforeDays": 20}}))
        parse_server(server(main=short, warnDays=62, reserve={"none": True}), "berlin")

    def test_a_short_main_needs_no_other_setting(self) -> None:
        """With the default windows, a main of any validity has enough time for its reserve."""  # R49
        for days in (2, 7, 47, 90, 100, 149, 150, 180, 824):
            parse_server(server(main={"issue": {"validityDays": days}}), "berlin")

    def test_a_period_of_a_short_main_is_bounded_by_half_of_its_validity(self) -> None:
        """The default windows take a third and a sixth of the validity."""  # R7 R49
        short = {"issue": {"validityDays": 47}}
        rotation = {"issue": {"when": "now", "apply": {"afterDays": 23}}}
        parse_server(server(main=short, reserve=rotation), "berlin")
        rotation["issue"]["apply"] = {"afterDays": 24}
        message = complaint(server(main=short, reserve=rotation))
        assert (
            "valid for only 23 days more, but its own successor needs beforeDays + warnDays = 23 days and 12 hours"
            in (message)
        )
        assert "set apply.afterDays to at most 23" in message
        assert "the maximum is 15" in complaint(server(main=short, reserve={"issue": {"apply": {"afterDays": 16}}}))

    def test_windows_longer_than_main_are_refused_with_a_remedy(self) -> None:
        """The message has the shortest validity that is long enough, or says that no validity is."""  # R7 R49
        short, wide = {"issue": {"validityDays": 100}}, {"issue": {"beforeDays": 60}}
        message = complaint(server(main=short, reserve=wide, warnDays=40))
        assert "set the validity of the reserve to at least 159 days" in message
        parse_server(server(main={"issue": {"validityDays": 159}}, reserve=wide, warnDays=40), "berlin")
        assert "at its apply time" in complaint(
            server(main={"issue": {"validityDays": 158}}, reserve=wide, warnDays=40)
        )
        assert "lower beforeDays or warnDays" in complaint(server(main=short, reserve=wide, warnDays=800))


class TestSwitch:
    """Endpoints, and the role, queue and alarm of the switch."""

    @pytest.mark.parametrize(
        "endpoint", ["10.0.0.5:443", "10.0.0.5", "[2001:db8::5]:8443", "edge-1.example.com", "edge-1.example.com:8443"]
    )
    def test_endpoints_are_hosts_with_an_optional_port(self, endpoint: str) -> None:
        """Addresses of IPv4 and IPv6, and names, are accepted."""  # R17
        assert parse_server(server(endpoints=[endpoint]), "berlin").checked_endpoints == (endpoint,)

    def test_without_endpoints_the_address_is_checked(self) -> None:
        """An empty list turns the check off."""  # R17
        assert parse_server(server(address="mdm.example.com:8443"), "berlin").checked_endpoints == (
            "mdm.example.com:8443",
        )
        assert parse_server(server(endpoints=[]), "berlin").checked_endpoints == ()

    @pytest.mark.parametrize(
        "endpoint",
        ["", "https://10.0.0.5", "10.0.0.5/x", "user@10.0.0.5", "host:0", "host:99999", "host:x", "a b", "::1"],
    )
    def test_an_invalid_endpoint_is_refused(self, endpoint: str) -> None:
        """The error shows the form of an endpoint."""
        said = complaint(server(endpoints=[endpoint]))
        assert "endpoints[0]" in said
        assert "such as 10.0.0.5:443" in said

    def test_arns_are_taken(self) -> None:
        """ARNs of roles, policies, queues and topics are accepted, also of other partitions."""  # R11
        given = {
            "roleArn": "arn:aws:iam::111122223333:role/teams/mdm",
            "deadLetterArn": "arn:aws-us-gov:sqs:us-gov-west-1:111122223333:dead-letters",
            "alarmArn": "arn:aws:sns:eu-west-1:111122223333:alarms",
        }
        promotion = parse_server(server(promotion=given), "berlin").promotion
        assert promotion.model_dump(by_alias=True, exclude_unset=True) == given
        bounded = {"permissionsBoundaryArn": "arn:aws:iam::aws:policy/PowerUserAccess"}
        assert parse_server(server(promotion=bounded), "berlin").promotion.permissions_boundary_arn is not None

    @pytest.mark.parametrize(
        ("promotion", "said"),
        [
            ({"roleArn": "ios-mdm"}, "promotion.roleArn must be the ARN of a role, such as arn:aws:iam::"),
            ({"deadLetterArn": "arn:aws:sqs:eu-west-1:111122223333:d.fifo"}, "the ARN of a standard SQS queue"),
            ({"alarmArn": "arn:aws:lambda:eu-west-1:111122223333:function:f"}, "the ARN of an SNS topic or a standard"),
            ({"permissionsBoundaryArn": "arn:aws:iam::111122223333:role/r"}, "the ARN of a policy"),
            (
                {
                    "roleArn": "arn:aws:iam::111122223333:role/r",
                    "permissionsBoundaryArn": "arn:aws:iam::111122223333:policy/p",
                },
                "promotion has both roleArn and permissionsBoundaryArn",
            ),
            (
                {"schedule": False, "alarmArn": "arn:aws:sns:eu-west-1:111122223333:alarms"},
                "promotion has both alarmArn and schedule: false",
            ),
            ({"ignoreSilentDays": 30}, "promotion has ignoreSilentDays without minimumCoverage"),
            ({"minimumCoverage": 0}, "promotion.minimumCoverage"),
            ({"minimumCoverage": 101}, "promotion.minimumCoverage"),
            ({"minimumCoverage": 95}, "promotion.minimumCoverage needs the ledger"),
        ],
    )
    def test_wrong_arns_are_refused(self, promotion: dict[str, Any], said: str) -> None:
        """Each error names the required type and has an example."""
        assert said in complaint(server(promotion=promotion))
