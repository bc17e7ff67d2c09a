"""Runs an HTTP handler on Tornado, with one thread for the connections, one for the handler, and limits for senders."""

from __future__ import annotations

from ios_mdm.adapters.http_server.limits import Limits
from ios_mdm.adapters.http_server.server import HttpServer

__all__ = ["HttpServer", "Limits"]
