"""The checks for a real AWS account, on the emulator: their results, and the deletion of all resources.

The emulator does not evaluate all conditions of policies, makes no calls of schedules, and encrypts nothing. The tests
replace these parts: an evaluator of policies, the stand-in for EventBridge Scheduler, and the id of a key.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.support.backends import ministack_url, no_aws
from tests.support.iam import Decision, Request, decision, statements
from tests.support.implied import implied_requests
from tests.support.recording import Recorder
from tools.services import ministack, schedules
from tools.smoke import __main__ as smoke
from tools.smoke import account as accounts
from tools.smoke import cleanup
from tools.smoke import schedules as checks_of_schedules
from tools.smoke.account import TAG, VARIABLE, Account, RefusedError, checked_account
from tools.smoke.checks import CHECKS
from tools.smoke.documents import TEXTS, document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ministack_url", "no_aws"]

NUMBER = "000000000000"
TAGS = [{"Key": TAG, "Value": "crashed"}]
START = datetime(2040, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    """A clock that advances when a check waits. Schedules that are due then fire.

    Args:
        url: URL of the emulator.
        now: Current time.
        waits: Number of waits.
    """

    url: str
    now: datetime = START - timedelta(days=365)
    waits: int = 0

    def sleep(self, seconds: float) -> None:
        """Advance the clock, and fire the schedules that are due."""
        self.now += timedelta(seconds=seconds)
        self.waits += 1
        schedules.fire(self.url, self.now)


@dataclass(slots=True)
class Iam:
    """Evaluates the policies of the roles that a run assumes.

    Args:
        recorder: Derives requests from calls.
        lag: Number of refusals before a policy takes effect.
        policies: Policies of each role, by name of the role.
        roles: Name of the role, by access key.
        denied: Denied actions.
        key: KMS key of the secret.
    """

    recorder: Recorder = field(default_factory=Recorder)
    lag: int = 0
    policies: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    denied: list[str] = field(default_factory=list)
    key: str = "DefaultEncryptionKey"

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Evaluate the requests of all clients of a run."""
        connect = accounts._client

        def connected(session: Any, service: str, region: str, **credentials: str) -> Any:
            client = connect(session, service, region, **credentials)
            key = credentials.get("aws_access_key_id")

            def asked(*, params: dict[str, Any], model: Any, context: dict[str, Any], **_rest: object) -> None:
                context["ios_mdm"] = dict(params)
                if key in self.roles:
                    self._evaluate(self.policies[self.roles[key]], model, params)

            client.meta.events.register("before-parameter-build", asked)
            client.meta.events.register("after-call", self._record_answer)
            return client

        patch.setattr(accounts, "_client", connected)

    def _evaluate(self, policies: list[Mapping[str, Any]], model: Any, params: dict[str, Any]) -> None:
        service = model.service_model.endpoint_prefix
        action = f"{service}:{model.name}"
        request = Request(
            action=action,
            resource=self.recorder._resource(service, model.name, params),
            context=self.recorder._context(action, params),
        )
        needed = [one for one in implied_requests(request, params) if not one.action.startswith("kms:")]
        refused = [one for one in (request, *needed) if decision(one, policies) is not Decision.ALLOWED]
        self.lag -= 1
        if refused or self.lag >= 0:
            self.denied.append(refused[0].action if refused else f"too early: {action}")
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": self.denied[-1]}}, model.name)

    def _record_answer(self, *, model: Any, parsed: dict[str, Any], context: dict[str, Any], **_rest: object) -> None:
        params = context["ios_mdm"]
        self.recorder._record_answer(model=model, parsed=parsed, context=context)
        match model.name:
            case "PutRolePolicy":
                content = json.loads(params["PolicyDocument"])
                self.policies.setdefault(params["RoleName"], []).append(content)
            case "AssumeRole":
                self.roles[parsed["Credentials"]["AccessKeyId"]] = params["RoleArn"].rpartition("/")[2]
            case "ListSecretVersionIds":
                for one in parsed.get("Versions", ()):
                    one["KmsKeyIds"] = [self.key]
            case "UpdateSecret":
                self.key = params["KmsKeyId"]
            case _:
                pass


@pytest.fixture
def clock(ministack_url: str, no_aws: pytest.MonkeyPatch) -> Clock:
    """The clock of a run whose environment names the emulator as the account."""
    for name, value in (*ministack.CREDENTIALS.items(), ("AWS_ENDPOINT_URL", ministack_url), (VARIABLE, NUMBER)):
        no_aws.setenv(name, value)
    return Clock(url=ministack_url)


@pytest.fixture
def account(clock: Clock) -> Iterator[Account]:
    """The emulator as a checked account. Its resources are deleted at the end."""
    found = checked_account(os.environ, now=lambda: clock.now, sleep=clock.sleep, allow_emulator=True)
    yield found
    assert cleanup.clean(found)[1] == []


