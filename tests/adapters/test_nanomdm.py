"""NanoMDM as a channel, with the real server and with the answers of a broken server."""

from __future__ import annotations

import base64
import http.server
import itertools
import json
import logging
import plistlib
import re
import socket
import ssl
import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from ios_mdm.adapters import nanomdm, nanomdm_client
from ios_mdm.adapters.clock import SystemClock
from ios_mdm.adapters.ledgers.sqlite import SqliteLedger
from ios_mdm.adapters.nanomdm import NanoMdm
from ios_mdm.app.delivery.distributor import Delivery, Distributor
from ios_mdm.core.enrollment import MAX_ENROLLMENT_ID_LENGTH, checked_enrollment_ids
from ios_mdm.core.profile import trust_profile
from ios_mdm.errors import BatchTooLargeError, DefinitionError, DeliveryError, IosMdmError
from ios_mdm.settings.fields import MAX_URL_LENGTH
from tests.support.distribution import pems
from tests.support.nanomdm_server import NanoMdmServer, free_port, nanomdm_server
from tests.support.odd_files import MARK, ODD_FILES, odd_file
from tools.services import nginx, process
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ios_mdm.ports import MdmChannel

DEVICE = "8b3b8ba3783e9ade1dae4fbb944ab3afc0ce5b69"


def command(uuid: str) -> bytes:
    """Return an InstallProfile command."""
    return plistlib.dumps({"CommandUUID": uuid, "Command": {"RequestType": "InstallProfile", "Payload": b"a profile"}})


@pytest.fixture(autouse=True)
def closed_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections of each channel that a test creates."""
    check, created = NanoMdm.__post_init__, list[NanoMdm]()

    def record(channel: NanoMdm) -> None:
        check(channel)
        created.append(channel)

    monkeypatch.setattr(NanoMdm, "__post_init__", record)
    yield
    for one in created:
        one.close()


@pytest.fixture(scope="module", params=["inmem", "filekv"])
def server(request: pytest.FixtureRequest) -> Iterator[NanoMdmServer]:
    """Return a real NanoMDM, once on each storage that needs no database."""
    with nanomdm_server(storage=request.param) as running:
        yield running


@pytest.fixture
def channel(server: NanoMdmServer) -> NanoMdm:
    """Return the server as a channel that wakes no device."""
    return NanoMdm(url=server.url, api_key=server.api_key, push=False)


class _Broken(http.server.BaseHTTPRequestHandler):
    """Sends prepared answers; an empty answer closes the connection."""

    answers: ClassVar[list[tuple[int, bytes] | None]] = []
    requests: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        """Send the next answer; repeat the last one."""
        self.requests.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer[0])
        self.send_header("Location", "https://elsewhere.example/")
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1].replace(b"{AUTH}", self.headers["Authorization"].encode()))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@contextmanager
def broken_server(
    *answers: tuple[int, bytes] | None, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Serve *answers* on loopback; yield the URL and the list of requested paths."""

    class Handler(_Broken):
        requests: ClassVar[list[str]] = []

    Handler.answers = list(answers)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls is not None:
            serving.socket = tls.wrap_socket(serving.socket, server_side=True)
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{serving.server_port}", Handler.requests
        finally:
            serving.shutdown()
            thread.join()


def queue_answer(answer: dict[str, object]) -> tuple[int, bytes]:
    """Return an answer in the format of NanoMDM."""
    return 500, json.dumps({"command_uuid": "u", "request_type": "InstallProfile", **answer}).encode()


def test_a_command_reaches_every_device_of_a_batch(server: NanoMdmServer, channel: NanoMdm) -> None:
    """Each device fetches each enqueued command once."""  # R15
    devices = [server.device(f"batch-{number}") for number in range(7)]
    ids = [device.udid for device in devices]
    for start in range(0, len(ids), 3):
        assert channel.enqueue(ids[start : start + 3], command(f"batch-command-{start}")) == ()
    assert [device.acknowledge_queue() for device in devices] == [
        [f"batch-command-{start}"] for start in (0, 0, 0, 3, 3, 3, 6)
    ]


