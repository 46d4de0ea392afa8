"""Grades as course platforms import them: Canvas and Moodle.

The rules are those of the platforms' documentation and sources (Canvas: gradebook_importer.rb;
Moodle: grade import, and the assignment's offline grading worksheet). No live platform was tried.
"""

import html
import re
from datetime import datetime

from common.measuring import Row
from common.support.text import accuracy_text, name_key, quoted
from grading.gradebooks.feedback import feedback_text
from grading.gradebooks.late import worksheet_times
from grading.gradebooks.rosters import Matching, Roster, Student, canvas_pairs, match, moodle_pairs
from grading.gradebooks.spreadsheets import is_formula, spreadsheet_cell
from grading.gradebooks.worksheets import in_english

Table = list[list[str]]

# What Moodle's lists of participants call what a grade can be imported by.
_MOODLE_KEYS = ("Username", "ID number", "Email address")

# A worksheet has the first of them, a list of participants the others.
_NAME_COLUMNS = ("Full name", "First name", "Last name")


class Canvas:
    """The gradebook's CSV: the roster's own columns up to Section, and one assignment.

    Grades are percentages, which Canvas takes of the points possible. Whoever has no graded
    submission keeps the cell of the roster, which Canvas takes for "no change".

    Raises UserError if the roster is not the gradebook's export, or the assignment is not one of
    its columns.
    """

    def __init__(self, roster: Roster, assignment: str | None) -> None:
        header = roster.header
        if len(header) < 4 or "Student" not in header[0] or "ID" not in header[1]:
            raise roster.error(
                " is no export of Canvas's gradebook: choose Export in the course's Grades, and "
                "give that file"
            )
        self.roster = roster
        self.info = roster.column("Section") + 1
        self.assignment = self._find_assignment(assignment)
        self.students = []
        for line, row in enumerate(roster.rows):
            if number := row[1].strip():
                last, comma, first = row[0].partition(", ")
                names = [row[0], *([f"{first} {last}"] if comma and "," not in first else [])]
                student = roster.student(line, number, row[1 : self.info - 1], names)
                self.students.append(student)

    def _find_assignment(self, title: str | None) -> int:
        columns = self.roster.header[self.info :]
        assignments = [name for name in columns if re.search(r" \(\d+\)$", name)]
        wanted = [name for name in assignments if title in (None, name)]
        if title and not wanted:
            wanted = [name for name in assignments if name_key(title) == name_key(name)]
        if not assignments:
            raise self.roster.error(
                " has no assignment such as 'MNIST (1234)': create it in Canvas, and export the "
                "gradebook again"
            )
        if len(wanted) != 1:
            names = ", ".join(map(quoted, assignments))
            raise self.roster.error(
                f" has the assignments {names}: name one of them with --assignment"
            )
        return self.roster.column(wanted[0])

    def table(self, results: list[Row], threshold: float) -> tuple[Table, Matching]:
        """Return the file's rows, and who was matched with what."""
        matching = match(results, self.students, canvas_pairs)
        grades = matching.graded
        table = [[*self.roster.header[: self.info], self.roster.header[self.assignment]]]
        lines = {student.line for student in self.students}
        for line, row in enumerate(self.roster.rows):
            if line in lines or "Points Possible" in row[0]:
                cell = row[self.assignment]
                if line in grades:
                    cell = f"{accuracy_text(grades[line]['accuracy'], threshold)}%"
                table.append([spreadsheet_cell(row[0]), *row[1 : self.info], cell])
        return table, matching


