"""Certificates with one defect each, and unusual certificates that are correct."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from tests.support.certificates import (
    ANY,
    CLIENT,
    HOST,
    ISSUING,
    LEAF,
    SERVER,
    Chain,
    SelfSigned,
)

MD5, SHA1 = hashes.MD5(), hashes.SHA1()  # noqa: S303 - R27 refuses these
SHA224, SHA384, SHA512 = hashes.SHA224(), hashes.SHA384(), hashes.SHA512()


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A change of a valid chain that breaks one rule.

    Args:
        code: code of the rule.
        leaf: changes to the leaf.
        issuing: changes to the issuing CA.
        root: changes to the root.
        missing: whether the issuing CA is missing in the file.
        other_key: whether the private key belongs to another certificate.
        other_root: whether the current certificate has another root.
    """

    code: str
    leaf: dict[str, Any] = field(default_factory=dict)
    issuing: dict[str, Any] = field(default_factory=dict)
    root: dict[str, Any] = field(default_factory=dict)
    missing: bool = False
    other_key: bool = False
    other_root: bool = False

    @property
    def changed_fields(self) -> set[tuple[str, str]]:
        """The fields of the certificates that the defect changes."""
        levels = {"leaf": self.leaf, "issuing": self.issuing, "root": self.root}
        return {(level, name) for level, changes in levels.items() for name in changes}

    @property
    def is_above(self) -> bool:
        """Whether the defect is found in complete chains only."""
        return bool(self.issuing or self.root or self.other_root)


# All of these can be combined in pairs, except pairs that change the same fields.
DEFECTS = {
    "another name": Defect(code="san-mismatch", leaf={"sans": ("other.example.com",)}),
    "signed by an impostor": Defect(code="issuer-mismatch", issuing={"signer": ("p384", "impostor")}),
    "not yet valid": Defect(code="not-yet-valid", leaf={"days": (0.5, 390)}),
    "expired issuer": Defect(code="expired", issuing={"days": (-900, 99.5)}, root={"days": (-1800, -0.5)}),
    "expires too early": Defect(code="expires-too-early", leaf={"days": (-10, 99.5)}),
    "issuer missing": Defect(code="chain-incomplete", missing=True),
    "no purpose": Defect(code="eku-missing", leaf={"purposes": None}),
    "another root": Defect(code="root-mismatch", other_root=True),
    "small key": Defect(code="rsa-too-small", leaf={"key": "rsa-1024"}),
    "small root": Defect(code="root-rsa-too-small", root={"key": "rsa-2048"}),
    "SHA-1": Defect(code="hash-not-sha2", issuing={"hash": SHA1}),
    "key of another": Defect(code="key-mismatch", other_key=True),
    "valid too long": Defect(code="validity-too-long", leaf={"days": (-10, 826)}),
    "leaf is a CA": Defect(code="leaf-is-ca", leaf={"ca": True}),
    "issuer is none": Defect(code="not-a-ca", issuing={"ca": False}),
    "path too long": Defect(code="path-length", root={"path_length": 0}),
    "may not sign": Defect(code="key-usage", issuing={"usages": ("crl_sign",)}),
    "name forbidden": Defect(code="name-constraints", root={"excluded": (x509.DNSName("example.com"),)}),
    "unknown extension": Defect(code="critical-extension", leaf={"unknown": True}),
    "unknown curve": Defect(code="key-type", issuing={"key": "k256"}),
}

DIRECTORY = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]))
FOREVER = "99991231235959Z"
POLICY = (x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)]), False)

OTHER_POLICY = (x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.4"), None)]), False)
ROOT_NAME = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")]))


def _policy_constraints(skipped: int) -> tuple[x509.ExtensionType, bool]:
    """Return the policy constraints that require a policy after *skipped* more certificates."""
    return x509.PolicyConstraints(require_explicit_policy=skipped, inhibit_policy_mapping=None), True


def _identifier(*values: Any) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """Return the extensions with this authority key identifier."""
    return ((x509.AuthorityKeyIdentifier(*values), False),)


def _common_name(text: str, kind: _ASN1Type) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, kind)])


