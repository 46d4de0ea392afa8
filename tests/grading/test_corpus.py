"""A folder of every kind of submission, graded under each isolation: the right row for each."""

import csv
import functools
import hashlib
import os
import re
import socket
from types import SimpleNamespace

import pytest

from tests.conftest import NEEDS_BUBBLEWRAP, read, run
from tests.grading.corpus import (
    NUM_IMAGES,
    archives,
    entries,
    honest,
    keras_models,
    onnx_models,
    pickles,
    predictions,
    saved,
    weights,
)

COLUMNS = (
    *("name", "status", "accuracy", "interval", "correct", "total", "reason", "sha256"),
    "preprocessing",
)

# Bubblewrap is a package of the system's, which continuous integration installs first.
ISOLATIONS = [
    "process",
    pytest.param("none", marks=pytest.mark.long),
    pytest.param(
        "bubblewrap",
        marks=[
            pytest.mark.long,
            NEEDS_BUBBLEWRAP,
        ],
    ),
]


@pytest.fixture(scope="module")
def submissions(tmp_path_factory, data_dir, finished, good_checkpoint, few_images):
    """The folder, what is expected of it, and the canaries."""
    place = tmp_path_factory.mktemp("corpus")
    folder = place / "submissions"
    folder.mkdir()
    (place / "data").symlink_to(data_dir)
    listener = socket.create_server(("127.0.0.1", 0))
    canary, port = place / "canary", listener.getsockname()[1]
    labels = data_dir / "MNIST/raw/t10k-labels-idx1-ubyte"
    outside = place / "outside.pth"
    outside.write_bytes(saved(good_checkpoint))
    run_folder = finished.folder / "runs/base"
    expected = {}
    for part in (
        honest.forms(folder, good_checkpoint),
        honest.untrained(folder),
        pickles.fill(folder, canary, port),
        archives.fill(folder),
        weights.fill(folder, good_checkpoint),
        predictions.fill(folder, few_images.targets.tolist()),
        entries.entries(folder, good_checkpoint, outside),
        entries.folders(folder, good_checkpoint, run_folder),
        onnx_models.fill(folder, good_checkpoint["model_state_dict"], labels),
        keras_models.fill(folder, good_checkpoint["model_state_dict"], labels),
    ):
        assert not part.keys() & expected.keys()
        expected |= part
    (folder / ".hidden.pth").write_bytes(b"left out")
    yield SimpleNamespace(
        place=place,
        folder=folder,
        expected=expected,
        canary=canary,
        listener=listener,
        before=checksums(folder),
    )
    listener.close()


def checksums(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if os.path.isfile(path) and path.stat().st_size < 2**26
    }