@pytest.fixture
def iam(no_aws: pytest.MonkeyPatch) -> Iam:
    """An evaluator of policies for all clients."""
    found = Iam()
    found.install(no_aws)
    return found


def rows(printed: str) -> dict[str, tuple[str, str]]:
    """Return the result and the observation of each check in the printed table."""
    names = ["the documented roles can be assumed", *(name for name, _ in CHECKS)]
    lines = [
        (name, line.removeprefix(name).split(maxsplit=1))
        for line in printed.splitlines()
        for name in names
        if line.startswith(f"{name}  ")
    ]
    return {name: (words[0], words[1]) for name, words in lines}


def create_crashed_run(account: Account) -> set[str]:
    """Create the resources of a crashed run, at least one of each kind; return their names in the cleanup."""
    name = f"{TAG}-crashed"
    content = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    secrets, roles = account.client("secretsmanager"), account.client("iam")
    for suffix in ("a", "b"):
        secrets.create_secret(Name=f"{name}/{suffix}", Tags=TAGS)
    secrets.delete_secret(SecretId=f"{name}/b", RecoveryWindowInDays=7)
    roles.create_role(RoleName=name, Path=f"/{name}/", AssumeRolePolicyDocument=content, Tags=TAGS)
    roles.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=content)
    roles.create_policy(PolicyName=f"{name}-boundary", PolicyDocument=content, Tags=TAGS)
    account.client("sns").create_topic(Name=name, Tags=TAGS)
    account.client("sqs").create_queue(QueueName=name, tags={TAG: "crashed"})
    account.client("kms").create_key(Description=name, Tags=[{"TagKey": TAG, "TagValue": "crashed"}])
    account.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression="at(2050-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": f"arn:aws:sqs:eu-west-1:{NUMBER}:q", "RoleArn": f"arn:aws:iam::{NUMBER}:role/r"},
    )
    found = {f"{service} {name}" for service in ("iam", "kms", "scheduler", "sns", "sqs")}
    return found | {f"iam {name}-boundary", f"secretsmanager {name}/a", f"secretsmanager {name}/b"}


