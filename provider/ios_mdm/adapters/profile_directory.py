"""Writes the profile of a server to a folder, for MDM servers that get profiles from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ios_mdm.core.profile import profile_identifier_of
from ios_mdm.core.profile_files import MANIFEST, Manifest, is_own_file, profile_file, profile_files
from ios_mdm.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ios_mdm.ports import Folder

__all__ = ["FolderDirectory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDirectory:
    """A ``ProfileDirectory`` in a folder.

    Args:
        folder: the folder.
        named: path in the definition, for messages.
    """

    folder: Folder
    named: str

    def publish(self, profile: bytes, *, server: str, host: str) -> tuple[str, ...]:
        """Write the files that are missing or changed: the profile first, the manifest last.

        Raises:
            DeliveryError: A file cannot be written, or was not written for this server. In the second case, no file was
                written.
        """
        files, changed = self._changed_files(profile, server=server, host=host)
        done = len(files) - len(changed)
        for name, content in changed.items():
            try:
                self.folder.write(name, content)
            except DeliveryError as error:
                raise DeliveryError(
                    f"{error}. {done} of {len(files)} files in {self.named} are up to date: run `pulumi up` again to "
                    "write the others"
                ) from error
            done += 1
        return (f"{', '.join(changed)} written to {self.named}",) if changed else ()

    def is_published(self, profile: bytes, *, server: str, host: str) -> bool:
        """Return whether no file is missing or changed."""
        return not self._changed_files(profile, server=server, host=host)[1]

    def _changed_files(
        self, profile: bytes, *, server: str, host: str
    ) -> tuple[Mapping[str, bytes], Mapping[str, bytes]]:
        """Return the content of all files, and of those that must be written."""
        identifier = profile_identifier_of(profile)
        manifest = self.folder.read(MANIFEST)
        recorded = None if manifest is None else Manifest.from_bytes(manifest)
        former = () if recorded is None else recorded.former_of(profile_file(identifier))
        kept = [name for name in former if self.folder.read(name) is not None]
        files = profile_files(profile, server=server, host=host, former=kept)
        changed = {}
        for name, content in files.items():
            found = manifest if name == MANIFEST else self.folder.read(name)
            if found == content:
                continue
            if found is not None and not is_own_file(name, found, server=server, identifier=identifier):
                raise DeliveryError(
                    f"{self.named} has another {name}, which was not written for the server {server}, so nothing is "
                    "written. Use a folder for each server, or move the file away"
                )
            changed[name] = content
        return files, changed
