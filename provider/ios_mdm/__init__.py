"""ios-mdm keeps the TLS certificate pair (main and reserve) of iOS MDM servers valid."""

__version__ = "0.1.0"
"""Version of the distribution. ``pyproject.toml`` reads it from here, because a checkout has no metadata."""
