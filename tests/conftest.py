"""Fixtures that several folders of tests share: the real tools and services, started once a session."""

from tools.services.testing import executables, mdm_services

__all__ = ["executables", "mdm_services"]
