"""The part of the hooks of ``ProfileDistribution`` for a channel that writes files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ios_mdm import wiring
from ios_mdm.app.delivery.files import confirmation_notice, is_record_correct
from ios_mdm.core.pair.decision import Severity
from ios_mdm.errors import IosMdmError
from ios_mdm.resources.engine import show_message
from ios_mdm.settings import AwsSettings

if TYPE_CHECKING:
    from ios_mdm.app.delivery.content import ProfileContent
    from ios_mdm.core.pair.secret import SecretDescription
    from ios_mdm.resources.plain import Wire
    from ios_mdm.settings.channels.channel import FileChannelSettings

__all__ = ["is_file_drift", "show_unconfirmed"]


def show_unconfirmed(server: str, files: FileChannelSettings | None, digest: object) -> None:
    """Show what to do with a profile that the definition does not confirm.

    Args:
        server: name of the server.
        files: settings of the channel; None for a channel that sends the profile: nothing is shown.
        digest: SHA-256 of the current profile, 64 hex digits; any other object if it is unknown.
    """
    if files is None:
        return
    unconfirmed = confirmation_notice(files, digest if isinstance(digest, str) else None)
    if unconfirmed is not None:
        show_message(server, unconfirmed.severity, unconfirmed.message)


def is_file_drift(inputs: Wire, files: FileChannelSettings, content: ProfileContent, found: SecretDescription) -> bool:
    """Return whether an update must write files again, or the record of the confirmation; show a message if so.

    Files that cannot be checked are no drift: a preview may run without access to them.

    Args:
        inputs: inputs of the resource.
        files: settings of the channel.
        content: content of the profile.
        found: description of the pair's secret.
    """
    here, server = wiring.process_wiring(), str(inputs["server"])
    if not is_record_correct(
        str(inputs["secret"]),
        found,
        content.trusted,
        here.clock().now(),
        digest=None if content.chains is None else content.digest,
        confirmed=files.confirmed_digest,
    ):
        message = "the record of the distributed profile differs from the definition: `up` corrects it"
        show_message(server, Severity.WARNING, message)
        return True
    if content.chains is None:
        return False
    try:
        directory = here.directory(files, AwsSettings.model_validate(inputs["aws"]).region)
        if directory.is_published(content.profile(), server=server, host=content.host):
            return False
    except IosMdmError as error:
        message = f"the files in {files.destination} could not be checked: {error}"
        show_message(server, Severity.NOTICE, message)
        return False
    message = f"files in {files.destination} are missing or were changed: `up` writes them again"
    show_message(server, Severity.NOTICE, message)
    return True
