"""The Pulumi program: a component for each server of the stack's configuration."""

import asyncio
import gc
import sys

import pulumi

from components import DefinitionError, IosMdmServer, load_settings, reduce_overhead, server_arguments

reduce_overhead()
try:
    settings = load_settings(pulumi.Config())
except DefinitionError as error:
    for line in str(error).splitlines():
        pulumi.log.error(line)
    sys.exit(32)  # with this code the engine adds no second error


async def program() -> dict[str, object]:
    """Declare the servers, and let their tasks start: the SDK waits for tasks that have not in quadratic time."""
    aws, definitions = settings.aws, {server.name: server_arguments(server) for server in settings.servers}
    servers = {name: IosMdmServer(name, aws=aws, **arguments) for name, arguments in definitions.items()}
    await asyncio.sleep(0)
    gc.freeze()  # at its end Python would visit each object once more
    return {"servers": {name: server.summary for name, server in servers.items()}}


pulumi.run(program)
