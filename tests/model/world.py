"""The small model: its actors, its states, and the property that every state must have.

A state is the secret with its labels, the schedule, the runs in progress, the certificate that the server presents, one
device with the profiles that wait for it, the certificates of the last push, and the time. A run has the pair as it
observed it, which others may have changed since. One device stands for all, because devices change nothing that other
actors see.

**The property.** A device that accepts the certificate which the server presents accepts the server's certificate at
any later time, if the requirements for others are met:

- R15, R16: between a push and the next switch the device is online. If the profile with the new main still waits for a
  device at a switch, the device is no longer checked.
- R11: runs happen between two times, or not. If no push succeeds until main has expired, the connection is lost. A run
  then loses nothing if it promotes a certificate that no device has.
- R6: the server fetches AWSCURRENT before the certificate that it presents expires.
- R13: a lost connection stays lost: a device is no longer checked after an expired main is followed by a new main
  that no device has.
- A main that the definition distrusts is replaced before devices were sent the next one. A device is not checked any
  more then.
- A run ends before the next time but one. An operator moves labels only while no run is in progress.
- AWS acts on a due schedule before the next time or never, unless the schedule is deleted first. With
  ``Story.picked_up``, AWS may act on it even after it was deleted.

In addition, the checks of ``tests.model.checks`` run on every effect, and these on whole states: only an operator
promotes a certificate that an operator took back; a schedule from before an operator's move has no effect; nothing is
promoted on hold; after an undisturbed run, a second run at the same time finds no pending changes.

Equivalent orders of events are played once. The server and the device act while no run is between its effects, because
a run does not read them again. If no other actor can change the pair, a run observes it together with its effect.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ios_mdm.app.pair.values import PairRequest
from ios_mdm.app.reconcile import ORDER, Stage
from ios_mdm.core.pair.certificate_times import is_valid_at
from ios_mdm.core.pair.facts import Source
from ios_mdm.core.pair.lifecycle import desired_state
from ios_mdm.core.pair.observed import Role
from ios_mdm.core.pair.secret import Label
from ios_mdm.core.pair.steps import Install, Issue, next_step
from tests.model.deciding import OWNER, Armed, Deciding, mask
from tests.model.state import Next, Run, State
from tests.model.story import DEFINITIONS, START
from tests.support.model_pair import CHAIN, SECRET, carried_out, fingerprint, observe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.deciding import Decided, Effect, View
    from tests.model.story import Story
    from tests.support.model_pair import Secret

__all__ = ["World"]

MAX_QUEUE = 2
_POINTS = {
    Stage.WITHDRAW: ("begin",),
    Stage.ARM: ("arm",),
    Stage.CLAIM: (),
    Stage.DELIVER: ("offer", "push", "saved"),
    Stage.ARM_AGAIN: ("arm again",),
}
"""Points in each stage of ``reconcile`` where a run can crash or be overtaken; those of the pair are its effects."""
_VERIFIES = {"arm": "verify", "arm again": "verify again"}
"""Points where a run can crash after it has created a schedule, and before it has read the pair again."""


class World:
    """The possible events.

    Args:
        story: bounds of the search.
    """

    def __init__(self, story: Story) -> None:
        self.story = story
        self._deciding = Deciding(story)
        after_pair = ORDER[ORDER.index(Stage.PAIR) + 1 :]
        self._stages = tuple(point for stage in after_pair for point in _POINTS[stage])
        self._hold = [DEFINITIONS[name].promotion.hold for name in story.definitions]
        self._distrust = [DEFINITIONS[name].distrust for name in story.definitions]

    def start(self) -> State:
        """Return the state in which the story begins."""
        if not self.story.born:
            return State(moment=0, secret=0)
        secret = self._deciding.secret_id(first_pair(Source.INSTALLED if self.story.custom else Source.ISSUED))
        first = mask((1,))
        return State(
            moment=0, secret=secret, served=1, device=first if self.story.device else None, sent=first, carried=first
        )

    def events(self, state: State) -> Iterator[Next]:
        """Return each possible next event; of equivalent states afterwards, only one is returned."""
        for found in self._events(state):
            yield found._replace(state=self._representative(found.state))

    def _representative(self, state: State) -> State:
        """Return the representative of all states that are equivalent to this state.

        A profile stands for all certificates that devices trust by it, including those of the same root. An expired
        certificate cannot become main, so its trust matters only while the server presents it. A profile that changes
        no trust need not wait. Without a checked device, pushes do not matter.
        """
        relevant = self._deciding.relevant(state.secret, state.moment, state.served)
        taken_back = state.taken_back & relevant
        if state.device is None:
            return state._replace(queue=(), carried=0, taken_back=taken_back)
        device = self._deciding.trusted_by(state.secret, state.device) & relevant
        queue: tuple[int, ...] = ()
        for profile in state.queue:
            trusted = self._deciding.trusted_by(state.secret, profile) & relevant
            if trusted != (queue[-1] if queue else device):
                queue = (*queue, trusted)
        return state._replace(device=device, queue=queue, carried=state.carried & relevant, taken_back=taken_back)

    def _events(self, state: State) -> Iterator[Next]:
        yield from self._time(state)
        yield from self._server(state)
        yield from self._device(state)
        yield from self._schedule(state)
        yield from self._operator(state)
        yield from self._operator_events(state)
        yield from self._borrowed_reserve(state)
        if len(state.runs) < self.story.runs:
            for definition in range(len(self.story.definitions)):
                yield from self._starts(state, definition)
        for run in dict.fromkeys(state.runs):
            others = _without(state.runs, run)
            if self.story.dies:
                yield Next(state._replace(runs=others), "the run crashes")
            yield from self._goes_on(state._replace(runs=others), run)

    def _valid(self, state: State, ordinal: int, moment: int) -> bool:
        secret = self._deciding.secrets[state.secret]
        value = None if secret is None else secret.value(ordinal)
        return value is not None and is_valid_at(value.facts, self._deciding.moments[moment])

    def _main(self, state: State) -> int:
        secret = self._deciding.secrets[state.secret]
        return 0 if secret is None else secret.holder(Label.MAIN) or 0

    def _time(self, state: State) -> Iterator[Next]:
        """Time moves on if all actors have met their requirements."""
        now, then = state.moment, state.moment + 1
        if then == len(self.story.moments) or any(run.view[1] != now for run in state.runs):
            return
        if self.story.diligent and not state.done:
            return
        if self._waits_for_server(state):
            return
        main = self._main(state)
        after = state._replace(moment=then, done=False, under_way=0)
        if self._deciding.is_due(state.schedule, now):
            after = after._replace(schedule=0, outdated=False)
        complaint = ""
        if self.story.diligent and not self._valid(state, main, then):
            complaint = f"certificate {main} is main and has expired, although runs were in time"
        yield Next(after, f"time: {self.story.moments[then]}", complaint)

    def _waits_for_server(self, state: State) -> bool:
        """Return whether the server must fetch main before the next time."""
        main, now, then = self._main(state), state.moment, state.moment + 1
        if then == len(self.story.moments) or state.served == main or not self._valid(state, main, then):
            return False
        return self._valid(state, state.served, now) and not self._valid(state, state.served, then)

    def _server(self, state: State) -> Iterator[Next]:
        """The server fetches AWSCURRENT and presents it."""
        main = self._main(state)
        if main in {0, state.served} or (state.runs and not self._waits_for_server(state)):
            return
        yield self._connection(state._replace(served=main), f"the server reloads and presents certificate {main}")

    def _device(self, state: State) -> Iterator[Next]:
        """The device installs the next profile that waits for it."""
        if state.queue and all(run.at in {"saved", "arm again", "verify again"} for run in state.runs):
            after = state._replace(device=state.queue[0], queue=state.queue[1:])
            yield self._connection(after, f"the device gets the profile with {_certificate_numbers(state.queue[0])}")

    def _connection(self, state: State, event: str) -> Next:
        """Return the event, with a complaint if the device does not trust the certificate that the server presents."""
        # A definition that distrusts a certificate removes it from the devices on purpose, also if it is presented.
        is_distrusted = any(fingerprint(state.served) in distrust for distrust in self._distrust)
        lost = state.device is not None and not self._trusts(state, state.device, state.served) and not is_distrusted
        return Next(
            state,
            event,
            f"the device does not trust certificate {state.served}, which the server presents" if lost else "",
        )

    def _trusts(self, state: State, certificates: int, ordinal: int) -> bool:
        """Return whether a device with these certificates in its profile trusts another one by its root (R16)."""
        return bool(self._deciding.trusted_by(state.secret, certificates) >> ordinal & 1)

    def _schedule(self, state: State) -> Iterator[Next]:
        """AWS acts on a schedule that is due."""
        due = self._deciding.is_due(state.schedule, state.moment)
        if due and not self.story.picked_up:
            after = state._replace(schedule=0, outdated=False)
            yield self._schedule_fires(after, state.schedule, outdated=state.outdated)
        if due and not state.under_way:
            yield Next(state._replace(schedule=0, outdated=False), "the schedule is lost")
        if due and self.story.picked_up and not state.under_way and not state.outdated:
            yield Next(state._replace(schedule=0, under_way=state.schedule), "AWS begins to act on the schedule")
        if state.under_way:
            yield self._schedule_fires(state._replace(under_way=0), state.under_way, outdated=False)

    def _schedule_fires(self, state: State, schedule: int, *, outdated: bool) -> Next:
        effect = self._deciding.schedule_effect(schedule, state.secret)
        complaint = (
            "a schedule from before an operator's move reverted the move" if outdated and effect.promoted else ""
        )
        return self._state_after(state, effect, by_run=False, complaint=complaint)

    def _operator(self, state: State) -> Iterator[Next]:
        """An operator moves AWSCURRENT back to the former main, if that is valid."""
        if not self.story.operator or state.runs or state.under_way:
            return
        secret = self._deciding.secrets[state.secret]
        former, main = (None, None) if secret is None else (secret.holder(Label.FORMER), secret.holder(Label.MAIN))
        if secret is None or former is None or main is None or not self._valid(state, former, state.moment):
            return
        after = state._replace(
            secret=self._deciding.secret_id(secret.with_label(Label.MAIN, former)),
            taken_back=(state.taken_back | mask((main,))) & ~mask((former,)),
            # If AWSCURRENT was moved back and forth, it is again where the schedule expects it.
            outdated=state.schedule != 0 and self._deciding.takes_from(state.schedule) != former,
        )
        yield Next(after, f"an operator moves AWSCURRENT back from certificate {main} to {former}")

    def _operator_events(self, state: State) -> Iterator[Next]:
        """An operator removes the record of the certificates that the devices were sent."""
        if self.story.moments[state.moment] not in self.story.forgets or state.runs or not state.secret:
            return
        after = state._replace(secret=self._deciding.forgotten(state.secret))
        if after != state:
            yield Next(after, "an operator removes the record of the sent certificates")

    def _borrowed_reserve(self, state: State) -> Iterator[Next]:
        """An operator lets the server present the waiting reserve, which the device trusts."""
        secret = self._deciding.secrets[state.secret]
        reserve = None if secret is None else secret.holder(Label.RESERVE)
        if not self.story.borrows or state.runs or state.under_way or reserve == state.served:
            return
        if secret is None or reserve is None or secret.is_called_deleted(reserve):
            return
        profiles = () if state.device is None else (state.device, *state.queue)
        is_trusted = bool(profiles) and all(self._trusts(state, profile, reserve) for profile in profiles)
        if is_trusted and self._valid(state, reserve, state.moment):
            event = f"an operator lets the server present certificate {reserve}"
            yield self._connection(state._replace(served=reserve), event)

    def _is_sent(self, state: State, trusted: int) -> bool:
        """Return whether state and secret say that the devices were sent these certificates."""
        return trusted == state.sent and self._deciding.is_noted(state.secret, trusted, state.moment)

    def _state_after(
        self, state: State, effect: Effect, *, by_run: bool, definition: int | None = None, complaint: str = ""
    ) -> Next:
        """Return the state after an effect on the secret, with a complaint; *definition* is that of the run."""
        after = state._replace(secret=effect.secret)
        if effect.promoted is None:
            return Next(after, effect.text, complaint or effect.complaint)
        former, main = effect.promoted
        if state.taken_back >> main & 1:
            complaint = f"an operator took certificate {main} back, but it is main again"
        elif state.on_hold:
            complaint = f"certificate {main} became main although the switch is on hold"
        if (
            state.device is not None
            and not all(self._trusts(state, profile, main) for profile in (state.device, *state.queue))
            and (
                self._is_excused(state, former, main, by_run=by_run)
                or (definition is not None and fingerprint(former) in self._distrust[definition])
            )
        ):
            after = after._replace(device=None, queue=())
        return Next(after, effect.text, complaint or effect.complaint)

    def _is_excused(self, state: State, former: int, main: int, *, by_run: bool) -> bool:
        """Return whether a device that does not trust the new main yet is no longer checked."""
        offline = bool(state.queue) and self._trusts(state, state.queue[-1], main)
        too_late = by_run and not state.carried >> main & 1 and not self._valid(state, former, state.moment)
        secret = self._deciding.secrets[state.secret]
        value = None if secret is None else secret.value(main)
        new = value is not None and value.role is Role.MAIN and not self._valid(state, former, state.moment)
        return offline or too_late or new

    def _starts(self, state: State, definition: int) -> Iterator[Next]:
        """A run observes the pair."""
        view = (definition, state.moment, state.secret, state.served)
        decided = self._deciding.run_decisions(view)
        if decided is None or self._too_many(view):
            return
        after = state if self._hold[definition] else state._replace(on_hold=False)
        name = f"a run with the definition `{self.story.definitions[definition]}`"
        if self.story.runs == 1 and self._finds_nothing_to_do(after, view):
            after = self._record_check(after, view)._replace(done=self.story.diligent)
            yield Next(after, f"{name} finds no pending changes")
        elif "begin" in self._stages or (self.story.runs == 1 and self._leaves_all(state, view)):
            after = self._record_check(after, view)
            yield Next(_with(after, Run(view, self._after_looking(view))), f"{name} observes the pair")
        else:
            yield Next(_with(after, Run(view, "begin")), f"{name} observes the pair")

    def _leaves_all(self, state: State, view: View) -> bool:
        """Return whether there is neither a schedule nor a record of a schedule that the run removes."""
        return not state.schedule and self._deciding.taken_back(view, 0, state.secret) == (0, state.secret)

    def _after_looking(self, view: View) -> str:
        """Return the next point of a run that has observed the pair."""
        decided = self._deciding.run_decisions(view)
        assert decided is not None
        if decided.step is not None:
            return "effect"
        return self._stages[0]

    def _observes(self, state: State, view: View, text: str) -> Next:
        """A run observes the pair again."""
        view = (*view[:2], state.secret, view[3])
        if self._deciding.run_decisions(view) is None:
            return Next(state, f"{text}; it observes the pair, and is refused")
        return Next(_with(state, Run(view, self._after_looking(view))), f"{text}; it observes the pair")

    def _alone(self, state: State) -> bool:
        """Return whether only this run can change the pair before the next time but one; observing is then no event."""
        then = min(state.moment + 1, len(self.story.moments) - 1)
        due = self._deciding.is_due(state.schedule, then)
        return self.story.runs == 1 and not state.under_way and not due

    def _too_many(self, view: View) -> bool:
        """Return whether the next effect creates more certificates than the story allows."""
        decided = self._deciding.run_decisions(view)
        step = None if decided is None else decided.step
        return isinstance(step, Issue | Install) and step.request.ordinal > self.story.highest

    def _finds_nothing_to_do(self, state: State, view: View) -> bool:
        deciding = self._deciding
        decided = deciding.run_decisions(view)
        return (
            decided is not None
            and decided.step is None
            and deciding.taken_back(view, state.schedule, state.secret) == (state.schedule, state.secret)
            and self._is_sent(state, decided.trusted)
            and deciding.arming(view, state.schedule, state.secret, state.moment)
            == Armed(schedule=state.schedule, secret=state.secret)
        )

    def _record_check(self, state: State, view: View) -> State:
        """Record that a run on hold has checked the schedule, while no other run was in progress."""
        alone = all(self._hold[run.view[0]] for run in state.runs)
        return state._replace(on_hold=True) if self._hold[view[0]] and alone else state

    def _goes_on(self, state: State, run: Run) -> Iterator[Next]:
        """A run takes its next action; *state* does not include the run."""
        view, deciding = run.view, self._deciding
        decided = deciding.run_decisions(view)
        assert decided is not None
        match run.at:
            case "begin":
                if self.story.outages and deciding.goes_on_without_scheduler(view):
                    text = "Scheduler does not answer: the run leaves the schedule"
                    yield Next(_with(self._record_check(state, view), Run(view, self._after_looking(view))), text)
                left, secret = deciding.taken_back(view, state.schedule, state.secret)
                outdated = state.outdated and left != 0
                after = self._record_check(state._replace(schedule=left, outdated=outdated, secret=secret), view)
                if secret != state.secret:
                    # The run reads the pair again, without the record.
                    yield self._observes(after, view, "the run withdraws the schedule and its record")
                    return
                text = "the run leaves the schedule" if left == state.schedule else "the run withdraws the schedule"
                if "begin" in self._stages:  # the schedule is withdrawn after the pair was changed
                    yield from self._next_stage(after, run, text)
                else:
                    yield Next(_with(after, Run(view, self._after_looking(view))), text)
            case "effect":
                if self._too_many(view):
                    return
                effect = deciding.step_effect(view, state.secret, state.moment)
                done = self._state_after(state, effect, by_run=True, definition=view[0])
                if effect.refused:
                    yield done
                elif self._alone(state):
                    yield self._observes(done.state, view, done.event)._replace(complaint=done.complaint)
                else:
                    yield done._replace(state=_with(done.state, Run(view, "observe")))
            case "observe":
                yield self._observes(state, view, "the run continues")
            case _:
                yield from self._distributes(state, run, decided)

    def _distributes(self, state: State, run: Run, decided: Decided) -> Iterator[Next]:
        """A run whose pair matches its definition pushes the profile and creates the schedule."""
        view, deciding, trusted = run.view, self._deciding, decided.trusted
        match run.at:
            case "offer" if self._is_sent(state, trusted):
                # Nothing is delivered, so nothing is armed again.
                yield from self._next_stage(state, Run(view, self._stages[-1]), "the profile was sent already")
            case "offer":
                yield from self._offers(state, run, decided)
            case "push":
                yield from self._pushes(state, run, trusted)
            case "saved":
                after = state
                if not self._is_sent(state, trusted):
                    after = state._replace(sent=trusted, secret=deciding.secret_with_record(state.secret, trusted))
                yield from self._next_stage(after, run, "the secret and the engine record the sent certificates")
            case "arm again" if deciding.due(view, state.schedule, state.secret, state.moment) is not None:
                yield from self._applies(state, run)
            case "arm" | "arm again":
                if self.story.outages:
                    text = "Scheduler does not answer: the run arms nothing"
                    yield from self._next_stage(state, run, text, is_complete=False)
                armed = deciding.arming(view, state.schedule, state.secret, state.moment)
                yield from self._arming(state, run, armed, _VERIFIES[run.at] if armed.paused else run.at)
            case _:
                (stage,) = (arm for arm, verify in _VERIFIES.items() if verify == run.at)
                yield from self._arming(
                    state, run, deciding.verified_schedule(view, state.schedule, state.secret), stage
                )

    def _pushes(self, state: State, run: Run, trusted: int) -> Iterator[Next]:
        """A run pushes the profile with these certificates."""
        yield Next(state, "the MDM server is down: the run ends")
        if len(state.queue) == MAX_QUEUE:
            return
        after = state._replace(carried=state.carried | trusted)
        last = state.queue[-1] if state.queue else state.device
        if state.device is not None and last != trusted:
            after = after._replace(queue=(*state.queue, trusted))
        yield from self._next_stage(after, run, f"the run pushes the profile with {_certificate_numbers(trusted)}")

    def _applies(self, state: State, run: Run) -> Iterator[Next]:
        """A run deletes the schedule, promotes the due certificate that was sent, and ends."""
        yield self._promotion(state, run, down=False)
        if self.story.outages:
            yield self._promotion(state, run, down=True)

    def _promotion(self, state: State, run: Run, *, down: bool) -> Next:
        due = self._deciding.due(run.view, state.schedule, state.secret, state.moment, down=down)
        assert due is not None
        answers = "Scheduler does not answer: " if down else ""
        after = state._replace(
            schedule=due.schedule, secret=due.secret, outdated=state.outdated and due.schedule == state.schedule
        )
        if due.step is None:
            return Next(after, f"{answers}the run ends, because the schedule may still fire")
        if after != state:
            return Next(_with(after, run), "the run withdraws the schedule")
        effect = self._deciding.promotion_effect(state.secret, state.moment, due.step)
        done = self._state_after(state, effect, by_run=True, definition=run.view[0])
        ended = self.story.diligent and run.view[1] == state.moment
        text = f"{answers}{done.event}; the run has ended"
        return Next(done.state._replace(done=ended or state.done), text, done.complaint)

    def _offers(self, state: State, run: Run, decided: Decided) -> Iterator[Next]:
        """A run labels the certificates of the profile, and pushes the profile afterwards."""
        view = run.view
        secret = self._deciding.secret_with_offer(state.secret, decided.trusted, state.moment)
        if secret is None:
            yield Next(state, "the run finds that its profile does not cover the pair, and ends")
        elif secret == state.secret:
            yield from self._distributes(state, Run(view, "push"), decided)
        else:
            after = state._replace(secret=secret)
            # The run knows the label that it has just added.
            seen = secret if view[2] == state.secret else view[2]
            yield Next(_with(after, Run((*view[:2], seen, view[3]), "offer")), "the run labels its certificates")

    def _arming(self, state: State, run: Run, armed: Armed, stage: str) -> Iterator[Next]:
        outdated = state.outdated and armed.schedule == state.schedule
        after = state._replace(schedule=armed.schedule, secret=armed.secret, outdated=outdated)
        # The run knows the record that it has just changed.
        run = Run((*run.view[:2], armed.secret if run.view[2] == state.secret else run.view[2], run.view[3]), run.at)
        text = "the run creates the schedule" if armed.paused else "the run is done with the schedule"
        if armed.refused:
            yield Next(after, "the run finds that the pair has changed, withdraws the schedule, and ends")
        elif armed.recorded:
            # The stage is played again from its start, with the record in place. The code under test does not read the
            # pair again before it creates the schedule; it finds changes of the pair afterwards.
            yield Next(_with(after, run), "the run records the promotion")
        elif armed.paused:
            yield Next(_with(after, Run(run.view, stage)), text)
        else:
            yield from self._next_stage(after, Run(run.view, stage), text)

    def _next_stage(self, state: State, run: Run, text: str, *, is_complete: bool = True) -> Iterator[Next]:
        """Take a run to the next stage or to its end; not *is_complete* if an outage left a stage undone."""
        at = self._stages.index(run.at) + 1
        if at < len(self._stages):
            yield Next(_with(state, Run(run.view, self._stages[at])), text)
            return
        undisturbed = run.view[1:] == (state.moment, state.secret, state.served) and self.story.runs == 1
        undisturbed = undisturbed and is_complete and not self.story.outages
        noisy = undisturbed and self.story.seed is None and not self._finds_nothing_to_do(state, run.view)
        complaint = "the run has ended, but a second run at the same time finds pending changes" if noisy else ""
        done = self.story.diligent and run.view[1] == state.moment
        yield Next(state._replace(done=done or state.done), f"{text}; the run has ended", complaint)


def first_pair(source: Source) -> Secret:
    """Return the pair that a first run creates: main, and no reserve yet."""
    wish = DEFINITIONS["auto"]
    setting = PairRequest(definition=wish, secret=SECRET, owner=OWNER, tags={}).setting(None, None)
    secret: Secret | None = None
    while True:
        pair = observe(secret)
        step = next_step(desired_state(wish, pair, START), pair, setting)
        if step is None:
            assert secret is not None
            if source is Source.ISSUED:
                return secret
            value = replace(secret.values[0], facts=replace(secret.values[0].facts, source=source, chain=CHAIN))
            tags = (
                (key, text.replace("source=issued generation=1", f"source={source} chain={CHAIN}"))
                for key, text in secret.tags
            )
            return replace(secret, values=(value,), tags=tuple(tags))
        secret = carried_out(secret, step, observed=pair, now=START)


def _with(state: State, run: Run) -> State:
    return state._replace(runs=tuple(sorted((*state.runs, run))))


def _without(runs: tuple[Run, ...], run: Run) -> tuple[Run, ...]:
    left = list(runs)
    left.remove(run)
    return tuple(left)


def _certificate_numbers(certificates: int) -> str:
    return " and ".join(str(ordinal) for ordinal in range(1, certificates.bit_length()) if certificates >> ordinal & 1)
