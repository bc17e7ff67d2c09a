"""AWS Secrets Manager as the store of pairs: the steps of the write protocol, each safe to repeat.

On AWS, a read can return the state before the last write. This module does not retry such reads: the caller observes
again. If an emulator accepts more than AWS, this module adds the missing check, so that one contract holds on all
backends.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from ios_mdm.adapters.aws import IDENTITY, scheduled_for_deletion_error
from ios_mdm.core.pair.home import Home
from ios_mdm.core.pair.secret import Label, SecretDescription
from ios_mdm.errors import LabelMovedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import (
        CreateSecretRequestTypeDef,
        ListSecretVersionIdsResponseTypeDef,
        UpdateSecretVersionStageRequestTypeDef,
    )

    from ios_mdm.adapters.aws import Aws, Refusal

__all__ = ["SecretsManager", "check_tags", "label_moved_error"]

_MAX_TAGS = 50
_TAG_KEY = re.compile(r"[A-Za-z0-9 +\-=._:/@]{1,128}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9 +\-=._:/@]{0,256}")
_INVALID_PARAMETER = "InvalidParameterException"
"""AWS's error code for a wrong RemoveFromVersionId, according to reports of other tools."""
_INVALID_STATE = "InvalidRequestException"
"""AWS's error code for a request that the state of the secret does not allow: the secret is scheduled for deletion, or
managed by a service."""
_UNUSED_NAME = "ios-mdm-clock"
"""Name of a secret that need not exist: any answer or refusal about it has AWS's time."""


def check_tags(name: str, tags: Mapping[str, str], *, existing: Iterable[str] = ()) -> None:
    """Refuse tags that AWS refuses, because emulators accept them.

    Args:
        name: name of the secret.
        tags: tags to set.
        existing: keys of the secret's current tags.

    Raises:
        StoreError: More than 50 tags, a key of more than 128 or a value of more than 256 characters, a character
            other than letters, digits, space and ``+ - = . _ : / @``, or a key with the reserved prefix ``aws:``.
    """
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key) or key.lower().startswith("aws:"):
            raise StoreError(
                f'Tag "{key[:128]}" of secret "{name}" has a key that AWS does not accept. Report this as a bug.'
            )
        if not _TAG_VALUE.fullmatch(value):
            raise StoreError(
                f'Tag "{key}" of secret "{name}" has a value that AWS does not accept: at most 256 letters, digits, '
                "spaces and + - = . _ : / @. Change it under ios-mdm:aws: {tags: …}, or report this as a bug."
            )
    # Tags that AWS sets do not count.
    count = len({key for key in existing if not key.startswith("aws:")} | set(tags))
    if count > _MAX_TAGS:
        raise StoreError(
            f'Secret "{name}" needs {count} tags, but AWS accepts only {_MAX_TAGS}. Remove tags under ios-mdm:aws: '
            "{tags: …}."
        )