class Moodle:
    """The assignment's offline grading worksheet, filled in, or a CSV for the gradebook's import.

    Which of them, the roster tells. Grades are scaled to the worksheet's Maximum Grade; in the
    other file they are percentages. A single unknown user or word in place of a number makes
    Moodle refuse a whole file, so there are none: without a graded submission a worksheet's row
    stays as it was, and the other file has no row.

    Raises UserError if the roster has neither an Identifier nor one of the columns that Moodle
    imports by.
    """

    def __init__(self, roster: Roster, assignment: str | None) -> None:
        self.written_header = roster.header
        roster = in_english(roster)
        self.roster, self.title = roster, assignment or "Classifier"
        self.is_worksheet = "Identifier" in roster.header and "Grade" in roster.header
        keys = ("Identifier",) if self.is_worksheet else _MOODLE_KEYS
        self.keys = [roster.column(key) for key in keys if key in roster.header]
        if not self.keys:
            raise roster.error(
                " is neither Moodle's offline grading worksheet (columns Identifier and Grade) nor "
                f"a list of participants (column {' or '.join(_MOODLE_KEYS)}): download one of "
                "them in English"
            )
        if self.is_worksheet:
            self.maxima = [self._maximum(line, row) for line, row in enumerate(roster.rows)]
        names = [roster.header.index(name) for name in _NAME_COLUMNS if name in roster.header]
        self.students = [self._student(line, row, names) for line, row in enumerate(roster.rows)]

    def _student(self, line: int, row: list[str], names: list[int]) -> Student:
        header, number, identifiers = self.roster.header, "", [row[i] for i in self.keys]
        if self.is_worksheet:
            found = re.search(r"(\d+)$", identifiers[0].strip())
            number = found[1] if found else ""
            cells = [cell for name, cell in zip(header, row, strict=True) if name in _MOODLE_KEYS]
            identifiers += [cell for cell in cells if not is_formula(cell)]
        shown = [" ".join(row[i] for i in names)]
        if shown[0].strip() and "Group" in header:
            # What a team hands in has the team's name before the person's.
            shown.append(f"{row[header.index('Group')]} {shown[0]}")
        student = self.roster.student(line, number, identifiers, shown)
        team = row[header.index("Group")].strip() if "Group" in header else ""
        return student._replace(team=team)

    def _maximum(self, line: int, cells: list[str]) -> float:
        cell = cells[self.roster.column("Maximum Grade")]
        if not re.fullmatch(r"\d+([.,]\d+)?", cell.strip(), re.ASCII):
            raise self.roster.error(
                f": the Maximum Grade in row {line + 2} is {quoted(cell)}, but must be a number: "
                "give the assignment points in Moodle, and download the worksheet again"
            )
        return float(cell.replace(",", "."))

    def table(self, results: list[Row], threshold: float) -> tuple[Table, Matching]:
        """Return the file's rows, and who was matched with what."""
        matching = match(results, self.students, moodle_pairs)
        if self.is_worksheet:
            return self._worksheet(matching, threshold), matching
        table = [[*(self.roster.header[key] for key in self.keys), self.title, "Feedback"]]
        for line, row in sorted(matching.graded.items()):
            ids = [self.roster.rows[line][key] for key in self.keys]
            grade = accuracy_text(row["accuracy"], threshold)
            table.append([*ids, grade, _feedback_html(row, threshold)])
        return table, matching

    def _worksheet(self, matching: Matching, threshold: float) -> Table:
        header, grades = self.roster.header, matching.graded
        table = [self.written_header]
        for line, cells in enumerate(self.roster.rows):
            filled = [spreadsheet_cell(cell) for cell in cells]
            if line in grades:
                share = self.maxima[line] / 100
                grade = accuracy_text(grades[line]["accuracy"] * share, threshold * share)
                if "," in cells[header.index("Maximum Grade")]:
                    grade = grade.replace(".", ",")
                filled[header.index("Grade")] = grade
            if line in matching.by_line and "Feedback comments" in header:
                comment = _feedback_html(matching.by_line[line], threshold)
                filled[header.index("Feedback comments")] = comment
            table.append(filled)
        return table

    def stamp(self, results: list[Row], due: datetime) -> None:
        """Set in each row when it was handed in, as far as the worksheet tells."""
        times = worksheet_times(self.roster, due)
        matching = match(results, self.students, moodle_pairs)
        for line, row in matching.by_line.items():
            if line in times:
                row["submitted_at"] = times[line]


def _feedback_html(row: Row, threshold: float) -> str:
    # Moodle takes a comment for HTML, and shows it to the teacher too.
    return html.escape(feedback_text(row, threshold), quote=False)
