"""Calls cryptography, which raises more kinds of errors on bad input than its documentation lists."""

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
    """Return the result of *call*, or None if the library refuses its input.

    A panic of the library's Rust code counts as a refusal. It is a BaseException without a public class and is
    recognized by its module, so that KeyboardInterrupt and similar exceptions propagate. Warnings about unusual but
    readable certificates, for example a serial number of 0, are dropped because the rules check the certificates.
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
