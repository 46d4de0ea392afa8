"""What was handed in late, by the platform's own time stamps and never by the file system's."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from common.support.errors import UserError
from evaluations.rows import Row
from grading.gradebooks.matching import listed
from grading.gradebooks.rosters import Roster

_EXAMPLE = "2026-12-01T23:59+01:00"
_WORKSHEET_COLUMN = "Last modified (submission)"
# Moodle's strftimedaydatetime without the weekday: "10 June 2026, 2:14 PM", with the month before
# the day in the language pack en_us, and "10. Juni 2026, 14:14" in German.
_WORKSHEET_TIMES = [
    f"{day} %Y, {time}" for day in ("%d %B", "%B %d,", "%d. %B") for time in ("%I:%M %p", "%H:%M")
]
_GERMAN = {"Januar": "January", "Februar": "February", "März": "March", "Mai": "May"}
_GERMAN |= {"Juni": "June", "Juli": "July", "Oktober": "October", "Dezember": "December"}


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
    that of ``due``. What is no time in English or German is left out.
    """
    if _WORKSHEET_COLUMN not in roster.header:
        return {}
    column = roster.column(_WORKSHEET_COLUMN)
    times = {}
    for line, row in enumerate(roster.rows):
        # Later versions of the format separate the time and its half of the day by a narrow space.
        words = row[column].partition(", ")[2].split()
        text = " ".join(_GERMAN.get(word, word) for word in words)
        for form in _WORKSHEET_TIMES:
            with contextlib.suppress(ValueError):
                time = datetime.strptime(text, form).replace(tzinfo=due.tzinfo)
                times[line] = time.isoformat()
    return times


def mark_late(rows: Sequence[Row], due: datetime) -> str:
    """Set ``late`` in each row, None where nothing tells, and return a line that counts them.

    A time stamp decides, in the zone of ``due`` if it names none; without one, what Canvas says of
    its own due date. Verdicts stay.
    """
    for row in rows:
        row["late"] = row.get("late_on_canvas")
        if stamp := row.get("submitted_at"):
            time = datetime.fromisoformat(stamp)
            row["late"] = (time if time.tzinfo else time.replace(tzinfo=due.tzinfo)) > due
    counts = Counter(row["late"] for row in rows)
    line = f"Due {due.isoformat()}: {counts[True]} late, {counts[False]} in time"
    if any("late_on_canvas" in row for row in rows):
        line += ", by Canvas's own due date"
    if unknown := [row["name"] for row in rows if row["late"] is None]:
        line += f"; {len(unknown)} without a time stamp of the platform: {listed(unknown)}"
    return line
