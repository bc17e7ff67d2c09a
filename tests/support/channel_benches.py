"""The benches of the channels of this program."""

from __future__ import annotations

import http.server
import json
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from ios_mdm.adapters import aws
from ios_mdm.adapters.folders import open_folder
from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.adapters.profile_directory import FolderDirectory
from ios_mdm.core.profile import trust_profile
from ios_mdm.errors import DeliveryError
from tests.support.aws import AWS
from tests.support.certificates import HOST
from tests.support.channel_kit import Bench, DeviceBench, Failure
from tests.support.distribution import pems
from tests.support.nanomdm_server import API_KEY, free_port, nanomdm_server
from tests.support.toy_mdm import command
from tools.services import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    from ios_mdm.ports import Folder
    from tests.support.nanomdm_server import NanoMdmServer

__all__ = ["LocalFolderBench", "NanoMdmBench", "S3Bench"]


@contextmanager
def answering_server(status: int, answer: str) -> Iterator[tuple[str, list[str]]]:
    """Answer each PUT with this text; yield the URL and the list of requested paths.

    ``{AUTH}`` in the text stands for the header with the key.
    """
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        """Sends the answer."""

        def do_PUT(self) -> None:
            """Send the answer."""
            paths.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            text = answer.replace("{AUTH}", self.headers["Authorization"]).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}", paths
        finally:
            serving.shutdown()
            thread.join()


class NanoMdmBench(DeviceBench):
    """A real NanoMDM with devices. Its failures are the answers of a server on loopback."""

    key = API_KEY
    devices = ("CCCC-3", "AAAA-1", "BBBB-2")

    def __init__(self, server: NanoMdmServer) -> None:
        """Enroll the devices."""
        self._server = server
        self._enrolled = [server.device(one) for one in self.devices]
        self._queues: dict[str, list[int]] = {}
        self._paths: list[str] = []

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Yield a bench with a new server."""
        with nanomdm_server() as server:
            yield cls(server)

    def channel(self) -> NanoMdm:
        """Return a channel that wakes no device."""
        return NanoMdm(url=self._server.url, api_key=self.key, push=False)

    def enqueue(self, channel: object, ids: Sequence[str], number: int) -> tuple[str, ...]:
        """Queue a command."""
        assert isinstance(channel, NanoMdm)
        return channel.enqueue(ids, command(number))

    def effects(self) -> Mapping[str, Sequence[int]]:
        """Let the devices fetch their commands."""
        for device in self._enrolled:
            if uuids := device.acknowledge_queue():
                self._queues.setdefault(device.udid, []).extend(int(one.rpartition("-")[2]) for one in uuids)
        return {udid: list(numbers) for udid, numbers in self._queues.items()}

    @contextmanager
    def failing(self, failure: Failure) -> Iterator[NanoMdm]:
        """Yield a channel to a server with the answer for this failure."""
        if failure is Failure.DOWN:
            yield NanoMdm(url=f"http://127.0.0.1:{free_port()}", api_key=self.key)
            return
        first = self.devices[0]
        answers: dict[Failure, tuple[int, dict[str, object]]] = {
            Failure.PARTIAL: (500, {"status": {first: {"command_error": "no space"}}}),
            Failure.ECHO: (500, {"command_error": f"refused: {{AUTH}} {self.key}"}),
            Failure.ASLEEP: (207, {"status": {first: {"push_error": "no push certificate"}}}),
        }
        status, answer = answers.get(failure, (413, {}))
        text = json.dumps({"command_uuid": "u", "request_type": "InstallProfile", **answer}) if answer else "<html>"
        with answering_server(status, text) as (url, self._paths):
            yield NanoMdm(url=url, api_key=self.key)

    def calls(self) -> int:
        """Return the number of requests."""
        return len(self._paths)


class WatchedFolder:
    """A folder that records the writes of the profile, and has no space after some writes."""

    def __init__(self, folder: Folder, log: list[bytes], space: int | None = None) -> None:
        """Use a folder.

        Args:
            folder: the folder.
            log: receives each written profile.
            space: number of files after which nothing can be written; None for no limit.
        """
        self._folder, self._log, self._space = folder, log, space

    def read(self, name: str) -> bytes | None:
        """Read a file."""
        return self._folder.read(name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, or fail."""
        if self._space == 0:
            raise DeliveryError(f"there is no space for {name}")
        if self._space is not None:
            self._space -= 1
        self._folder.write(name, content)
        if name.endswith(".mobileconfig"):
            self._log.append(content)


class FolderBench(Bench):
    """A folder of the channel ``directory``."""

    def __init__(self, base: Path, path: str) -> None:
        """Use a folder by its path in the definition."""
        self.base, self.path = base, path
        self.log: list[bytes] = []

    def channel(self) -> FolderDirectory:
        """Return the channel."""
        return self._directory(self.path)

    def send(self, channel: object, number: int) -> tuple[str, ...]:
        """Write the profile with the certificate of this number."""
        assert isinstance(channel, FolderDirectory)
        return channel.publish(self._profile(number), server="berlin", host=HOST)

    def effects(self) -> Mapping[str, Sequence[int]]:
        """Return the profiles that were written."""
        numbers = {self._profile(number): number for number in (1, 2, 3)}
        return {"profile": [numbers[one] for one in self.log]}

    def _directory(self, path: str, space: int | None = None) -> FolderDirectory:
        folder = open_folder(path, base=self.base, aws=AWS)
        return FolderDirectory(folder=WatchedFolder(folder, self.log, space), named=path)

    @staticmethod
    def _profile(number: int) -> bytes:
        return trust_profile([pems()[number]], identifier="com.example.mdm.1", server="berlin", host=HOST)


class LocalFolderBench(FolderBench):
    """A folder of this machine."""

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Yield a bench with an empty folder."""
        with tempfile.TemporaryDirectory() as base:
            yield cls(Path(base), "out")

    @contextmanager
    def failing(self, failure: Failure) -> Iterator[FolderDirectory]:
        """Yield a channel to a path below a file, or without space for a third file."""
        (self.base / "a-file").write_bytes(b"")
        yield self._directory("a-file/out") if failure is Failure.DOWN else self._directory(self.path, space=2)


class S3Bench(FolderBench):
    """A bucket of an emulator."""

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Yield a bench with an empty bucket."""
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        bucket = f"profiles-{uuid4()}"
        try:
            with pytest.MonkeyPatch.context() as patch:
                for variable, value in {**ministack.CREDENTIALS, "AWS_ENDPOINT_URL": url}.items():
                    patch.setenv(variable, value)
                client = boto3.client("s3")
                client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": ministack.REGION})
                yield cls(Path(), f"s3://{bucket}/mdm")
                aws.close_clients()
        finally:
            server.stop()

    @contextmanager
    def failing(self, failure: Failure) -> Iterator[FolderDirectory]:
        """Yield a channel to an endpoint that is down, or to a bucket that is full after two files."""
        with pytest.MonkeyPatch.context() as patch:
            if failure is Failure.DOWN:
                patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
                yield self._directory(self.path)
            else:
                yield self._directory(self.path, space=2)

    def close(self, channel: object) -> None:
        """Close the clients of botocore, which keep connections for later calls."""
        del channel
        aws.close_clients()
