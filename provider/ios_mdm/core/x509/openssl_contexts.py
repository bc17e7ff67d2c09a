"""Contexts of pyOpenSSL that do not depend on the configuration of OpenSSL on this machine.

A configuration file can restrict everything that a context does not set. Such a restriction is no defect of a
certificate.
"""

from __future__ import annotations

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

__all__ = ["CIPHERS", "compare_name", "openssl_context"]

# The rules decide which keys and hashes are strong enough. Level 1 accepts all of them, also SHA-224, and the default
# level of a system can be higher.
CIPHERS = "DEFAULT:@SECLEVEL=1"
_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
_CURVES = b"P-256:P-384:P-521"
_SIGNATURES = (
    b"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA224:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"
    b"RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA224"
)
_NAME_FLAGS = 0x4 | 0x20
"""``X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS`` and ``X509_CHECK_FLAG_NEVER_CHECK_SUBJECT`` of OpenSSL."""


def openssl_context(method: int) -> SSL.Context:
    """Return a context that does not depend on the configuration of OpenSSL on this machine."""
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(0)  # the newest
    context.set_cipher_list(CIPHERS.encode())
    context.set_tls13_ciphersuites(_SUITES)
    lib, pointer = Binding.lib, context._context  # noqa: SLF001 - pyOpenSSL sets neither signatures nor curves
    lib.SSL_CTX_set1_sigalgs_list(pointer, _SIGNATURES)
    lib.SSL_CTX_set1_curves_list(pointer, _CURVES)
    lib.ERR_clear_error()  # a library that lacks one of them keeps its own list
    return context


def compare_name(client: SSL.Connection, host: str) -> None:
    """Let the client compare the host name as ``ssl`` does."""
    parameters = Binding.lib.SSL_get0_param(client._ssl)  # noqa: SLF001 - pyOpenSSL compares no name
    Binding.lib.X509_VERIFY_PARAM_set_hostflags(parameters, _NAME_FLAGS)
    name = host.encode()
    Binding.lib.X509_VERIFY_PARAM_set1_host(parameters, name, len(name))