def test_a_thousand_devices_are_one_request(channel: NanoMdm) -> None:
    """The largest sensible batch fits into a URL. Ids that are not enrolled are accepted as well."""
    ids = [f"{number:040x}" for number in range(1000)]
    big = NanoMdm(url=channel.url, api_key=channel.api_key, push=False, batch_size=1000)
    assert big.enqueue(ids, command("a-thousand")) == ()


def test_all_calls_of_a_run_share_a_connection_and_a_tls_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root certificates are read once. After `close`, the server sees the end of the connection."""  # R40
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    root = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(str(root))
    contexts, opened = count(), count()
    create, setup = ssl.create_default_context, _Broken.setup

    def create_context(**options: Any) -> ssl.SSLContext:
        next(contexts)
        return create(**options)

    def open_connection(handler: _Broken) -> None:
        next(opened)
        setup(handler)

    monkeypatch.setattr(ssl, "create_default_context", create_context)
    monkeypatch.setattr(_Broken, "protocol_version", "HTTP/1.1")
    monkeypatch.setattr(_Broken, "setup", open_connection)
    with broken_server((200, b'{"command_uuid": "u"}'), tls=context) as (url, requests):
        channel = NanoMdm(url=f"{url}/prefix", api_key="a-key", ca_file=str(root), push=False)
        for _ in range(5):
            assert channel.enqueue([DEVICE, f"{DEVICE}:a+b@example.com"], command("u")) == ()
        assert (repr(opened), repr(contexts)) == ("count(1)", "count(1)")
        channel.close()
        channel.enqueue([DEVICE], command("u"))
        assert (repr(opened), repr(contexts)) == ("count(2)", "count(1)")
        channel.close()
    assert requests == [f"/prefix/v1/enqueue/{DEVICE},{DEVICE}%3Aa%2Bb%40example.com?nopush=1"] * 5 + [
        f"/prefix/v1/enqueue/{DEVICE}?nopush=1"
    ]


@pytest.mark.parametrize("status", [413, 414, 431])
def test_a_request_that_is_too_large_is_a_separate_error(status: int) -> None:
    """The caller can then try fewer devices. An answer of NanoMDM itself never has this meaning."""  # R40
    with broken_server((status, b"<html>")) as (url, requests):
        with pytest.raises(BatchTooLargeError):
            NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u"))
        assert len(requests) == 1
    with broken_server((status, b'{"command_uuid": "u"}')) as (url, _):
        assert NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u")) == ()


@given(
    ids=st.lists(st.from_regex(r"[A-Z0-9:@-]{1,255}", fullmatch=True), unique=True, max_size=120),
    push=st.booleans(),
)
def test_batches_keep_the_order_and_the_length_of_urls(ids: list[str], *, push: bool) -> None:
    """Each URL is short enough, including its escapes, and no batch is shorter than necessary."""  # R40
    channel = NanoMdm(url="https://mdm.example.com/prefix/", api_key="a-key", push=push)
    batches = channel.batches(ids)
    assert [one for batch in batches for one in batch] == ids
    assert all(batch and len(channel._url(batch)) <= nanomdm.MAX_URL for batch in batches)
    for batch, (first, *_) in itertools.pairwise(batches):
        assert len(channel._url([*batch, first])) > nanomdm.MAX_URL


@pytest.fixture
def behind_nginx(server: NanoMdmServer, tmp_path: Path) -> Iterator[NanoMdm]:
    """Return the server behind an nginx with default limits."""
    state, files, ca = tmp_path / "state", tmp_path / "files", trustme.CA()
    state.mkdir(mode=0o700)
    files.mkdir(mode=0o700)
    made = ca.issue_cert("127.0.0.1")
    (files / "tls.crt").write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    (files / "tls.key").write_bytes(made.private_key_pem.bytes())
    root = tmp_path / "root.pem"
    ca.cert_pem.write_to_path(str(root))
    settings = nginx.Settings(host="127.0.0.1", files=files, upstream=server.url)
    try:
        running = process.ensure(state, nginx.service(Toolchain.nginx(), state, settings))
        yield NanoMdm(url=f"https://127.0.0.1:{running.port}", api_key=server.api_key, ca_file=str(root), push=False)
    finally:
        process.stop(state, nginx.NAME)


def test_a_stock_nginx_takes_every_batch(server: NanoMdmServer, behind_nginx: NanoMdm) -> None:
    """320 devices with ids of 25 characters need two commands. One command for all of them is a clear error."""
    # R40
    devices = [server.device(f"00008030-{number:016X}") for number in (1, 320)]
    ids = [f"00008030-{number:016X}" for number in range(1, 321)]
    with pytest.raises(BatchTooLargeError, match="refuses a URL of this length"):
        behind_nginx.enqueue(ids, command("all-at-once"))
    batches = behind_nginx.batches(ids)
    assert len(batches) == 2
    for number, batch in enumerate(batches):
        # As large as a profile with several chains: nginx answers before it has read the command.
        padded = command(f"nginx-{number}").replace(b"<plist", b" " * 40_000 + b"<plist")
        assert behind_nginx.enqueue(batch, padded) == ()
    assert [device.acknowledge_queue() for device in devices] == [["nginx-0"], ["nginx-1"]]


def test_up_halves_batches_that_a_proxy_refuses(
    server: NanoMdmServer, behind_nginx: NanoMdm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy accepts less than the channel assumes. Each device gets the profile once, and no request is repeated."""
    # R40
    monkeypatch.setattr(nanomdm, "MAX_URL", 100_000)
    ids = [f"00008031-{number:016X}" for number in range(1, 641)]
    devices = [server.device(ids[number]) for number in (0, 320, 639)]
    assert [len(batch) for batch in behind_nginx.batches(ids)] == [500, 140]
    ledger, reports = SqliteLedger(tmp_path / "ledger.db"), list[str]()
    profile = trust_profile([pems()[1]], identifier="com.example.t", server="berlin", host="mdm.example.com")
    delivery = Delivery(server="berlin", profile=profile, enrollment_ids=ids)
    assert Distributor(behind_nginx, ledger, SystemClock(), report=reports.append).distribute(delivery) == 640
    assert reports == ["profile queued for 640 of 640 devices"]
    assert [len(device.acknowledge_queue()) for device in devices] == [1, 1, 1]
    assert ledger.waiting("berlin", 1, enrollment_ids=ids) == {}


