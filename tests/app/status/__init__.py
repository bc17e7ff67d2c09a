"""Tests of the status of a server."""
