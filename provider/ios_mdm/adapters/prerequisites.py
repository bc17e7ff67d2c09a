"""The prerequisites of schedules: the IAM role that they assume, and the SQS queue for their failed calls."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from ios_mdm.adapters.aws import QUEUE, ROLE, ROLE_SECONDS
from ios_mdm.adapters.refusals import ACCESS_DENIED
from ios_mdm.core.pair.schedule import ROLE_PATH
from ios_mdm.errors import StoreError
from ios_mdm.parallel import run_concurrently, run_sequentially

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import CreateRoleRequestTypeDef, RoleTypeDef
    from mypy_boto3_sqs import SQSClient

    from ios_mdm.adapters.aws import Aws

__all__ = ["NO_ENTITY", "NO_QUEUE", "AwsPrerequisites"]

_TAG = {"Key": "ios-mdm", "Value": "switch"}
"""Marks the roles that are created here, in addition to their path."""
_MARKS = f"it needs the path {ROLE_PATH} and the tag {_TAG['Key']}={_TAG['Value']}"
_POLICY = "switch"
_MAX_DOUBTED_DENIALS = 5
"""Number of denied attempts, about 12 seconds, before a denial is believed for a role that was just created."""
_RETENTION_SECONDS = 14 * 24 * 3600
NO_ENTITY = frozenset({"NoSuchEntity", "NoSuchEntityException"})
NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsPrerequisites:
    """``Prerequisites`` in IAM and SQS, or an emulator of them (``AWS_ENDPOINT_URL``).

    Args:
        aws: access to AWS.
        sleep: waits this number of seconds between two attempts.
    """

    aws: Aws
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    @property
    def _iam(self) -> IAMClient:
        return self.aws.iam()

    @property
    def _sqs(self) -> SQSClient:
        return self.aws.sqs()

    def ensure_role(self, name: str, *, trust: str, policy: str, boundary: str | None) -> str:
        """Create the role with these documents, or update the role of this name; return its ARN.

        Args:
            name: role name.
            trust: trust policy, JSON.
            policy: inline policy, JSON.
            boundary: ARN of the permissions boundary, or None.

        Raises:
            StoreError: A role of this name exists and was not created here, or AWS refuses.
        """
        existing = self._role(name)
        if existing is not None:
            self._update_role(name, existing, trust, boundary)
        role = existing or self._create_role(name, trust, boundary)
        if existing is None or self._inline_policy(name) != json.loads(policy):
            self._put_policy(name, policy, created=existing is None)
        return role["Arn"]

    def _put_policy(self, name: str, policy: str, *, created: bool) -> None:
        """Store the policy of a role. The call is repeated while IAM does not know a role that it has just created.

        In this time, IAM does not know the path of the role either. If the credentials may change only roles with this
        path, IAM denies the call. So a denial for a new role is an error only after several attempts.
        """
        from tenacity import Retrying, retry_if_exception_type, wait_exponential

        attempts = Retrying(
            retry=retry_if_exception_type(_UnknownRoleError),
            wait=wait_exponential(multiplier=0.5, max=5),
            stop=lambda state: state.idle_for >= ROLE_SECONDS,
            sleep=self.sleep,
            reraise=True,
        )
        for attempt in attempts:
            doubted = created and attempt.retry_state.attempt_number <= _MAX_DOUBTED_DENIALS
            with attempt:
                self._put_policy_once(name, policy, NO_ENTITY | ACCESS_DENIED if doubted else NO_ENTITY)

    def _put_policy_once(self, name: str, policy: str, unknown: frozenset[str]) -> None:
        put = partial(self._iam.put_role_policy, RoleName=name, PolicyName=_POLICY, PolicyDocument=policy)
        if self.aws.answer_unless(unknown, "PutRolePolicy", name, put, ROLE) is None:
            raise _UnknownRoleError(
                f'PutRolePolicy on role "{name}" failed: IAM does not know the role, although IAM created the role '
                f"{ROLE_SECONDS:.0f} seconds ago. Check that no other process deletes the role, and run again"
            )

    def role_problems(self, name: str, *, trust: str, policy: str, boundary: str | None) -> tuple[str, ...]:
        """Return the differences between the role of this name and the role of :meth:`ensure_role`; write nothing.

        The policy is compared only if the rest is correct, because one difference leads to the repair of everything.

        Raises:
            StoreError: AWS refuses.
        """
        reads: list[Callable[[], object]] = [partial(self._role, name), partial(self._inline_policy, name)]
        # In a check, most answers were read ahead, so threads would cost more time than they save.
        found_role, found_policy = (run_concurrently if self.aws.reads is None else run_sequentially)(reads)
        try:
            role = cast("RoleTypeDef | None", found_role.result())
        except _ForeignRoleError:
            return (f"the role {name} was not created here ({_MARKS})",)
        if role is None:
            return (f"the role {name} is missing",)
        problems = []
        if _document(role.get("AssumeRolePolicyDocument")) != json.loads(trust):
            problems.append(f"the trust policy of the role {name} differs")
        if _boundary(role) != boundary:
            problems.append(f"the permissions boundary of the role {name} differs")
        if problems:
            return tuple(problems)
        found = found_policy.result()
        if found is None:
            return (f"the policy of the role {name} is missing",)
        return () if found == json.loads(policy) else (f"the policy of the role {name} differs",)

    def delete_role(self, name: str) -> None:
        """Delete the role with its policy. A role that does not exist, or was not created here, is no error."""
        try:
            role = self._role(name)
        except _ForeignRoleError:
            return
        if role is None:
            return
        self.aws.answer_unless(
            NO_ENTITY,
            "DeleteRolePolicy",
            name,
            lambda: self._iam.delete_role_policy(RoleName=name, PolicyName=_POLICY),
            ROLE,
        )
        self.aws.answer_unless(NO_ENTITY, "DeleteRole", name, lambda: self._iam.delete_role(RoleName=name), ROLE)

    def queue_exists(self, name: str) -> bool:
        """Return whether there is a queue of this name.

        Raises:
            StoreError: AWS refuses.
        """
        return self._queue_url(name) is not None

    def queue_messages(self, name: str) -> int:
        """Return the approximate number of messages in the queue of this name; 0 if there is no queue.

        Raises:
            StoreError: AWS refuses.
        """
        url = self._queue_url(name)
        if url is None:
            return 0
        found = self.aws.answer(
            "GetQueueAttributes",
            name,
            lambda: self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]),
            QUEUE,
        )
        return int(found.get("Attributes", {}).get("ApproximateNumberOfMessages", "0"))

    def ensure_queue(self, name: str) -> str:
        """Create the queue if there is no queue of this name; return its ARN."""
        url = self._queue_url(name)
        if url is None:
            attributes = {"MessageRetentionPeriod": str(_RETENTION_SECONDS), "SqsManagedSseEnabled": "true"}
            url = self.aws.answer(
                "CreateQueue",
                name,
                lambda: self._sqs.create_queue(QueueName=name, Attributes=attributes),  # type: ignore[arg-type]
                QUEUE,
            )["QueueUrl"]
        queue = self.aws.answer(
            "GetQueueAttributes",
            name,
            lambda: self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]),
            QUEUE,
        )
        return queue["Attributes"]["QueueArn"]

    def delete_queue(self, name: str) -> None:
        """Delete the queue with its messages. A queue that does not exist is no error."""
        url = self._queue_url(name)
        if url is not None:
            self.aws.answer_unless(NO_QUEUE, "DeleteQueue", name, lambda: self._sqs.delete_queue(QueueUrl=url), QUEUE)

    def _queue_url(self, name: str) -> str | None:
        found = self.aws.answer_unless(
            NO_QUEUE, "GetQueueUrl", name, lambda: self._sqs.get_queue_url(QueueName=name), QUEUE
        )
        return None if found is None else found["QueueUrl"]

    def _role(self, name: str) -> RoleTypeDef | None:
        found = self.aws.answer_unless(NO_ENTITY, "GetRole", name, lambda: self._iam.get_role(RoleName=name), ROLE)
        if found is None:
            return None
        # Names of roles are unique in an account, so a role of this name can have another path.
        role = found["Role"]
        if role["Path"] != ROLE_PATH or _TAG not in [dict(tag) for tag in role.get("Tags", ())]:
            raise _ForeignRoleError(
                f'Role "{name}" exists and was not created here ({_MARKS}). Delete it, or name the role to use '
                "under promotion.roleArn."
            )
        return role

    def _create_role(self, name: str, trust: str, boundary: str | None) -> RoleTypeDef:
        request: CreateRoleRequestTypeDef = {
            "RoleName": name,
            "Path": ROLE_PATH,
            "AssumeRolePolicyDocument": trust,
            "Description": "Lets EventBridge Scheduler make the reserve of an iOS MDM server its main certificate",
            "Tags": [{"Key": _TAG["Key"], "Value": _TAG["Value"]}],
        }
        if boundary is not None:
            request["PermissionsBoundary"] = boundary
        return self.aws.answer("CreateRole", name, lambda: self._iam.create_role(**request), ROLE)["Role"]

    def _update_role(self, name: str, role: RoleTypeDef, trust: str, boundary: str | None) -> None:
        if _document(role.get("AssumeRolePolicyDocument")) != json.loads(trust):
            self.aws.answer(
                "UpdateAssumeRolePolicy",
                name,
                lambda: self._iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust),
                ROLE,
            )
        has = _boundary(role)
        if boundary is not None and has != boundary:
            self.aws.answer(
                "PutRolePermissionsBoundary",
                name,
                lambda: self._iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary),
                ROLE,
            )
        if boundary is None and has is not None:
            self.aws.answer(
                "DeleteRolePermissionsBoundary",
                name,
                lambda: self._iam.delete_role_permissions_boundary(RoleName=name),
                ROLE,
            )

    def _inline_policy(self, name: str) -> object:
        found = self.aws.answer_unless(
            NO_ENTITY,
            "GetRolePolicy",
            name,
            lambda: self._iam.get_role_policy(RoleName=name, PolicyName=_POLICY),
            ROLE,
        )
        return None if found is None else _document(found["PolicyDocument"])


class _UnknownRoleError(StoreError):
    """IAM does not know a role that it has just created."""


class _ForeignRoleError(StoreError):
    """A role of the requested name was not created here."""


def _boundary(role: RoleTypeDef) -> str | None:
    return role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")


def _document(text: object) -> object:
    """Return a policy document of IAM. IAM sends URL-encoded JSON, and botocore decodes it if it is well-formed."""
    return json.loads(unquote(text)) if isinstance(text, str) else text
