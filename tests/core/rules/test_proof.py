"""The handshakes as the last line of the checklist."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ios_mdm.core.pair.definition import Slot
from ios_mdm.core.rules import Context, Outcome, best_judgment, judge
from tests.support.certificates import HOST, LEAF, NOW, Chain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ios_mdm.core.rules import Finding

DAY = timedelta(days=1)
MADE = Chain().make()


def no_findings(_candidate: object, _context: object) -> Iterator[Finding]:
    """Yield nothing."""
    yield from ()


@pytest.fixture
def no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out every rule, so that only the handshakes judge."""
    monkeypatch.setattr(judge, "RULES", ())


@pytest.mark.usefixtures("no_rules")
@pytest.mark.parametrize(
    ("chain", "code"),
    [
        (Chain(leaf=LEAF.but(days=(-100, -1))), "expired"),
        (Chain(leaf=LEAF.but(days=(1, 100))), "not-yet-valid"),
        (Chain(leaf=LEAF.but(sans=("other.example.com",))), "san-mismatch"),
        (Chain().but(issuing={"ca": False}), "not-a-ca"),
        (Chain().but(root={"path_length": 0}), "path-length"),
        (Chain(leaf=LEAF.but(unknown=True)), "critical-extension"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refused_handshake_has_the_code_of_its_rule(chain: Chain, code: str) -> None:
    """Without any rule, the handshakes find the defect, and report OpenSSL's reason with the code of the rule."""
    # R28
    found = best_judgment(chain.make().bundle(), Context(host=HOST, now=NOW)).report
    (violation,) = found.violations
    assert violation.code == code
    assert violation.found.startswith("a handshake that OpenSSL refuses: ")
    assert found.checklist[-1].outcome is Outcome.FAILED


@pytest.mark.parametrize("names", [700, 1500], ids=["more than a secret holds", "more than clients read"])
def test_a_chain_that_is_too_large_for_a_secret_is_refused(names: int) -> None:
    """A secret holds 64 KiB, and TLS clients read more, at most 100 KiB. Preview and validate give one verdict."""
    # R28 R40
    sans = (HOST, *(f"{number}.{'long-name' * 6}.example.com" for number in range(names)))
    found = best_judgment(Chain(leaf=LEAF.but(sans=sans)).make().bundle(), Context(host=HOST, now=NOW)).report
    (violation,) = found.violations
    assert violation.code == "unreadable"
    assert "at most 65,536 bytes, which a secret in AWS holds" in violation.message


def test_the_handshakes_are_not_tried_if_a_rule_is_broken() -> None:
    """The line then says that it does not apply."""  # R28
    found = best_judgment(Chain(leaf=LEAF.but(sans=())).make().bundle(), Context(host=HOST, now=NOW)).report
    assert found.checklist[-1].outcome is Outcome.NOT_APPLICABLE
    assert found.checklist[-1].remarks == ("not tried, because another rule is broken",)


@pytest.mark.usefixtures("no_rules")
@pytest.mark.parametrize(
    ("slot", "apply_at", "refused"),
    [
        (Slot.MAIN, None, False),
        (Slot.MAIN, NOW + 400 * DAY, False),
        (Slot.RESERVE, None, False),
        (Slot.RESERVE, NOW + 380 * DAY, False),
        (Slot.RESERVE, NOW + 400 * DAY, True),
        (Slot.RESERVE, NOW - 400 * DAY, False),
    ],
    ids=["main", "main, other time", "reserve, unknown", "reserve, in time", "reserve, too late", "reserve, overdue"],
)
def test_clients_accept_a_reserve_at_its_apply_time(slot: Slot, apply_at: object, *, refused: bool) -> None:
    """Main is checked now, and a reserve at its apply time; now if that time is unknown or past."""  # R21
    context = Context(host=HOST, now=NOW, slot=slot, apply_at=apply_at)  # type: ignore[arg-type]
    found = best_judgment(MADE.bundle(), context).report
    assert [one.code for one in found.violations] == ["expired"] * refused