def label_moved_error(
    name: str, label: str, *, to: str | None, current: str | None, holder: str | None
) -> LabelMovedError:
    """Return the error for a compare-and-swap that found *label* on *holder* instead of *current*."""
    return LabelMovedError(
        f'Label {label} of secret "{name}" was not moved to {to or "no version"}: it was expected on '
        f"{current or 'no version'} and is on {holder or 'no version'}. Run again to read the current state."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsManager:
    """A ``SecretStore`` on AWS Secrets Manager, or an emulator of it (``AWS_ENDPOINT_URL``).

    Args:
        aws: access to AWS.
    """

    aws: Aws

    @property
    def _client(self) -> SecretsManagerClient:
        return self.aws.secrets_manager()

    def describe(self, name: str) -> SecretDescription | None:
        """Return the public description of the secret, or None if the secret does not exist."""
        found = self.aws.answer_unless(
            {"ResourceNotFoundException"}, "DescribeSecret", name, lambda: self._client.describe_secret(SecretId=name)
        )
        if found is None:
            return None
        # AWS leaves out empty fields, and emulators send null.
        return SecretDescription(
            arn=found["ARN"],
            tags={tag.get("Key", ""): tag.get("Value", "") for tag in found.get("Tags") or ()},
            labels={
                version: frozenset(labels)
                for version, labels in (found.get("VersionIdsToStages") or {}).items()
                if labels
            },
            deleted_at=found.get("DeletedDate"),
            primary_region=_primary_region(found["ARN"], found.get("PrimaryRegion")),
            kms_key=found.get("KmsKeyId") or None,
            changed_at=None if (changed := found.get("LastChangedDate")) is None else changed.astimezone(UTC),
        )

    def create(self, name: str, *, tags: Mapping[str, str], description: str, kms_key: str | None) -> None:
        """Create the secret without a value. An existing secret is not changed.

        Raises:
            StoreError: The tags exceed AWS's limits, or AWS refuses, for example while a secret with this name is in
                its recovery window.
        """
        check_tags(name, tags)
        request: CreateSecretRequestTypeDef = {
            "Name": name,
            "Description": description,
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
        }
        if kms_key is not None:
            request["KmsKeyId"] = kms_key
        created = self.aws.answer_unless(
            {"ResourceExistsException"}, "CreateSecret", name, lambda: self._client.create_secret(**request)
        )
        if created is not None and (version := created.get("VersionId")):
            # ministack creates and labels a version without a value. On AWS, a secret without a value has no version.
            self._move(name, Label.MAIN, to=None, current=version)

    def encrypt(self, name: str, *, kms_key: str | None) -> None:
        """Set the KMS key of the secret for new versions.

        AWS also encrypts the versions with the labels AWSCURRENT, AWSPENDING and AWSPREVIOUS again, if the credentials
        may use both keys. Other versions keep their key. The emulators encrypt nothing.

        Args:
            name: name of the secret.
            kms_key: id, ARN or alias of the key; None for the default key of the account.

        Raises:
            StoreError: AWS refuses.
        """
        # An empty text means the default key.
        self.aws.answer("UpdateSecret", name, lambda: self._client.update_secret(SecretId=name, KmsKeyId=kms_key or ""))

    def restore(self, name: str) -> None:
        """Cancel the scheduled deletion of the secret. No effect if no deletion is scheduled.

        Raises:
            StoreError: The secret does not exist, or AWS refuses.
        """
        restored = self.aws.answer_unless(
            {"InvalidRequestException"}, "RestoreSecret", name, lambda: self._client.restore_secret(SecretId=name)
        )
        if restored is None and ((found := self.describe(name)) is None or found.deleted_at is not None):
            raise StoreError(f'Secret "{name}" cannot be restored. Check it in the AWS console, and run again.')

    def read(self, name: str, version_id: str) -> str | None:
        """Return the value of one version by its id, or None if the version does not exist or has no value.

        Raises:
            StoreError: The value is binary, or AWS refuses, for example while the secret is in its recovery window.
        """
        found = self.aws.answer_unless(
            {"ResourceNotFoundException"},
            "GetSecretValue",
            name,
            lambda: self._client.get_secret_value(SecretId=name, VersionId=version_id),
        )
        if found is None:
            return None
        if found.get("SecretBinary") is not None:
            raise StoreError(
                f'Version {version_id} of secret "{name}" is binary, so another program wrote it. Check it in the AWS '
                "console, and run again."
            )
        return found.get("SecretString")

    def labeled_value(self, name: str, label: str) -> str | None:
        """Return the value of the version with this label, in one call; None if there is no such secret or label.

        Raises:
            StoreError: The value is binary, or AWS refuses.
        """
        found = self.aws.answer_unless(
            {"ResourceNotFoundException"},
            "GetSecretValue",
            name,
            lambda: self._client.get_secret_value(SecretId=name, VersionStage=label),
        )
        if found is None:
            return None
        if found.get("SecretBinary") is not None:
            raise StoreError(f'Secret "{name}" is binary, so another program wrote it. Check the name of the secret.')
        return found.get("SecretString")

    def current_bytes(self, name: str) -> bytes | None:
        """Return the current value of any secret, or None if there is no such secret or value; text is UTF-8.

        Raises:
            StoreError: AWS refuses.
        """
        found = self.aws.answer_unless(
            {"ResourceNotFoundException"},
            "GetSecretValue",
            name,
            lambda: self._client.get_secret_value(SecretId=name, VersionStage=Label.MAIN.value),
        )
        if found is None:
            return None
        binary = found.get("SecretBinary")
        return binary if binary is not None else found.get("SecretString", "").encode()

    def put(self, name: str, version_id: str, value: str) -> None:
        """Add a version with the label STAGED. An existing version with this id is not changed.

        AWS also puts AWSCURRENT on the first version of a secret.

        Args:
            name: name of the secret.
            version_id: id of the new version, 32 to 64 characters.
            value: value of the new version, at most 65,536 bytes.
        """
        if self.aws.is_emulator and not self._prepare_put(name, version_id):
            return
        self.aws.answer_unless(
            {"ResourceExistsException"},
            "PutSecretValue",
            name,
            lambda: self._client.put_secret_value(
                SecretId=name, ClientRequestToken=version_id, SecretString=value, VersionStages=[Label.STAGED.value]
            ),
        )

    def _prepare_put(self, name: str, version_id: str) -> bool:
        """Do on an emulator the steps that only AWS does in a put; return False if the version exists."""
        found = self.describe(name)
        if found is None:
            return True
        if found.deleted_at is not None:  # moto would accept the value
            raise scheduled_for_deletion_error("PutSecretValue", name)
        # ministack would overwrite a version with the same id.
        if version_id in found.labels or self.read(name, version_id) is not None:
            return False
        # AWS removes STAGED from its former version, and ministack does not. A label that was moved concurrently is no
        # error.
        for holder in _holders(found, Label.STAGED):
            self._move(name, Label.STAGED, to=None, current=holder)
        return True

    def move_label(self, name: str, label: str, *, to: str | None, current: str | None) -> None:
        """Move *label* from version *current* to version *to* as a compare-and-swap; None stands for no version.

        It is a success if the label is on *to* already, because the answer to an earlier attempt might be lost.

        Raises:
            LabelMovedError: The label is on another version, and is not moved.
            StoreError: The secret is scheduled for deletion, or AWS refuses.
        """
        if label == Label.MAIN and to is None:
            raise StoreError(f'AWSCURRENT of secret "{name}" can be moved, not removed. Report this as a bug.')
        if to == current:
            return
        if current is None and self.aws.is_emulator:
            # moto would leave the label on two versions. AWS refuses this, and a read there might be stale.
            holder = self._holder(name, label)
            if holder is not None and holder != to:
                raise label_moved_error(name, label, to=to, current=current, holder=holder)
        refusal = self._move(name, label, to=to, current=current)
        if refusal is None:
            return
        found = self.describe(name)
        if found is not None and found.deleted_at is not None:
            raise scheduled_for_deletion_error("UpdateSecretVersionStage", name)
        holder = None if found is None else next(iter(_holders(found, label)), None)
        if holder == to:
            return
        if holder == current and refusal.code == _INVALID_STATE:
            raise refusal.error  # the label is not the reason, so another read does not help
        raise label_moved_error(name, label, to=to, current=current, holder=holder)

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Set these tags. Other tags are not changed.

        Raises:
            StoreError: The tags exceed AWS's limits, or AWS refuses.
        """
        # AWS enforces its limit of tags; the emulators accept any number.
        found = self.describe(name) if self.aws.is_emulator else None
        check_tags(name, tags, existing=() if found is None else found.tags)
        self.aws.answer(
            "TagResource",
            name,
            lambda: self._client.tag_resource(
                SecretId=name, Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())]
            ),
        )

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove the tags with these keys. A key without a tag is no error."""
        self.aws.answer(
            "UntagResource", name, lambda: self._client.untag_resource(SecretId=name, TagKeys=sorted(set(keys)))
        )

    def delete(self, name: str, *, recovery_window_days: int) -> None:
        """Schedule the deletion of the secret in 7 to 30 days.

        It is no error if the secret does not exist or its deletion is already scheduled.
        """
        deleted = self.aws.answer_unless(
            {"ResourceNotFoundException", "InvalidRequestException"},
            "DeleteSecret",
            name,
            lambda: self._client.delete_secret(SecretId=name, RecoveryWindowInDays=recovery_window_days),
        )
        if deleted is None and (found := self.describe(name)) is not None and found.deleted_at is None:
            raise StoreError(
                f'Secret "{name}" cannot be deleted: another service manages it, or it has replicas. '
                "Check it in the AWS console, and run again."
            )

    def version_ids(self, name: str) -> Sequence[str]:
        """Return the sorted ids of all versions, including versions without a label."""
        ids: set[str] = set()
        token = ""
        while True:
            page = self.aws.answer("ListSecretVersionIds", name, functools.partial(self._versions_page, name, token))
            ids.update(version["VersionId"] for version in page.get("Versions", ()) if "VersionId" in version)
            token = page.get("NextToken") or ""
            if not token:
                return sorted(ids)

    def home(self) -> Home:
        """Return the account of the credentials, and the region of the calls.

        Raises:
            StoreError: AWS refuses, or no region is set.
        """
        region = self.aws.answer("GetCallerIdentity", "", lambda: self._client.meta.region_name, IDENTITY)
        account = self.aws.answer(
            "GetCallerIdentity", "", lambda: self.aws.sts().get_caller_identity()["Account"], IDENTITY
        )
        return Home(account=account, region=region)

    def time(self) -> datetime:
        """Return AWS's time, aware UTC, whole seconds, from an answer of the last minute or from a new call."""
        if (date := self.aws.last_date()) is not None:
            return date
        self.aws.answer_unless(
            {"ResourceNotFoundException", "AccessDeniedException"},
            "DescribeSecret",
            _UNUSED_NAME,
            lambda: self._client.describe_secret(SecretId=_UNUSED_NAME),
        )
        if (date := self.aws.last_date()) is None:
            raise StoreError(
                "AWS's answer has no Date header, so the clock cannot be checked. Check whether a proxy removes it."
            )
        return date

    def _versions_page(self, name: str, token: str) -> ListSecretVersionIdsResponseTypeDef:
        if token:
            return self._client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, NextToken=token)
        return self._client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)

    def _holder(self, name: str, label: str) -> str | None:
        found = self.describe(name)
        return None if found is None else next(iter(_holders(found, label)), None)

    def _move(self, name: str, label: str, *, to: str | None, current: str | None) -> Refusal | None:
        """Move the label; return the refusal if the label or the state of the secret does not allow the move."""
        request: UpdateSecretVersionStageRequestTypeDef = {"SecretId": name, "VersionStage": str(label)}
        if to is not None:
            request["MoveToVersionId"] = to
        if current is not None:
            request["RemoveFromVersionId"] = current
        return self.aws.refusal(
            {_INVALID_PARAMETER, _INVALID_STATE},
            "UpdateSecretVersionStage",
            name,
            lambda: self._client.update_secret_version_stage(**request),
        )


def _primary_region(arn: str, region: str | None) -> str | None:
    """Return the region of the primary secret of a replica, or None if the secret is not a replica."""
    return region if region and region != Home.of_arn(arn).region else None


def _holders(found: SecretDescription, label: str) -> list[str]:
    return sorted(version for version, labels in found.labels.items() if label in labels)
