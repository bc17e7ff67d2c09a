"""The Pulumi program: a component for each server of the stack's configuration."""

import asyncio
import gc
import sys

import pulumi

from components import IosMdmServer, load_settings
from ios_mdm.errors import DefinitionError

ALREADY_EXPLAINED = 32  # the exit code that tells the engine that the user has been told what is wrong

try:
    settings = load_settings(pulumi.Config())
except DefinitionError as error:
    for line in str(error).splitlines():
        pulumi.log.error(line)
    sys.exit(ALREADY_EXPLAINED)


async def program() -> dict[str, object]:
    """Declare the servers, and let them begin: for what has not begun the SDK waits in quadratic time."""
    servers = {server.name: IosMdmServer(server, settings.aws) for server in settings.servers}
    await asyncio.sleep(0)
    gc.freeze()  # at its end Python would look at each object once more
    return {"servers": {name: server.summary for name, server in servers.items()}}


pulumi.run(program)
