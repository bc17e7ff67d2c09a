"""Enrollment profile of the simulated devices."""

from __future__ import annotations

import plistlib
import uuid
from typing import Final

IDENTIFIER: Final = "com.example.ios-mdm.enrollment"
TOPIC: Final = "com.apple.mgmt.External.ios-mdm-local-services"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, IDENTIFIER)
_SIGNING = 1
"""Key usage of SCEP payloads: the identity only signs."""
_ALL_RIGHTS = 8191


def enrollment_profile(*, mdm_url: str, scep_url: str, challenge: str) -> bytes:
    """Return the profile (XML plist) that enrolls a device: an identity by SCEP, and the MDM server.

    The same arguments give the same bytes. The result contains the SCEP challenge, which is a secret.
    """
    identity = _payload("com.apple.security.scep", "identity") | {
        "PayloadContent": {
            "URL": scep_url,
            "Name": "ios-mdm",
            "Challenge": challenge,
            "Key Type": "RSA",
            "Keysize": 2048,
            "Key Usage": _SIGNING,
            "Subject": [[["O", "ios-mdm local services"]], [["CN", "%HardwareUUID%"]]],
        }
    }
    server = _payload("com.apple.mdm", "mdm") | {
        "AccessRights": _ALL_RIGHTS,
        "CheckInURL": f"{mdm_url}/checkin",
        "CheckOutWhenRemoved": True,
        "IdentityCertificateUUID": identity["PayloadUUID"],
        "ServerURL": f"{mdm_url}/mdm",
        "SignMessage": True,
        "Topic": TOPIC,
    }
    profile = _payload("Configuration", "") | {
        "PayloadContent": [identity, server],
        "PayloadDisplayName": "Enrollment of simulated devices",
    }
    return plistlib.dumps(profile, sort_keys=True)


def _payload(kind: str, name: str) -> dict[str, object]:
    identifier = f"{IDENTIFIER}.{name}" if name else IDENTIFIER
    return {
        "PayloadIdentifier": identifier,
        "PayloadType": kind,
        "PayloadUUID": str(uuid.uuid5(_NAMESPACE, identifier)).upper(),
        "PayloadVersion": 1,
    }