@pytest.fixture(scope="module")
def graded(submissions, on_few_images):
    """What evaluate.py says of the folder under each isolation, once it is asked for."""

    def grade(isolation):
        output = submissions.place / isolation / "evaluation.json"
        completed = run(
            *("evaluate.py", "submissions", "--isolation", isolation, "--output", output),
            *("--threshold", "80", "--memory", "1", "--timeout", "3", "--jobs", "1"),
            cwd=submissions.place,
        )
        return SimpleNamespace(completed=completed, folder=output.parent, document=read(output))

    return functools.cache(grade)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_every_entry_gets_its_one_row(submissions, graded, isolation):
    rows = graded(isolation).document["results"]
    assert len(submissions.expected) >= 60
    assert sorted(row["name"] for row in rows) == sorted(submissions.expected)
    wrong = []
    for row in rows:
        statuses, reason = submissions.expected[row["name"]]
        parts = (reason or "").split("|")
        found = any(part in (row["reason"] or "") for part in parts)
        if (
            row["status"] not in ([statuses] if isinstance(statuses, str) else statuses)
            or not found
        ):
            wrong.append((row["name"], row["status"], row["reason"], statuses, reason))
    assert not wrong, "\n".join(map(str, wrong))
    assert graded(isolation).completed.returncode == 1
    assert graded(isolation).document["isolation"] == isolation


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_reasons_are_ours(graded, isolation):
    for row in graded(isolation).document["results"]:
        if row["status"] == "error":
            assert 10 < len(row["reason"]) <= 600, row
            assert row["reason"].isprintable(), row
            assert not re.search("weights_only|Traceback|y{80}|0x[0-9a-f]{6}", row["reason"]), row


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_nothing_ran_leaked_or_changed(submissions, graded, isolation):
    warned = isolation == "none"
    assert graded(isolation).completed.stderr.startswith(
        "Isolation none: no wall" if warned else ""
    )
    assert graded(isolation).completed.stderr.count("\n") == warned
    assert not submissions.canary.exists()
    assert checksums(submissions.folder) == submissions.before
    submissions.listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        submissions.listener.accept()


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_one_network_has_the_same_answers_in_every_form(graded, own_row, isolation):
    rows = {row["name"]: row for row in graded(isolation).document["results"]}
    for name in ("design.pth", "compiled.pth", "legacy.pth", "double.pth", "plain.safetensors"):
        for key in ("correct", "confusion_matrix", "per_class", "architecture", "parameters"):
            assert rows[name][key] == own_row[key], (name, key)
        assert rows[name]["loss"] == pytest.approx(own_row["loss"], rel=1e-6)
    names = ("image.onnx", "flat.onnx", "single.onnx", "batch.onnx", "half.safetensors")
    for name in (*names, "base.keras", "base.h5", "hdf5"):
        assert rows[name]["correct"] == pytest.approx(own_row["correct"], abs=1), name
    assert rows["run"]["sha256"] == own_row["sha256"]
    assert rows["run"]["kind"] == "run"
    assert rows["perfect.csv"]["correct"] == rows["shuffled.csv"]["correct"] == NUM_IMAGES
    assert rows["at.csv"]["correct"] == NUM_IMAGES * 8 // 10
    assert rows["at.csv"]["loss"] is None


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_claims_and_twins_are_marked_and_change_nothing(graded, isolation):
    rows = {row["name"]: row for row in graded(isolation).document["results"]}
    assert rows["boaster.pth"]["claim_differs"]
    assert "! claims 99.99 %" in graded(isolation).completed.stdout
    for name in ("silent.pth", "wordy.pth", "beyond.pth"):
        assert rows[name]["claimed_accuracy"] is None
        assert not rows[name]["claim_differs"]
    twins = [n for n, r in rows.items() if r.get("sha256") == rows["twin-a.pth"]["sha256"]]
    assert len(twins) > 6
    for name in twins:
        assert rows[name]["duplicates"] >= len(twins) - 1
        assert len(rows[name]["duplicate_of"]) == 5
        assert name not in rows[name]["duplicate_of"]
    assert "headless.csv" in rows["perfect.csv"]["duplicate_of"], "other bytes, same predictions"
    assert rows["below.csv"]["duplicate_of"] == []
    assert "module. was taken off" in rows["parallel.pth"]["notes"]
    assert "float16 weights were graded as float32" in rows["half.pth"]["notes"]


@pytest.mark.parametrize("isolation", ISOLATIONS[1:])
def test_all_isolations_give_the_same_rows(graded, isolation):
    def comparable(isolation):
        # Which of two limits an endless loop meets first is a matter of milliseconds.
        return [
            {k: v for k, v in row.items() if k != "isolation"}
            for row in graded(isolation).document["results"]
            if row["name"] != "endless.onnx"
        ]

    assert comparable("process") == comparable(isolation)


def test_grades_csv_is_strict_quoted_sorted_and_defused(submissions, graded):
    text = (graded("process").folder / "grades.csv").read_text(encoding="utf-8")
    assert all(line.startswith('"') and line.endswith('"') for line in text.splitlines())
    header, *lines = csv.reader(text.splitlines(), strict=True)
    assert header == list(COLUMNS)
    assert len(lines) == len(submissions.expected)
    by_name = {row["name"]: row for row in graded("process").document["results"]}
    assert [line[1] for line in lines] == [by_name[name]["status"] for name in sorted(by_name)]
    for line in lines:
        assert all((cell.isprintable() and cell[:1] not in "=+-@\t\r") or not cell for cell in line)
    names = [line[0] for line in lines]
    assert "'=HYPERLINK(1).pth" in names
    assert r"a\nb\x1b[31m.pth" in names
    perfect = next(line for line in lines if line[0] == "perfect.csv")
    assert perfect[1:6] == ["pass", "100.00", "99.81 - 100.00", "2000", "2000"]


def test_hostile_names_are_shown_escaped(submissions, graded):
    table = graded("process").completed.stdout.split("---\n")[1].split("\n\n")[0]
    assert all(line.isprintable() for line in table.splitlines())
    text = (graded("process").folder / "evaluation.json").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.splitlines())
    completed = run(
        "report.py", graded("process").folder / "evaluation.json", cwd=submissions.place
    )
    assert completed.returncode == 0
    page = (graded("process").folder / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.pth" in page
