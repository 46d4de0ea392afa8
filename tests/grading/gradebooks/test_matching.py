"""Whose submission is whose: what people's machines and platforms make of names."""

import csv
import unicodedata

import pytest

from grading.gradebooks.gradebook import COLUMNS, Gradebook
from reporting import terminal
from tests.grading.gradebooks.examples import (
    CANVAS_HEADER,
    CANVAS_ROWS,
    WORKSHEET,
    document,
    failed,
    graded,
    written,
)

ACCENTS = ("José García", "Дмитрий Ёжиков", "김민준", "Nguyễn Thị Hương")
PARTICIPANTS = ["Full name,Email address", *(f"{name},{i}@x.org" for i, name in enumerate(ACCENTS))]


def canvas(folder, *rows):
    table, said = written(
        folder,
        "canvas",
        [CANVAS_HEADER, *CANVAS_ROWS, *(f'"{n}",{600 + i},,,A,,,' for i, n in enumerate(ACCENTS))],
        *rows,
        assignment="MNIST lab (4567)",
    )
    return {row[1]: row[5] for row in table[2:]}, said


def worksheet(folder, *rows):
    students = (f"Participant {600 + i},{n},,,,100.00,Yes,-,-," for i, n in enumerate(ACCENTS))
    table, said = written(folder, "moodle", [*WORKSHEET, *students], *rows)
    return {row[0].removeprefix("Participant "): row[4] for row in table[1:]}, said


def lost_reasons(said):
    return [line.partition("): ")[2] for line in said.lost]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("number", range(len(ACCENTS)))
def test_names_that_a_mac_took_to_pieces_get_their_grades(tmp_path, form, number):
    name = unicodedata.normalize(form, ACCENTS[number])
    row = graded(f"{name}_{600 + number}_assignsubmission_file", 9712)
    grades, said = worksheet(tmp_path, row)
    assert grades[str(600 + number)] == "97.12"
    assert said.lost == []
    table, said = written(tmp_path, "moodle", PARTICIPANTS, row)
    assert table[1][:2] == [f"{number}@x.org", "97.12"]
    cells, said = canvas(tmp_path, graded(f"{name.upper()}.pth", 9712))
    assert cells[str(600 + number)] == "97.12%"
    assert said.lost == []


@pytest.mark.parametrize(
    "row",
    [
        graded("brownbob_LATE_102_9002_model.pth", 9712),
        graded("x_102", 9712, source="in/x_LATE_102_9002_model.pth"),  # a name of other rules
        graded("müllerbob_102", 9712),
        graded(unicodedata.normalize("NFD", "müllerbob_102"), 9712),
        graded("in/müllerbob_102_9002_model.pth", 9712),
        graded("bob.pth.tar", 9712),
        graded("Bob Müller", 9712),
        graded("submission_103", 9712, student=["Bob Müller", "BOB", "bob@x.org"]),
        graded("submission_1", 9712, student=["s2", "Müller, Bob"]),
    ],
)
def test_canvas_finds_a_student_by_every_form_of_name(tmp_path, row):
    cells, said = canvas(tmp_path, row)
    assert cells["102"] == "97.12%"
    assert said.lost == []
    assert said.gradebook == "canvas.csv"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (graded("team_102", 9712), "fits no student of the roster"),
        (graded("team_102", 9712, source="in/team_102"), "fits no student of the roster"),
        (graded("submission_102", 9712, student=["Eva"]), "fits no student of the roster"),
        (graded("bob.miller", 9712), "fits no student of the roster"),
        (
            graded("bob", 9712, student=["ann", "bob"]),
            "fits 2 students of the roster: 'Lee, Ann (101)', 'Müller, Bob (102)'",
        ),
        (
            graded("x", 9712, student=["Ann Lee"]),
            "fits 2 students of the roster: 'Lee, Ann (101)', 'Lee, Ann (104)'",
        ),
    ],
)
def test_canvas_guesses_nobody(tmp_path, row, why):
    cells, said = canvas(tmp_path, row)
    assert "97.12%" not in cells.values()
    assert lost_reasons(said) == [why]


def test_of_two_of_one_name_the_identifier_decides(tmp_path):
    cells, said = canvas(tmp_path, graded("x", 9712, student=["Ann Lee", "dora"]))
    assert (cells["101"], cells["104"]) == ("", "97.12%")
    assert said.lost == []


@pytest.mark.parametrize(
    "name",
    [
        "Bob Müller_202",  # all files of a student
        "Bob Müller_202_assignsubmission_file",
        "Bob Müller_202_assignsubmission_file_",
        "Bob Müller_202_assignsubmission_file_model_2.pth",
        "Participant 202",
        "BOB@x.org",
    ],
)
def test_moodle_finds_a_student_by_every_form_of_name(tmp_path, name):
    for form in ("NFC", "NFD"):
        grades, said = worksheet(tmp_path, graded(unicodedata.normalize(form, name), 9712))
        assert grades["202"] == "48.56"
        assert said.lost == []


