"""What lies in a folder of submissions, whatever it is called: a row each, told apart."""

import os

import torch

from grading.intake.rows import mark_duplicates
from grading.intake.submissions import find_submissions
from tests.conftest import read, run


def test_names_that_are_the_same_when_shown_are_numbered(tmp_path):
    for name in (b"\xff.csv", rb"\xff.csv", rb"\xff.csv (2)"):
        (tmp_path / os.fsdecode(name)).write_text("x")
    names = [
        submission.name
        for submission in find_submissions([tmp_path], "process", tmp_path).submissions
    ]
    assert len(set(names)) == 3


def test_file_called_metrics_makes_no_run_of_the_class(good_checkpoint, workspace):
    """Nor does it with a checkpoint beside it: the others still get their rows."""
    folder = workspace / "submissions"
    folder.mkdir()
    torch.save(good_checkpoint, folder / "checkpoint.pth")
    (folder / "metrics.json").write_text("{}")
    (folder / "bob.csv").write_text("ImageId,Label\n")
    completed = run("evaluate.py", "submissions", "--threshold", "80", cwd=workspace)
    assert completed.returncode == 1
    rows = read(workspace / "runs/grading/evaluation.json")["results"]
    assert [row["name"] for row in rows] == ["bob.csv", "checkpoint.pth", "metrics.json"]


def test_class_that_hands_in_one_file_fills_no_disk():
    rows = [{"name": f"{n:05}", "sha256": "same", "predictions_sha256": None} for n in range(3000)]
    mark_duplicates(rows)
    assert {row["duplicates"] for row in rows} == {2999}
    assert rows[0]["duplicate_of"] == ["00001", "00002", "00003", "00004", "00005"]
    assert rows[9]["duplicate_of"] == ["00000", "00001", "00002", "00003", "00004"]


def test_user_errors_are_shown_escaped(workspace):
    completed = run("evaluate.py", "x\x1b[31m\n::error::x.pth", cwd=workspace)
    assert completed.returncode == 2
    assert completed.stderr.rstrip("\n").isprintable()
