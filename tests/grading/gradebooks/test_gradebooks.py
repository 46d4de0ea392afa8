"""What platforms import, held against their documented rules; no live platform was tried."""

import csv
import json
import os

import pytest

from common.support.errors import UserError
from grading.gradebooks.gradebook import Gradebook, grades_csv
from reporting.github import markdown, summarise
from tests.conftest import read, run
from tests.grading.gradebooks.examples import (
    CANVAS_HEADER,
    CANVAS_ROWS,
    WORKSHEET,
    document,
    failed,
    graded,
    written,
)


def test_canvas_gets_the_rosters_ids_and_percentages(tmp_path):
    rows, said = written(
        tmp_path,
        "canvas",
        [CANVAS_HEADER, *CANVAS_ROWS],
        graded("leeann_101_9001_model.pth", 9840),
        graded("bob.pth", 1000),
        failed("oneillcy_LATE_103_9003_model.pth"),
        graded("stranger.pth", 9000),
        assignment="MNIST lab (4567)",
    )
    assert rows[0] == [
        "Student",
        "ID",
        "SIS User ID",
        "SIS Login ID",
        "Section",
        "MNIST lab (4567)",
    ]
    assert rows[1] == ["    Points Possible", "", "", "", "", "20"]
    cells = {row[1]: row[5] for row in rows[2:]}
    assert cells == {"101": "98.40%", "102": "10.00%", "103": "", "104": "1.00", "105": ""}
    assert [row[0] for row in rows[2:]][-1] == "'=1+1, Eve"
    assert said.lost == ["'stranger.pth' (90.00 %, pass): fits no student of the roster"]
    assert said.lines[2].startswith(
        "2 students of the roster have no submission: 'Lee, Ann (104)', '=1+1"
    )


def test_canvas_never_guesses(tmp_path):
    rows, said = written(
        tmp_path,
        "canvas",
        [CANVAS_HEADER, *CANVAS_ROWS],
        graded("Lee, Ann", 9840),  # two students of that name
        graded("bob.pth", 9000),
        graded("mullerbob_102_9_x.pth", 9500),  # two submissions of one student
        graded("x_103_", 9000),  # no name that Canvas makes
        assignment="MNIST lab (4567)",
    )
    assert [row[5] for row in rows[2:]] == ["", "5.00", "", "1.00", ""], "cells of the roster stay"
    assert said.lost == [
        "'Lee, Ann' (98.40 %, pass): fits 2 students of the roster: "
        "'Lee, Ann (101)', 'Lee, Ann (104)'",
        "'bob.pth' (90.00 %, pass): 'Müller, Bob (102)' has 2 submissions: "
        "'bob.pth', 'mullerbob_102_9_x.pth'",
        "'mullerbob_102_9_x.pth' (95.00 %, pass): 'Müller, Bob (102)' has 2 submissions: "
        "'bob.pth', 'mullerbob_102_9_x.pth'",
        "'x_103_' (90.00 %, pass): fits no student of the roster",
    ]


@pytest.mark.parametrize(
    ("roster", "assignment", "complaint"),
    [
        (
            [CANVAS_HEADER, *CANVAS_ROWS],
            None,
            "assignments 'Essay \\(11\\)', 'MNIST lab \\(4567\\)': name one",
        ),
        ([CANVAS_HEADER, *CANVAS_ROWS], "Lab", "name one of them"),
        (["Name,Grade", "a,1"], None, "no export of Canvas's gradebook"),
        ([CANVAS_HEADER, "Eve,=1+1,,,"], "Essay (11)", "'=1\\+1' in row 2 is a formula"),
        (["x"], None, "must have a header and rows"),
        ([CANVAS_HEADER, 'a,"b'], None, "is not CSV"),
    ],
)
def test_odd_rosters_are_usage_errors(tmp_path, roster, assignment, complaint):
    (tmp_path / "roster.csv").write_text("\n".join(roster))
    with pytest.raises(UserError, match=complaint):
        Gradebook("canvas", tmp_path / "roster.csv", assignment)


