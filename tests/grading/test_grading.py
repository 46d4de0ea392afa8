"""evaluate.py on named paths: exact verdicts, what is under a path, and runs that are cut short."""

import json
import re
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from common.data.arrays import LabelledImages
from common.data.catalog import MNIST
from common.data.idx import encode_idx
from common.loops import Batches
from common.models import MNISTClassifier
from common.support.files import write_json
from evaluations.rows import ClassAnswers, graded_row, ungraded_row
from grading.document import earlier_rows
from own_runs.measure import measure_run
from tests.conftest import read, run


def grade(folder, *args):
    """Grade and return the exit status and the rows by name."""
    completed = run("evaluate.py", *args, cwd=folder)
    rows = read(folder / "runs/grading/evaluation.json")["results"]
    assert len({row["name"] for row in rows}) == len(rows)
    return completed, {row["name"]: row for row in rows}


def test_threshold_is_exact_to_the_image(finished, workspace):
    path = finished.folder / "runs/base/checkpoint.pth"
    completed, rows = grade(workspace, path)
    accuracy = rows["checkpoint.pth"]["accuracy"]
    for threshold, status in ((accuracy, 0), (round(accuracy + 0.01, 2), 1)):
        completed, rows = grade(workspace, "--threshold", f"{threshold:.2f}", path)
        assert completed.returncode == status
        assert rows["checkpoint.pth"]["status"] == ["pass", "fail"][status]


def test_own_run_and_strangers_file_get_the_same_numbers(finished, workspace):
    _, rows = grade(workspace, "--threshold", "80", finished.folder / "runs")
    own = {r["name"]: r for r in read(finished.folder / "runs/evaluation.json")["results"]}
    for name in ("base", "improved"):
        for key in ("accuracy", "confusion_matrix", "loss", "sha256", "per_class"):
            assert rows[name][key] == own[name][key]
        assert rows[name]["kind"] == "run"
        assert not rows[name]["own"]
    assert not (workspace / "runs/mnist_classifier_best.pth").exists()
    assert not (workspace / "runs/evaluation.json").exists()


def test_path_given_twice_has_one_row(good_checkpoint, workspace):
    torch.save(good_checkpoint, workspace / "a.pth")
    _, rows = grade(workspace, "--threshold", "80", "a.pth", "a.pth")
    assert rows.keys() == {"a.pth"}


def test_files_of_one_name_in_two_folders_keep_their_rows_apart(good_checkpoint, workspace):
    for student in ("ann", "bob"):
        (workspace / student).mkdir()
        torch.save(good_checkpoint, workspace / student / "model.pth")
    _, rows = grade(workspace, "--threshold", "80", "ann/model.pth", "bob/model.pth")
    assert rows.keys() == {"ann/model.pth", "bob/model.pth"}


def test_empty_folder_is_a_usage_error(workspace):
    (workspace / "submissions").mkdir()
    completed = run("evaluate.py", "submissions", cwd=workspace)
    assert completed.returncode == 2
    assert "nothing to grade" in completed.stderr


@pytest.mark.parametrize("change", [{"val_accuracy": "x"}, {"val_accuracy": 200.0}, None])
def test_own_run_with_broken_metrics_is_an_error_row(finished, workspace, change):
    shutil.copytree(finished.folder / "runs/base", workspace / "runs/base")
    path = workspace / "runs/base/metrics.json"
    document = read(path)
    if change:
        document["history"][-1] |= change
    else:
        document["history"] = []
    path.write_text(json.dumps(document), encoding="utf-8")
    assert run("evaluate.py", cwd=workspace).returncode == 1
    (row,) = read(workspace / "runs/evaluation.json")["results"]
    assert re.search(r"metrics\.json: history.*: train again", row["reason"])


def test_own_run_that_tells_other_classes_apart_is_an_error_row(finished, test_images):
    dataset = test_images.dataset._replace(classes=("even", "odd"))
    test_set = replace(test_images, targets=test_images.targets % 2, dataset=dataset)
    batches = Batches(test_set, 1000, torch.device("cpu"))
    measured = measure_run(finished.folder / "runs/base", test_set, batches, Fraction(90))
    assert measured.row["status"] == "error"
    assert "whose images are not those of" in measured.row["reason"]


