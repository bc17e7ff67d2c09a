"""Every disagreement of the rules with OpenSSL, Go and cryptography about a chain of the matrix, with its reason.

A case is a name in ``GOOD``, ``ODD`` or ``DEFECTS``. The verifiers run with their defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RULES_ACCEPT", "RULES_REFUSE", "Disagreement"]

OPENSSL, GO, CRYPTOGRAPHY = "openssl", "go", "cryptography"
ALL = (OPENSSL, GO, CRYPTOGRAPHY)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Cases about which the rules and verifiers disagree for one reason.

    Args:
        reason: why both verdicts are right.
        verifiers: names of the verifiers.
        cases: names of the cases.
    """

    reason: str
    verifiers: tuple[str, ...]
    cases: tuple[str, ...]


RULES_REFUSE = (
    Disagreement("R23 requires the extension, RFC 5280 does not", ALL, ("no purpose",)),
    Disagreement("R23 requires serverAuth itself; Go takes anyExtendedKeyUsage for it", (GO,), ("any purpose",)),
    Disagreement(
        "R27 covers the root, whose own signature no verifier checks",
        ALL,
        ("MD5 root", "SHA-1 root", "SHA-1 by EC root"),
    ),
    Disagreement(
        "R27 covers the root; a verifier that cannot use SHA-3 does not read its signature",
        (GO, CRYPTOGRAPHY),
        ("SHA3-256 root",),
    ),
    Disagreement(
        "R27 refuses weak hashes; `openssl verify` has no security level",
        (OPENSSL,),
        ("MD5 leaf", "MD5 issuing", "SHA-1 leaf", "SHA-1 issuing", "SHA-1 by EC leaf", "SHA-1 by EC issuing", "SHA-1"),
    ),
    Disagreement("R28 allows the key types that iOS uses for TLS", ALL, ("P-224 leaf", "Ed25519 leaf")),
    Disagreement("R28 allows the key types that iOS uses for TLS", (OPENSSL, GO), ("P-224 root", "Ed25519 root")),
    Disagreement("R28 allows the key types that iOS uses for TLS", (OPENSSL,), ("DSA root", "unknown curve")),
    Disagreement("A verifier does not use the leaf's key; no TLS server can load this one", ALL, ("RSASSA-PSS key",)),
    Disagreement(
        "The library takes explicit parameters for a named curve", (CRYPTOGRAPHY,), ("explicit curve parameters",)
    ),
    Disagreement("RFC 5480 forbids the hybrid form; Go cannot read it", (OPENSSL, CRYPTOGRAPHY), ("hybrid point",)),
    Disagreement(
        "R28 requires that the leaf can sign a handshake; Go and cryptography ignore its key usage",
        (GO, CRYPTOGRAPHY),
        ("leaf that may sign no handshake",),
    ),
    Disagreement(
        "R28 requires that the leaf can sign a handshake; an EC key cannot decipher one",
        ALL,
        ("EC leaf for RSA key exchange",),
    ),
    Disagreement(
        "RFC 5280, 4.2.1.3 forbids keyCertSign without CA", (OPENSSL, GO), ("leaf that may sign certificates",)
    ),
    Disagreement("R28 refuses a leaf whose key could issue certificates", (OPENSSL, GO), ("leaf is a CA",)),
    Disagreement(
        "OpenSSL compares the wildcard as text, which covers the excluded host",
        (OPENSSL,),
        ("wildcard around what is excluded",),
    ),
    Disagreement("RFC 5280, 4.2.1.10: name constraints are for CAs only", (OPENSSL, GO), ("constraints in a leaf",)),
    Disagreement(
        "OpenSSL compares malformed names as text; Go and cryptography refuse them",
        (OPENSSL,),
        ("constraint with a trailing dot", "malformed name under a constraint"),
    ),
    Disagreement(
        "OpenSSL takes a self-signed certificate without basic constraints for a CA",
        (OPENSSL,),
        ("root without basic constraints",),
    ),
    Disagreement(
        "RFC 5280, 4.1.2.4: the issuer is not empty. Apple, strict OpenSSL and cryptography refuse it",
        (OPENSSL, GO),
        ("root without a subject", "issuer without a subject", "self-signed without a subject"),
    ),
    Disagreement(
        "RFC 5280, 4.2.1.6: such a SAN is critical. Apple, strict OpenSSL and cryptography require it",
        (OPENSSL, GO),
        ("no subject, and a SAN that is not critical",),
    ),
    Disagreement(
        "OpenSSL uses no issuer that contradicts the authority key identifier; Go and cryptography do",
        (GO, CRYPTOGRAPHY),
        ("serial number of another issuer", "key identifier of another issuer"),
    ),
    Disagreement(
        "Go does not compare the identifier of a root with the root", (GO,), ("root with the serial number of another",)
    ),
    Disagreement(
        "OpenSSL compares names without string types and case; Go, iOS and cryptography compare bytes",
        (OPENSSL,),
        ("issuer name of another string type", "issuer name in capitals"),
    ),
    Disagreement(
        "OpenSSL evaluates policies on request only; Go and iOS always do",
        (OPENSSL,),
        (
            "policy required and missing",
            "policy required and another present",
            "policy required by an extension that is not critical",
        ),
    ),
    Disagreement(
        "cryptography refuses critical policy constraints, and ignores others",
        (CRYPTOGRAPHY,),
        ("policy required by an extension that is not critical",),
    ),
    Disagreement(
        "R26 is the requirement of this project",
        ALL,
        ("RSA 2048 root", "RSA 4095 root", "self-signed RSA 2048", "small root"),
    ),
    Disagreement(
        "R25 is the requirement of this project; cryptography checks issuers, in whole octets",
        ALL,
        ("RSA 2047 root", "RSA 1024 leaf", "RSA 2047 leaf", "RSA 2047 issuing", "small key"),
    ),
    Disagreement("R25 is the requirement of this project", (OPENSSL, GO), ("RSA 1024 root", "RSA 1024 issuing")),
    Disagreement(
        "R19: OpenSSL takes the common name of a certificate without DNS names",
        (OPENSSL,),
        ("no SAN", "IP address only", "URI only"),
    ),
    Disagreement("R19: OpenSSL accepts a wildcard for a part of a label", (OPENSSL,), ("part of a label",)),
    Disagreement(
        "Apple accepts 825 days, others have no limit",
        ALL,
        ("825 days and a second", "self-signed for too long", "valid too long"),
    ),
)
"""Disagreements about chains that break a rule, and that a verifier accepts."""