def test_moodle_worksheet_is_filled_in(tmp_path):
    rows, said = written(
        tmp_path,
        "moodle",
        WORKSHEET,
        graded("Ann Lee_201_assignsubmission_file", 9840),
        failed("Bob Müller_202_assignsubmission_file", "=not a checkpoint"),
    )
    assert ",".join(rows[0]) == WORKSHEET[0]
    ann, bob, cy = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    assert ann["Grade"] == "49.20"
    assert ann["Last modified (submission)"] == "Monday, 2 November"
    assert ann["Last modified (grade)"] == "-"
    assert ann["Feedback comments"].startswith("Passed: 9840 of 10000 images recognised")
    assert bob["Grade"] == "44.00", "what could not be graded changes no grade"
    assert bob["Feedback comments"] == "Could not be graded: =not a checkpoint"
    assert (cy["Grade"], cy["Feedback comments"]) == ("", "")
    assert said.lost == []
    assert said.lines[2].startswith(
        "1 student of the roster has no submission: 'Cy O'Neill (Partici"
    )


def test_moodle_number_in_a_name_of_ones_own_choice_takes_no_grade(tmp_path):
    """Students who can edit their full names can write another's number into it."""
    worksheet = [*WORKSHEET, "Participant 204,Eve_201_assignsubmission_file,,,,50.00,Yes,-,-,"]
    worksheet += ["Participant 205,Ann Lee_201_assignsubmission_file,,,,50.00,Yes,-,-,"]
    rows, said = written(
        tmp_path,
        "moodle",
        worksheet,
        graded("Eve_201_assignsubmission_file_204_assignsubmission_file", 9840),
        graded("Ann Lee_201_assignsubmission_file_205_assignsubmission_file", 9840),
        failed("Cy ONeill_203_assignsubmission_file", "<a href=//x.org>no</a>"),
    )
    ann, _, cy, eve, impostor = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    assert ann["Grade"] == ""
    assert eve["Grade"] == "49.20"
    assert impostor["Grade"] == "", "two students fit, so none does"
    assert [line.partition(": ")[2] for line in said.lost] == [
        "fits 2 students of the roster: 'Ann Lee (Participant 201)', "
        "'Ann Lee_201_assignsubmission_file (Participant 205)'"
    ]
    assert cy["Feedback comments"] == ("Could not be graded: &lt;a href=//x.org&gt;no&lt;/a&gt;"), (
        "Moodle shows comments as HTML"
    )


def test_moodle_maximum_that_is_no_number_is_refused_before_anything_is_graded(tmp_path):
    (tmp_path / "roster.csv").write_text("\n".join(WORKSHEET).replace("50.00", "-"))
    with pytest.raises(UserError, match="Maximum Grade in row 2 is '-'"):
        Gradebook("moodle", tmp_path / "roster.csv", None)


def test_moodle_list_of_participants_becomes_an_import_of_graded_students_alone(tmp_path):
    roster = ["First name;Last name;ID number;Email address", "Ann;Lee;S1;ann@x.org"]
    roster += ["Bob;Müller;S2;bob@x.org", "Cy;O'Neill;S3;cy@x.org"]
    rows, _ = written(
        *(tmp_path, "moodle", roster),
        *(graded("Ann Lee_7_assignsubmission_file", 9840), failed("S2")),
        assignment="Lab 3",
    )
    assert rows[0] == ["ID number", "Email address", "Lab 3", "Feedback"]
    assert len(rows) == 2, "one unknown user or blank grade would stop Moodle's import"
    assert rows[1][:3] == ["S1", "ann@x.org", "98.40"]


