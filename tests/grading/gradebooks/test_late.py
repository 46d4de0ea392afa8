"""Who was late, by each platform's own time stamps, and how a class changed over time."""

import csv
import os

import pytest
import torch

from common.support.errors import UserError
from grading.gradebooks.history import History
from grading.gradebooks.late import mark_late, parse_due, worksheet_times
from grading.gradebooks.rosters import Roster
from grading.platforms.canvas import CANVAS
from grading.platforms.gradescope import read_gradescope_metadata
from tests.conftest import read, run
from tests.grading.gradebooks.examples import WORKSHEET

DUE = "2026-12-01T23:59+01:00"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tomorrow", "must be a time such as"),
        ("2026-12-01T23:59", "without an offset from UTC"),
        ("2026-12-01", "without an offset from UTC"),
        ("2026-13-01T00:00Z", "must be a time such as"),
    ],
)
def test_due_date_has_one_meaning(text, words):
    with pytest.raises(UserError, match=words):
        parse_due(text)
    assert parse_due("2026-12-01T22:59Z") == parse_due(DUE)


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("Tuesday, 1 December 2026, 11:59 PM", "2026-12-01T23:59:00+01:00"),
        ("Wednesday, 2 December 2026, 12:00 AM", "2026-12-02T00:00:00+01:00"),
        ("Tuesday, December 1, 2026, 9:05 AM", "2026-12-01T09:05:00+01:00"),  # en_us
        ("Tuesday, 01 December 2026, 12:30\u202fPM", "2026-12-01T12:30:00+01:00"),
        ("Tuesday, 1 December 2026, 14:14", "2026-12-01T14:14:00+01:00"),
        ("-", None),
        ("", None),
        ("Dienstag, 1. Dezember 2026, 14:14", "2026-12-01T14:14:00+01:00"),
        ("mardi 1 décembre 2026, 14:14", None),  # of no language that is known
        ("Tuesday, 31 November 2026, 2:14 PM", None),
        ("Monday, 2 November", None),
        ("Tuesday, 1 December 2026, 11:99 PM", None),
    ],
)
def test_times_of_moodles_worksheet(tmp_path, cell, time):
    roster = Roster(tmp_path, ["Identifier", "Last modified (submission)"], [["x 1", cell]])
    assert worksheet_times(roster, parse_due(DUE)) == ({0: time} if time else {})
    assert worksheet_times(Roster(tmp_path, ["Identifier"], [["x 1"]]), parse_due(DUE)) == {}


@pytest.mark.parametrize(
    ("lines", "time"),
    [
        ("  :created_at: 2026-12-01 22:59:59.861687000 Z", "2026-12-01T22:59:59+00:00"),
        ("  :created_at: '2026-12-01T22:59:59.861687-08:00'", "2026-12-01T22:59:59-08:00"),
        ("  :created_at: 2026-12-01 22:59:59", "2026-12-01T22:59:59+00:00"),
        (
            "  :created_at: !ruby/object:ActiveSupport::TimeWithZone\n"
            "    utc: 2026-12-01 22:59:59.861687000 Z\n"
            "    zone: !ruby/object:ActiveSupport::TimeZone\n"
            "      name: Etc/UTC\n    time: 2026-12-01 23:59:59.861687000 Z",
            "2026-12-01T22:59:59+00:00",
        ),
        ("  :created_at: 2026-12-01", ""),
        ("  :created_at:", ""),
        ("  :history:\n  - :id: 1\n    :created_at: 2026-12-01 22:59:59 Z", ""),
    ],
)
def test_times_of_gradescopes_metadata(tmp_path, lines, time):
    path = tmp_path / "submission_metadata.yml"
    path.write_text(
        f"submission_11:\n  :submitters:\n  - :name: Ada\n    :email: ada@x.org\n{lines}\n"
        "  :score: 2.0\nsubmission_12:\n  :submitters:\n  - :name: Bob\n"
    )
    found = read_gradescope_metadata(path)
    assert found["submission_11"][:2] == (("Ada", "ada@x.org"), time)
    assert found["submission_12"][:2] == (("Bob",), "")


def test_lateness_that_canvas_has_in_names():
    late = {
        "leeann_101_9001_model.pth": False,
        "oneillcy_LATE_103_9003_model.pth": True,
        "anon_aB3xZ_88003_model.pth": False,
        "LATE_anon_aB3xZ_88004_model.pth": True,
    }
    beside = ["LATE.pth", "Ann Lee_201_assignsubmission_file_LATE_1_2_model.pth"]
    uploads = CANVAS.read([(name,) for name in (*late, *beside)], str)
    assert {name: upload.is_late for (name,), upload in uploads.items()} == late
    # Elsewhere a student chooses the name.
    assert not CANVAS.read([("hw_LATE_1_2_x.pth",), ("ann.pth",), ("bob.pth",)], str)


