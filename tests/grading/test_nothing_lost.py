"""Rows survive kills, and none is kept that somebody else may have brought about."""

import errno
import json
import os
import signal
import tempfile

import numpy as np
import pytest

from common.support.cli import Stopped
from grading.document import GrowingEvaluation
from grading.intake import class_zip
from grading.intake.journal import Journal, read_journal
from grading.sandbox.task import Task
from tests.conftest import read, run
from tests.grading.test_grading import grade, networks

EVALUATION = "runs/grading/evaluation.json"


@pytest.fixture
def flags(workspace, private_set):
    networks(workspace / "submissions", 3)
    return "--test-set", private_set, "submissions", "--exit-zero"


def written_beside(evaluation):
    return sorted(path.name for path in evaluation.parent.glob("[!.]*"))


def test_rows_of_a_killed_run_are_joined_but_for_the_one_that_was_being_written(workspace, flags):
    _, first = grade(workspace, *flags)
    path = workspace / EVALUATION
    evaluation = read(path)
    rows = [row | {"epoch": 77} for row in evaluation.pop("results") if row["status"] != "error"]
    journal = Journal(path, evaluation)
    for row in rows:
        journal.append(row)
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes()[:-300])
    path.unlink()
    _, second = grade(workspace, *flags)
    epochs = [second[f"{number:02}.pth"]["epoch"] for number in range(3)]
    assert sorted(epochs, key=str) == [77, 77, None]
    assert [second[name] | {"epoch": None} for name in sorted(second) if name[0] == "0"] == [
        first[name] for name in sorted(first) if name[0] == "0"
    ]
    assert written_beside(path) == ["evaluation.json", "grades.csv"]


def test_a_row_costs_as_much_as_it_is_long_however_many_there_are(tmp_path):
    fields = {"dataset": {}, "versions": {}, "limits": {}, "threshold": 90.0}
    growing = GrowingEvaluation(tmp_path / "e.json", fields, {})
    sizes = []
    with growing:
        for number in range(100):
            growing.add(number, {"name": f"{number:03}"})
            sizes.append(growing.journal.path.stat().st_size)
    assert len({*np.diff(sizes)}) == 1
    assert len(read_journal(growing.journal.path)["results"]) == 100
    assert not growing.path.exists()


def test_a_full_disk_is_an_error_that_names_the_file_of_rows(tmp_path):
    fields = {"dataset": {}, "versions": {}, "limits": {}, "threshold": 90.0}
    (tmp_path / "e.rows.jsonl").symlink_to("/dev/full")
    growing = GrowingEvaluation(tmp_path / "e.json", fields, {})
    with pytest.raises(OSError, match=r"No space left on device.*e\.rows\.jsonl"), growing:
        growing.add(0, {"name": "a"})


@pytest.mark.parametrize("is_apart", [True, False])
def test_interruption_keeps_the_rows_and_of_a_fresh_grading_the_earlier_evaluation(
    tmp_path, is_apart
):
    path = tmp_path / "e.json"
    path.write_text("earlier")
    with pytest.raises(Stopped), GrowingEvaluation(path, {}, {}, is_apart) as growing:
        growing.add(0, {"name": "a"})
        raise Stopped(signal.SIGTERM)
    if is_apart:
        assert path.read_text() == "earlier"
        assert read_journal(growing.journal.path)["results"] == [{"name": "a"}]
    else:
        assert (read(path)["complete"], read(path)["results"]) == (False, [{"name": "a"}])
        assert [p.name for p in tmp_path.iterdir()] == ["e.json"]


def test_run_that_was_killed_at_once_can_be_rendered(workspace, flags):
    grade(workspace, *flags)
    path = workspace / EVALUATION
    path.write_text(json.dumps(read(path) | {"complete": False, "results": []}))
    completed = run("report.py", EVALUATION, cwd=workspace)
    assert completed.returncode == 0, completed.stderr
    assert "Incomplete: the run was cut short" in completed.stdout


def test_what_this_machine_lacks_leaves_no_row_and_the_next_call_ends_it(
    workspace, flags, monkeypatch
):
    def open_or_not(path, *args, **options):
        if str(path).endswith("01.pth"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return opened(path, *args, **options)

    opened = os.open
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", open_or_not)
        completed = run("evaluate.py", *flags, cwd=workspace)
    assert completed.returncode == 2
    lack, error = completed.stderr.strip().splitlines()[-2:]
    assert lack.startswith("01.pth: cannot be read on this machine: Too many open files: raise")
    assert "1 of 5 submissions could not be read on this machine" in error
    evaluation = read(workspace / EVALUATION)
    assert not evaluation["complete"]
    assert "01.pth" not in {row["name"] for row in evaluation["results"]}
    assert written_beside(workspace / EVALUATION) == ["evaluation.json"]
    _, rows = grade(workspace, *flags)
    assert rows["01.pth"]["status"] == "fail"


def test_file_that_changes_while_it_is_read_is_graded_again(workspace, flags, monkeypatch):
    """As one that is still being copied: the checksum would be another's than the answers'."""
    send = Task.send

    def send_and_change(task, *args):
        if task.item[1][0].name == "01.pth":
            with (workspace / "submissions/01.pth").open("ab") as file:
                file.write(b"the rest")
        send(task, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Task, "send", send_and_change)
        _, rows = grade(workspace, *flags)
    assert "changed while it was read: grade it again with the same" in rows["01.pth"]["reason"]
    assert {rows[name]["status"] for name in ("00.pth", "02.pth")} == {"fail"}
    document = read(workspace / EVALUATION)
    # Without the mark it would be kept, since the files are the same.
    assert [row["name"] for row in document["results"] if row.get("try_again")] == ["01.pth"]
    _, again = grade(workspace, *flags)
    assert again["01.pth"]["status"] == "fail"


def test_notes_of_one_student_never_come_to_another_with_the_same_file(workspace, private_set):
    content = b"\n".join(b"7" for _ in range(300))
    folder = workspace / "submissions"
    folder.mkdir()
    for student, attempts in (("al_x", 2), ("al_y", 1), ("al_z", 3)):
        for number in range(attempts):
            stem = f"A_b_{student}_attempt_2026-10-0{number + 1}-10-00-00"
            (folder / f"{stem}_p.csv").write_bytes(content)
            (folder / f"{stem}.txt").write_text(f"Name: {student} ({student})\n")
    for _ in range(2):
        _, rows = grade(workspace, "--test-set", private_set, "submissions", "--exit-zero")
        notes = [rows[name]["notes"] for name in sorted(rows)]
        assert ["of 2 attempts" in note for note in notes] == [True, False, False], rows
        assert ["of 3 attempts" in note for note in notes] == [False, False, True]


def test_folders_of_killed_runs_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, used, new, foreign = (tmp_path / f"mnist-grading-{n}" for n in "abcd")
    for folder in (left, used, new):
        folder.mkdir()
        (folder / "1").write_text("a class")
    foreign.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    for folder in (left, used):
        os.utime(folder, (0, 0))
    with class_zip._locked(used), class_zip.folder_to_unpack_in() as folder:
        assert folder.parent == tmp_path
        assert not left.exists()
        assert used.exists() and new.exists() and (tmp_path / "elsewhere").exists()
        os.utime(folder, (0, 0))
        with class_zip.folder_to_unpack_in():
            assert folder.exists(), "it is in use"
    assert not folder.exists()
