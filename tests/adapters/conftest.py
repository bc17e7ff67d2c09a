"""Fixtures: the secret stores and the schedulers that the contract tests use."""

from tests.support.backends import backend, emulated, ministack_url, moto_url, no_aws, switch_backend

__all__ = ["backend", "emulated", "ministack_url", "moto_url", "no_aws", "switch_backend"]
