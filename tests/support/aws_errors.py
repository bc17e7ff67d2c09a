"""Answers of AWS, and the messages that an adapter makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = "the private key"


def told(call: Callable[[], object]) -> str:
    """Return the message of the error that *call* ends with: one line, with nothing of the cause attached."""
    with pytest.raises(StoreError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert VALUE not in message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return message


class Answer:
    """The part of an HTTP answer that botocore and the adapter look at."""

    content = b""

    def __init__(self, status: int) -> None:
        self.status_code = status
