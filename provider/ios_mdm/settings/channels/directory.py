"""A folder as a channel: another tool, or an administrator, distributes the profile in it to the devices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, StrictStr

from ios_mdm.settings.channels.channel import FileChannelSettings

if TYPE_CHECKING:
    from ios_mdm.ports import ProfileDirectory
    from ios_mdm.settings.channels.channel import ChannelTools

__all__ = ["DirectorySettings"]

_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/=+@-]*)?")


def _path(path: str) -> str:
    if not path.strip() or not path.isprintable():
        raise ValueError("is not a path: write the path of a folder, or s3://bucket/prefix")
    if "://" in path and not _S3.fullmatch(path):
        raise ValueError("must be the path of a folder, or s3://bucket/prefix with letters, digits and !_.*'()/=+@-")
    return path.rstrip("/") or path


class DirectorySettings(FileChannelSettings):
    """A folder, or a prefix of an S3 bucket, with the profile of one server."""

    path: Annotated[StrictStr, AfterValidator(_path)]
    distributed: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @property
    def destination(self) -> str:
        """The path in the definition."""
        return self.path

    @property
    def confirmed_digest(self) -> str | None:
        """SHA-256 of the profile that the devices have, as the administrator confirms."""
        return self.distributed

    def connect(self, tools: ChannelTools) -> ProfileDirectory:
        """Return the folder. Nothing is read or created yet."""
        from ios_mdm.adapters.profile_directory import FolderDirectory

        return FolderDirectory(folder=tools.folder(self.path), named=self.path)