def test_own_run_without_its_checkpoint_is_an_error_row(finished, workspace):
    run_folder = workspace / "runs/base"
    run_folder.mkdir(parents=True)
    (run_folder / "metrics.json").write_bytes(
        (finished.folder / "runs/base/metrics.json").read_bytes()
    )
    completed = run("evaluate.py", cwd=workspace)
    assert completed.returncode == 1
    (row,) = read(workspace / "runs/evaluation.json")["results"]
    assert (row["status"], row["reason"]) == ("error", "the folder has no checkpoint.pth")
    assert run("report.py", cwd=workspace).returncode == 0


def networks(folder, count):
    """Make untrained networks, each with answers of its own, and two that cannot be graded."""
    folder.mkdir()
    for seed in range(count):
        torch.manual_seed(seed)
        weights = MNISTClassifier(hidden_sizes=(16,)).state_dict()
        torch.save(weights, folder / f"{seed:02}.pth")
    (folder / "broken.pth").write_bytes(b"broken")
    (folder / "notes.txt").write_text("hello")


def test_private_test_set_measures_and_is_named(workspace, private_set):
    networks(workspace / "submissions", 2)
    completed, rows = grade(workspace, "--test-set", private_set, "submissions")
    assert completed.returncode == 1
    assert {row.get("total") for row in rows.values()} == {300, None}
    dataset = read(workspace / "runs/grading/evaluation.json")["dataset"]
    assert dataset["size"] == 300
    assert dataset["name"].startswith("private test set private")
    assert sorted(dataset["md5"]) == ["own-images-idx3-ubyte", "own-labels-idx1-ubyte"]
    assert run("report.py", "runs/grading/evaluation.json", cwd=workspace).returncode == 0
    page = (workspace / "runs/grading/report.html").read_text(encoding="utf-8")
    assert dataset["md5"]["own-labels-idx1-ubyte"] in page


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("b-labels-idx1-ubyte", b"", "2 files named *labels-idx1-ubyte, expected one"),
        ("own-images-idx3-ubyte", b"text", "not an IDX file"),
        (
            "own-labels-idx1-ubyte",
            encode_idx(np.full(300, 10, np.uint8)),
            "labels up to 10, expected 28",
        ),
        ("own-labels-idx1-ubyte", encode_idx(np.zeros(299, np.uint8)), "300 labels from 0 to 255"),
        ("own-images-idx3-ubyte", encode_idx(np.zeros((300, 2, 2), np.uint8)), "2 x 2 pixels"),
    ],
)
def test_odd_test_sets_are_usage_errors(workspace, private_set, name, content, complaint):
    networks(workspace / "submissions", 1)
    shutil.copytree(private_set, workspace / "set")
    (workspace / "set" / name).write_bytes(content)
    completed = run("evaluate.py", "--test-set", "set", "submissions", cwd=workspace)
    assert completed.returncode == 2
    assert complaint in completed.stderr


def test_second_run_grades_only_what_is_new_or_changed(workspace, private_set):
    folder = workspace / "submissions"
    networks(folder, 3)
    flags = ("--test-set", private_set, "submissions", "--leaderboard")
    _, first = grade(workspace, *flags)
    # What an earlier run wrote is believed, which shows that it was not done again.
    path = workspace / "runs/grading/evaluation.json"
    document = read(path)
    for row in document["results"]:
        if row["status"] != "error":
            row["epoch"] = 77
    path.write_text(json.dumps(document), encoding="utf-8")
    (folder / "01.pth").write_bytes((folder / "02.pth").read_bytes() + b"changed")
    torch.save(MNISTClassifier(hidden_sizes=()).state_dict(), folder / "new.pth")
    completed, second = grade(workspace, *flags, "--threshold", "0")
    assert completed.returncode == 1
    epochs = {name: row.get("epoch") for name, row in second.items()}
    assert epochs["00.pth"] == epochs["02.pth"] == 77
    assert epochs["01.pth"] is epochs["new.pth"] is None
    assert second["00.pth"]["status"] == "pass", "the threshold is applied anew"
    assert second["broken.pth"] == first["broken.pth"]
    _, third = grade(workspace, *flags, "--fresh")
    assert third["00.pth"] == first["00.pth"] | {"rank": third["00.pth"]["rank"]}


def test_rows_of_another_class_are_named_when_they_are_replaced(workspace, private_set):
    for name in ("monday", "tuesday"):
        (workspace / name).mkdir()
        np.save(workspace / name / f"{name}.npy", np.zeros(300, np.int64))
    said = "Replaced, and not among these submissions (--output keeps two classes apart)"
    first, _ = grade(workspace, "--test-set", private_set, "monday")
    assert said not in first.stdout
    second, _ = grade(workspace, "--test-set", private_set, "tuesday")
    assert f"{said}: 'monday.npy'" in second.stdout


