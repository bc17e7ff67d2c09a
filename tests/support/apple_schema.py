"""Checks profiles and commands against Apple's own schema (github.com/apple/device-management)."""

from __future__ import annotations

import plistlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["command_violations", "profile_violations"]

_SCHEMA: Final = Path(__file__).parents[1] / "fixtures" / "apple-schema" / "mdm"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "<string>": (str,),
    "<integer>": (int,),
    "<real>": (int, float),
    "<boolean>": (bool,),
    "<date>": (datetime,),
    "<data>": (bytes,),
    "<array>": (list,),
    "<dictionary>": (dict,),
    "<any>": (object,),
}


def profile_violations(profile: bytes) -> list[str]:
    """Return how a .mobileconfig violates Apple's schema; a payload type without a schema here is a violation, too."""
    value = plistlib.loads(profile)
    found = _violations(value, _keys("profiles/TopLevel"), "profile")
    for index, payload in enumerate(value.get("PayloadContent", [])):
        where = f"profile.PayloadContent[{index}]"
        kind = payload.get("PayloadType")
        if not (_SCHEMA / "profiles" / f"{kind}.yaml").is_file():
            found.append(f"{where}: unknown PayloadType {kind}")
            continue
        found += _violations(payload, _keys("profiles/CommonPayloadKeys") + _keys(f"profiles/{kind}"), where)
    identifiers = [payload.get("PayloadIdentifier") for payload in value.get("PayloadContent", [])]
    if len(set(identifiers)) != len(identifiers):
        found.append("profile.PayloadContent: a PayloadIdentifier occurs twice")
    return found


def command_violations(command: bytes, *, schema: str) -> list[str]:
    """Return how an MDM command violates Apple's schema *schema*, a file of ``mdm/commands``."""
    value = plistlib.loads(command)
    found = [f"command: key {key} is unknown" for key in value.keys() - {"Command", "CommandUUID"}]
    if not isinstance(value.get("CommandUUID"), str):
        found.append("command.CommandUUID: must be a string")
    body = dict(value["Command"])
    wanted = _document(f"commands/{schema}")["payload"]["requesttype"]
    if body.pop("RequestType", None) != wanted:
        found.append(f"command.Command.RequestType: must be {wanted}")
    return found + _violations(body, _keys(f"commands/{schema}"), "command.Command")


@cache
def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((_SCHEMA / f"{name}.yaml").read_text(encoding="utf-8"))
    return document


def _keys(name: str) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = _document(name)["payloadkeys"]
    return keys


def _violations(value: dict[str, Any], keys: list[dict[str, Any]], where: str) -> list[str]:
    """Return the violations of one dictionary: unknown keys, missing keys, and the violations of its values."""
    known = {key["key"]: key for key in keys}
    found = [f"{where}: {name} is missing" for name in known if _is_required(known[name]) and name not in value]
    for name, item in value.items():
        if name not in known and "ANY" not in known:
            found.append(f"{where}: key {name} is unknown")
            continue
        found += _value_violations(item, known.get(name) or known["ANY"], f"{where}.{name}")
    return found


def _is_required(key: dict[str, Any]) -> bool:
    return key.get("presence") == "required" and key["key"] != "ANY"


def _value_violations(value: Any, key: dict[str, Any], where: str) -> list[str]:
    """Return the violations of one value: its type, allowed values, iOS support, and nested values."""
    if not isinstance(value, _TYPES[key["type"]]) or (key["type"] == "<integer>" and isinstance(value, bool)):
        return [f"{where}: must be {key['type']}, is {type(value).__name__}"]
    found = []
    if "rangelist" in key and value not in key["rangelist"]:
        found.append(f"{where}: {value!r} is not one of {key['rangelist']}")
    if key.get("supportedOS", {}).get("iOS", {}).get("introduced") == "n/a":
        found.append(f"{where}: not on iOS")
    subkeys = key.get("subkeys", [])
    if isinstance(value, dict) and subkeys:
        found += _violations(value, subkeys, where)
    if isinstance(value, list) and subkeys:
        for index, item in enumerate(value):
            found += _value_violations(item, subkeys[0], f"{where}[{index}]")
    return found
