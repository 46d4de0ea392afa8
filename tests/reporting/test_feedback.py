"""A page for each student: what it says, what it does not tell, how platforms take it back."""

import contextlib
import io
import re
import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

import report
from common.data.idx import encode_idx
from common.support.errors import UserError
from common.support.files import write_json
from evaluations.names import folder_names
from reporting import student_pages
from reporting.pages import render_report
from reporting.student_pages import render_feedback
from tests.conftest import read, run
from tests.reporting.states import HOSTILE_NAMES, STATES
from tests.reporting.test_packed_names import moodle_takes


@contextlib.contextmanager
def no_pool(initializer):
    """In place of a pool of processes: so a figure is drawn once for all tests."""
    yield SimpleNamespace(
        map=lambda draw, bars: [*map(draw, bars)],
        imap=lambda render, rows, chunksize: map(render, rows),
    )


@pytest.fixture(autouse=True)
def pages_are_made_in_this_process(monkeypatch):
    monkeypatch.setattr(student_pages.multiprocessing, "Pool", no_pool)


@pytest.fixture(scope="module")
def graded_class(finished, tmp_path_factory, test_images):
    """A class of nine as Moodle names them, graded on public images, and on private ones."""
    folder = tmp_path_factory.mktemp("class")
    (folder / "data").symlink_to(finished.folder / "data")
    base, improved = (finished.folder / f"runs/{n}/checkpoint.pth" for n in ("base", "improved"))
    for number, content in enumerate([base, improved, base, improved, base, improved]):
        place = folder / f"submissions/Student {number}_{number}_assignsubmission_file_"
        place.mkdir(parents=True)
        shutil.copy(content, place / "model.pth")
    labels = "\n".join(map(str, (test_images.targets + (test_images.images[:, 9, 14] > 99)) % 10))
    (folder / "submissions/Ada_61_assignsubmission_file_guesses.csv").write_text(f"Label\n{labels}")
    (folder / "submissions/Bob_62_assignsubmission_file_broken.pth").write_bytes(b"broken")
    (folder / "submissions/stranger.pth").write_bytes(b"broken")
    assert run("evaluate.py", "submissions", "--exit-zero", cwd=folder).returncode == 0
    return folder


def pages_of(folder):
    """Return the text of each page by the name of its folder."""
    paths = (folder / "feedback").glob("*/feedback.html")
    return {path.parent.name: path.read_text(encoding="utf-8") for path in paths}


def feedback(folder, *args, where="runs/grading"):
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        assert report.main([f"{where}/evaluation.json", "--feedback", *args]) == 0
    return said.getvalue(), pages_of(folder / where)


def text_of(page):
    body = re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_each_row_has_a_page_that_says_what_it_is_worth(graded_class):
    said, pages = feedback(graded_class)
    rows = read(graded_class / "runs/grading/evaluation.json")["results"]
    assert len(pages) == len(rows) == 9
    assert said.startswith("Feedback: 9 pages written; a student's is runs/grading/feedback/NAME/")
    for row, name in zip(rows, folder_names([row["name"] for row in rows]), strict=True):
        text = text_of(pages[name])
        assert row["name"] in text
        if row["status"] == "error":
            assert row["reason"] in text
            assert "Not graded yet" in text
            continue
        assert f"{row['status'].capitalize()}: {row['accuracy']:.2f} %" in text
        assert f"{row['correct']:,} of 10,000 test images" in text
        assert all(str(cell) in text for line in row["confusion_matrix"] for cell in line)
        assert pages[name].count("data:image/png") == len(row["misclassified"]) == 12
        assert row["sha256"] in text
    for other in rows:
        assert sum(other["name"] in text_of(page) for page in pages.values()) == 1, "of one alone"


def test_answers_without_probabilities_show_the_first_errors(graded_class):
    _, pages = feedback(graded_class)
    text = text_of(pages["Ada_61_assignsubmission_file_guesses.csv"])
    rows = read(graded_class / "runs/grading/evaluation.json")["results"]
    (row,) = (row for row in rows if row["kind"] == "predictions")
    indices = [error["index"] for error in row["misclassified"]]
    assert indices == sorted(indices)
    assert "The first errors" in text
    assert "probability" not in text


