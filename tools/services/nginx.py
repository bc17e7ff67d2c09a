"""nginx: terminates TLS in front of NanoMDM, with the certificate files of ``consume``."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tools.services import process, procfs
from tools.services.ports import LOOPBACK
from tools.services.process import Command, Service

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "nginx"

_CONFIGURATION = """\
{user}daemon off;
worker_processes 1;
pid "{state}/nginx.pid";
error_log stderr warn;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_body_temp_path "{state}/nginx-body";
  proxy_temp_path "{state}/nginx-proxy";
  fastcgi_temp_path "{state}/nginx-fastcgi";
  uwsgi_temp_path "{state}/nginx-uwsgi";
  scgi_temp_path "{state}/nginx-scgi";
  server {{
    listen {loopback}:{port} ssl;
    server_name {host};
    ssl_certificate "{files}/tls.crt";
    ssl_certificate_key "{files}/tls.key";
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_tickets off;
    location / {{ proxy_pass {upstream}; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of nginx.

    Args:
        host: Host name that devices connect to.
        files: Folder with tls.crt and tls.key, which must exist before the start.
        upstream: URL that nginx forwards requests to, without a path.
    """

    host: str
    files: Path
    upstream: str


def service(executable: Path, state: Path, settings: Settings) -> Service:
    """Return the server. It writes all files into *state*."""

    def command(port: int) -> Command:
        configuration = _CONFIGURATION.format(
            user="user root;\n" if os.geteuid() == 0 else "",  # only the owner can read its files
            state=state,
            loopback=LOOPBACK,
            port=port,
            host=settings.host,
            files=settings.files,
            upstream=settings.upstream,
        )
        file = state / "nginx.conf"
        file.write_text(configuration, encoding="utf-8")
        return Command(argv=(str(executable), *_arguments(state)))

    return Service(name=NAME, command=command, health="/")


def reload_command(executable: Path, state: Path) -> str:
    """Return the command line that makes a running nginx read its files again."""
    return shlex.join((str(executable), *_arguments(state), "-s", "reload"))


def workers(state: Path) -> frozenset[int]:
    """Return the pids of the processes that accept connections.

    After a reload the former processes still accept connections with the former certificate until they exit.
    """
    running = process.find(state, NAME)
    return frozenset() if running is None else procfs.group(running.process.pid) - {running.process.pid}


def _arguments(state: Path) -> tuple[str, ...]:
    return ("-p", str(state), "-e", "stderr", "-c", str(state / "nginx.conf"))
