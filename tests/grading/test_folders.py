"""Folders and zip files as courses and their platforms hold them: one student, one grade."""

import io
import shutil
import struct
import zipfile
from types import SimpleNamespace

import pytest
import torch

from common.models import MNISTClassifier
from tests.conftest import read, run
from tests.grading.corpus import saved

ISOLATIONS = [
    "process",
    pytest.param(
        "bubblewrap", marks=pytest.mark.skipif(not shutil.which("bwrap"), reason="no bubblewrap")
    ),
]
NOTEBOOK = b'{"cells": [], "nbformat": 4}'
LOG = b"epoch,loss,accuracy\n1,0.5,91.0\n2,0.4,93.1\n"
METADATA = """---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '1815'
    :email: ada@example.edu
  :created_at: 2026-11-01
submission_12:
  :submitters:
  - :name: Bob
    :sid: '2'
    :email: bob@example.edu
"""


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def encrypted(archive):
    """The same with the flag of encryption in each header, as a password would leave it."""
    content = bytearray(archive)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + at] |= 1
            start = content.find(signature, start + 4)
    return bytes(content)


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# By name: the status, and the parts of the reason or of the notes.
ZIPS = {
    "deep.zip": ("pass", "model.pth"),
    "dotted.zip": ("pass", "model.pth"),
    "mac.zip": ("pass", ""),
    "bomb.zip": ("error", "expands to more than 256 MiB"),
    "liar.zip": ("error", "damaged"),
    "climbs.zip": ("pass", "m.pth"),
    "absolute.zip": ("pass", ""),
    "matryoshka.zip": ("error", "within a zip"),
    "secret.zip": ("error", "encrypted"),
    "pair.zip": ("error", "a.pth|b/b.pth"),
    "twice.zip": ("error", "a/m.pth|b/m.pth"),
    "empty.zip": ("error", "no file in it can be graded"),
    "cut.zip": ("error", "damaged"),
    "cnn.zip": ("error", "conv1|.onnx"),
}


def zips(good, bad):
    bomb = zipped({"a/model.pth": bytes(300 * 2**20)})
    cell = saved({"conv1.weight": torch.zeros(2, 1, 3, 3), "conv1.bias": torch.zeros(2)})
    return {
        "deep.zip": zipped({"hw1/src/out/model.pth": good, "hw1/a.py": b"1"}),
        "dotted.zip": zipped({"./hw1/model.pth": good}),
        "mac.zip": zipped({"m.pth": good, "__MACOSX/._m.pth": b"x"}),
        "bomb.zip": bomb,
        "liar.zip": bomb.replace(struct.pack("<I", 300 * 2**20), struct.pack("<I", 1000)),
        "climbs.zip": zipped({"../../evil": b"x", "../../m.pth": good}),
        "absolute.zip": zipped({"/tmp/evil-of-a-zip.pth": good}),
        "matryoshka.zip": zipped({"in.zip": zipped({"m.pth": good})}),
        "secret.zip": encrypted(zipped({"m.pth": good})),
        "pair.zip": zipped({"a.pth": good, "b/b.pth": bad}),
        "twice.zip": zipped({"a/m.pth": good, "b/m.pth": bad}),
        "empty.zip": zipped({}),
        "cut.zip": zipped({"m.pth": good})[:-40],
        "cnn.zip": zipped({"README.md": b"mine", "model.pth": cell}),
    }


def students(good, bad):
    """Folders by name: what lies in them beside the one model that counts."""
    venv = {f"venv/lib/python3/site-packages/torch/{n}.pth": bad for n in "abc"}
    return {
        "ada": {"model.pth": good, "hw.ipynb": NOTEBOOK, "report.pdf": b"%PDF-1.7"},
        "bea": {"model.pth": good, "log.csv": LOG, "notes.txt": b"91 % at last\n"},
        "cid": {"model.pth": good, **venv, "lib/site-packages/x.pth": bad},
        "dan": {"model.pth": good, ".ipynb_checkpoints/model.pth": bad},
        "eve": {"best.pth": good, "metrics.json": b'{"accuracy": 99.99}'},
        "fay": {"a/b/c/model.pth": good, "__MACOSX/a/._model.pth": b"x"},
        "gus": {"model.pth": good, "locked.zip": encrypted(zipped({"data.csv": LOG}))},
        "hal": {"hal.zip": zipped({"hw/model.pth": good}), "report.pdf": b"%PDF"},
        "ian": {"model.pth": good, **{f"logs/{n}.txt": b"loss 0.1\n" for n in range(70)}},
    }