def test_page_that_is_up_to_date_is_not_written_again(graded_class):
    feedback(graded_class)
    paths = sorted((graded_class / "runs/grading/feedback").glob("*/feedback.html"))
    paths[0].write_text("another")
    before = {path: path.stat().st_mtime_ns for path in paths}
    said, _ = feedback(graded_class)
    assert "1 page written" in said
    assert "8 were up to date" in said
    assert [p for p in paths if p.stat().st_mtime_ns != before[p]] == paths[:1]


def test_other_labels_of_a_private_set_show_nowhere(workspace, test_images):
    """As long as nobody's whole percent changes, nothing but the evaluation itself does."""
    images, targets = test_images.images[:400], test_images.targets[:400].astype(np.uint8)
    (workspace / "class").mkdir()
    for wrong in (10, 18, 26, 34, 42, 50):
        answers = np.where(np.arange(400) < 400 - wrong, targets, (targets + 1) % 10)
        np.save(workspace / f"class/{wrong}.npy", answers)
    seen, correct = [], []
    # One image that everybody recognises, and one that nobody does, have other labels then.
    for labels in (targets, np.r_[(targets[:1] + 5) % 10, targets[1:-1], (targets[-1:] + 5) % 10]):
        (workspace / "set").mkdir(exist_ok=True)
        (workspace / "set/x-images-idx3-ubyte").write_bytes(encode_idx(images))
        (workspace / "set/x-labels-idx1-ubyte").write_bytes(encode_idx(labels))
        flags = ("--test-set", "set", "--leaderboard", "--format", "gradescope", "--exit-zero")
        said = run("evaluate.py", "class", *flags, cwd=workspace).stdout
        graded = workspace / "runs/grading"
        correct.append([row["correct"] for row in read(graded / "evaluation.json")["results"]])
        pages = feedback(workspace)[1]
        results = [path.read_text() for path in sorted(graded.glob("gradescope/*/results.json"))]
        seen.append([said, pages, results, (graded / "grades.csv").read_text()])
    assert [a - b for a, b in zip(*correct, strict=True)] == [1] * 6
    assert seen[0] == seen[1]
    said, pages, *_ = seen[0]
    assert "97 % or more" in said
    for page in pages.values():
        assert "The test set is private" in page
        assert "<img" not in page
        assert "data:image" not in page
        assert "x-images" not in page


def test_small_class_is_not_shown_as_a_distribution(finished, tmp_path):
    evaluation, _ = STATES["submissions"](read(finished.folder / "runs/evaluation.json"), {}, 5)
    for count, shown in ((4, False), (5, True)):
        rows = evaluation["results"][:count]
        write_json(tmp_path / "runs/grading/evaluation.json", evaluation | {"results": rows})
        _, pages = feedback(tmp_path)
        assert any("could be graded" in page for page in pages.values()) is shown


def test_class_of_300_has_small_pages_under_hostile_names(finished, tmp_path):
    evaluation, _ = STATES["submissions"](read(finished.folder / "runs/evaluation.json"), {})
    write_json(tmp_path / "runs/grading/evaluation.json", evaluation)
    _, pages = feedback(tmp_path)
    assert len(pages) == 300
    for page in pages.values():
        assert len(page.encode()) < 60_000
        assert "<script" not in page
        assert "onerror" not in page.replace("&lt;img src=x onerror=alert(2)&gt;", "")
    assert {path.name for path in tmp_path.rglob("*.html")} == {"feedback.html"}


def test_folders_of_names_that_differ_little_are_distinct():
    names = ["a", "A", "é", "e\u0301", "..", "a/b", "a%2Fb", "x" * 300, "x" * 301, "dot."]
    names += HOSTILE_NAMES
    folders = folder_names(names)
    assert len({folder.casefold() for folder in folders}) == len(names)
    for folder in folders:
        assert "/" not in folder
        assert folder.strip(". ")
        assert len(folder.encode()) < 256


