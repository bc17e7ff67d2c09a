"""AWS as the tests reach it, through the environment of the test process."""

from __future__ import annotations

import os

from ios_mdm.adapters.aws import Aws

__all__ = ["AWS"]

AWS = Aws(environ=os.environ)
"""Follows ``monkeypatch.setenv``, because each call reads the variables again."""
