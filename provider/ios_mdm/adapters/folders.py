"""Folders that other tools read: a folder on this machine, or a prefix of an S3 bucket."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ios_mdm.adapters.aws import OBJECT
from ios_mdm.errors import DefinitionError, DeliveryError, StoreError
from ios_mdm.files import MIB, file_content, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.adapters.aws import Aws
    from ios_mdm.ports import Folder

__all__ = ["MAX_FILE", "S3_SCHEME", "LocalFolder", "S3Folder", "open_folder"]

S3_SCHEME: Final = "s3://"
MAX_FILE: Final = MIB
"""Bytes. A profile with 16 certificates has 50 KiB."""
_MODE: Final = 0o644
"""Mode of each file: everything in it is public."""
_MISSING: Final = frozenset({"NoSuchKey"})
_TYPES: Final = {".mobileconfig": "application/x-apple-aspen-config", ".json": "application/json"}


def open_folder(path: str, *, base: Path, aws: Aws) -> Folder:
    """Return the folder that a definition names. Nothing is read or created yet.

    Args:
        path: path of a folder, or ``s3://bucket/prefix``.
        base: folder of the project, to which a path is relative.
        aws: access to AWS.
    """
    if not path.startswith(S3_SCHEME):
        return LocalFolder(path=base / path, named=path)
    bucket, _, prefix = path.removeprefix(S3_SCHEME).partition("/")
    return S3Folder(aws=aws, bucket=bucket, prefix=prefix.strip("/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFolder:
    """A folder of this machine.

    Args:
        path: path of the folder.
        named: path in the definition, for messages.
    """

    path: Path
    named: str

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no such file."""
        file = self.path / name
        if not os.path.lexists(file):
            return None
        try:
            return file_content(file, limit=MAX_FILE, named=f"{self.named}/{name}")
        except DefinitionError as error:
            raise DeliveryError(f"{error}. Files of this name are written by `up`") from None

    def write(self, name: str, content: bytes) -> None:
        """Replace a file. A reader sees the former content or the new one, never a part of it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            replace_file(self.path / name, content, mode=_MODE)
        except OSError as error:
            raise DeliveryError(
                f"{self.named}/{name} cannot be written: {error.strerror or type(error).__name__}. Check the "
                "folder and its permissions"
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Folder:
    """A prefix of an S3 bucket.

    Args:
        aws: access to AWS.
        bucket: name of the bucket.
        prefix: prefix of the keys, without slashes at its ends; empty for none.
    """

    aws: Aws
    bucket: str
    prefix: str

    def read(self, name: str) -> bytes | None:
        """Return the content of an object; None if there is no such object."""
        key = self._key(name)

        def call() -> bytes:
            stream = self.aws.s3().get_object(Bucket=self.bucket, Key=key)["Body"]
            with contextlib.closing(stream):
                return stream.read(MAX_FILE + 1)

        with _delivery_errors():
            content = self.aws.answer_unless(_MISSING, "GetObject", self._url(name), call, OBJECT)
        if content is not None and len(content) > MAX_FILE:
            raise DeliveryError(
                f"{self._url(name)} is larger than {MAX_FILE:,} bytes: check that this is the right path"
            )
        return content

    def write(self, name: str, content: bytes) -> None:
        """Replace an object."""
        kind = _TYPES.get(Path(name).suffix, "text/plain; charset=utf-8")

        def call() -> object:
            return self.aws.s3().put_object(Bucket=self.bucket, Key=self._key(name), Body=content, ContentType=kind)

        with _delivery_errors():
            self.aws.answer("PutObject", self._url(name), call, OBJECT)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _url(self, name: str) -> str:
        return f"{S3_SCHEME}{self.bucket}/{self._key(name)}"


@contextlib.contextmanager
def _delivery_errors() -> Iterator[None]:
    """Raise a ``DeliveryError`` in place of an error of AWS."""
    try:
        yield
    except StoreError as error:
        raise DeliveryError(str(error)) from None
