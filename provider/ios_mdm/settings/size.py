"""How large a stack's configuration may be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LARGE", "LARGEST", "configuration_size", "too_large"]

LARGEST = 131_057
"""Bytes that are left for the configuration.

The engine passes it to the program as one variable, ``PULUMI_CONFIG``. Linux refuses to start a program with a variable
of more than 32 pages (``MAX_ARG_STRLEN``; 128 KiB on most machines), its name and a zero byte included.
"""
LARGE = 96 * 1024
"""Bytes from which on the size is a warning."""


def configuration_size(config: Mapping[str, object]) -> int:
    """Return how many bytes the configuration is for a program.

    Args:
        config: values by full key, such as ``ios-mdm:servers``.
    """
    texts = {key: value if isinstance(value, str) else _json(value) for key, value in config.items()}
    return len(_json(texts).encode(errors="surrogatepass"))


def too_large(size: int, project: str) -> str:
    """Return a sentence that says how large a configuration is, and what to do.

    Args:
        size: in bytes.
        project: the name of the Pulumi project, which is the namespace of its keys.
    """
    return (
        f"the configuration takes {size} bytes, and Linux passes at most {LARGEST} to a program (`pulumi up` with more "
        'ends in "Argument list too long"): move each server into a file of its own, and name the folder in '
        f"`{project}:serversDirectory` instead of `{project}:servers` (docs/scale.md)"
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
