"""Error answers of AWS, and the messages that an adapter derives from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ios_mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = "the private key"


def error_message(call: Callable[[], object]) -> str:
    """Return the message of the error that *call* raises, after checking that it is one line and has no cause."""
    with pytest.raises(StoreError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert VALUE not in message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return message


class Answer:
    """The parts of an HTTP answer that botocore and the adapter read."""

    content = b""

    def __init__(self, status: int) -> None:
        self.status_code = status
