"""Tests of the policies in docs/permissions.md."""
