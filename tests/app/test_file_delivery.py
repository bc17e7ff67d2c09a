"""A profile in files: it counts as sent when the definition confirms it, and the switch is armed only then (R36)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ios_mdm.adapters.profile_directory import FolderDirectory
from ios_mdm.app.delivery.files import FileDeliveryService
from ios_mdm.app.reconcile import Reconciler, ReconcileRequest
from ios_mdm.core.pair.layout import SENT_TAG
from ios_mdm.core.pair.schedule import Kind
from ios_mdm.core.pair.secret import Label, trusted_label
from ios_mdm.core.profile import profile_digest
from ios_mdm.errors import DeliveryError
from ios_mdm.settings.channels.directory import DirectorySettings
from tests.support.served import QUIET, WAITS, Server
from tests.support.switching import NAMES

if TYPE_CHECKING:
    from ios_mdm.core.pair.definition import PairDefinition

pytestmark = pytest.mark.usefixtures("unlabeled")


@dataclass(slots=True)
class MemoryFolder:
    """A folder in memory, which can be unavailable."""

    files: dict[str, bytes] = field(default_factory=dict)
    down: bool = False

    def read(self, name: str) -> bytes | None:
        """Return the file."""
        return self.files.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Replace the file, or fail."""
        if self.down:
            raise DeliveryError("the folder is full")
        self.files[name] = content


@dataclass(slots=True)
class Folder(Server):
    """A server whose profile is distributed by another tool."""

    folder: MemoryFolder = field(default_factory=MemoryFolder)
    distributed: str | None = None

    @property
    def reconciler(self) -> Reconciler:
        """Return the use case that reconciles the server."""
        world = self.armed.world
        deliveries = FileDeliveryService(
            lambda: FolderDirectory(folder=self.folder, named="out"),
            DirectorySettings(path="out", distributed=self.distributed),
            world.store,
            world.clock,
            report=world.reports.append,
        )
        return Reconciler(world.service, self.armed.service, deliveries)

    def request(self, wish: PairDefinition) -> ReconcileRequest:
        """Return the request, which has no devices."""
        one = Server.request(self, wish)
        assert one.distribution is not None
        return replace(one, distribution=replace(one.distribution, enrollment_ids=()))

    @property
    def digest(self) -> str:
        """SHA-256 of the profile in the folder."""
        (profile,) = (content for name, content in self.folder.files.items() if name.endswith(".mobileconfig"))
        return profile_digest(profile)

    @property
    def is_armed(self) -> bool:
        """Whether a schedule will promote the reserve."""
        return self.armed.scheduler.get(NAMES[Kind.PROMOTE]) is not None


@pytest.fixture
def server() -> Folder:
    """A server with a reserve, whose first profile is in the folder and is not confirmed."""
    one = Folder()
    one.up(WAITS)
    return one


def test_a_written_profile_is_offered_but_not_sent(server: Folder) -> None:
    """No switch is armed. The last line of the run says what to do."""  # R35 R36
    assert {trusted_label(1), trusted_label(2)} <= server.labels.keys()
    assert SENT_TAG not in server.armed.world.tags
    assert not server.is_armed
    assert f"then set distribution.channel.directory.distributed to {server.digest}." in server.armed.world.reports[-1]
    assert (
        "no certificate that is new in this profile becomes main before main expires"
        in (server.armed.world.reports[-1])
    )


def test_a_confirmed_profile_arms_the_switch(server: Folder) -> None:
    """The same run arms it. The runs after that write nothing."""  # R36
    server.distributed = server.digest
    server.up(WAITS)
    assert server.armed.world.tags[SENT_TAG].startswith("1 2 devices:")
    assert server.is_armed
    before = len(server.armed.world.store.calls)
    server.up(WAITS)
    assert len(server.armed.world.store.calls) == before


def test_the_confirmation_of_another_profile_arms_nothing(server: Folder) -> None:
    """For example, the digest of a profile with main only."""  # R36
    server.distributed = "0f" * 32
    server.up(WAITS)
    assert SENT_TAG not in server.armed.world.tags
    assert not server.is_armed
    assert f"It is now {server.distributed}, another profile." in server.armed.world.reports[-1]


@pytest.mark.parametrize("later", [None, "0f" * 32])
def test_a_withdrawn_confirmation_disarms_the_switch(server: Folder, later: str | None) -> None:
    """An administrator can correct a confirmation that was wrong."""  # R36
    server.distributed = server.digest
    server.up(WAITS)
    server.distributed = later
    server.up(WAITS)
    assert SENT_TAG not in server.armed.world.tags
    assert not server.is_armed


def test_an_earlier_confirmation_covers_its_certificates_only() -> None:
    """A reserve that is added later is not armed until its profile is confirmed, too."""  # R35 R36
    server = Folder()
    server.up(QUIET)
    server.distributed = server.digest
    server.up(QUIET)
    assert server.armed.world.tags[SENT_TAG].startswith("1 devices:")
    server.up(WAITS)
    assert server.armed.world.tags[SENT_TAG].startswith("1 devices:")
    assert not server.is_armed
    server.distributed = server.digest
    server.up(WAITS)
    assert server.is_armed


def test_an_unconfirmed_reserve_becomes_main_only_when_main_expires() -> None:
    """After the expiry, main is of no use to any device, and the reserve to those that have the profile."""  # R11 R36
    server = Folder()
    server.up(QUIET)
    world = server.armed.world
    world.later(days=350)
    server.up(WAITS)
    world.later(days=40)
    server.up(WAITS)
    assert server.labels[Label.MAIN] == 1, "its apply time has passed"
    assert not server.is_armed
    world.later(days=8)
    server.up(WAITS)
    assert server.labels[Label.MAIN] == 2


def test_a_main_that_is_replaced_waits_for_the_confirmation(server: Folder) -> None:
    """Then the run that gets the confirmation promotes it."""  # R15 R32
    server.distributed = server.digest
    server.up(WAITS)
    wish = server.with_another_main(QUIET)
    server.up(wish)
    assert server.labels[Label.MAIN] == 1
    server.distributed = server.digest
    server.up(wish)
    assert server.labels[Label.MAIN] == 3


def test_a_record_of_a_former_mdm_server_does_not_count() -> None:
    """Its devices may not be those of the other tool. The switch is disarmed before a file is written."""  # R36
    before = Server()
    before.up(WAITS)
    server = Folder(armed=before.armed)
    assert server.is_armed
    server.folder.down = True
    with pytest.raises(DeliveryError, match=r"the folder is full\. 0 of 4 files in out are up to date"):
        server.up(WAITS)
    assert SENT_TAG not in server.armed.world.tags
    assert not server.is_armed


def test_a_confirmation_does_not_count_for_the_next_mdm_server(server: Folder) -> None:
    """The record is removed before the first command, because a device may not get it."""  # R36
    server.distributed = server.digest
    server.up(WAITS)
    after = Server(armed=server.armed)
    after.channel.down = True
    with pytest.raises(DeliveryError, match="the MDM server is down"):
        after.up(WAITS)
    assert SENT_TAG not in server.armed.world.tags
    assert not server.is_armed
