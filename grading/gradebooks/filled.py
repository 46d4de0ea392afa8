"""A platform's list of students, filled in with grades as the platform's own rules want it.

The rules are data, one description a platform in grading/platforms. No live platform was tried.
"""

import csv
import html
import io
import re
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from common.support.text import quoted
from evaluations.names import name_key
from evaluations.rows import Row
from grading.gradebooks.feedback import feedback_text
from grading.gradebooks.late import worksheet_times
from grading.gradebooks.matching import Matching, match
from grading.gradebooks.points import points
from grading.gradebooks.rosters import Roster, Student, read_roster
from grading.gradebooks.spreadsheets import is_formula, spreadsheet_cell
from grading.platforms.back import Back
from grading.platforms.upload import Platform

_NEW_TITLE = "Classifier"  # of a grade's column that no list has
_MAXIMUM = re.compile(r"\d+(?:[.,]\d+)?", re.ASCII)


class Form(NamedTuple):
    """A list of students, with a column for each thing that is written, and where these are."""

    platform: Platform
    back: Back
    roster: Roster  # titles are those of the description
    written: list[str]  # the titles as they are written
    columns: list[int]  # that are written, in order
    keys: list[int]
    grade: int
    students: list[Student]


def read_form(platform: Platform, path: Path, assignment: str | None) -> Form:
    """Read the list at ``path``, in whose column ``assignment`` the grades go.

    Raises UserError if it is not the platform's, or the column is not one of its own.
    """
    roster = read_roster(path, platform.backs[0].lines_before)
    for back in platform.backs:
        translated = [*back.translate(roster.header, roster.rows)]
        known = roster._replace(header=translated)
        if _fits(back, translated):
            return _form(platform, back, known, roster.header, assignment)
    raise roster.error(f" is no {platform.backs[-1].needs}")


def form_without_list(platform: Platform, results: list[Row]) -> Form:
    """Make the list of students of what the platform's download says of whose each row is.

    Whom its file could not name is not in it.
    """
    (back,) = platform.backs
    header = [back.keys[0], back.grade, *(title for title, _, _ in back.fill)]
    said = (row.get("student") for row in results)
    keys = dict.fromkeys(key for key in said if isinstance(key, str) and _can_be_named(back, key))
    roster = Roster(Path(), header, [[key] + [""] * (len(header) - 1) for key in keys])
    return _form(platform, back, roster, header, None)


def _can_be_named(back: Back, key: str) -> bool:
    is_plain = back.is_quoted or not re.search(r'[,"\r\n]', key)
    return bool(key.strip()) and key.isprintable() and not is_formula(key) and is_plain


def _fits(back: Back, header: list[str]) -> bool:
    has_key = any(key in header for key in back.keys)
    return has_key and (not back.grade or bool(back.example) or back.grade in header)


def _form(
    platform: Platform, back: Back, roster: Roster, written: list[str], assignment: str | None
) -> Form:
    grade = _title_of_grade(back, platform, roster, assignment)
    added = [] if back.grade else [grade]
    added += [title for title, _, _ in back.fill if title not in roster.header]
    added += [back.comment] * (bool(back.comment) and not back.is_whole)
    rows = [row + [""] * len(added) for row in roster.rows]
    roster = roster._replace(header=[*roster.header, *added], rows=rows)
    keys = [roster.column(key) for key in back.keys if key in roster.header]
    if back.is_whole:
        columns = [*range(len(roster.header))]
    else:
        before = [*range(roster.column(back.until) + 1)] if back.until else keys
        filled = [grade, *(title for title, _, _ in back.fill), *added]
        columns = list(dict.fromkeys([*before, *map(roster.column, filled)]))
    students = _students(back, roster, keys)
    form = Form(
        *(platform, back, roster, [*written, *added], columns, keys, roster.column(grade)), students
    )
    for student in students:
        _maximum(form, student.line)
    return form


def _title_of_grade(back: Back, platform: Platform, roster: Roster, wanted: str | None) -> str:
    """Return the title of the column for the grades. Raises UserError unless it is one."""
    if not back.example:
        return back.grade or wanted or _NEW_TITLE
    # What is written in any case is no assignment's.
    start = roster.column(back.until) + 1 if back.until else 0
    found = {title: m for title in roster.header[start:] if (m := re.fullmatch(back.grade, title))}
    if not found:
        raise roster.error(
            f" has no assignment such as {quoted(back.example)}: create it in {platform.title}, "
            "and export the list again"
        )
    by_title = {title: (title, match["title"]) for title, match in found.items()}
    chosen = [title for title in found if wanted in (None, title)]
    chosen = chosen or [
        title for title, names in by_title.items() if name_key(wanted or "") in map(name_key, names)
    ]
    if len(chosen) != 1:
        names = ", ".join(map(quoted, found))
        raise roster.error(f" has the assignments {names}: name one of them with --assignment")
    return chosen[0]


