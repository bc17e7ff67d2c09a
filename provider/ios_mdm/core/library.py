"""Calls cryptography, which raises more kinds of errors on bad input than its documentation lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["attempt", "refusal"]

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
_PANIC = "an internal error of the library"


def attempt(call: Callable[[], _Result]) -> _Result | None:
    """Return the result of *call*, or None if the library refuses its input."""
    return _outcome(call)[0]


def refusal(call: Callable[[], object]) -> str | None:
    """Return the reason why the library refuses the input of *call*, as the library words it; None if it accepts it."""
    return _outcome(call)[1]


def _outcome(call: Callable[[], _Result]) -> tuple[_Result | None, str | None]:
    """Return the result of *call*, or the reason of the library.

    A panic of the library's Rust code counts as a refusal. It is a BaseException without a public class and is
    recognized by its module, so that KeyboardInterrupt and similar exceptions propagate.
    """
    try:
        return call(), None
    except _FAILURES as error:
        return None, str(error) or type(error).__name__
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        return None, _PANIC
