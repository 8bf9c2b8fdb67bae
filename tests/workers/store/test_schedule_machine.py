"""Schedules as one machine: whatever their owner and the beats do in whatever order, while the clock goes on, jumps and
runs end: what is written down equals a plain model's, every time once."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from interleaf.errors import VersionStale
from tests.workers.job_store import Store
from tests.workers.store.schedule_hands import ScheduleHands, at_noon
from workers.store.schedule import Schedule
from workers.store.schedule_ticks import LOOK_AGAIN
from workers.store.timetable import Timetable

CRONS = ("*/15 * * * *", "0 * * * *", "20,40 * * * *")
OVERLAPS = ("skip", "queue", "cancel_running")
CATCH_UP = timedelta(hours=1)


class Model:
    """What one schedule must have done, in plain lists; times are minutes, so few that all can be listed."""

    def __init__(self, cron: str, overlap: str, now: datetime) -> None:
        self.cron, self.overlap = cron, overlap
        self.decided_until = now
        self.paused = False
        self.version = 1
        self.runs: list[dict[str, Any]] = []
        """due, outcome, missed, job (a number); runs by hand have hand."""
        self.live: list[int] = []
        self.jobs = 0
        self.looked_at = now

    def tick(self, now: datetime) -> None:
        if self.paused:
            return
        waiting = [run for run in self.runs if run["outcome"] == "waiting"]
        times = list(takewhile(lambda time: time <= now, Timetable(self.cron, None).times(self.decided_until)))
        if not times and (not waiting or now < self.looked_at):
            return
        for run in waiting:
            if self.live:
                break
            self._order(run)
        late = [time for time in times if now - time > CATCH_UP]
        if late:
            self.runs.append({"due": late[0], "outcome": "missed", "missed": len(late)})
        for time in times[len(late) :]:
            run = {"due": time, "outcome": "waiting", "missed": 0}
            self.runs.append(run)
            if self.overlap == "queue":
                if not self.live and sum(one["outcome"] == "waiting" for one in self.runs) == 1:
                    self._order(run)
            elif self.live and self.overlap == "skip":
                run["outcome"] = "skipped"
            else:
                self.live.clear()  # queued jobs are canceled at once
                self._order(run)
        if times:
            self.decided_until = times[-1]
        self.looked_at = now + LOOK_AGAIN

    def hand(self, now: datetime) -> None:
        run = {"due": now, "outcome": "waiting", "missed": 0, "hand": True}
        self.runs.append(run)
        self._order(run)

    def _order(self, run: dict[str, Any]) -> None:
        self.jobs += 1
        run["outcome"], run["job"] = "ordered", self.jobs
        self.live.append(self.jobs)


class ScheduleMachine(RuleBasedStateMachine):
    """Drives schedules and holds them against their models."""

    store: Store
    other: Store

    @initialize(overlap=st.sampled_from(OVERLAPS), cron=st.sampled_from(CRONS))
    def begin(self, overlap: str, cron: str) -> None:
        self.store.clear()
        self.store.clock.now = at_noon(0, seconds=1)
        self.hands = ScheduleHands(self.store)
        self.beats = [self.hands.ticks, self.hands.ticker(self.other)]
        self.schedule: Schedule = self.hands.create(
            cron=cron, overlap=overlap, catch_up_s=int(CATCH_UP.total_seconds()), brief={"instruction": "{{ number }}"}
        )
        self.model = Model(cron, overlap, self.store.clock())

    @rule(minutes=st.sampled_from([1, 7, 15, 60, 200, 1_500]))
    def time_passes(self, minutes: int) -> None:
        self.store.clock.move(60 * minutes)

    @rule(minutes=st.sampled_from([1, 20, 300]))
    def the_clock_is_set_back_and_forward(self, minutes: int) -> None:
        """Meanwhile only such times are decided that were due then and nobody has looked at."""
        self.store.clock.move(-60 * minutes)
        self.beats[0].tick()
        self.model.tick(self.store.clock())
        self.store.clock.move(60 * minutes)

    @rule(beat=st.integers(0, 1), times=st.integers(1, 2))
    def tick(self, beat: int, times: int) -> None:
        for _ in range(times):
            self.beats[beat].tick()
            self.model.tick(self.store.clock())

    @rule()
    def a_run_ends(self) -> None:
        if self.model.live:
            number = self.model.live.pop(0)
            (job_id,) = [run.job_id for run in self.hands.runs(self.schedule) if run.number == number]
            assert job_id is not None
            self.hands.finish(job_id)

    @rule()
    def pause(self) -> None:
        if not self.model.paused:
            # What was due is decided first, even if its turn to be looked at has not come.
            self.model.looked_at = self.store.clock()
            self.model.tick(self.store.clock())
            self.model.paused = True
            self.model.version += 1
        self.hands.schedules.pause(self.schedule.id, self.store.owner)

    @rule()
    def resume(self) -> None:
        if self.model.paused:
            self.model.paused = False
            self.model.version += 1
            self.model.decided_until = self.store.clock()
            self.model.looked_at = self.store.clock() + LOOK_AGAIN
        self.hands.schedules.resume(self.schedule.id, self.store.owner)

    @rule()
    def run_now(self) -> None:
        if any(run.get("hand") and run["due"] == self.store.clock() for run in self.model.runs):
            self.store.clock.move(1)  # or it would be a microsecond later, as another test shows
        self.hands.schedules.trigger(self.schedule.id, self.store.owner)
        self.model.hand(self.store.clock())

    @rule(cron=st.sampled_from(CRONS), overlap=st.sampled_from(OVERLAPS), stale=st.booleans())
    def change(self, cron: str, overlap: str, stale: bool) -> None:
        version = self.model.version - 1 if stale else self.model.version
        try:
            self.hands.schedules.change(self.schedule.id, self.store.owner, version, {"cron": cron, "overlap": overlap})
        except VersionStale:
            assert stale
            return
        assert not stale
        if (cron, overlap) == (self.model.cron, self.model.overlap):
            return
        if not self.model.paused:
            self.model.looked_at = self.store.clock()
            self.model.tick(self.store.clock())
        if cron != self.model.cron:
            self.model.decided_until = self.store.clock()
        self.model.cron, self.model.overlap = cron, overlap
        self.model.version += 1
        self.model.looked_at = self.store.clock() + LOOK_AGAIN

    @invariant()
    def what_is_written_is_what_must_be(self) -> None:
        if not hasattr(self, "model"):
            return
        seen = [
            (run.due_at, run.by_hand, run.outcome, run.missed_count, run.number)
            for run in self.hands.runs(self.schedule)
        ]
        must = [
            (run["due"], run.get("hand", False), run["outcome"], run["missed"], run.get("job"))
            for run in sorted(self.model.runs, key=lambda run: (run["due"], run.get("hand", False)))
        ]
        assert seen == must
        there = self.hands.get(self.schedule)
        assert (there.version, there.run_count) == (self.model.version, self.model.jobs)
        assert (there.paused_at is not None) == self.model.paused
        # Jobs of one moment come in any order, as their ids fall.
        live = sorted(int(job.metadata["number"]) for job in self.hands.jobs() if not job.final)
        assert live == self.model.live


def test_schedules_do_what_a_plain_model_does(store: Store) -> None:
    class Machine(ScheduleMachine):
        pass

    Machine.store = store
    Machine.other = Store(store.url, clock=store.clock)
    assert store.owner
    fast = store.database.kind == "sqlite"
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine,
        settings=settings(max_examples=25 if fast else 8, stateful_step_count=25, deadline=None, database=None),
    )
    Machine.other.database.close()