def test_gradescope_gets_a_results_file_each(tmp_path):
    odd = "../..\n" + "x" * 300
    Gradebook("gradescope", None, None).write(
        document(graded("submission_1", 9840), failed(odd), graded("a.csv", 10, parameters=None)),
        tmp_path,
    )
    paths = sorted(tmp_path.glob("gradescope/*/results.json"))
    assert len(paths) == 3
    taken = next(path.parent.name for path in paths if "xxx" in path.parent.name)
    results = document(failed(odd), graded(taken, 9840))
    Gradebook("gradescope", None, None).write(results, tmp_path / "again")
    assert len(list(tmp_path.glob("again/gradescope/*/results.json"))) == 2, "no name takes another"
    assert all(path.resolve().is_relative_to(tmp_path) for path in paths)
    for path in paths:
        content = path.read_bytes()
        assert b"\r" not in content
        result = json.loads(content, parse_constant=lambda name: pytest.fail(name))
        assert isinstance(result["score"], int | float)
        assert {test["status"] for test in result["tests"]} <= {"passed", "failed"}
        assert {test["output_format"] for test in result["tests"]} == {"text"}
    good = read(tmp_path / "gradescope/submission_1/results.json")
    assert good["score"] == 98.4
    assert [entry["name"] for entry in good["leaderboard"]] == ["Accuracy", "Parameters"]
    assert [entry["order"] for entry in good["leaderboard"]] == ["desc", "asc"]


def test_cells_are_harmless_where_a_semicolon_ends_them(tmp_path):
    text = grades_csv([failed("a;=1+1"), failed("b", 'x"; "=cmd'), failed("c", "one; two")], 90.0)
    for line in csv.reader(text.splitlines(), delimiter=";"):
        assert not any(cell.lstrip(' "').startswith("=") for cell in line), line
    assert "one; two" in text


def test_summary_on_github_is_escaped_and_bounded(tmp_path, monkeypatch, capsys):
    names = ["::error::x", "a|b`c`<script>", "[link](http://x)", "l\n::warning::y"]
    rows = [failed(name, reason=f"{name} 100 %") for name in names]
    rows += [graded(f"{n:05}" + "n" * 100, 9000) for n in range(10_000)]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("of a step before\n")
    summarise(document(*rows))
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("of a step before\n## MNIST grading")
    assert 900_000 < len(text.encode()) < 2**20
    assert "more rows are in evaluation.json" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert "<script>" not in text
    assert all(line.replace("\\|", "").count("|") == 6 for line in table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(names), "no line of a stranger's own"
    assert all(line.startswith("::error title=Grading::") for line in lines)
    assert "100 %25" in lines[0]
    assert "l%0A" not in lines[3]
    assert markdown(document(graded("a", 9000))).count("\n") == 7


def test_formats_and_summary_are_written_by_evaluate(workspace, good_checkpoint):
    import torch

    folder = workspace / "submissions"
    folder.mkdir()
    torch.save(good_checkpoint, folder / "leeann_101_9001_model.pth")
    (folder / "::stop::.pth").write_bytes(b"x")
    (workspace / "roster.csv").write_text("\n".join([CANVAS_HEADER, *CANVAS_ROWS]))
    completed = run(
        *("evaluate.py", "submissions", "--threshold", "80", "--format", "canvas"),
        *("--roster", "roster.csv", "--assignment", "MNIST lab (4567)"),
        cwd=workspace,
        env={**os.environ, "GITHUB_STEP_SUMMARY": str(workspace / "summary.md")},
    )
    assert completed.returncode == 1
    output = completed.stdout.splitlines()
    assert output[0].startswith("::stop-commands::")
    token = output[0].removeprefix("::stop-commands::")
    fenced = output[1 : output.index(f"::{token}::")]
    assert any(line.startswith("::stop::.pth") for line in fenced)
    with (workspace / "runs/grading/canvas.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, strict=True))
    assert (
        rows[2][5]
        == f"{read(workspace / 'runs/grading/evaluation.json')['results'][1]['accuracy']:.2f}%"
    )
    assert "| leeann" in (workspace / "summary.md").read_text()