def test_leaderboard_shares_ranks(workspace, private_set):
    folder = workspace / "submissions"
    networks(folder, 3)
    labels = [int(b) for b in (private_set / "own-labels-idx1-ubyte").read_bytes()[8:]]
    for name in ("best", "as-good"):
        lines = [f"{n},{label}" for n, label in enumerate(labels, start=1)]
        (folder / f"{name}.csv").write_text("\n".join(lines))
    completed, rows = grade(workspace, "--test-set", private_set, "submissions", "--leaderboard")
    assert rows["best.csv"]["rank"] == rows["as-good.csv"]["rank"] == 1
    graded = [row for row in rows.values() if row["status"] != "error"]
    for row in graded:
        assert row["rank"] == 1 + sum(other["correct"] > row["correct"] for other in graded)
    assert rows["broken.pth"]["rank"] is None
    table = completed.stdout.split("---\n")[1].splitlines()
    assert table[0].split()[:2] == ["1", "as-good.csv"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--jobs", "0"), "--jobs is 0"),
        (("--threshold", ""), "--threshold is '', but must be a decimal number from 0 to 100"),
        (("--memory", "nan"), "--memory is nan"),
        (("--timeout", "1e300"), "--timeout is 1e+300"),
        (("--format", "canvas"), "--format canvas needs --roster"),
        (("--roster", "x.csv"), "go with --format blackboard or brightspace or canvas"),
        (("--format", "moodle", "--roster", "x.csv"), "--roster x.csv: no such file"),
    ],
)
def test_flags_that_do_not_fit_are_usage_errors(workspace, flags, complaint):
    (workspace / "a.pth").write_bytes(b"")
    completed = run("evaluate.py", "a.pth", *flags, cwd=workspace)
    assert completed.returncode == 2
    assert complaint in completed.stderr
    assert not (workspace / "runs").exists()


@pytest.mark.parametrize("output", ["submissions/e.json", "submissions/00.pth", "e.json"])
def test_output_never_replaces_a_submission(workspace, output):
    networks(workspace / "submissions", 1)
    (workspace / "grades.csv").write_text("1,1")
    before = sorted(path.name for path in (workspace / "submissions").iterdir())
    completed = run("evaluate.py", "submissions", "grades.csv", "--output", output, cwd=workspace)
    assert completed.returncode == 2
    assert "would be written among the submissions" in completed.stderr
    assert sorted(path.name for path in (workspace / "submissions").iterdir()) == before
    assert (workspace / "grades.csv").read_text() == "1,1"


def graded(status="pass"):
    """The row of a submission with 900 of 1,000 right answers."""
    targets = np.arange(1000) % 10
    classes = np.where(np.arange(1000) < 900, targets, (targets + 1) % 10)
    test_set = LabelledImages("", np.empty((0, 28, 28), np.uint8), targets, {}, MNIST)
    row = ungraded_row("a.pth", Path("a.pth"), "checkpoint", own=False)
    row |= {"sha256": "0", "isolation": "process"}
    return graded_row(row, ClassAnswers(classes), test_set, Fraction(90)) | {"status": status}


def kept(tmp_path, rows, isolation="auto"):
    dataset = {"size": 1000, "classes": list(MNIST.classes)}
    current = {"dataset": dataset, "versions": {}, "limits": {}, "threshold": 90.0}
    write_json(tmp_path / "e.json", {**current, "results": rows})
    return earlier_rows(tmp_path / "e.json", current, isolation)


def test_only_sound_rows_of_an_earlier_run_are_taken_over(tmp_path):
    changes = [{"correct": 901}, {"total": 900}, {"sha256": None}, {"kind": 1}, {"own": True}]
    changes += [{"status": None}, {"correct": "x"}, {"status": "fail"}, {"try_again": True}]
    odd = [{**graded(), **change} for change in changes]
    assert kept(tmp_path, [graded(), *odd, 5, "row", {}]) == [graded()]
    assert kept(tmp_path, 5) == []


def test_insisting_on_bubblewrap_takes_over_no_row_without_it(tmp_path):
    safe = {**graded(), "isolation": "bubblewrap"}
    assert kept(tmp_path, [graded(), safe], "bubblewrap") == [safe]
    assert kept(tmp_path, [graded(), safe], "process") == [graded(), safe]