def test_archive_holds_one_page_a_student_and_names_what_is_left_out(graded_class):
    said, pages = feedback(graded_class, "moodle")
    assert "Not packed, 1 without a name of Moodle's of their own: 'stranger.pth'" in said
    assert "Packed: 8 of 9 pages in runs/grading/feedback-moodle.zip" in said
    content = (graded_class / "runs/grading/feedback-moodle.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        members = {
            moodle_takes(name)[0]: archive.read(name).decode() for name in archive.namelist()
        }
    assert members.keys() == {0, 1, 2, 3, 4, 5, 61, 62}
    for number in range(6):
        assert members[number] == pages[f"Student {number}_{number}_assignsubmission_file_"]
    feedback(graded_class, "moodle")
    assert (graded_class / "runs/grading/feedback-moodle.zip").read_bytes() == content


def test_two_submissions_of_one_students_number_are_not_packed(graded_class, tmp_path):
    evaluation = read(graded_class / "runs/grading/evaluation.json")
    rows = evaluation["results"]
    rows[1]["upload"] = rows[0]["upload"]
    write_json(tmp_path / "runs/grading/evaluation.json", evaluation)
    said, _ = feedback(tmp_path, "moodle")
    assert "Packed: 6 of 9" in said


def test_page_of_who_left_stays_and_is_named(graded_class, tmp_path):
    evaluation = read(graded_class / "runs/grading/evaluation.json")
    evaluation["results"] = evaluation["results"][-1:]
    write_json(tmp_path / "runs/grading/evaluation.json", evaluation)
    page = tmp_path / "runs/grading/feedback/Gone/feedback.html"
    page.parent.mkdir(parents=True)
    page.write_text("earlier")
    said, _ = feedback(tmp_path)
    assert "Of nobody in this grading, left from an earlier one: 'Gone'\n" in said
    assert page.read_text() == "earlier"


def test_archive_of_another_platform_is_not_replaced_by_an_empty_one(graded_class):
    earlier = graded_class / "runs/grading/feedback-canvas.zip"
    earlier.write_bytes(b"of an earlier grading")
    with pytest.raises(UserError, match="no submission has a name of Canvas's"):
        feedback(graded_class, "canvas")
    assert earlier.read_bytes() == b"of an earlier grading"


def test_wrong_use_is_one_line(finished, graded_class):
    own = finished.folder / "runs/evaluation.json"
    for args, complaint in (
        (("--feedback", "blackboard"), "but must be one of moodle, canvas, sakai, openolat, ilias"),
        ((own, "--feedback"), "is of your own runs: name the evaluation of a graded folder"),
        ((own, own, "--feedback"), "--feedback takes one evaluation"),
        (("--feedback", "--output", "x.html"), "leave out --output"),
    ):
        completed = run("report.py", *args, cwd=graded_class)
        assert completed.returncode == 2
        (line,) = completed.stderr.splitlines()
        assert complaint in line


def test_processes_write_the_same_pages_of_the_evaluation_behind_the_flag(graded_class):
    _, pages = feedback(graded_class)
    shutil.rmtree(graded_class / "runs/grading/feedback")
    flags = ("--feedback", "runs/grading/evaluation.json")
    completed = run("report.py", *flags, cwd=graded_class)
    assert completed.returncode == 0, completed.stderr
    assert pages_of(graded_class / "runs/grading") == pages


def test_ungraded_page_sets_the_command_apart_and_calls_a_checksum_no_reading(evaluation):
    call = "torch.save({'model_state_dict': model.state_dict()}, path)"
    row = next(
        r for r in STATES["submissions"](evaluation, {})[0]["results"] if r["status"] == "error"
    )
    row |= {"kind": "unknown", "sha256": "0" * 64, "reason": f"save it as in {call}, please"}
    page = render_feedback(evaluation, 0, row)
    assert (
        f'save it as in <code class="call">{call.replace(chr(39), "&#39;")}</code>, please' in page
    )
    assert "<h2>The file</h2>" in page
    assert "How the file was read" not in page
    assert "How the file was read" in render_feedback(evaluation, 0, row | {"kind": "checkpoint"})


def test_what_is_hardest_is_for_the_instructor_alone(evaluation):
    graded, _ = STATES["submissions"](evaluation, {}, count=20)
    told = "Median accuracy of each digit"
    assert told in render_report(graded, {}, {})
    rows = graded["results"]
    assert not any(told in render_feedback(graded, 18, row) for row in rows[:9])
    graded["results"] = [row for row in rows if row["status"] != "error"][:1]
    assert told not in render_report(graded, {}, {}), "of a single one"
