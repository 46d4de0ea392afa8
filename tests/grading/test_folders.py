"""Folders and zip files as courses and their platforms hold them: one student, one grade."""

import functools
from types import SimpleNamespace

import pytest

from common.models import MNISTClassifier
from tests.conftest import NEEDS_BUBBLEWRAP, read, run
from tests.grading.corpus import saved
from tests.grading.folders import METADATA, ZIPS, canvas, moodle, students, write, zips

ISOLATIONS = [
    "process",
    pytest.param("bubblewrap", marks=[pytest.mark.long, NEEDS_BUBBLEWRAP]),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory, data_dir, good_checkpoint, on_few_images):
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
    """What evaluate.py says of the folders under an isolation, once it is asked for."""

    def grade(isolation):
        before = {*place.parent.parent.rglob("*")}
        output = place / isolation / "evaluation.json"
        completed = run(
            *("evaluate.py", "zips", "students", "links", "canvas", "moodle", "gradescope"),
            *("--threshold", "80", "--isolation", isolation, "--output", output),
            cwd=place,
        )
        assert completed.returncode == 1, completed.stderr
        new = {*place.parent.parent.rglob("*")} - before
        rows = read(output)["results"]
        by_name = {(row["source"].split("/")[0], row["name"]): row for row in rows}
        assert len(rows) == len(by_name)
        return SimpleNamespace(
            completed=completed,
            rows=by_name,
            new=[p for p in new if output.parent not in (p, *p.parents)],
        )

    return functools.cache(grade)


def rows_of(graded, folder, isolation="process"):
    rows = graded(isolation).rows
    return {name: row for (parent, name), row in rows.items() if parent == folder}


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("name", ZIPS)
def test_zip_is_the_folder_it_holds_or_hears_why_not(graded, isolation, name):
    status, parts = ZIPS[name]
    row = rows_of(graded, "zips", isolation)[name]
    assert row["status"] == status, row["reason"]
    for part in parts.split("|"):
        assert part in (row["reason"] if status == "error" else row["notes"])


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_no_zip_writes_anything_anywhere(graded, place, isolation):
    assert graded(isolation).completed.stderr == ""
    assert graded(isolation).new == []
    assert not list(place.parent.parent.rglob("evil*"))


@pytest.mark.parametrize("name", students(b"", b""))
def test_what_lies_beside_a_model_is_none(graded, name):
    row = rows_of(graded, "students")[name]
    assert row["status"] == "pass", row["reason"]


def test_their_own_metrics_make_no_run_of_a_folder(graded):
    row = rows_of(graded, "students")["eve"]
    assert row["kind"] == "checkpoint"
    assert row["claimed_accuracy"] != 99.99


def test_canvas_student_has_one_row_and_numbered_names_are_one_attempt(graded):
    rows = rows_of(graded, "canvas")
    assert len(rows) == 4
    assert rows["adalovelace_101"]["status"] == "pass"
    for name in ("bobbuilder_102", "cyd_103"):
        assert rows[name]["status"] == "error", "numbers are no versions: two files are ambiguous"
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


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_litter_has_no_row_and_is_named_once(graded, isolation):
    names = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", "~$report.docx")
    for name in (*names, "submission_metadata.yml"):
        assert name not in [shown for _, shown in graded(isolation).rows]
        assert graded(isolation).completed.stdout.count(name) == 1, name
    assert len(rows_of(graded, "students", isolation)) == len(students(b"", b""))


@pytest.mark.long
@NEEDS_BUBBLEWRAP
def test_isolations_agree(graded):
    def comparable(rows):
        return {n: {k: v for k, v in r.items() if k != "isolation"} for n, r in rows.items()}

    assert comparable(graded("process").rows) == comparable(graded("bubblewrap").rows)


def test_twins_on_gradescope_stay_who_they_are(workspace, good_checkpoint, on_few_images):
    """Also when a second run takes over the rows of the first."""
    write(workspace / "class", {"submission_metadata.yml": METADATA.encode()})
    for number in (11, 12):
        write(workspace / f"class/submission_{number}", {"model.pth": saved(good_checkpoint)})
    for _ in range(2):
        flags = ("--threshold", "80", "--isolation", "process")
        run("evaluate.py", "class", *flags, cwd=workspace)
        ada, bob = read(workspace / "runs/grading/evaluation.json")["results"]
        assert "Ada Lovelace" in ada["student"]
        assert "Bob" in bob["student"]
