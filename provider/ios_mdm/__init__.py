"""ios-mdm: keeps the TLS certificate pair (main and reserve) of iOS MDM servers alive."""

__version__ = "0.1.0"
"""The version of the distribution; ``pyproject.toml`` takes it from here, because a checkout has no metadata."""
