"""Attacks on a pair by principals with one permission, and the certificates that devices trust afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.x509 import load_pem_x509_certificate

from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.x509.digests import fingerprint
from tests.support.certificates import SelfSigned, Spec, pem, private_pem
from tests.support.days import DAY_0, DAY_10, at
from tests.support.engine import check_safety

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.engine import World

VALIDITY = (-416, -19 - 0.5 / 86_400)
"""Days from the time of the factory: 397 days less one second, which include `DAY_10`, as an issued certificate has."""
AUTHORITY = SelfSigned(
    leaf=Spec(
        name="mdm.example.com",
        owner="attacker",
        ca=True,
        days=VALIDITY,
        usages=("digital_signature", "key_cert_sign"),
        sans=("mdm.example.com",),
    )
)
"""A CA without constraints: a device that trusts it accepts its certificates for every name.

Name, key and validity are those of the certificate that the next run issues.
"""


@pytest.mark.parametrize("labels", [["STAGED"], ["RESERVE"], ["OTHER"]], ids=lambda labels: labels[0])
def test_a_program_that_may_only_put_values_gets_no_certificate_onto_a_device(
    world: World, labels: Sequence[str]
) -> None:
    """Row 2: the program stores a CA under the next version id, with a label, before a reserve is issued.

    At commit cda6e65, all devices trust the CA after two runs.
    """
    # R38
    wish = world.definition(reserve={"none": True}, distribution=world.distribution())
    world.stack.define([wish])
    world.stack.up(**at(DAY_0)).ok()
    made = AUTHORITY.make()
    value = {
        "tls.crt": pem(made.leaf).decode(),
        "tls.key": private_pem(made.keys[0]).decode(),
        "ca.crt": pem(made.root).decode(),
    }
    world.client.put_secret_value(
        SecretId=world.secret,
        ClientRequestToken=version_id(world.secret, 2),
        SecretString=json.dumps(value),
        VersionStages=labels,
    )
    world.stack.define([world.definition(distribution=world.distribution())])
    for _ in range(2):
        done = world.stack.up(**at(DAY_10))
        assert done.code == 0 or "has a label of the pair, but no facts tag" in done.output
        trusted = world.trusted_roots()
        assert trusted
        assert all(fingerprint(made.root) not in roots for roots in trusted.values())
    if labels == ["RESERVE"]:
        assert done.code != 0
        return
    done.ok()
    reserve = json.loads(world.value(world.labels()["RESERVE"]))
    assert load_pem_x509_certificate(reserve["tls.crt"].encode()) != made.leaf
    check_safety(world)
