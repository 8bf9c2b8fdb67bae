"""When schedules are due: clocks set forward and back, ends, and expressions that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.errors import InvalidRequest
from workers.store.timetable import Timetable, jittered

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
# Both hemispheres, and one whose clocks go by half an hour: their changes of 2027.
CHANGES = {
    "Europe/Berlin": (datetime(2027, 3, 28, tzinfo=UTC), datetime(2027, 10, 31, tzinfo=UTC)),
    "America/New_York": (datetime(2027, 3, 14, tzinfo=UTC), datetime(2027, 11, 7, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2027, 10, 2, tzinfo=UTC), datetime(2027, 4, 3, tzinfo=UTC)),
}


def year_of(cron: str, zone: str) -> list[datetime]:
    """All times of 2027 in that zone."""
    first = datetime(2027, 1, 1, tzinfo=ZoneInfo(zone))
    last = datetime(2028, 1, 1, tzinfo=ZoneInfo(zone))
    times = Timetable(cron, None, zone).times(first - timedelta(microseconds=1))
    return list(takewhile(lambda time: time < last, times))


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("cron", ["30 2 * * *", "0 3 * * *", "15 1 * * *"])
def test_a_time_of_day_is_due_once_a_day_through_a_year(zone: str, cron: str) -> None:
    times = year_of(cron, zone)
    days = [time.astimezone(ZoneInfo(zone)).date() for time in times]
    assert len(days) == len(set(days)) == 365


@pytest.mark.parametrize("zone", CHANGES)
def test_every_half_hour_goes_on_through_both_changes(zone: str) -> None:
    times = year_of("*/30 * * * *", zone)
    assert len(times) == len(set(times))
    gaps = {b - a for a, b in pairwise(times)}
    assert gaps == {timedelta(minutes=30)}, "neither a gap nor a double"


def test_a_time_that_does_not_exist_is_due_when_the_gap_is_over() -> None:
    times = Timetable("30 2 * * *", None, "Europe/Berlin").times(datetime(2027, 3, 27, 12, tzinfo=UTC))
    assert next(times) == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)  # 03:00 in summer time
    assert next(times) == datetime(2027, 3, 29, 0, 30, tzinfo=UTC)


def test_once() -> None:
    at = datetime(2027, 1, 1, 8, tzinfo=ZoneInfo("Asia/Tokyo"))
    table = Timetable(None, at)
    assert table.after(NOW) == at and table.after(at) is None
    assert table.after(NOW).tzinfo is UTC  # type: ignore[union-attr]


def test_from_its_beginning_to_its_end() -> None:
    starts, ends = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 3, tzinfo=UTC)
    table = Timetable("0 0 * * *", None, "UTC", starts, ends)
    assert list(table.times(NOW)) == [starts, starts + timedelta(days=1)], "the beginning counts, the end does not"
    assert table.after(ends) is None


def test_the_next_five_as_a_person_reads_them() -> None:
    found = Timetable("0 9 * * MON", None, "Europe/Berlin").next_times(NOW)
    assert [time.isoformat() for time in found][:2] == ["2026-11-30T09:00:00+01:00", "2026-12-07T09:00:00+01:00"]
    assert len(found) == 5


@given(
    st.sampled_from(["*/7 * * * *", "5 4 * * *", "0 12 1 * *", "30 2 * * SUN", "0 0 29 2 *", "59 23 L * *"]),
    st.sampled_from(sorted(CHANGES)),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
)
def test_times_rise_and_asking_in_between_gives_the_same(cron: str, zone: str, moment: datetime) -> None:
    table, after = Timetable(cron, None, zone), moment.replace(tzinfo=UTC)
    times = table.times(after)
    first, second, third = next(times), next(times), next(times)
    assert after < first < second < third
    assert table.after(first) == second and table.after(second - timedelta(microseconds=1)) == second


@given(st.integers(0, 3600), st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)))
def test_jitter_is_bounded_and_the_same_each_time(jitter_s: int, moment: datetime) -> None:
    due = moment.replace(tzinfo=UTC)
    found = jittered(due, "sch_1", jitter_s)
    assert due <= found <= due + timedelta(seconds=jitter_s)
    assert found == jittered(due, "sch_1", jitter_s)


@pytest.mark.parametrize(
    ("table", "field"),
    [
        (Timetable("* * * *", None), "cron"),
        (Timetable("* * * * * *", None), "cron"),
        (Timetable("61 * * * *", None), "cron"),
        (Timetable("0 0 31 2 *", None), "cron"),
        (Timetable("\x1b[2J * * * *", None), "cron"),
        (Timetable("0" * 300 + " * * * *", None), "cron"),
        (Timetable(None, None), "cron"),
        (Timetable("* * * * *", NOW), "cron"),
        (Timetable("* * * * *", None, "Mars/Olympus"), "time_zone"),
        (Timetable("* * * * *", None, "../../etc/passwd"), "time_zone"),
        (Timetable(None, NOW - timedelta(days=1)), "at"),
        (Timetable("* * * * *", None, "UTC", None, NOW), "cron"),
        (Timetable("* * * * *", None, "UTC", NOW, NOW - timedelta(days=1)), "ends_at"),
    ],
)
def test_what_is_no_timetable_is_refused_by_its_field(table: Timetable, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        table.require(NOW)
    assert refused.value.args[0] == field
