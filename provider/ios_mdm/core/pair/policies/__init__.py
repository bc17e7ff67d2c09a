"""The rules of a pair's life as named policies: pure functions that answer with a reason and a message, or not at all.

They stand in chains. Of a chain that decides, the first answer counts; of :data:`WARNINGS`, every one. A policy whose
answer is shown to nobody answers yes or no.
"""

from __future__ import annotations

from ios_mdm.core.pair.policies.answers import Condition, Policy, all_answers, first_answer
from ios_mdm.core.pair.policies.guard import distrusted_stays, guard_notices, trusted_formers
from ios_mdm.core.pair.policies.main import (
    main_gets_another_chain,
    main_is_replaced,
    main_not_replaced,
    new_main_asked,
    reinstall,
)
from ios_mdm.core.pair.policies.reserve import (
    DELETIONS,
    DISMISSALS,
    ISSUES,
    PROMOTIONS,
    REFUSALS,
    another_is_offered,
    another_is_wanted,
    custom_main_gets_no_issued_reserve,
    deletion_is_confirmed,
    generation_is_only_raised,
    it_comes_to_nothing,
    it_gets_another_chain,
    it_has_expired,
    its_moment_has_come,
    main_expires_soon,
    none_is_wanted,
    one_certificate_has_one_chain,
    one_is_held_at_all_times,
    one_is_offered,
    successors_inherit,
)
from ios_mdm.core.pair.policies.warnings import (
    WARNINGS,
    an_operator_moved_main,
    it_came_late,
    it_expires_first,
    it_is_overdue,
    it_needs_a_run,
    no_reserve_comes_by_itself,
    nobody_could_look,
    the_server_serves_another,
    what_is_offered_was_applied,
)

__all__ = [
    "DELETIONS",
    "DISMISSALS",
    "ISSUES",
    "PROMOTIONS",
    "REFUSALS",
    "WARNINGS",
    "Condition",
    "Policy",
    "all_answers",
    "an_operator_moved_main",
    "another_is_offered",
    "another_is_wanted",
    "custom_main_gets_no_issued_reserve",
    "deletion_is_confirmed",
    "distrusted_stays",
    "first_answer",
    "generation_is_only_raised",
    "guard_notices",
    "it_came_late",
    "it_comes_to_nothing",
    "it_expires_first",
    "it_gets_another_chain",
    "it_has_expired",
    "it_is_overdue",
    "it_needs_a_run",
    "its_moment_has_come",
    "main_expires_soon",
    "main_gets_another_chain",
    "main_is_replaced",
    "main_not_replaced",
    "new_main_asked",
    "no_reserve_comes_by_itself",
    "nobody_could_look",
    "none_is_wanted",
    "one_certificate_has_one_chain",
    "one_is_held_at_all_times",
    "one_is_offered",
    "reinstall",
    "successors_inherit",
    "the_server_serves_another",
    "trusted_formers",
    "what_is_offered_was_applied",
]