class TestAccount:
    """Conditions for the start of a run."""

    @pytest.mark.parametrize("number", [None, "", "prod", "1" * 11, "1" * 13, "\u0661" * 12])
    def test_no_account_is_contacted_without_its_number(self, clock: Clock, number: str | None) -> None:
        """The variable must be 12 digits; the region and the endpoint do not matter."""
        environ = {} if number is None else {VARIABLE: number}
        with pytest.raises(RefusedError, match=f"{VARIABLE} is not set"):
            checked_account(environ, now=lambda: clock.now, sleep=clock.sleep)

    def test_credentials_of_another_account_are_refused(self, clock: Clock) -> None:
        """The run reads the account of the credentials from AWS."""
        environ = {**os.environ, VARIABLE: "111122223333"}
        with pytest.raises(RefusedError, match=f"to account {NUMBER}, but {VARIABLE} is 111122223333"):
            checked_account(environ, now=lambda: clock.now, sleep=clock.sleep, allow_emulator=True)

    @pytest.mark.parametrize("arguments", [[], ["clean"]])
    def test_the_command_refuses_an_emulator(
        self, clock: Clock, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An emulator's results are not valid for AWS. No resource is created."""
        assert smoke.main(arguments) == 2
        assert "127.0.0.1, not AWS" in capsys.readouterr().err
        assert clock.waits == 0

    def test_a_single_service_of_another_endpoint_is_refused(
        self, clock: Clock, no_aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An endpoint can be set for a single service."""
        no_aws.delenv("AWS_ENDPOINT_URL")
        no_aws.setenv("AWS_ENDPOINT_URL_SNS", clock.url)
        assert smoke.main([]) == 2
        assert "The endpoint of sns is 127.0.0.1" in capsys.readouterr().err

    def test_a_missing_region_is_one_line(self, clock: Clock, no_aws: pytest.MonkeyPatch) -> None:
        """The error says to set the region."""
        no_aws.delenv("AWS_REGION")
        with pytest.raises(RefusedError, match="Set AWS_REGION"):
            checked_account(os.environ, now=lambda: clock.now, sleep=clock.sleep, allow_emulator=True)


class TestCleanup:
    """Deletion of the resources of runs, and of no others."""

    def test_everything_of_a_crashed_run_is_deleted(self, account: Account) -> None:
        """A cleanup also deletes secrets in their recovery window and roles with policies. A second finds nothing."""
        expected = create_crashed_run(account)
        deleted, problems = cleanup.clean(account)
        assert (set(deleted), problems) == (expected, [])
        assert cleanup.clean(account) == ([], [])

    def test_resources_without_the_tag_or_with_another_name_stay(self, account: Account) -> None:
        """Both the tag and the prefix of the name are required."""
        secrets, name = account.client("secretsmanager"), f"{TAG}-untagged"
        secrets.create_secret(Name=name)
        secrets.create_secret(Name="other-tagged", Tags=TAGS)
        account.client("sqs").create_queue(QueueName=name)
        account.client("kms").create_key(Description="other", Tags=[{"TagKey": TAG, "TagValue": "x"}])
        assert cleanup.clean(account) == ([], [])
        for secret in (name, "other-tagged"):
            secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)

    def test_a_refused_deletion_does_not_stop_the_others(
        self, account: Account, no_aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The refused deletion is reported with the name, and the exit code is 2."""
        expected = create_crashed_run(account)

        def refuse(*_: object) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DeleteRole")

        kinds = tuple(kind._replace(delete=refuse) if kind.items == "Roles" else kind for kind in cleanup._KINDS)
        with no_aws.context() as patch:
            patch.setattr(cleanup, "_KINDS", kinds)
            assert smoke.run(account) == 2  # no check starts
        assert f"iam {TAG}-crashed was not deleted" in (printed := capsys.readouterr()).err
        assert set(printed.out.splitlines()) == {f"deleted: {one}" for one in expected - {f"iam {TAG}-crashed"}}


class TestRun:
    """A whole run."""

    def test_all_checks_pass_and_nothing_is_left(
        self, account: Account, iam: Iam, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The documented policies allow each request, by the conditions that the evaluator knows."""  # R38
        create_crashed_run(account)
        iam.lag = 4
        code = smoke.run(account)
        found = rows(printed := capsys.readouterr().out)
        assert {name: result for name, (result, _) in found.items()} == dict.fromkeys(found, "ok"), printed
        assert (code, len(found)) == (0, 1 + len(CHECKS))
        # First four refusals, three seconds apart, before the policy takes effect; then the expected refusals.
        assert "took effect after 12 s" in found["STAGED on an empty secret"][1]
        assert iam.denied[4:] == ["secretsmanager:GetSecretValue", "secretsmanager:GetSecretValue", "iam:CreateRole"]
        before, _, _ = printed.partition("the documented roles")
        assert f"deleted: secretsmanager {TAG}-crashed/a" in before.splitlines()
        assert cleanup.clean(account) == ([], [])

    def test_a_check_that_fails_is_a_row(self, account: Account, capsys: pytest.CaptureFixture[str]) -> None:
        """Without replacements, the emulator fails two checks. The exit code is 1, and all other checks run."""
        assert smoke.run(account) == 1
        found = rows(capsys.readouterr().out)
        assert {name for name, (result, _) in found.items() if result == "FAILED"} == {
            "documented policies allow and deny",
            "a customer-managed key",
        }
        assert cleanup.clean(account) == ([], [])

    def test_a_schedule_that_never_fires_fails_three_checks(
        self, account: Account, iam: Iam, no_aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The clock of the test advances without firing a schedule."""
        del iam
        no_aws.setattr(checks_of_schedules, "_FIRES", 30)
        clock = Clock(url="")

        def sleep(seconds: float) -> None:
            clock.now += timedelta(seconds=seconds)

        assert smoke.run(replace(account, now=lambda: clock.now, sleep=sleep)) == 1
        failed = {name for name, (result, _) in rows(capsys.readouterr().out).items() if result == "FAILED"}
        assert failed == {"a schedule fires", "a stale schedule changes nothing", "an alarm arrives"}

    def test_an_interrupt_leaves_nothing(self, account: Account, no_aws: pytest.MonkeyPatch) -> None:
        """All resources created before the interrupt are deleted."""

        def interrupt(_: object) -> str:
            raise KeyboardInterrupt

        no_aws.setattr(smoke, "CHECKS", (("first", CHECKS[0][1]), ("interrupted", interrupt)))
        with suppress(KeyboardInterrupt):
            smoke.run(account)
        assert cleanup.clean(account) == ([], [])


@pytest.mark.parametrize("name", TEXTS)
def test_a_run_reaches_only_its_resources(name: str) -> None:
    """Each resource in each policy has the prefix of the run, or is its KMS key."""
    text = document(name, prefix=f"{TAG}-r1", account=NUMBER, region="eu-north-1", key="1234")
    assert "111122223333" not in text
    assert "eu-west-1" not in text
    for statement in statements(json.loads(text)):
        resources = statement.get("Resource", [])
        for one in [resources] if isinstance(resources, str) else resources:
            assert f"{TAG}-r1" in one.split(":", 5)[5].split("*")[0] or one.endswith(":key/1234"), one