def canvas(good, bad):
    return {
        "adalovelace_101_9001_model.pth": good,
        "adalovelace_101_9002_report.pdf": b"%PDF",
        "bobbuilder_LATE_102_9003_model.pth": bad,
        "bobbuilder_LATE_102_9004_model-1.pth": bad,
        "bobbuilder_LATE_102_9005_model-2.pth": good,
        "bobbuilder_LATE_102_9006_hw.ipynb": NOTEBOOK,
        "cyd_103_9010_model-10.pth": good,
        "cyd_103_9011_model-9.pth": bad,
        "dee_104_9012_a.pth": good,
        "dee_104_9013_b.pth": bad,
    }


MOODLE = "{} {}_{}_assignsubmission_{}_{}"


def moodle(good):
    return {
        MOODLE.format("Ada", "Lovelace", 1, "file", "/model.pth"): good,
        MOODLE.format("Ada", "Lovelace", 1, "onlinetext", "/onlinetext.html"): b"<p>hello",
        MOODLE.format("Bob", "Builder", 2, "file", "model.pth"): good,
        MOODLE.format("Bob", "Builder", 2, "file", "hw.ipynb"): NOTEBOOK,
        MOODLE.format("Bob", "Builder", 2, "onlinetext", "onlinetext.html"): b"<p>hello",
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory, data_dir, good_checkpoint):
    place = tmp_path_factory.mktemp("folders") / "inner" / "most"
    place.mkdir(parents=True)
    (place / "data").symlink_to(data_dir)
    good, bad = saved(good_checkpoint), saved(MNISTClassifier(hidden_sizes=(8,)).state_dict())
    write(place / "zips", zips(good, bad))
    for name, files in students(good, bad).items():
        write(place / "students" / name, files)
    litter = (".DS_Store", "Thumbs.db", "desktop.ini", "~$report.docx", "__MACOSX/._ada")
    write(place / "students", dict.fromkeys(litter, b"x"))
    write(place / "links", {"ada.pth": good, "bob.data": b"x", "bob/report.txt": b"mine"})
    (place / "links/bob/model.pth").symlink_to("../ada.pth")
    write(place / "canvas", canvas(good, bad))
    write(place / "moodle", moodle(good))
    write(place / "gradescope", {"submission_metadata.yml": METADATA.encode()})
    write(place / "gradescope/submission_11", {"hw/model.pth": good})
    write(place / "gradescope/submission_12", {"model.pth": bad})
    return place


@pytest.fixture(scope="module")
def graded(place):
    before = sorted(place.parent.parent.rglob("*"))
    runs = {}
    for isolation in ["process", "bubblewrap"][: 1 + bool(shutil.which("bwrap"))]:
        output = place / isolation / "evaluation.json"
        completed = run(
            *("evaluate.py", "zips", "students", "links", "canvas", "moodle"),
            *(
                "gradescope",
                "--threshold",
                "80",
                "--isolation",
                isolation,
                "--jobs",
                "1",
                "--output",
                output,
            ),
            cwd=place,
        )
        assert completed.returncode == 1, completed.stderr
        rows = read(output)["results"]
        runs[isolation] = SimpleNamespace(
            completed=completed, rows={(r["source"].split("/")[0], r["name"]): r for r in rows}
        )
        assert len(rows) == len(runs[isolation].rows)
    after = [p for p in place.parent.parent.rglob("*") if p.relative_to(place.parent.parent)]
    outputs = {place / name for name in runs}
    new = [p for p in after if p not in before and not outputs & {p, *p.parents}]
    return SimpleNamespace(runs=runs, new=new)