def test_the_same_command_again_is_a_repetition(server: NanoMdmServer, channel: NanoMdm) -> None:
    """A known CommandUUID is no error, and no device gets the command twice, even after it answered."""
    device = server.device("repetition")
    for _ in range(2):
        assert channel.enqueue([device.udid], command("same")) == ()
    assert device.acknowledge_queue() == ["same"]
    assert channel.enqueue([device.udid], command("same")) == ()
    assert device.acknowledge_queue() == []


def test_without_a_push_certificate_a_notice_names_the_sleeping_devices(server: NanoMdmServer) -> None:
    """NanoMDM answers 500 although it has queued the command."""
    device = server.device("asleep")
    waking = NanoMdm(url=server.url, api_key=server.api_key)
    (notice,) = waking.enqueue([device.udid, "nobody"], command("push"))
    assert "queued for 2 devices" in notice
    assert "push cert" in notice
    assert device.acknowledge_queue() == ["push"]


def test_an_id_that_is_not_enrolled_is_a_notice_if_push_is_set(server: NanoMdmServer) -> None:
    """The key-value storages queue for unknown ids. Only the push reports that the device does not exist."""
    (notice,) = NanoMdm(url=server.url, api_key=server.api_key).enqueue(["stranger"], command("unknown"))
    assert "queued for 1 device," in notice
    assert "push data missing for id" in notice
    assert "stranger" not in notice


