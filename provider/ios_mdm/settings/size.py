"""Size and size limit of the configuration of a stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_SIZE", "WARNING_SIZE", "configuration_size", "too_large_message"]

MAX_SIZE = 131_057
"""Size limit of the configuration in bytes.

The engine passes the configuration to the program in one environment variable, ``PULUMI_CONFIG``. Linux refuses to
start a program with a variable of more than 32 pages (``MAX_ARG_STRLEN``; 128 KiB on most machines), including its name
and a zero byte.
"""
WARNING_SIZE = 96 * 1024
"""Size in bytes from which on there is a warning."""


def configuration_size(config: Mapping[str, object]) -> int:
    """Return the size of the configuration, as passed to a program, in bytes.

    Args:
        config: values by full key, such as ``ios-mdm:servers``.
    """
    texts = {key: value if isinstance(value, str) else _json(value) for key, value in config.items()}
    return len(_json(texts).encode(errors="surrogatepass"))


def too_large_message(size: int, project: str) -> str:
    """Return the message about a large configuration.

    Args:
        size: size of the configuration in bytes.
        project: name of the Pulumi project, which is the namespace of its keys.
    """
    return (
        f"the configuration takes {size} bytes, and Linux passes at most {MAX_SIZE} bytes to a program (with more, "
        '`pulumi up` fails with "Argument list too long"): move each server to a separate file, and name the folder in '
        f"`{project}:serversDirectory` instead of `{project}:servers` (docs/scale.md)"
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
