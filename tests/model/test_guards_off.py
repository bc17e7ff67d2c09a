"""Each guard of R33 to R38 is needed: a search or a scenario finds harm after it is switched off.

==============================================================  ====  ========
switched off                                                    R     found by
==============================================================  ====  ========
a copied secret is taken over                                   R33   search
a lost pair is created again                                    R33   search
a refresh reports a lost pair as deleted                        R33   search
another secret of the same name                                 R33   search
any home                                                        R33   search
a restored secret has its main                                  R33   scenario
the account is allowed                                          R33   scenario
a former owner sends its profile                                R34   search
a pair is claimed first                                         R34   search
a pair is not released                                          R34   search
any owner                                                       R34   search
any owner of the same name                                      R34   search
a profile drops a reserve that the server presents              R35   search
a profile keeps a former main that the definition distrusts     R35   search
main stays although the definition distrusts it                 R35   search
one identifier for all profiles                                 R35   search
the next main is applied before it is sent                      R35   search
a delivery reads the pair again                                 R35   scenario
a certificate in an armed promotion stays                       R35   scenario
an offered certificate stays                                    R35   scenario
a lost record of the sent certificates is no change             R36   search
a switch is armed before devices were sent the reserve          R36   search
an update does not check the switch                             R36   search
the switch is deleted before the secret                         R36   search
a stale schedule is withdrawn first                             R36   scenario
an armed promotion is recorded                                  R36   scenario
another list of devices disarms                                 R36   scenario
a delete does not compare the home                              R37   search
a delete does not compare the ids                               R37   search
a resource that was replaced deletes the pair of its successor  R37   search
a version in no slot was announced                              R38   scenario
a version that no run announced is no begun certificate         R38   scenario
main was announced or is known                                  R38   scenario
the value of a version was announced                            R38   scenario
==============================================================  ====  ========

*search*: every order of a few operations on stacks (`stacks/seeds.py`). *scenario*: one short run (`guards.py`). A row
names the guard, or the harm without it. `test_search.py` has other seeds: bugs in the model of a pair.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from unittest.mock import patch

import pytest

from tests.model.guards import GUARDS, Guard
from tests.model.stacks.seeds import SEEDS


@pytest.mark.parametrize("guard", [pytest.param(guard, id=name) for name, guard in GUARDS.items()])
def test_a_guard_that_is_switched_off_is_found(guard: Guard) -> None:
    """A scenario shows no harm with the guard, and the expected harm without it."""
    # R33 R35 R36 R38
    assert guard.scenario() == ""
    with ExitStack() as stack:
        for target, name, new in guard.patches:
            stack.enter_context(patch.object(target, name, new))
        assert guard.scenario() == guard.complaint


def test_the_table_has_what_runs_and_nothing_else() -> None:
    """Each row of the table is tested, and each seed and each guard has a row."""
    # R33 R34 R35 R36 R37 R38
    rows = re.findall(r"^(\S.*?) +(R\d+) +(search|scenario)$", str(__doc__), re.MULTILINE)
    runs = [(name, seed.requirement, "search") for name, seed in SEEDS.items()]
    runs += [(name, guard.requirement, "scenario") for name, guard in GUARDS.items()]
    assert sorted(rows) == sorted(runs)
