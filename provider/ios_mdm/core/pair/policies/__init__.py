"""The rules of a pair's life as policies: pure functions that return a notice with a reason and a message, or None.

Policies form chains. In a chain that decides, the first notice counts. In :data:`WARNINGS`, every notice counts. A
policy whose answer is not shown to the user returns a boolean.
"""

from __future__ import annotations

from ios_mdm.core.pair.policies.answers import Condition, Policy, all_answers, first_answer
from ios_mdm.core.pair.policies.connection import connection_notices, finding_notices
from ios_mdm.core.pair.policies.guard import (
    DISTRUSTS_PRESENTED,
    distrusted_certificate_kept,
    guard_notices,
    trusted_formers,
)
from ios_mdm.core.pair.policies.labels import label_notices
from ios_mdm.core.pair.policies.main import (
    REPLACED_UNSENT,
    main_chain_changed,
    main_replaced,
    main_replacement_refused,
    new_main_requested,
    next_main_waits,
    reinstallation_notice,
)
from ios_mdm.core.pair.policies.reserve import (
    DELETIONS,
    DISMISSALS,
    ISSUES,
    PROMOTIONS,
    REFUSALS,
    another_reserve_offered,
    certificate_has_two_chains,
    custom_reserve_offered,
    deletion_unconfirmed,
    issued_reserve_for_custom_main,
    main_expires_soon,
    reserve_always_held,
    reserve_chain_changed,
    reserve_disabled,
    reserve_due,
    reserve_expired,
    reserve_expires_unapplied,
    reserve_generation_lowered,
    reserve_generation_raised,
    successor_validity_bounded,
)
from ios_mdm.core.pair.policies.rotation import rotation_unsteady
from ios_mdm.core.pair.policies.warnings import (
    WARNINGS,
    address_presents_another_certificate,
    distribution_missing,
    endpoint_unchecked,
    gate_closed,
    main_moved_by_operator,
    offered_reserve_applied,
    promotion_needs_run,
    reserve_expires_first,
    reserve_missing,
    reserve_overdue,
    reserve_period_shortened,
    server_presents_another_certificate,
)

__all__ = [
    "DELETIONS",
    "DISMISSALS",
    "DISTRUSTS_PRESENTED",
    "ISSUES",
    "PROMOTIONS",
    "REFUSALS",
    "REPLACED_UNSENT",
    "WARNINGS",
    "Condition",
    "Policy",
    "address_presents_another_certificate",
    "all_answers",
    "another_reserve_offered",
    "certificate_has_two_chains",
    "connection_notices",
    "custom_reserve_offered",
    "deletion_unconfirmed",
    "distribution_missing",
    "distrusted_certificate_kept",
    "endpoint_unchecked",
    "finding_notices",
    "first_answer",
    "gate_closed",
    "guard_notices",
    "issued_reserve_for_custom_main",
    "label_notices",
    "main_chain_changed",
    "main_expires_soon",
    "main_moved_by_operator",
    "main_replaced",
    "main_replacement_refused",
    "new_main_requested",
    "next_main_waits",
    "offered_reserve_applied",
    "promotion_needs_run",
    "reinstallation_notice",
    "reserve_always_held",
    "reserve_chain_changed",
    "reserve_disabled",
    "reserve_due",
    "reserve_expired",
    "reserve_expires_first",
    "reserve_expires_unapplied",
    "reserve_generation_lowered",
    "reserve_generation_raised",
    "reserve_missing",
    "reserve_overdue",
    "reserve_period_shortened",
    "rotation_unsteady",
    "server_presents_another_certificate",
    "successor_validity_bounded",
    "trusted_formers",
]
