"""The Pulumi program: a component for each server of the stack's configuration."""

import gc
import sys

import pulumi

from components import IosMdmServer, load_settings
from provider.errors import DefinitionError

ALREADY_EXPLAINED = 32
"""The exit code that tells the engine that the user has been told what is wrong."""

try:
    settings = load_settings(pulumi.Config())
except DefinitionError as error:
    for line in str(error).splitlines():
        pulumi.log.error(line)
    sys.exit(ALREADY_EXPLAINED)

servers = {server.name: IosMdmServer(server, settings.aws) for server in settings.servers}
pulumi.export("servers", {name: server.summary for name, server in servers.items()})
gc.freeze()  # at its end Python would look at each object once more
