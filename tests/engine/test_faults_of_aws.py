"""Faults of AWS with the real engine: stale reads, versions that AWS deletes, and roles that AWS does not know yet."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from cryptography.x509 import load_pem_x509_certificate

from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.x509.digests import fingerprint
from tests.support.days import DAY_0, DAY_31, DAY_62, at
from tests.support.engine import check_safety
from tests.support.faults import DeletedVersions, LateRoles, StaleReads

if TYPE_CHECKING:
    from tests.support.engine import World


def test_stale_reads_are_not_mistaken_for_another_run(world: World) -> None:
    """Row 7: the run makes each step once and arms the switch.

    At commit cda6e65, it repeats steps until it fails, and it advises the user to search for another run.
    """
    # R30 R36
    world.aws.fault = fault = StaleReads()
    world.stack.define([world.definition(distribution=world.distribution())])
    done = world.stack.up(**at(DAY_0)).ok()
    assert fault.count > 0
    assert "changed concurrently" not in done.output
    assert "warning" not in done.output
    written = Counter(world.aws.writes())
    assert (written["CreateSecret"], written["PutSecretValue"]) == (1, 2)
    world.aws.fault = None
    check_safety(world)
    world.stack.run("preview", "--expect-no-changes", **at(DAY_0)).ok()


def test_a_deleted_version_stops_no_later_run(world: World) -> None:
    """Row 8: the first main lost AWSPREVIOUS, and devices trust it until it expires, so it keeps a label.

    At commit cda6e65, AWS deletes it, and each later run fails before it sends a profile.
    """
    # R17 R32
    world.aws.fault = DeletedVersions()
    world.stack.define([world.definition(distribution=world.distribution())])
    for day in (DAY_0, DAY_31, DAY_62):
        world.stack.up(**at(day)).ok()
    roots = {_root(world, number) for number in (1, 2, 3, 4)}
    assert all(trusted >= roots for trusted in world.trusted_roots().values())
    assert version_id(world.secret, 1) not in world.labels().values(), "the first main has no slot any more"
    assert {1, 2, 3} <= world.offered_certificates()
    check_safety(world)


def test_a_role_that_aws_does_not_know_yet_stops_no_run(world: World) -> None:
    """Row 13: IAM and Scheduler refuse the new role at first, and the run repeats both calls.

    At commit cda6e65, the run fails at the first refusal of IAM, and the switch is not armed.
    """
    # R36
    world.aws.fault = fault = LateRoles()
    world.stack.define([world.definition(distribution=world.distribution())])
    world.stack.up(**at(DAY_0)).ok()
    assert fault.refused == ["PutRolePolicy"] * 2 + ["POST "] * 2
    check_safety(world)


def _root(world: World, number: int) -> str:
    """Return the fingerprint of a certificate's root."""
    value = json.loads(world.value(version_id(world.secret, number)))
    return fingerprint(load_pem_x509_certificate(value["ca.crt"].encode()))
