"""The public roots, which the package certifi lists."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import certifi
import pytest
from cryptography import x509

from ios_mdm import public_roots
from ios_mdm.public_roots import is_public_root
from tests.support.certificates import Chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def listed_roots() -> Sequence[x509.Certificate]:
    """Return the certificates of the list. One of them has an invalid serial number."""
    with warnings.catch_warnings(action="ignore"):
        return x509.load_pem_x509_certificates(certifi.contents().encode())


def test_every_certificate_of_the_list_is_a_public_root() -> None:
    """The PEM of the list and the PEM of the library are the same text."""  # R49
    roots = listed_roots()
    assert len(roots) > 50
    assert all(map(is_public_root, roots))


def test_a_private_root_is_no_public_root() -> None:
    """No certificate of a private chain is in the list."""  # R49
    assert not any(map(is_public_root, Chain().make().chain))


def forget_list() -> None:
    """Make the next call read the list again."""
    public_roots._list_text.cache_clear()
    public_roots.public_roots.cache_clear()


@pytest.fixture
def _fresh_list() -> Iterator[None]:
    forget_list()
    yield
    forget_list()


@pytest.mark.usefixtures("_fresh_list")
@pytest.mark.parametrize(
    "error", [FileNotFoundError("cacert.pem"), UnicodeDecodeError("ascii", b"\xff", 0, 1, "no text")]
)
def test_without_a_readable_list_no_root_is_public(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution can replace the list with a link to a file that is missing or is not text."""  # R49
    (root, *_) = listed_roots()

    def contents() -> str:
        raise error

    monkeypatch.setattr(certifi, "contents", contents)
    assert not is_public_root(root)
    assert public_roots.public_roots() == ()