REQUIRED = (_policy_constraints(0), POLICY)
BARE: dict[str, Any] = {"identifiers": False}
GOOD: dict[str, Chain | SelfSigned] = {
    "no key identifiers": Chain().but(leaf=BARE, issuing=BARE, root=BARE),
    "root without a key usage": Chain().but(root={"usages": None}),
    "private root and CA with few extensions": Chain().but(
        issuing={**BARE, "usages": None, "path_length": None}, root={**BARE, "usages": None}
    ),
    "leaf without a key usage": Chain().but(leaf={"usages": None}),
    "leaf without basic constraints": Chain().but(leaf={"ca": None}),
    "leaf for RSA key exchange": Chain().but(leaf={"key": "rsa-2048", "usages": ("key_encipherment",)}),
    "leaf for servers and clients": Chain().but(leaf={"purposes": (SERVER, CLIENT)}),
    "issuer for servers": Chain().but(issuing={"purposes": (SERVER,)}),
    "issuer for anything": Chain().but(issuing={"purposes": (ANY,)}),
    "leaf without a subject": Chain().but(leaf={"name": ""}),
    "wildcard": Chain().but(leaf={"sans": ("*.example.com",)}),
    "other names, too": Chain().but(leaf={"sans": ("a.example", HOST, x509.IPAddress(IPv4Address("192.0.2.1")))}),
    "upper case": Chain().but(leaf={"sans": ("MDM.Example.COM",)}),
    "directly under the root": Chain(issuing=()),
    "three issuing CAs": Chain(
        issuing=(ISSUING, ISSUING.but(name="Policy", path_length=1), ISSUING.but(name="Region", path_length=None))
    ),
    "path length just enough": Chain().but(root={"path_length": 1}),
    "825 days": Chain().but(leaf={"days": (-10, 815)}),
    "one second of validity": Chain().but(leaf={"days": (0, 0)}),
    "RSA 2048 under RSA 2048 under RSA 4096": Chain().but(
        leaf={"key": "rsa-2048"}, issuing={"key": "rsa-2048"}, root={"key": "rsa-4096"}
    ),
    "RSA-PSS": Chain().but(leaf={"pss": True}, issuing={"key": "rsa-2048", "pss": True}, root={"key": "rsa-4096"}),
    "P-384": Chain().but(leaf={"key": "p384"}, issuing={"key": "p384"}),
    "P-521": Chain().but(leaf={"key": "p521"}, issuing={"key": "p521"}, root={"key": "p521"}),
    "P-256 at all levels": Chain().but(root={"key": "p256"}),
    "SHA-224": Chain().but(leaf={"hash": SHA224}, issuing={"hash": SHA224}, root={"hash": SHA224}),
    "SHA-384": Chain().but(leaf={"hash": SHA384}, issuing={"hash": SHA384}, root={"hash": SHA384}),
    "SHA-512": Chain().but(leaf={"hash": SHA512}, issuing={"hash": SHA512}, root={"hash": SHA512}),
    "names permitted": Chain().but(root={"permitted": (x509.DNSName("example.com"),)}),
    "wildcard permitted": Chain().but(
        leaf={"sans": ("*.example.com",)}, root={"permitted": (x509.DNSName("example.com"),)}
    ),
    "other names excluded": Chain().but(
        leaf={"sans": (HOST, x509.IPAddress(IPv4Address("192.0.2.1")), x509.IPAddress(IPv6Address("2001:db8::1")))},
        issuing={"excluded": (x509.DNSName("other.example.com"), x509.IPAddress(IPv4Network("10.0.0.0/8")))},
        root={"permitted": (x509.IPAddress(IPv4Network("192.0.2.0/24")), x509.IPAddress(IPv6Network("2001:db8::/32")))},
    ),
    "directory name permitted": Chain().but(issuing={"permitted": (DIRECTORY,)}),
    "without an end": Chain().but(
        issuing={"times": ("20180101000000Z", FOREVER)}, root={"times": ("00010101000000Z", FOREVER)}
    ),
    "issuer and serial number in the key identifier": Chain(
        leaf=LEAF.but(key_identifier="both"), issuing=(ISSUING.but(serial_number=7),)
    ),
    "policy required and present": Chain().but(leaf={"extensions": (POLICY,)}, issuing={"extensions": REQUIRED}),
    "policy required below more levels": Chain().but(issuing={"extensions": (_policy_constraints(2),)}),
    "policy required by the root": Chain().but(root={"extensions": (_policy_constraints(0),)}),
    "critical policies": Chain().but(leaf={"extensions": ((POLICY[0], True),)}),
    "critical SAN next to a subject": Chain().but(leaf={"san_is_critical": True}),
    "constraint with a leading dot": Chain().but(issuing={"permitted": (x509.DNSName(".example.com"),)}),
    "self-signed": SelfSigned(),
    "self-signed CA": SelfSigned(leaf=LEAF.but(ca=True, usages=("digital_signature", "key_cert_sign"))),
    "self-signed RSA 4096": SelfSigned(leaf=LEAF.but(key="rsa-4096", ca=None, usages=None)),
}


