"""Simulated devices: they enroll, install profiles and list certificates over the MDM protocol, thousands at once.

The devices connect to an MDM server on loopback only. They differ from mdmb, which runs in the demo: tests choose the
behavior of each device, a device needs no process, and the model of its content is in memory.
"""

from __future__ import annotations

from tools.devices.authority import DeviceAuthority
from tools.devices.device import Behavior, Device, DeviceError
from tools.devices.fleet import Fleet, Round

__all__ = ["Behavior", "Device", "DeviceAuthority", "DeviceError", "Fleet", "Round"]
