"""Tests of the check that a profile has public certificates only."""

from __future__ import annotations

import plistlib
from datetime import UTC, datetime
from typing import Any

import pytest

from ios_mdm.core.certificate_profile import refused_content
from ios_mdm.core.pair.definition import KeyType
from ios_mdm.core.profile import trust_profile
from ios_mdm.core.x509.issuing import issue

START = datetime(2026, 1, 1, tzinfo=UTC)


def profile(*types: Any) -> bytes:
    """Return a profile with payloads of these types."""
    return plistlib.dumps({"PayloadType": "Configuration", "PayloadContent": [{"PayloadType": one} for one in types]})


def test_the_profile_of_a_pair_is_allowed() -> None:
    """A published profile has payloads of certificates only."""  # R43
    pem = issue("mdm.example.com", key=KeyType.EC_P256, validity_days=90, now=START).chain
    assert refused_content(trust_profile([pem], identifier="com.example.mdm", server="berlin", host="h")) is None
    assert refused_content(profile("com.apple.security.root", "com.apple.security.pkcs1")) is None


@pytest.mark.parametrize("kind", ["com.apple.mdm", "com.apple.security.pkcs12", "Configuration", "", None, 7])
def test_any_other_payload_is_refused(kind: object) -> None:
    """A payload com.apple.mdm enrolls a device again, so its push at each enrollment is an endless loop."""  # R43
    content = plistlib.dumps(
        {"PayloadContent": [{"PayloadType": "com.apple.security.root"}, {} if kind is None else {"PayloadType": kind}]}
    )
    assert refused_content(content) == f"it has a payload of the type {kind}"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"junk", b"0\x82\x01\x00", plistlib.dumps([]), plistlib.dumps({})),
        plistlib.dumps({"PayloadContent": []}),
        plistlib.dumps({"PayloadContent": {"PayloadType": "com.apple.security.root"}}),
        plistlib.dumps({"EncryptedPayloadContent": b"x"}),
        plistlib.dumps({"PayloadContent": ["com.apple.security.root"]}),
        plistlib.dumps({"PayloadContent": [{"PayloadType": "com.apple.security.root"}]}, fmt=plistlib.FMT_BINARY),
    ],
)
def test_an_unreadable_profile_is_refused(content: bytes) -> None:
    """A signed or encrypted profile may have any payload."""  # R43
    assert refused_content(content) is not None