def _keys(size: int, level: str) -> tuple[Chain, set[str]]:
    found = {"rsa-too-small"} if size < 2048 else set()
    if level == "root" and size < 4096:
        found |= {"root-rsa-too-small"}
    return Chain().but(**{level: {"key": f"rsa-{size}"}}), found


LEVELS = ("leaf", "issuing", "root")
HASHES = {"MD5": MD5, "SHA-1": SHA1, "SHA-224": SHA224, "SHA-256": hashes.SHA256(), "SHA-384": SHA384}
RSA_ISSUERS = Chain().but(issuing={"key": "rsa-2048"}, root={"key": "rsa-4096"})
ODD: dict[str, tuple[Chain | SelfSigned, set[str]]] = {
    **{f"RSA {size} {level}": _keys(size, level) for size in (1024, 2047, 2048, 4095, 4096) for level in LEVELS},
    **{
        f"{name} {level}": (
            RSA_ISSUERS.but(**{level: {"hash": algorithm}}),
            {"hash-not-sha2"} if name in {"MD5", "SHA-1"} else set(),
        )
        for name, algorithm in HASHES.items()
        for level in LEVELS
    },
    **{
        f"SHA3-256 {level}": (Chain().but(**{level: {"hash": hashes.SHA3_256()}}), {"hash-not-sha2"})
        for level in LEVELS
    },
    **{f"SHA-1 by EC {level}": (Chain().but(**{level: {"hash": SHA1}}), {"hash-not-sha2"}) for level in LEVELS},
    "P-224 leaf": (Chain().but(leaf={"key": "p224"}), {"key-type"}),
    "P-224 root": (Chain().but(root={"key": "p224"}), {"key-type"}),
    "Ed25519 leaf": (Chain().but(leaf={"key": "ed25519"}), {"key-type"}),
    "Ed25519 root": (Chain().but(root={"key": "ed25519"}), {"key-type"}),
    "RSASSA-PSS key": (Chain().but(leaf={"key": "rsa-2048", "form": "pss"}), {"key-type"}),
    "RSASSA-PSS key of an issuer": (Chain().but(issuing={"key": "rsa-2048", "form": "pss"}), {"key-type"}),
    "explicit curve parameters": (Chain().but(leaf={"form": "explicit"}), {"key-type"}),
    "explicit curve parameters of an issuer": (Chain().but(issuing={"form": "explicit"}), {"key-type"}),
    "hybrid point": (Chain().but(leaf={"form": "hybrid"}), {"key-type"}),
    "compressed point": (Chain().but(leaf={"form": "compressed"}), set()),
    "compressed point of an issuer": (Chain().but(issuing={"form": "compressed"}), set()),
    "RSA without the NULL parameters": (Chain().but(leaf={"key": "rsa-2048", "form": "no parameters"}), set()),
    "DSA root": (Chain().but(root={"key": "dsa"}), {"key-type"}),
    "two algorithms in one signature": (RSA_ISSUERS.but(leaf={"outer": SHA512}), {"issuer-mismatch"}),
    "no SAN": (Chain().but(leaf={"sans": ()}), {"san-mismatch"}),
    "IP address only": (Chain().but(leaf={"sans": (x509.IPAddress(IPv4Address("192.0.2.1")),)}), {"san-mismatch"}),
    "URI only": (
        Chain().but(leaf={"sans": (x509.UniformResourceIdentifier(f"https://{HOST}/"),)}),
        {"san-mismatch"},
    ),
    "wildcard too high": (Chain().but(leaf={"sans": ("*.com",)}), {"san-mismatch"}),
    "wildcard too low": (Chain().but(leaf={"sans": ("*.mdm.example.com",)}), {"san-mismatch"}),
    "wildcard in the middle": (Chain().but(leaf={"sans": ("mdm.*.com",)}), {"san-mismatch"}),
    "part of a label": (Chain().but(leaf={"sans": ("m*.example.com",)}), {"san-mismatch"}),
    "only a star": (Chain().but(leaf={"sans": ("*",)}), {"san-mismatch"}),
    "trailing dot": (Chain().but(leaf={"sans": ("mdm.example.com.",)}), {"san-mismatch"}),
    "any purpose": (Chain().but(leaf={"purposes": (ANY,)}), {"eku-missing"}),
    "for clients": (Chain().but(leaf={"purposes": (CLIENT,)}), {"eku-missing"}),
    "issuer for clients": (Chain().but(issuing={"purposes": (CLIENT,)}), {"eku-missing"}),
    "root for clients": (Chain().but(root={"purposes": (CLIENT,)}), {"eku-missing"}),
    "expired leaf": (Chain().but(leaf={"days": (-400, -1)}), {"expired"}),
    "expired issuer": (Chain().but(issuing={"days": (-400, -1)}), {"expired"}),
    "expired root": (Chain().but(root={"days": (-400, -1)}), {"expired"}),
    "issuer not yet valid": (Chain().but(issuing={"days": (1, 400)}), {"not-yet-valid"}),
    "dates inverted, between them": (
        Chain().but(leaf={"days": (-10, 10), "inverted": True}),
        {"not-yet-valid", "expired"},
    ),
    "dates inverted, in the past": (Chain().but(leaf={"days": (-20, -10), "inverted": True}), {"expired"}),
    "dates inverted, in the future": (Chain().but(leaf={"days": (10, 20), "inverted": True}), {"not-yet-valid"}),
    "825 days and a second": (Chain().but(leaf={"days": (-10, 815 + 1.1 / 86400)}), {"validity-too-long"}),
    "self-signed for too long": (SelfSigned(leaf=LEAF.but(ca=None, days=(-1, 900))), {"validity-too-long"}),
    "self-signed RSA 2048": (SelfSigned(leaf=LEAF.but(ca=None, key="rsa-2048")), {"root-rsa-too-small"}),
    "self-signed for another": (SelfSigned(leaf=LEAF.but(ca=None, sans=("a.example",))), {"san-mismatch"}),
    "issuer without basic constraints": (Chain().but(issuing={"ca": None}), {"not-a-ca"}),
    "root without basic constraints": (Chain().but(root={"ca": None}), {"not-a-ca"}),
    "root that may not sign": (Chain().but(root={"usages": ("digital_signature",)}), {"key-usage"}),
    "leaf that may sign certificates": (
        Chain().but(leaf={"usages": ("digital_signature", "key_cert_sign")}),
        {"key-usage"},
    ),
    "leaf that may sign no handshake": (Chain().but(leaf={"usages": ("content_commitment",)}), {"key-usage"}),
    "EC leaf for RSA key exchange": (Chain().but(leaf={"usages": ("key_encipherment",)}), {"key-usage"}),
    "path length of the CA in the middle": (
        Chain(issuing=(ISSUING, ISSUING.but(name="Policy", path_length=0))),
        {"path-length"},
    ),
    "unknown extension of the issuer": (Chain().but(issuing={"unknown": True}), {"critical-extension"}),
    "unknown extension of the root": (Chain().but(root={"unknown": True}), {"critical-extension"}),
    "name not permitted": (Chain().but(issuing={"permitted": (x509.DNSName("example.org"),)}), {"name-constraints"}),
    "only subdomains permitted": (
        Chain().but(issuing={"permitted": (x509.DNSName(f".{HOST}"),)}),
        {"name-constraints"},
    ),
    "wildcard around what is excluded": (
        Chain().but(leaf={"sans": ("*.example.com",)}, root={"excluded": (x509.DNSName(HOST),)}),
        {"name-constraints"},
    ),
    "address not permitted": (
        Chain().but(
            leaf={"sans": (HOST, x509.IPAddress(IPv4Address("192.0.2.1")))},
            issuing={"permitted": (x509.IPAddress(IPv4Network("10.0.0.0/8")),)},
        ),
        {"name-constraints"},
    ),
    "address of the other kind": (
        Chain().but(
            leaf={"sans": (HOST, x509.IPAddress(IPv6Address("2001:db8::1")))},
            issuing={"permitted": (x509.IPAddress(IPv4Network("0.0.0.0/0")),)},
        ),
        {"name-constraints"},
    ),
    "directory name excluded": (Chain().but(issuing={"excluded": (DIRECTORY,)}), {"name-constraints"}),
    "directory name not permitted": (
        Chain().but(leaf={"name": "Elsewhere"}, issuing={"permitted": (DIRECTORY,)}),
        {"name-constraints"},
    ),
    "name of the issuer not permitted": (
        Chain().but(root={"permitted": (DIRECTORY,)}),
        {"name-constraints"},
    ),
    "constraints in a leaf": (
        Chain().but(leaf={"permitted": (x509.DNSName("example.com"),)}),
        {"name-constraints"},
    ),
    "constraint with a trailing dot": (
        Chain().but(issuing={"excluded": (x509.DNSName("other.com."),)}),
        {"name-constraints"},
    ),
    "malformed name under a constraint": (
        Chain().but(
            leaf={"sans": (HOST, x509.DNSName("a..example.com"))}, root={"permitted": (x509.DNSName("example.com"),)}
        ),
        {"name-constraints"},
    ),
    "malformed name": (Chain().but(leaf={"sans": (HOST, x509.DNSName(".example.com"))}), set()),
    "root without a subject": (Chain().but(root={"name": ""}), {"issuer-mismatch"}),
    "issuer without a subject": (Chain().but(issuing={"name": ""}), {"issuer-mismatch"}),
    "self-signed without a subject": (
        SelfSigned(leaf=LEAF.but(name="", ca=None, usages=None)),
        {"issuer-mismatch"},
    ),
    "no subject, and a SAN that is not critical": (
        Chain().but(leaf={"name": "", "san_is_critical": False}),
        {"san-mismatch"},
    ),
    "policy required and missing": (
        Chain().but(issuing={"extensions": (_policy_constraints(0),)}),
        {"critical-extension"},
    ),
    "policy required and another present": (
        Chain().but(
            leaf={"extensions": (POLICY,)},
            issuing={"extensions": (_policy_constraints(0), OTHER_POLICY)},
        ),
        {"critical-extension"},
    ),
    "policy required by an extension that is not critical": (
        Chain().but(issuing={"extensions": ((_policy_constraints(0)[0], False),)}),
        {"critical-extension"},
    ),
    "serial number of another issuer": (
        Chain().but(leaf={**BARE, "extensions": _identifier(None, [ROOT_NAME], 99)}),
        {"issuer-mismatch"},
    ),
    "key identifier of another issuer": (
        Chain().but(leaf={**BARE, "extensions": _identifier(b"x" * 20, None, None)}),
        {"issuer-mismatch"},
    ),
    "root with the serial number of another": (
        Chain().but(root={**BARE, "extensions": _identifier(None, [ROOT_NAME], 99)}),
        {"issuer-mismatch"},
    ),
    "issuer name of another string type": (
        Chain().but(leaf={"issuer": _common_name("Issuing", _ASN1Type.PrintableString)}),
        {"issuer-mismatch"},
    ),
    "issuer name in capitals": (Chain().but(leaf={"issuer": "ISSUING"}), {"issuer-mismatch"}),
    "other kind of name": (
        Chain().but(
            leaf={"sans": (HOST, x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a"))},
            root={"excluded": (x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01b"),)},
        ),
        {"name-constraints"},
    ),
}