def test_moodle_number_of_a_group_counts_only_beside_its_name(tmp_path):
    grades, said = worksheet(
        tmp_path, graded("model_202", 9712), graded("Ann Lee_203", 9712), graded("Bob_202", 9712)
    )
    assert [grades[n] for n in ("201", "202", "203")] == ["", "44.00", ""]
    assert lost_reasons(said) == ["fits no student of the roster"] * 3


def test_moodle_teams_and_underscores_in_names(tmp_path):
    roster = ["Identifier,Full name,Group,Grade,Maximum Grade"]
    roster += ["Participant 1,Ann Lee,Team_A,,10", "Participant 2,Bob_M..,Team_A,,10"]
    names = ("Team A-Ann Lee_1_assignsubmission_file", "Team A-Bob M_2_assignsubmission_file")
    table, said = written(tmp_path, "moodle", roster, *(graded(name, 9000) for name in names))
    assert [row[3] for row in table[1:]] == ["9.00", "9.00"]
    assert said.lost == []


def test_anonymous_moodle_group_counts_if_its_files_say_the_same(tmp_path):
    roster = ["Identifier,Grade,Maximum Grade", "Participant 7,,100", "Participant 8,,100"]
    source = "in/Participant_7_assignsubmission_file_model.pth"
    rows = (graded("Participant_7", 9712, source=source), graded("model_8", 9712, source="model_8"))
    table, said = written(tmp_path, "moodle", roster, *rows)
    assert [row[1] for row in table[1:]] == ["97.12", ""]
    assert len(said.lost) == 1


def test_the_only_submission_that_could_be_graded_counts(tmp_path):
    cells, said = canvas(tmp_path, graded("bob.pth", 9712), failed("Bob Müller"))
    assert cells["102"] == "97.12%"
    assert said.lost == [
        "'Bob Müller' (error: not a checkpoint): 'Müller, Bob (102)' has 2 submissions: "
        "'bob.pth', 'Bob Müller'; 'bob.pth' counts, the only one that could be graded"
    ]


def test_what_is_lost_is_listed_counted_and_bounded(tmp_path):
    strangers = [graded(f"s{n:02}\n" + "x" * 200, 9712 - n) for n in range(25)]
    rows = [failed("::error::", "y" * 300), *strangers, graded("bob.pth", 9712)]
    _, said = canvas(tmp_path, *rows)
    assert len(said.lost) == 26
    assert said.lost[0] == f"'s00\\n{'x' * 52}…' (97.12 %, pass): fits no student of the roster"
    assert said.lost[-1].startswith("'::error::' (error: yyy"), "grades come first"
    assert all(line.isprintable() and len(line) < 300 for line in said.lost)
    block = said.lost_block()
    assert len(block) == 22
    assert block[0].startswith("26 submissions could not be put into canvas.csv: ")
    assert block[-1] == '  and 6 more: all 26 are in grades.csv, in the column "gradebook"'
    line = terminal.verdict(document(*rows), len(said.lost), said.gradebook)
    assert line == (
        "26 of 27 reached 90 %; 1 could not be graded; "
        "26 submissions could not be put into canvas.csv (listed above)"
    )
    assert "could not be put" not in terminal.verdict(document(*rows))
    with (tmp_path / "grades.csv").open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file, strict=True)
    assert header == [*COLUMNS, "gradebook"]
    reasons = {line[0]: line[-1] for line in lines}
    assert reasons.pop("bob.pth") == ""
    assert set(reasons.values()) == {"not in canvas.csv: fits no student of the roster"}


def test_one_that_is_lost_is_told_in_the_singular(tmp_path):
    _, said = canvas(tmp_path, graded("stranger.pth", 9712))
    assert said.lost_block() == [
        "1 submission could not be put into canvas.csv: enter the grades by hand, or correct the "
        "names or the roster and run the same command again",
        "  'stranger.pth' (97.12 %, pass): fits no student of the roster",
    ]
    assert terminal.verdict(document(), 1, "moodle.csv").endswith(
        "; 1 submission could not be put into moodle.csv (listed above)"
    )


@pytest.mark.parametrize("platform", [None, "gradescope"])
def test_without_a_roster_nothing_is_lost(tmp_path, platform):
    said = Gradebook(platform, None, None).write(document(graded("a", 9000)), tmp_path)
    assert (said.lost, said.lost_block()) == ([], [])
    assert (tmp_path / "grades.csv").read_text().splitlines()[0].endswith('"preprocessing"')