def test_a_duplicate_id_counts_once(server: NanoMdmServer, channel: NanoMdm) -> None:
    """A duplicate id in one URL would corrupt the queue of the device."""
    device = server.device("twice")
    channel.enqueue([device.udid, device.udid], command("twice-1"))
    channel.enqueue([device.udid], command("twice-2"))
    assert device.acknowledge_queue() == ["twice-1", "twice-2"]


@pytest.mark.parametrize(
    "hostile",
    ["", ".", "..", "a,b", "a/b", "../a", "a b", "a\nb", "a\x00b", "a%2Cb", "a?nopush=1", "a#b", "é", "x" * 256],
)
def test_a_hostile_id_is_refused_before_anything_is_sent(hostile: str) -> None:
    """An id that could name other devices, or another part of the API, never becomes part of a URL."""
    with broken_server((200, b"{}")) as (url, requests):
        with pytest.raises(DefinitionError, match="not an enrollment id"):
            NanoMdm(url=url, api_key="a-key").enqueue([DEVICE, hostile], command("u"))
        assert requests == []


def test_ids_of_every_kind_of_enrollment_are_accepted(server: NanoMdmServer, channel: NanoMdm) -> None:
    """Old and new UDIDs, User Enrollment ids and user channels (NanoMDM's operations guide) are accepted."""
    ids = [DEVICE, "00008030-001A2B3C4D5E6F70", f"{DEVICE}:F151140B-3988-45A9", f"{DEVICE}:a+b@example.com"]
    assert checked_enrollment_ids(ids) == tuple(ids)
    assert channel.enqueue(ids, command("kinds")) == ()
    assert server.device(DEVICE).acknowledge_queue() == []  # an Authenticate clears the queue


@pytest.mark.parametrize("count", [0, 3])
def test_a_batch_of_the_wrong_size_is_a_mistake_of_the_caller(count: int) -> None:
    """The caller must send the batches of the channel, or parts of them."""
    small = NanoMdm(url="http://127.0.0.1:1", api_key="a-key", batch_size=2)
    with pytest.raises(ValueError, match="1 to 2 devices"):
        small.enqueue([f"d{number}" for number in range(count)], command("u"))


def test_the_error_of_a_wrong_api_key_names_its_setting(server: NanoMdmServer) -> None:
    """The message for status 401 names the setting, and not the key."""
    wrong = NanoMdm(url=server.url, api_key="wr0ng-k3y", push=False)
    with pytest.raises(DeliveryError, match="refuses the API key: check the secret named by apiKeySecret") as caught:
        wrong.enqueue([DEVICE], command("u"))
    assert "wr0ng-k3y" not in str(caught.value)


def test_an_invalid_command_is_rejected(channel: NanoMdm) -> None:
    """The message contains NanoMDM's reason."""
    with pytest.raises(DeliveryError, match="rejects the command: decoding command"):
        channel.enqueue([DEVICE], b"no plist")