def _students(back: Back, roster: Roster, keys: list[int]) -> list[Student]:
    header = roster.header
    also = [header.index(title) for title in back.also if title in header]
    names = [header.index(title) for title in back.names if title in header]
    team_at = header.index(back.team) if back.team and back.team in header else None
    students = []
    for line, row in enumerate(roster.rows):
        own = [row[at].strip().removeprefix(back.mark) for at in keys if row[at].strip()]
        if not own:
            continue  # such as the row of points
        found = re.search(r"(\d+)$", own[0]) if back.is_numbered else None
        other = [row[at].removeprefix(back.mark) for at in also if not is_formula(row[at])]
        team = row[team_at].strip() if team_at is not None else ""
        student = roster.student(
            line,
            found[1] if found else "",
            [back.called.format(own[0]), *own, *other],
            _names(" ".join(row[at].strip() for at in names).strip(), team),
        )
        students.append(student._replace(team=team))
    return students


def _names(name: str, team: str) -> list[str]:
    """Return what a person may be called: "Lee, Ann" is Ann Lee, and in a team of "A" A Ann Lee."""
    last, comma, first = name.partition(", ")
    turned = [f"{first} {last}"] if comma and "," not in first else []
    return [name, *turned, *([f"{team} {name}"] if team and name else [])]


def _maximum(form: Form, line: int) -> str:
    """Return the points of a student's assignment. Raises UserError if they are no number."""
    back, roster = form.back, form.roster
    if not back.maximum:
        found = re.fullmatch(back.grade, roster.header[form.grade]) if back.example else None
        return (found and found.groupdict().get("max")) or "100"
    cell = roster.rows[line][roster.column(back.maximum)].strip()
    if not _MAXIMUM.fullmatch(cell):
        raise roster.error(
            f": the {back.maximum} in row {line + 2} is {quoted(cell)}, but must be a number: "
            f"give the assignment points in {form.platform.title}, and download the list again"
        )
    return cell


def fill_in(form: Form, results: list[Row], threshold: float) -> tuple[str, Matching]:
    """Return the platform's file, and who was matched with what."""
    back, roster = form.back, form.roster
    matching = match_in(form, results)
    table = [*roster.before, *([[form.written[at] for at in form.columns]] * back.has_header)]
    students = {student.line for student in form.students}
    for line, cells in enumerate(roster.rows):
        row = matching.by_line.get(line)
        is_written = row is not None and row["status"] != "error"
        is_kept = back.keeps and line in students
        if is_written or is_kept or (back.always and back.always in cells[0]):
            filled = [
                cell if at in form.keys or at == form.grade else spreadsheet_cell(cell)
                for at, cell in enumerate(cells)
            ]
            if row is not None:
                _fill(form, filled, line, row, threshold)
            table.append([filled[at] for at in form.columns])
    return _text(form, table), matching


def match_in(form: Form, results: list[Row]) -> Matching:
    """Find the student of each submission in the list."""
    if form.back.needs:
        return match(results, form.students, form.back)
    nobody = f"has no {form.back.keys[0]} of {form.platform.title} that could be written"
    return match(results, form.students, form.back, nobody)


def _fill(form: Form, cells: list[str], line: int, row: Row, threshold: float) -> None:
    back, header = form.back, form.roster.header
    # Moodle takes a comment for HTML, and shows it to the teacher too.
    if back.comment and back.comment in header:
        text = html.escape(feedback_text(row, threshold), quote=False)
        cells[header.index(back.comment)] = text
    if row["status"] == "error":
        return
    maximum = _maximum(form, line)
    is_comma = "," in maximum or (back.is_local and form.roster.delimiter == ";")
    grade = points(row, threshold, float(maximum.replace(",", ".")), back.decimals)
    cells[form.grade] = f"{grade.replace('.', ',') if is_comma else grade}{back.unit}"
    for title, failed, passed in back.fill:
        cells[header.index(title)] = passed if row["status"] == "pass" else failed


def _text(form: Form, table: list[list[str]]) -> str:
    back, buffer = form.back, io.StringIO()
    writer = csv.writer(
        buffer,
        delimiter=form.roster.delimiter if back.is_local else ",",
        quoting=csv.QUOTE_ALL if back.is_quoted else csv.QUOTE_NONE,
        quotechar='"' if back.is_quoted else None,
        # Sakai reads a backslash as the start of two signs that are one.
        escapechar="\\" if back.is_local else None,
        lineterminator="\n",
    )
    writer.writerows(table)
    return buffer.getvalue()


def stamp(form: Form, results: list[Row], due: datetime) -> None:
    """Set in each row when it was handed in, as far as the list tells."""
    times = worksheet_times(form.roster, due)
    for line, row in match_in(form, results).by_line.items():
        if line in times:
            row["submitted_at"] = times[line]
