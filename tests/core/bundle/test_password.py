"""Passwords in files and secrets are read in one way (R18)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ios_mdm.core.bundle.password import PasswordError, password_text
from tests.support.long import bounds

MARKED = "\ufeff"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\r", "\n\n", "\r\n \t\r\n"])
def test_a_password_is_the_first_line(encoding: str, ending: str) -> None:
    """The encoding, the line end and blank lines after it do not matter. Spaces are part of the password."""  # R18
    assert password_text(f" päss wörd {ending}".encode(encoding)) == " päss wörd "


def test_utf_16_of_either_order_has_a_mark() -> None:
    """A byte order mark decides, also for a password without ASCII characters."""  # R18
    for encoding in ("utf-16-le", "utf-16-be"):
        assert password_text(f"{MARKED}密码\r\n".encode(encoding)) == "密码"


@pytest.mark.parametrize("data", [b"one\ntwo", b"one\n\n\ntwo\n", b"\ntwo", b"one\rtwo", "one\r\ntwo".encode("utf-16")])
def test_a_second_line_is_an_error(data: bytes) -> None:
    """The error names the line and does not quote it."""  # R29
    with pytest.raises(PasswordError, match=r"^has text in line [24]: keep only the password") as caught:
        password_text(data)
    assert "two" not in str(caught.value)


@pytest.mark.parametrize("data", ["pässword".encode("latin-1"), b"\xff\xfea", b"\xfe\xff\xd8\x00"])
def test_bytes_that_are_no_text_are_an_error(data: bytes) -> None:
    """The error has no part of the password, not even as its context."""  # R29
    with pytest.raises(PasswordError, match="is not UTF-8 text") as caught:
        password_text(data)
    assert caught.value.__context__ is None


def test_an_empty_file_is_an_empty_password() -> None:
    """A file may protect nothing: then the password is empty."""  # R18
    assert password_text(b"") == password_text(b"\r\n") == ""


@settings(max_examples=bounds(300, long=5000), deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=20).map(lambda text: text.encode("utf-16", "surrogatepass")))
def test_no_bytes_cause_another_error(data: bytes) -> None:
    """Any bytes are a password or a PasswordError."""  # R18
    with contextlib.suppress(PasswordError):
        assert "\n" not in password_text(data)
