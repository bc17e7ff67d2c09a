"""Calls into cryptography, which fails on bad input in more ways than its documentation says."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["attempt"]

_Result = TypeVar("_Result")

_FAILURES = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    InternalError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def attempt(call: Callable[[], _Result]) -> _Result | None:
    """Return what *call* returns, None where the library refuses its input.

    A panic of the library's Rust code counts as a refusal. It is a BaseException without a public class, so it is told
    by its module; KeyboardInterrupt and its like pass. Warnings about odd but readable certificates (a serial number
    of 0, say) are dropped: the rules judge the certificates.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except _FAILURES:
            return None
        except BaseException as error:
            if type(error).__module__ != "pyo3_runtime":
                raise
            return None
