"""What a Pulumi program declares: one component per server, made from the stack's configuration."""

from components.ios_mdm_server import IosMdmServer
from components.settings import load_settings

__all__ = ["IosMdmServer", "load_settings"]
