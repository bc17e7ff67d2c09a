"""Definition of a server with a profile, for tests of commands."""

from __future__ import annotations

SERVER = """
- name: berlin
  address: mdm.example.com
  distribution:
    profile: {identifier: com.example.mdm.trust, organization: Example}
    channel: {nanomdm: {url: "https://mdm.example.com", apiKeySecret: mdm/api-key}}
    devices: [A-1]
- {name: plain, address: plain.example.com}
"""