RULES_ACCEPT = (
    Disagreement(
        "Private CAs need no key identifiers and no key usage",
        (CRYPTOGRAPHY,),
        ("no key identifiers", "root without a key usage", "private root and CA with few extensions"),
    ),
    Disagreement("RFC 5280 lets a CA be for any purpose; a notice names OpenSSL", (OPENSSL,), ("issuer for anything",)),
    Disagreement("OpenSSL excludes the last second; RFC 5280 includes it", (OPENSSL,), ("one second of validity",)),
    Disagreement(
        "R27 accepts SHA-224 as SHA-2, with a notice",
        (GO, CRYPTOGRAPHY),
        ("SHA-224", "SHA-224 leaf", "SHA-224 issuing"),
    ),
    Disagreement(
        "RFC 5280 has constraints on directory names; a notice quotes cryptography",
        (GO, CRYPTOGRAPHY),
        ("directory name permitted",),
    ),
    Disagreement(
        "cryptography requires the form of a date that RFC 5280 prescribes; others read both",
        (CRYPTOGRAPHY,),
        ("without an end",),
    ),
    Disagreement(
        "cryptography evaluates no policies, and refuses their critical extensions; a notice quotes it",
        (CRYPTOGRAPHY,),
        (
            "policy required and present",
            "policy required below more levels",
            "policy required by the root",
            "critical policies",
        ),
    ),
    Disagreement(
        "Only public CAs must not make this SAN critical; a notice quotes cryptography",
        (CRYPTOGRAPHY,),
        ("critical SAN next to a subject",),
    ),
    Disagreement(
        "OpenSSL and Go accept the dot, and private CAs write it; a notice quotes cryptography",
        (CRYPTOGRAPHY,),
        ("constraint with a leading dot",),
    ),
    Disagreement(
        "A self-signed certificate may be a CA, because it is its own root", (CRYPTOGRAPHY,), ("self-signed CA",)
    ),
    Disagreement(
        "RFC 5480 and RFC 3279 forms that Go cannot read; a notice says so",
        (GO,),
        ("compressed point", "compressed point of an issuer", "RSA without the NULL parameters"),
    ),
)
"""Disagreements about chains that break no rule, and that a verifier refuses."""