def test_time_stamp_goes_before_what_canvas_says():
    row = {"name": "x", "submitted_at": "2026-12-01T22:59:00+00:00", "late_on_canvas": True}
    line = mark_late([row, {"name": "y"}], parse_due(DUE))
    assert row["late"] is False, "the very minute is in time"
    assert line.endswith(
        "0 late, 1 in time, by Canvas's own due date; 1 without a time stamp of the platform: 'y'"
    )


def test_metadata_with_odd_names(tmp_path):
    """What is further in belongs to a name of several lines, and no name ends a line early."""
    path = tmp_path / "submission_metadata.yml"
    path.write_text(
        "submission_11:\n  :submitters:\n  - :name: |-\n      Eve\n      :email: victim@x.org\n"
        "    :sid: \n    :email: eve@x.org\n  :created_at: 2026-12-01 12:00:00 -0700 # local\n"
        'submission_12:\n  :submitters:\n  - :name: "Jos\\xE9 \u2028submission_11:"\n'
        "    :sid: 'O''Neill'\n  :created_at: 2026-13-45 99:99:99 Z\n",
        encoding="utf-8",
    )
    found = read_gradescope_metadata(path)
    assert found["submission_11"][:2] == (("eve@x.org",), "2026-12-01T12:00:00-07:00")
    assert found["submission_12"][:2] == (("José \u2028submission_11:", "O'Neill"), "")


@pytest.fixture
def weights(good_checkpoint):
    return good_checkpoint["model_state_dict"]


def late_column(workspace):
    with (workspace / "runs/grading/grades.csv").open(newline="") as file:
        return {row["name"]: (row["status"], row["late"]) for row in csv.DictReader(file)}


def test_each_platform_through_the_script(workspace, weights):
    """Verdicts stay, whatever the files' own times are; the files are all of one old day."""
    classes = {
        "canvas": {"leeann_101_9001_m.pth": "no", "oneillcy_LATE_103_9003_m.pth": "yes"},
        "gradescope": {"submission_11/m.pth": "yes", "submission_12/m.pth": "no"},
        "moodle": {
            "Ann Lee_201_assignsubmission_file_m.pth": "yes",
            "Bob Müller_202_assignsubmission_file_m.pth": "",
            "Cy O'Neill_203_assignsubmission_file_m.pth": "no",
        },
    }
    for folder, names in classes.items():
        for name in names:
            path = workspace / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(weights, path)
            os.utime(path, (1e9, 1e9))
    (workspace / "gradescope/submission_metadata.yml").write_text(
        "submission_11:\n  :created_at: 2026-12-01 23:00:00.5 Z\n"
        "submission_12:\n  :created_at: 2026-12-01 22:00:00.5 Z\n"
    )
    ann = WORKSHEET[1].replace("Monday, 2 November", "Wednesday, 2 December 2026, 12:01 AM")
    cy = WORKSHEET[3].replace("Yes,-,-,", 'Yes,"Tuesday, 1 December 2026, 11:59 PM",-,')
    (workspace / "worksheet.csv").write_text("\n".join([WORKSHEET[0], ann, WORKSHEET[2], cy]))
    for folder, names in classes.items():
        flags = ("--format", "moodle", "--roster", "worksheet.csv") if folder == "moodle" else ()
        completed = run(
            "evaluate.py", folder, "--due", DUE, "--threshold", "80", *flags, cwd=workspace
        )
        assert completed.returncode == 0, completed.stderr
        expected = {name.split("/")[0]: ("pass", late) for name, late in names.items()}
        assert late_column(workspace) == expected
        assert "Due 2026-12-01T23:59:00+01:00: 1 late, 1 in time" in completed.stdout
        assert completed.stdout.count("! late") == 1
    assert "1 without a time stamp of the platform: 'Bob" in completed.stdout
    # Without a due date nothing is said of it, though the rows are taken over.
    completed = run("evaluate.py", "canvas", "--threshold", "80", cwd=workspace)
    assert "late" not in completed.stdout
    assert "late" not in (workspace / "runs/grading/grades.csv").read_text().splitlines()[0]


def history_of(workspace):
    with (workspace / "class.csv").open(newline="", encoding="utf-8") as file:
        return [
            (r["student"], r["status_before"], r["status"], r["file_of"])
            for r in csv.DictReader(file, strict=True)
        ]


def test_history_has_who_changed_and_nothing_else(workspace, weights):
    """A resubmission on Canvas has another name, and is the same student's."""
    folder = workspace / "class"
    folder.mkdir()
    for name in ("leeann_101_9001_m.pth", "oneillcy_103_9003_m.pth", "=x_104_9004_m.pth"):
        torch.save(weights, folder / name)
    (folder / "oneillcy_103_9003_m.pth").write_bytes(b"no network")
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))

    def grade():
        return run(
            *("evaluate.py", "class", "--history", "class.csv", "--threshold", "80"), cwd=workspace
        ).stdout

    assert "3 students changed" in grade()
    day = "2001-09-09"
    first = [
        ("'=x_104", "", "pass", day),
        ("leeann_101", "", "pass", day),
        ("oneillcy_103", "", "error", day),
    ]
    assert sorted(history_of(workspace)) == sorted(first)
    before = (workspace / "class.csv").read_bytes()
    assert "0 students changed" in grade()
    assert (workspace / "class.csv").read_bytes() == before
    (folder / "oneillcy_103_9003_m.pth").unlink()
    torch.save(weights, folder / "oneillcy_103_9010_m.pth")
    os.utime(folder / "oneillcy_103_9010_m.pth", (1.1e9, 1.1e9))
    assert "1 student changed" in grade()
    assert history_of(workspace)[3:] == [("oneillcy_103", "error", "pass", "2004-11-09")]
    assert (workspace / "class.csv").read_bytes().startswith(before)