def rows_of(graded, folder, isolation="process"):
    rows = graded.runs[isolation].rows
    return {name: row for (parent, name), row in rows.items() if parent == folder}


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("name", ZIPS)
def test_zip_is_the_folder_it_holds_or_hears_why_not(graded, isolation, name):
    status, parts = ZIPS[name]
    row = rows_of(graded, "zips", isolation)[name]
    assert row["status"] == status, row["reason"]
    for part in parts.split("|"):
        assert part in (row["reason"] if status == "error" else row["notes"])


def test_no_zip_writes_anything_anywhere(graded, place):
    for runs in graded.runs.values():
        assert runs.completed.stderr == ""
    assert graded.new == []
    assert not list(place.parent.parent.rglob("evil*"))


@pytest.mark.parametrize("name", students(b"", b""))
def test_what_lies_beside_a_model_is_none(graded, name):
    row = rows_of(graded, "students")[name]
    assert row["status"] == "pass", row["reason"]


def test_their_own_metrics_make_no_run_of_a_folder(graded):
    row = rows_of(graded, "students")["eve"]
    assert row["kind"] == "checkpoint"
    assert row["claimed_accuracy"] != 99.99


def test_canvas_student_has_one_row_and_the_highest_version_counts(graded):
    rows = rows_of(graded, "canvas")
    assert len(rows) == 4
    assert rows["adalovelace_101"]["status"] == "pass"
    assert rows["bobbuilder_102"]["status"] == "pass", "version 2, not the first two"
    (cyd,) = (row for name, row in rows.items() if name.startswith("cyd"))
    assert cyd["status"] == "pass", "version 10 is above 9"
    assert rows["dee_104"]["status"] == "error"
    assert "a.pth" in rows["dee_104"]["reason"]
    assert "b.pth" in rows["dee_104"]["reason"]


def test_moodle_student_has_one_row_and_typed_text_none(graded):
    rows = rows_of(graded, "moodle")
    assert len(rows) == 2, list(rows)
    for who in ("Ada Lovelace_1", "Bob Builder_2"):
        (row,) = (row for name, row in rows.items() if name.startswith(who))
        assert row["status"] == "pass", row["reason"]


def test_gradescope_says_whose_each_folder_is(graded):
    rows = rows_of(graded, "gradescope")
    assert list(rows) == ["submission_11", "submission_12"]
    assert rows["submission_11"]["status"] == "pass"
    assert "Ada Lovelace" in rows["submission_11"]["student"]
    assert "1815" in rows["submission_11"]["student"]
    assert rows["submission_12"]["status"] == "fail"
    assert "Bob" in rows["submission_12"]["student"]


def test_link_to_the_work_of_another_is_none(graded):
    bob = rows_of(graded, "links")["bob"]
    assert bob["status"] == "error", bob["notes"]


def test_litter_has_no_row_and_is_named_once(graded):
    names = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", "~$report.docx")
    for runs in graded.runs.values():
        for name in (*names, "submission_metadata.yml"):
            assert name not in [shown for _, shown in runs.rows]
            assert runs.completed.stdout.count(name) == 1, name
        assert len(rows_of(graded, "students")) == len(students(b"", b""))


def test_isolations_agree(graded):
    def comparable(rows):
        return {n: {k: v for k, v in r.items() if k != "isolation"} for n, r in rows.items()}

    if len(graded.runs) == 2:
        process, bubblewrap = graded.runs["process"], graded.runs["bubblewrap"]
        assert comparable(process.rows) == comparable(bubblewrap.rows)


def test_twins_on_gradescope_stay_who_they_are(workspace, good_checkpoint):
    """Also when a second run takes over the rows of the first."""
    write(workspace / "class", {"submission_metadata.yml": METADATA.encode()})
    for number in (11, 12):
        write(workspace / f"class/submission_{number}", {"model.pth": saved(good_checkpoint)})
    for _ in range(2):
        run("evaluate.py", "class", "--threshold", "80", cwd=workspace)
        ada, bob = read(workspace / "runs/grading/evaluation.json")["results"]
        assert "Ada Lovelace" in ada["student"]
        assert "Bob" in bob["student"]
