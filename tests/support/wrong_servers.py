"""TLS servers with chosen defects on loopback: ``openssl s_server``, and nginx with one port for each configuration."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.support.certificates import pem, private_pem
from tools.services.ports import LOOPBACK, free_port
from tools.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.certificates import Made

WITHOUT_MASTER_SECRET = "Options = -ExtendedMasterSecret"  # noqa: S105 - an option of OpenSSL
_PATIENCE = 30.0
_OPENSSL = """\
openssl_conf = openssl
[openssl]
ssl_conf = ssl
[ssl]
server = server
[server]
{options}
"""
_NGINX = """\
{user}daemon off;
master_process off;
worker_processes 1;
pid "{state}/nginx.pid";
error_log "{state}/error.log";
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path "{state}/body";
  proxy_temp_path "{state}/proxy";
  fastcgi_temp_path "{state}/fastcgi";
  uwsgi_temp_path "{state}/uwsgi";
  scgi_temp_path "{state}/scgi";
  ssl_certificate "{state}/tls.crt";
  ssl_certificate_key "{state}/tls.key";
{servers}
}}
"""


def write_files(made: Made, folder: Path) -> None:
    """Write the chain without its root, and the key of the leaf."""
    folder.mkdir(exist_ok=True)
    (folder / "tls.crt").write_bytes(pem(*(made.chain[:-1] or made.chain)))
    (folder / "tls.key").write_bytes(private_pem(made.keys[0]))


@contextmanager
def s_server(made: Made, folder: Path, *options: str, configuration: str = "") -> Iterator[str]:
    """Run ``openssl s_server`` with a certificate; yield its endpoint.

    Args:
        made: chain and keys.
        folder: folder for the files.
        options: command line options.
        configuration: lines of an SSL configuration of OpenSSL, for what has no option.
    """
    write_files(made, folder)
    (folder / "openssl.cnf").write_text(_OPENSSL.format(options=configuration), encoding="utf-8")
    command = ["openssl", "s_server", "-accept", f"{LOOPBACK}:0", "-cert", str(folder / "tls.crt")]
    command += ["-cert_chain", str(folder / "tls.crt"), "-key", str(folder / "tls.key")]
    command += ["-ssl_config", "server"] if configuration else []
    with subprocess.Popen(
        [*command, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OPENSSL_CONF": str(folder / "openssl.cnf")},
    ) as running:
        try:
            yield _accepting_endpoint(running)
        finally:
            running.kill()


def _accepting_endpoint(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if (found := re.fullmatch(rf"ACCEPT {re.escape(LOOPBACK)}:(\d+)\s*", line)) is not None:
            return f"{LOOPBACK}:{found[1]}"
    raise AssertionError("".join(lines))


@contextmanager
def nginx_servers(made: Made, folder: Path, configurations: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run nginx with one port for each configuration; yield the endpoint of each one.

    Args:
        made: chain and keys, for all ports.
        folder: folder for the files.
        configurations: directives of a server, by a name.
    """
    write_files(made, folder)
    ports = {name: free_port() for name in configurations}
    servers = "\n".join(
        f"  server {{ listen {LOOPBACK}:{ports[name]} ssl; {directives} return 204; }}"
        for name, directives in configurations.items()
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(user=user, state=folder, servers=servers), encoding="utf-8")
    log = folder / "error.log"
    with subprocess.Popen(
        [Toolchain.nginx(), "-p", str(folder), "-e", str(log), "-c", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            for port in ports.values():
                _wait_for(port, running, log)
            yield {name: f"{LOOPBACK}:{port}" for name, port in ports.items()}
        finally:
            running.terminate()


def _wait_for(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    for attempt in Retrying(
        retry=retry_if_exception_type(ConnectionRefusedError), wait=wait_fixed(0.02), stop=stop_after_delay(_PATIENCE)
    ):
        with attempt:
            assert running.poll() is None, log.read_text(encoding="utf-8")
            socket.create_connection((LOOPBACK, port)).close()
