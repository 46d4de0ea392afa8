"""Rosters as spreadsheet programs and platforms really save them."""

import csv
import io
import json

import pytest

from common.support.errors import UserError
from evaluations.words import preprocessing_text
from grading.gradebooks.gradebook import Gradebook, grades_csv
from grading.gradebooks.rosters import read_roster
from tests.grading.gradebooks.examples import WORKSHEET, document, fill_in, graded, written

HEADER = ["Student", "ID", "SIS User ID", "Section", "Lab; 1, x (7)"]
NAMES = ("Müller", "O’Neill", "José-María", "Ångström", "Weiß", "Šárka", "MÜLLER")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_rosters_are_read_in_every_form_with_one_meaning(tmp_path, encoding, delimiter):
    path = tmp_path / "roster.csv"
    rows = [HEADER, *([f"{name}, X", str(n), f"S{n}", "A", ""] for n, name in enumerate(NAMES))]
    lines = (delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    path.write_bytes("\r\n".join(lines).encode(encoding))
    roster = read_roster(path)
    assert roster.header == HEADER
    assert [row[0] for row in roster.rows] == [f"{name}, X" for name in NAMES]
    assert ("read as Windows-1252" in roster.note) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("Иванов", "cp1251"),
        ("Иванов", "koi8-r"),
        ("Παπαδόπουλος", "cp1253"),
        ("张伟", "gbk"),
        ("José", "mac-roman"),
        ("Müller", "mac-roman"),
        ("Núñez", "mac-roman"),
        ("José", "cp850"),
        ("김민준", "cp949"),
    ],
)
def test_rosters_with_several_meanings_are_refused(tmp_path, name, encoding):
    (tmp_path / "roster.csv").write_bytes(f"Student,ID\n{name},1\n".encode(encoding))
    with pytest.raises(UserError, match=r"is not UTF-8: export it again as CSV \(UTF-8\)"):
        read_roster(tmp_path / "roster.csv")


def test_windows_roster_is_filled_in_and_said(tmp_path):
    (tmp_path / "roster.csv").write_bytes("\r\n".join(WORKSHEET).encode("cp1252"))
    said = Gradebook("moodle", tmp_path / "roster.csv", None).write(
        document(graded("Bob Müller_202_assignsubmission_file", 9712)), tmp_path
    )
    assert said.lost == []
    assert said.lines[2].endswith("was read as Windows-1252: check the accents in the names")
    assert "Bob Müller" in (tmp_path / "moodle.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Student,ID,x,y\na,1,2,3\n", "has no column called 'Section', but needs one: export it"),
        ("Student,ID,Section,Section,L (1)\na,1,2,3\n", "has 2 columns called 'Section'"),
        ("Student,ID,x,Section,y\na,1,2,3\n", "has no assignment such as 'MNIST \\(1234\\)'"),
    ],
)
def test_canvas_roster_without_a_needed_column_says_what_to_do(tmp_path, text, complaint):
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(UserError, match=complaint):
        Gradebook("canvas", tmp_path / "roster.csv", None)


INFERRED = {"name": "unit", "mean": 0.0, "std": 1.0, "source": "inferred"}


@pytest.mark.parametrize(
    ("preprocessing", "text"),
    [
        (None, ""),
        ({"name": "recipe", "mean": 0.1307, "std": 0.3081, "source": "given"}, ""),
        (INFERRED, "pixels in [0, 1] (inferred)"),
        ({**INFERRED, "name": "half", "source": "declared"}, "pixels in [-1, 1] (declared)"),
        ({**INFERRED, "name": "raw", "source": "given"}, "pixels from 0 to 255 (given)"),
        ({**INFERRED, "transposed": True}, "pixels in [0, 1] of transposed images (inferred)"),
        (
            {"name": "recipe", "mean": 0.1, "std": 0.5, "source": "inferred", "transposed": True},
            "pixels with mean 0.1 and standard deviation 0.5 of transposed images (inferred)",
        ),
        (
            {"name": "declared", "mean": 0.25, "std": 1 / 3, "source": "declared"},
            "pixels with mean 0.25 and standard deviation 0.3333 (declared)",
        ),
    ],
)
def test_preprocessing_is_told_where_it_is_not_the_recipes(tmp_path, preprocessing, text):
    row = graded("Bob Müller_202", 9712, preprocessing=preprocessing, notes="a note")
    assert grades_csv([row], 90.0).splitlines()[1].endswith(f'"{text}"')
    assert preprocessing_text(preprocessing) == text
    rows, _ = written(tmp_path, "moodle", WORKSHEET, row)
    feedback = rows[2][-1]
    assert feedback.endswith(f"; measured with {text}; a note" if text else "97.42); a note")
    Gradebook("gradescope", None, None).write(document(row), tmp_path)
    (path,) = tmp_path.glob("gradescope/*/results.json")
    assert json.loads(path.read_text(encoding="utf-8"))["output"] == feedback


def test_team_of_moodle_gets_one_grade_each_and_a_blind_number_is_no_guess(tmp_path):
    header = "Identifier,{}Group,Grade,Maximum Grade"
    people = [("1", "Ann Lee", "Team_É"), ("2", "Bo Li", "Team_É"), ("77", "Cy Day", "")]
    row = graded("Team É_77_assignsubmission_file", 9000)
    for title, grades in (("Full name,", ["9.00", "9.00", ""]), ("", ["", "", ""])):
        lines = [
            f"Participant {n},{f'{who},' if title else ''}{team},,10" for n, who, team in people
        ]
        roster = "\n".join([header.format(title), *lines])
        data, said = fill_in(tmp_path, "moodle", roster, row)
        rows = list(csv.reader(io.StringIO(data.decode())))
        assert [cells[-2] for cells in rows[1:]] == grades
        assert len(said.lost) == (grades == ["", "", ""]), "participant 77 is not group 77"


def test_worksheet_in_german(tmp_path):
    header = 'ID,"Vollständiger Name",Status,Gruppe,Bewertung,Bestwertung,"Feedback als Kommentar"'
    rows = ['Teilnehmer/in201,José García,da,,-,"50,00",', 'Teilnehmer/in 202,Al X,,,,"50,00",']
    row = graded("José García_201_assignsubmission_file", 9840)
    data, _ = fill_in(tmp_path, "moodle", "\n".join([header, *rows]), row)
    table_ = list(csv.reader(io.StringIO(data.decode())))
    assert ",".join(table_[0]) == header.replace('"', "")
    assert [cells[4] for cells in table_[1:]] == ["49,20", ""]
    assert table_[1][6].startswith("Passed")