def test_history_of_gradescope_follows_the_student(workspace, weights):
    """There a resubmission has a folder of another number, and its time stamp is the day."""
    for number, day in ((11, "01"), (25, "02")):
        folder = workspace / f"export-{number}"
        (folder / f"submission_{number}").mkdir(parents=True)
        weights["fc1.bias"] += 1e-6  # another file
        torch.save(weights, folder / f"submission_{number}/m.pth")
        (folder / "submission_metadata.yml").write_text(
            f"submission_{number}:\n  :submitters:\n  - :name: Ada\n    :email: ada@x.org\n"
            f"  :created_at: 2026-12-{day} 12:00:00 Z\n"
        )
        run(
            *("evaluate.py", folder.name, "--history", "class.csv", "--threshold", "80"),
            cwd=workspace,
        )
    assert history_of(workspace) == [
        ("Ada, ada@x.org", "", "pass", "2026-12-01"),
        ("Ada, ada@x.org", "pass", "pass", "2026-12-02"),
    ]
    row = read(workspace / "runs/grading/evaluation.json")["results"][0]
    assert row["sha256"] in (workspace / "class.csv").read_text(), "as in grades.csv"
    assert row["submitted_at"] == "2026-12-02T12:00:00+00:00"


@pytest.mark.parametrize("content", [b"name,status\na,pass\n", b"{}", b"\xff\xfe\0", b'"x'])
def test_other_files_are_no_history_and_stay(workspace, content):
    (workspace / "a.csv").write_bytes(b"1\n")
    (workspace / "class.csv").write_bytes(content)
    completed = run("evaluate.py", "a.csv", "--history", "class.csv", cwd=workspace)
    assert completed.returncode == 2
    assert "class.csv is no history as evaluate.py wrote it" in completed.stderr
    assert (workspace / "class.csv").read_bytes() == content
    assert not (workspace / "runs").exists()


@pytest.mark.parametrize(
    "path",
    ["runs/grading/grades.csv", "a.csv", "class/history.csv", "out/e.csv", "out/.lock", "out"],
)
def test_history_goes_over_nothing_else(workspace, path):
    (workspace / "class").mkdir()
    (workspace / "out").mkdir()
    for name in ("a.csv", "class/b.csv"):
        (workspace / name).write_bytes(b"1\n")
    flags = ("--output", "out/e.csv", "--history", path)
    completed = run("evaluate.py", "a.csv", "class", *flags, cwd=workspace)
    assert completed.returncode == 2, completed.stdout
    assert (workspace / "a.csv").read_bytes() == b"1\n"
    assert not (workspace / "class/history.csv").exists()
    assert not list((workspace / "out").iterdir())


def test_history_is_kept_where_a_link_leads(workspace):
    (workspace / "a.csv").write_bytes(b"1\n")
    (workspace / "shared").mkdir()
    (workspace / "class.csv").symlink_to("shared/class.csv")
    run("evaluate.py", "a.csv", "--history", "class.csv", cwd=workspace)
    assert (workspace / "class.csv").is_symlink()
    assert len(history_of(workspace)) == 1


def row_of(name, **fields):
    return {"name": name, "status": "error", "source": "nowhere", **fields}


def test_lines_that_another_grading_added_stay(tmp_path):
    path, output = tmp_path / "class.csv", tmp_path / "e.json"
    one, two = History(path, output), History(path, output)
    one.append([row_of("a")], 90.0)
    two.append([row_of("b")], 90.0)
    assert path.read_text().count("error") == 2


def test_students_of_one_name_are_kept_apart(tmp_path):
    history = History(tmp_path / "class.csv", tmp_path / "e.json")
    rows = [
        *(row_of("=a.pth"), row_of("'=a.pth"), row_of("x\ny.pth"), row_of("x\\ny.pth")),
        *(row_of("ann/1", owner="ann"), row_of("ann/2", owner="ann")),
    ]
    assert "6 students changed" in history.append(rows, 90.0)
    assert "0 students changed" in history.append(rows, 90.0)


def test_due_date_that_is_empty_is_no_due_date(workspace):
    (workspace / "a.csv").write_bytes(b"1\n")
    completed = run("evaluate.py", "a.csv", "--due", "", cwd=workspace)
    assert completed.returncode == 2
    assert "--due is ''" in completed.stderr