def test_a_server_that_is_down_is_reported_with_its_url() -> None:
    """The message reports the refused connection."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(DeliveryError, match=re.escape(f"{url} is down: connection refused")):
        NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u"))


def test_a_proxy_of_the_environment_is_for_the_world_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on loopback is contacted directly, so that no proxy gets its API key."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with broken_server((200, b'{"command_uuid": "u"}')) as (url, _):
        assert NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u")) == ()
    with pytest.raises(DeliveryError, match="is down"):
        NanoMdm(url="http://mdm.invalid", api_key="a-key").enqueue([DEVICE], command("u"))


def test_a_host_that_does_not_resolve_is_reported() -> None:
    """The reserved TLD `invalid` never resolves (RFC 6761)."""
    with pytest.raises(DeliveryError, match="does not resolve"):
        NanoMdm(url="http://mdm.invalid", api_key="a-key").enqueue([DEVICE], command("u"))


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is accepted but never answered ends with a timeout."""
    monkeypatch.setattr(nanomdm_client, "READ_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DeliveryError, match="does not answer within"):
            NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u"))


def test_the_longest_url_of_a_definition_and_the_longest_id_fit() -> None:
    """The longest URL, id and API key that the settings accept fit into one request through a default nginx."""
    # R40
    url = f"https://mdm.example.com/{'a' * (MAX_URL_LENGTH - 24)}"
    assert len(url) == MAX_URL_LENGTH
    channel = NanoMdm(url=url, api_key="k" * 4096)
    ids = [f"{number}{':' * (MAX_ENROLLMENT_ID_LENGTH - 1)}" for number in range(3)]
    assert [list(batch) for batch in channel.batches(ids)] == [ids]
    assert len(base64.b64encode(b"nanomdm:" + b"k" * 4096)) < 8192 - 100


def test_tls_is_verified_with_ca_file_or_the_usual_roots(tmp_path: Path) -> None:
    """The server is trusted with its root in caFile. Without it, the message names caFile."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    root = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(str(root))
    with broken_server((200, b'{"command_uuid": "u"}'), tls=context) as (url, _):
        assert NanoMdm(url=url, api_key="a-key", ca_file=str(root)).enqueue([DEVICE], command("u")) == ()
        with pytest.raises(DeliveryError, match=r"TLS certificate that is not trusted .*set caFile"):
            NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u"))
        with pytest.raises(DeliveryError, match=r"does not complete the request|does not speak TLS"):
            NanoMdm(url=url.replace("https", "http"), api_key="a-key").enqueue([DEVICE], command("u"))
    with broken_server((200, b"{}")) as (url, _), pytest.raises(DeliveryError, match="does not speak TLS"):
        NanoMdm(url=url.replace("http", "https"), api_key="a-key").enqueue([DEVICE], command("u"))


def test_a_broken_connection_is_tried_again() -> None:
    """A reset and a 502 of a proxy are repeated. The repetition finds the command queued."""
    repeated = queue_answer({"command_error": "command already exists: u"})
    with broken_server(None, (502, b"<html>bad gateway"), repeated) as (url, requests):
        assert NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u")) == ()
        assert len(requests) == 3


@pytest.mark.parametrize("answer", [None, (503, b"<html>")])
def test_tries_are_bounded(answer: tuple[int, bytes] | None) -> None:
    """A server that stays broken is an error after three attempts."""
    with broken_server(answer) as (url, requests):
        with pytest.raises(DeliveryError, match=re.escape(f"the MDM server at {url} ")):
            NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u"))
        assert len(requests) == 3


@pytest.mark.parametrize(
    "error",
    [
        'pq: duplicate key value violates unique constraint "commands_pkey"',
        "Error 1062 (23000): Duplicate entry 'u' for key 'commands.PRIMARY'",
    ],
)
def test_a_repetition_is_known_in_the_words_of_databases(error: str) -> None:
    """An existing row of the table commands is a repetition on pgsql and mysql, too."""
    with broken_server(queue_answer({"command_error": error})) as (url, _):
        assert NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u")) == ()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (queue_answer({"command_error": "command already exists: another"}), "rejects the command"),
        (queue_answer({"command_error": 'unique constraint "enrollment_queue_pkey"'}), "rejects the command"),
        (queue_answer({"status": {DEVICE: {"command_error": "disk full"}}}), "for 1 of 1 devices: disk full"),
        ((207, queue_answer({"status": {DEVICE: {"command_error": "full"}}})[1]), "for 1 of 1 devices: full"),
        ((404, b"404 page not found"), "no NanoMDM API at this URL"),
        ((413, b""), "refuses a command of this size"),
        ((414, b""), "refuses a URL of this length"),
        ((431, b""), "refuses a URL of this length"),
        ((301, b""), "redirects to another URL"),
        ((200, b'{"hello": "world"}'), "not from NanoMDM"),
        ((200, b"[" * 100_000), "not from NanoMDM"),
        ((200, b"\xff\xfe\x00"), "not from NanoMDM"),
        ((200, b'{"command_uuid": "u", "status": [1], "command_error": {"a": 1}}'), "rejects the command"),
    ],
)
def test_a_refusal_of_the_server_is_reported(answer: tuple[int, bytes], words: str) -> None:
    """Every answer except "queued" is an error with a reason."""
    with broken_server(answer) as (url, _), pytest.raises(DeliveryError, match="the MDM server at") as caught:
        NanoMdm(url=url, api_key="a-key").enqueue([DEVICE], command("u"))
    assert words in str(caught.value)


def test_devices_that_could_not_be_woken_are_counted() -> None:
    """If the push fails for some devices, the notice has their number."""
    answer = (207, queue_answer({"status": {"a": {"push_error": "gone"}, "b": {"push_result": "x"}}})[1])
    with broken_server(answer) as (url, _):
        (notice,) = NanoMdm(url=url, api_key="a-key").enqueue(["a", "b"], command("u"))
        assert "queued for 2 devices, but 1 of them was not woken through APNs (gone)" in notice
        assert NanoMdm(url=url, api_key="a-key", push=False).enqueue(["a", "b"], command("u")) == ()


def _error_answer(error: str, *, batch: bool = False) -> bytes:
    """Return an answer with an error for each device, or for the batch."""
    errors: dict[str, object] = (
        {"command_error": error} if batch else {"status": {one: {"command_error": error} for one in PASSWORDS}}
    )
    return queue_answer(errors)[1]


PASSWORDS = ("S3cret-Of-One-Line", "another.pass:word+7", "B0B")
"""Lines of a file that a definition names by mistake: each has the form of an enrollment id."""


@pytest.mark.parametrize(
    "answer",
    [
        (500, _error_answer("no device S3cret-Of-One-Line, s3cret-of-one-line or (B0B): full")),
        (500, _error_answer("full: Duplicate entry 'another.pass:word+7-u' or 'S3cret-Of-O' for key", batch=True)),
        (500, _error_answer("full: /v1/enqueue/S3cret-Of-One-Line,another.pass%3Aword%2B7,B0B", batch=True)),
        (207, queue_answer({"status": {one: {"push_error": f"full: no {one}"} for one in PASSWORDS}})[1]),
        (207, queue_answer({"push_error": f"full: no {PASSWORDS}"})[1]),
    ],
)
def test_no_answer_of_a_server_shows_an_id(answer: tuple[int, bytes]) -> None:
    """The reason is shown. Ids might be lines of any file that a definition names (R39)."""
    with broken_server(answer) as (url, _):
        try:
            (message,) = NanoMdm(url=url, api_key="a-key").enqueue(PASSWORDS, command("u"))
        except DeliveryError as error:
            message = str(error)
    assert "full" in message
    parts = [part for one in PASSWORDS for part in re.split("[.:+-]", one)]
    assert [part for part in parts if re.search(rf"(?i)\b{part}\b", message) and len(part) > 2] == []


def test_no_answer_that_is_not_http_shows_an_id_or_the_key() -> None:
    """The error of the HTTP library contains the unreadable bytes, which can be an echo of the request."""  # R39
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def echo() -> None:
            for _ in range(nanomdm_client.ATTEMPTS):
                connection, _address = listening.accept()
                with connection:
                    connection.sendall(connection.recv(65536))

        thread = threading.Thread(target=echo)
        thread.start()
        channel = NanoMdm(url=f"http://127.0.0.1:{listening.getsockname()[1]}", api_key="k3y-that-shows-nowhere")
        with pytest.raises(DeliveryError, match="does not complete the request") as caught:
            channel.enqueue(PASSWORDS, command("u"))
        thread.join()
    assert not any(one in str(caught.value) for one in (*PASSWORDS, "k3y-that-shows-nowhere"))


def test_the_api_key_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """The key is in no repr, in no error or its chain, and in no log at debug level."""  # R29
    key = "k3y-that-shows-nowhere"
    basic = base64.b64encode(f"nanomdm:{key}".encode())
    caplog.set_level(logging.DEBUG)
    shown = []
    echo = queue_answer({"command_error": "{AUTH} " + key})
    for answer in (echo, (502, b"{AUTH}"), (401, b"{AUTH}"), None):
        with broken_server(answer) as (url, _):
            channel = NanoMdm(url=url, api_key=key)
            with pytest.raises(DeliveryError) as caught:
                channel.enqueue([DEVICE], command("u"))
            shown += [repr(channel), str(channel), str(caught.getrepr(style="short")), repr(caught.value.__cause__)]
    everything = "\n".join([*shown, caplog.text])
    assert key not in everything
    assert basic.decode() not in everything


@pytest.mark.parametrize(
    "url",
    [
        *("", "mdm.example.com", "ftp://mdm", "https://", "https://mdm:0", "https://mdm:99999"),
        *("https://mdm/?a=b", "https://mdm/#x", "https://m dm", "https://mdm\n", "http://[::1"),
    ],
)
def test_an_invalid_url_is_refused(url: str) -> None:
    """A typing error is reported before anything is sent."""
    with pytest.raises(DefinitionError, match="is not the URL of an MDM server"):
        NanoMdm(url=url, api_key="a-key")


def test_a_password_in_the_url_is_refused_and_not_shown() -> None:
    """The key must be in the secret and not in the URL."""
    with pytest.raises(DefinitionError, match="must not contain") as caught:
        NanoMdm(url="https://nanomdm:hunter2@mdm.example.com", api_key="a-key")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("start", ["\ufeff", "# F\u0151tan\u00fas\u00edtv\u00e1ny\n", "subject=CN = B\u00fccher\r\n"])
def test_a_ca_file_may_have_a_byte_order_mark_and_comments(tmp_path: Path, start: str) -> None:
    """As the roots of an operating system, and the output of ``openssl s_client``."""
    pem = trustme.CA().cert_pem.bytes()
    for content in (start.encode() + pem, start.encode() + pem.replace(b"\n", b"\r\n") * 2):
        (tmp_path / "root.pem").write_bytes(content)
        NanoMdm(url="https://mdm.example.com", api_key="a-key", ca_file=str(tmp_path / "root.pem"))


@pytest.mark.parametrize("content", ["", "\n", "\ufeff"])
def test_an_empty_ca_file_does_not_trust_the_usual_roots(tmp_path: Path, content: str) -> None:
    """A file that was emptied must not widen what the API key is sent to."""  # R39
    (tmp_path / "root.pem").write_text(content, encoding="utf-8")
    with pytest.raises(DefinitionError, match="contains no readable PEM certificate"):
        NanoMdm(url="https://mdm.example.com", api_key="a-key", ca_file=str(tmp_path / "root.pem"))


@pytest.mark.parametrize("content", [None, "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_file_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None) -> None:
    """A missing or broken caFile is reported before anything is sent."""
    file = tmp_path / "root.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DefinitionError, match=r"caFile .*root\.pem cannot be (used|read)"):
        NanoMdm(url="https://mdm.example.com", api_key="a-key", ca_file=str(file))


@pytest.mark.parametrize("kind", ODD_FILES)
def test_an_odd_ca_file_is_one_error(tmp_path: Path, kind: str) -> None:
    """An endless file, a pipe, a folder or a large file is refused without a wait, and is not quoted."""  # R39, R40
    odd_file(kind, tmp_path / "odd")
    with pytest.raises(DefinitionError, match=rf"^caFile .*odd {ODD_FILES[kind]}") as error:
        NanoMdm(url="https://mdm.example.com", api_key="a-key", ca_file=str(tmp_path / "odd"))
    assert MARK not in str(error.value)


def test_an_empty_key_is_refused() -> None:
    """An empty secret has another message than a wrong key."""
    with pytest.raises(DefinitionError, match="apiKeySecret"):
        NanoMdm(url="https://mdm.example.com", api_key=" \n")


def test_nanomdm_is_a_channel(channel: NanoMdm) -> None:
    """The class implements the port, and its errors have the common base class."""
    port: MdmChannel = channel
    assert [len(batch) for batch in port.batches([f"d{number}" for number in range(1001)])] == [500, 500, 1]
    assert issubclass(DeliveryError, IosMdmError)
