"""What was handed in late, by the platform's own time stamps and never by the file system's."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from common.support.errors import UserError
from common.support.text import quoted
from grading.gradebooks.rosters import Roster

_EXAMPLE = "2026-12-01T23:59+01:00"
_NAMED = 3
_WORKSHEET_COLUMN = "Last modified (submission)"
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
# Moodle's strftimedaydatetime in English: "Wednesday, 10 June 2026, 2:14 PM", and with the month
# before the day in the language pack en_us.
_WORKSHEET_TIME = re.compile(
    r"\w+, (?:(?P<day>\d{1,2}) (?P<month>[a-z]+)|(?P<us_month>[a-z]+) (?P<us_day>\d{1,2}),)"
    r" (?P<year>\d{4}), (?P<hour>\d{1,2}):(?P<minute>\d{2})(?: (?P<half>[ap]m))?",
    re.IGNORECASE | re.ASCII,
)

Row = dict[str, Any]


def parse_due(text: str) -> datetime:
    """Read a point in time with its offset from UTC. Raises UserError if it is none."""
    try:
        due = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"--due is {text!r}, but must be a time such as {_EXAMPLE}") from error
    if due.tzinfo is None:
        raise UserError(
            f"--due is {text!r} without an offset from UTC: write it as in {_EXAMPLE}, or with Z"
        )
    return due


def worksheet_times(roster: Roster, due: datetime) -> dict[int, str]:
    """Return when each row of Moodle's worksheet was handed in, as ISO 8601, by its number.

    The worksheet has no time zone: Moodle writes that of whoever downloads it, so it is taken to be
    that of ``due``. What is no time in English is left out.
    """
    if _WORKSHEET_COLUMN not in roster.header:
        return {}
    column = roster.column(_WORKSHEET_COLUMN)
    times = {line: _worksheet_time(row[column], due) for line, row in enumerate(roster.rows)}
    return {line: time.isoformat() for line, time in times.items() if time is not None}


def _worksheet_time(cell: str, due: datetime) -> datetime | None:
    # Later versions of the format separate the time and its half of the day by a narrow space.
    found = _WORKSHEET_TIME.fullmatch(" ".join(cell.split()))
    month = found and (found["month"] or found["us_month"]).lower()
    if not found or month not in _MONTHS:
        return None
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + 12 * (found["half"].lower() == "pm")
    day = int(found["day"] or found["us_day"])
    try:
        return datetime(
            *(int(found["year"]), _MONTHS.index(month) + 1, day, hour, int(found["minute"])),
            tzinfo=due.tzinfo,
        )
    except ValueError:
        return None


def mark_late(rows: Sequence[Row], due: datetime) -> str:
    """Set ``late`` in each row, None where nothing tells, and return a line that counts them.

    A time stamp decides; without one, what Canvas says of its own due date. Verdicts stay.
    """
    counts: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    unknown = []
    for row in rows:
        stamp = row.get("submitted_at")
        late = datetime.fromisoformat(stamp) > due if stamp else row.get("late_on_canvas")
        row["late"] = late
        counts[late] += 1
        unknown += [row["name"]] if late is None else []
    line = f"Due {due.isoformat()}: {counts[True]} late, {counts[False]} in time"
    if any("late_on_canvas" in row for row in rows):
        line += ", by Canvas's own due date"
    if unknown:
        first = ", ".join(map(quoted, unknown[:_NAMED]))
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        line += f"; {len(unknown)} without a time stamp of the platform: {first}{more}"
    return line
