"""Years of a pair with custom certificates: files and the permission to read them are added, changed and removed.

The hooks are called in the same way as by the engine, on a store in memory. A run carries out what the preview accepts.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ios_mdm import wiring
from ios_mdm.app.pair.reader import PairReader
from ios_mdm.core.pair.certificate_times import expiry, is_valid_at
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.layout import version_id
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.situation import waiting_reserve
from ios_mdm.core.x509.credential import credential_from_json
from ios_mdm.core.x509.digests import root_digest
from ios_mdm.core.x509.pem import chain as certificates_in
from ios_mdm.errors import DefinitionError, LabelMovedError
from ios_mdm.resources.certificate_pair import CertificatePairProvider
from tests.support.certificates import HOST, ISSUING, LEAF, NOW, ROOT, Chain, pem, private_pem
from tests.support.crashes import Crash, CrashError
from tests.support.dynamic_provider import Engine
from tests.support.long import examples
from tests.support.memory import MemorySecretStore
from tests.support.memory_scheduler import MemoryPrerequisites, MemoryScheduler
from tests.support.pairs import HandClock
from tests.support.wiring import TestWiring

if TYPE_CHECKING:
    from cryptography import x509

    from ios_mdm.core.pair.facts import CertificateFacts
    from ios_mdm.core.pair.observed import ObservedPair
    from tests.support.certificates import Made
    from tests.support.crashes import Edge

SECRET = "ios-mdm/berlin"  # noqa: S105 - a name
OTHER_ROOT = ROOT.but(name="Other", owner="other")
OTHER_ISSUING = ISSUING.but(name="Other issuing", owner="other issuing")
LEAVES = {
    "first": LEAF.but(owner="first", days=(-10, 390)),
    "second": LEAF.but(owner="second", days=(-10, 700)),
    "third": LEAF.but(owner="third", days=(200, 900)),
    "fourth": LEAF.but(owner="fourth", days=(600, 1300)),
    "short": LEAF.but(owner="short", days=(-10, 37)),
    "next short": LEAF.but(owner="next short", days=(20, 67)),
    "useless": LEAF.but(owner="useless", days=(-10, 750), purposes=None),
}
FILES = ("first", "second", "third", "fourth", "short", "next short", "useless", "elsewhere")
CHAINS = ("whole", "renewed", "without root")
NAMES = ("main.pem", "reserve.pem")


@cache
def new_certificate(name: str) -> Made:
    """Return a certificate with its chain."""
    if name == "elsewhere":
        leaf = LEAF.but(owner="elsewhere", days=(-10, 800))
        return Chain(leaf=leaf, issuing=(OTHER_ISSUING,), root=OTHER_ROOT).make()
    return Chain(leaf=LEAVES[name]).make()


@cache
def renewed_chain(name: str) -> tuple[x509.Certificate, ...]:
    """Return the chain above a certificate after a renewal of its CA with the same name and key."""
    if name == "elsewhere":
        return Chain(issuing=(OTHER_ISSUING.but(days=(-800, 1900)),), root=OTHER_ROOT).make().chain[1:]
    return Chain(issuing=(ISSUING.but(days=(-800, 1900)),)).make().chain[1:]


def file(name: str, chain: str) -> bytes:
    """Return a file with a certificate, its key, and one of the valid chains."""
    one = new_certificate(name)
    above = renewed_chain(name) if chain == "renewed" else one.chain[1:]
    return pem(one.leaf, *(above[:-1] if chain == "without root" else above)) + private_pem(one.keys[0])


class CustomLife(RuleBasedStateMachine):
    """One pair, its files, and the state after each run."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock(NOW)
        self.store = MemorySecretStore(clock=self.clock)
        self.scheduler = MemoryScheduler()
        self.roles_and_queues = MemoryPrerequisites()
        self.folder = tempfile.TemporaryDirectory()
        self.engine = Engine(
            provider=CertificatePairProvider(),
            aws=None,  # type: ignore[arg-type]  # nothing here goes to AWS
            program={
                "server": "berlin",
                "secret": SECRET,
                "owner": "organization/ios-mdm/test",
                "aws": {"secretPrefix": "ios-mdm", "tags": {}, "recoveryWindowDays": 30},
                "definition": {"name": "berlin", "address": HOST, "endpoints": []},
                "distributed": False,
            },
        )
        self.patches = (
            patch.object(
                wiring,
                "process_wiring",
                lambda: TestWiring(
                    environ={},
                    base=self.path,
                    memory=self.store,
                    hand_clock=self.clock,
                    schedules=self.scheduler,
                    roles_and_queues=self.roles_and_queues,
                ),
            ),
        )
        for one in self.patches:
            one.start()

    def teardown(self) -> None:
        """Restore the environment."""
        for one in self.patches:
            one.stop()
        self.folder.cleanup()

    # Actions of users and of time.

    @initialize(first=st.sampled_from(["custom", "short", "issued", "adopted"]), chain=st.sampled_from(CHAINS))
    def begins(self, first: str, chain: str) -> None:
        """The first run creates the pair."""
        self.put("main.pem", {"adopted": "useless", "short": "short"}.get(first, "first"), chain)
        self.edit("issue" if first == "issued" else "adopt" if first == "adopted" else "install", "silent")
        self.run()

    @rule(name=st.sampled_from(NAMES), certificate=st.sampled_from(FILES), chain=st.sampled_from(CHAINS))
    def put(self, name: str, certificate: str, chain: str) -> None:
        """A file is added or changed."""
        (self.path / name).write_bytes(file(certificate, chain))

    @rule(name=st.sampled_from(NAMES))
    def lose(self, name: str) -> None:
        """A file is removed."""
        (self.path / name).unlink(missing_ok=True)

    @rule(
        main=st.sampled_from(["install", "install", "adopt", "issue", "replace", "reissue"]),
        reserve=st.sampled_from(["install", "install", "later", "confirmed", "silent", "none", "issue"]),
    )
    def edit(self, main: str, reserve: str) -> None:
        """The definition is edited. If it must name a certificate, it names the correct one."""
        pair = self.pair
        confirmed = {"confirm": _sha256(pair.main.facts)} if pair is not None and pair.main is not None else {}
        issue = {"issue": {"key": "ec-p256"}}
        install: dict[str, Any] = {"install": {"bundle": "main.pem"}}
        mains = {
            "install": install,
            "adopt": {"install": {"bundle": "main.pem", "adopt": True}},
            "issue": issue,
            "replace": {**install, "replaceNow": True, **confirmed},
            "reissue": {**issue, "replaceNow": True, **confirmed},
        }
        waits = None if pair is None or pair.reserve is None else pair.reserve.facts
        reserves: dict[str, Any] = {
            "install": {"install": {"bundle": "reserve.pem"}},
            "later": {"install": {"bundle": "reserve.pem", "apply": {"afterDays": 30}}},
            "confirmed": {"install": {"bundle": "reserve.pem"}, "confirm": _sha256(waits)},
            "silent": None,
            "none": {"none": True, **({} if waits is None else {"confirm": _sha256(waits)})},
            "issue": {"issue": {"when": "now", "apply": {"afterDays": 60}}},
        }
        definition = self.engine.program["definition"]
        definition["main"], definition["reserve"] = mains[main], reserves[reserve]

    @rule(days=st.sampled_from([0, 1, 8, 29, 30, 60, 200, 330]), minutes=st.integers(0, 1440))
    def time_passes(self, days: int, minutes: int) -> None:
        """Time passes without a run."""
        self.clock.moment += timedelta(days=days, minutes=minutes)

    @precondition(lambda self: self.promotion is not None)
    @rule()
    def the_switch_happens(self) -> None:
        """AWS promotes the reserve at its apply time."""
        promote = self.promotion
        assert promote is not None
        with suppress(LabelMovedError):
            self.store.move_label(SECRET, Label.MAIN, to=promote["version"], current=promote["formerVersion"])

    @rule()
    def run(self) -> None:
        """A preview refuses and nothing is written, or a run does what it announced. The next run changes nothing."""
        before = self.pair
        writes = list(self.store.calls)
        refused = self.engine.failures()
        assert self.store.calls == writes
        if refused:
            assert all(text.strip() for text in refused)
            return
        unknown = self.is_unknown
        try:
            self.engine.up()
        except DefinitionError:
            # An interrupted run did not record main, so only the next run can find the error of the definition.
            # An expired main is also replaced by its reserve before an error of the definition is reported.
            assert unknown or self._is_followed(before)
            return
        left = list(self.store.calls)
        assert self.engine.up() == "unchanged"
        assert self.store.calls == left
        self._check_run(before)
        for name in NAMES:
            self._is_not_needed(name)

    @rule(number=st.integers(1, 12), edge=st.sampled_from(["before", "after"]))
    def a_run_dies(self, number: int, edge: Edge) -> None:
        """A run is interrupted at a write, if it makes so many writes. The state does not change."""
        before, unknown = self.pair, self.is_unknown
        if self.engine.failures():
            return
        self.store.fail = Crash(number, edge)
        try:
            self.engine.up()
        except CrashError:
            pass
        except DefinitionError:
            assert unknown or self._is_followed(before)
        finally:
            self.store.fail = None

    # Invariants.

    @invariant()
    def stored_certificates_can_be_used(self) -> None:
        """Every version is a certificate with its chain, root and key."""
        if self.pair is None:
            return
        for version in self.store._secrets[SECRET].versions.values():
            credential_from_json(version.value)

    def _check_run(self, before: ObservedPair | None) -> None:
        """R21, R24, R32: check the certificates that a run has stored."""
        pair, now = self.pair, self.clock.now()
        assert pair is not None
        assert pair.main is not None
        main = pair.main.facts
        assert main is not None
        was = None if before is None or before.main is None else before.main.facts
        if was is not None and main.sha256 != was.sha256:
            assert is_valid_at(main, now), "a new main is valid"
        facts = None if pair.reserve is None else pair.reserve.facts
        if facts is not None and (before is None or before.version_of(facts.ordinal) is None):
            assert is_valid_at(facts, now), "a new reserve is valid"
            if facts.source is Source.INSTALLED:
                assert expiry(facts) > expiry(main), "a new reserve outlives main"
            if facts.source is main.source is Source.INSTALLED:
                assert facts.root == main.root, "a new reserve has the root of main"
        for version in pair.versions:
            if version.facts is not None and version.facts.source is Source.INSTALLED:
                value = self.store.read(SECRET, version_id(SECRET, version.facts.ordinal))
                assert value is not None
                (root,) = certificates_in(json.loads(value)["ca.crt"])
                assert root_digest(root) == version.facts.root

    def _is_followed(self, before: ObservedPair | None) -> bool:
        """R11, R32: return whether an expired main was replaced by its reserve."""
        assert before is not None
        assert before.main is not None
        assert before.main.facts is not None
        pair = self.pair
        assert pair is not None
        reserve = waiting_reserve(before)
        expired = self.clock.now() >= expiry(before.main.facts)
        return expired and pair.main is not None and reserve is not None and pair.main.ordinal == reserve.ordinal

    def _is_not_needed(self, name: str) -> None:
        """R18: check that a run needs no file after everything is stored."""
        path = self.path / name
        if not path.exists():
            return
        data = path.read_bytes()
        path.unlink()
        writes = list(self.store.calls)
        assert self.engine.up() == "unchanged"
        assert self.store.calls == writes
        path.write_bytes(data)

    @property
    def path(self) -> Path:
        """Return the project folder."""
        return Path(self.folder.name)

    @property
    def pair(self) -> ObservedPair | None:
        """Return the current pair."""
        return PairReader(self.store, self.clock).observe(SECRET)

    @property
    def is_unknown(self) -> bool:
        """Whether main is not recorded yet."""
        pair = self.pair
        return pair is not None and pair.main is not None and pair.main.facts is None

    @property
    def promotion(self) -> dict[str, Any] | None:
        """The promotion that is due; None if no promotion is due."""
        outputs = self.engine.outputs
        promote = None if outputs is None else outputs["switch"].get("promote")
        return promote if promote is not None and promote["at"] <= f"{self.clock.now():%Y-%m-%dT%H:%M:%SZ}" else None


CustomLife.TestCase.settings = settings(
    max_examples=examples(100),
    stateful_step_count=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestCustomLife(CustomLife.TestCase):  # type: ignore[misc, valid-type]  # hypothesis makes it when asked for it
    """R4 R18 R21 R22 R24 R30 R32 R49: the rules and invariants of :class:`CustomLife`."""


def _sha256(facts: CertificateFacts | None) -> str:
    return "0" * 64 if facts is None else facts.sha256
