"""Deletes the resources of runs: those with both the tag and the prefix of the name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tools.smoke.account import DENIED, TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.smoke.account import Account

PREFIX = f"{TAG}-"
_KEY_DAYS = 7
"""The shortest waiting period of KMS before it deletes a key."""


class _Kind(NamedTuple):
    """Calls that list and delete one kind of resource. The functions receive a client and an item of the list."""

    service: str
    operation: str
    items: str
    arguments: dict[str, Any]
    name: Callable[[Any, Any], str]
    tags: Callable[[Any, Any], Any]
    delete: Callable[[Any, Any], object]


def clean(account: Account) -> tuple[list[str], list[str]]:
    """Delete the resources of all runs in the account and region.

    Returns:
        The names of the deleted resources, and a line for each problem.
    """
    deleted, problems = [], []
    for kind in _KINDS:
        client, name = account.client(kind.service), "a page of the list"
        try:
            for item in list(_pages(client, kind.operation, kind.items, **kind.arguments)):
                name = kind.name(client, item)
                if name.startswith(PREFIX) and _is_tagged(kind.tags(client, item)):
                    try:
                        kind.delete(client, item)
                        deleted.append(f"{kind.service} {name}")
                    except (BotoCoreError, ClientError) as error:
                        problems.append(f"{kind.service} {name} was not deleted: {error}")
        except (BotoCoreError, ClientError) as error:
            problems.append(f"{kind.service} {kind.operation}, {name}: {error}")
    return deleted, problems


def _pages(client: Any, operation: str, items: str, **arguments: object) -> Iterator[Any]:  # noqa: ANN401
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(items) or ()


def _is_tagged(tags: Any) -> bool:  # noqa: ANN401 - three shapes of AWS
    return TAG in tags or any(TAG in (tag.get("Key"), tag.get("TagKey")) for tag in tags if isinstance(tag, dict))


def _delete_secret(client: Any, item: Any) -> None:  # noqa: ANN401
    if item.get("DeletedDate") is not None:
        client.restore_secret(SecretId=item["ARN"])
    client.delete_secret(SecretId=item["ARN"], ForceDeleteWithoutRecovery=True)


def _delete_role(client: Any, item: Any) -> None:  # noqa: ANN401
    for policy in list(_pages(client, "list_role_policies", "PolicyNames", RoleName=item["RoleName"])):
        client.delete_role_policy(RoleName=item["RoleName"], PolicyName=policy)
    client.delete_role(RoleName=item["RoleName"])


def _key_name(client: Any, item: Any) -> str:  # noqa: ANN401
    """Return the description, because a key has no name. It is empty for a key that is scheduled for deletion."""
    try:
        key = client.describe_key(KeyId=item["KeyId"])["KeyMetadata"]
    except ClientError as error:
        if error.response["Error"]["Code"] in DENIED:
            return ""  # the policy of another key can deny this to an administrator
        raise
    return "" if key.get("DeletionDate") is not None else str(key.get("Description", ""))


_KINDS = (
    _Kind(
        *("scheduler", "list_schedules", "Schedules", {"NamePrefix": PREFIX}),
        name=lambda _, item: str(item["Name"]),
        tags=lambda *_: (TAG,),  # a schedule has no tags
        delete=lambda client, item: client.delete_schedule(Name=item["Name"], GroupName="default"),
    ),
    _Kind(
        *("secretsmanager", "list_secrets", "SecretList", {"IncludePlannedDeletion": True}),
        name=lambda _, item: str(item["Name"]),
        tags=lambda _, item: item.get("Tags") or (),
        delete=_delete_secret,
    ),
    _Kind(
        *("iam", "list_roles", "Roles", {"PathPrefix": f"/{PREFIX}"}),
        name=lambda _, item: str(item["RoleName"]),
        tags=lambda client, item: client.list_role_tags(RoleName=item["RoleName"])["Tags"],
        delete=_delete_role,
    ),
    _Kind(
        *("iam", "list_policies", "Policies", {"Scope": "Local"}),
        name=lambda _, item: str(item["PolicyName"]),
        tags=lambda client, item: client.list_policy_tags(PolicyArn=item["Arn"])["Tags"],
        delete=lambda client, item: client.delete_policy(PolicyArn=item["Arn"]),
    ),
    _Kind(
        *("sns", "list_topics", "Topics", {}),
        name=lambda _, item: str(item["TopicArn"]).rpartition(":")[2],
        tags=lambda client, item: client.list_tags_for_resource(ResourceArn=item["TopicArn"])["Tags"],
        delete=lambda client, item: client.delete_topic(TopicArn=item["TopicArn"]),
    ),
    _Kind(
        *("sqs", "list_queues", "QueueUrls", {"QueueNamePrefix": PREFIX}),
        name=lambda _, url: str(url).rpartition("/")[2],
        tags=lambda client, url: client.list_queue_tags(QueueUrl=url).get("Tags") or (),
        delete=lambda client, url: client.delete_queue(QueueUrl=url),
    ),
    _Kind(
        *("kms", "list_keys", "Keys", {}),
        name=_key_name,
        tags=lambda client, item: client.list_resource_tags(KeyId=item["KeyId"])["Tags"],
        delete=lambda client, item: client.schedule_key_deletion(KeyId=item["KeyId"], PendingWindowInDays=_KEY_DAYS),
    ),
)
"""Kinds of resources in the order of deletion: roles before the policies that are their boundaries."""
