"""Faults of the disk and of the place: the old file or the new one, one clear line, status 2."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

import pytest

from common.support import files
from tests.conftest import ONE_EPOCH, REPO, run
from tests.processes import run_forked

# Each step of the one function that writes files: who does it, and which of its calls it is.
STEPS = {
    "make": (tempfile, "mkstemp", 1),
    "write": ("file", "writelines", 1),
    "flush": ("file", "flush", 1),
    "sync": (os, "fsync", 1),
    "permit": (os, "chmod", 1),
    "rename": (os, "replace", 1),
    "open folder": (os, "open", 2),  # after the one of mkstemp
    "sync folder": (os, "fsync", 2),
}
AFTER_THE_RENAME = ("open folder", "sync folder")


class File:
    """A file one of whose methods does something else."""

    def __init__(self, file, name, instead):
        self.file = file
        setattr(self, name, instead)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.file.close()


def at_step(monkeypatch, step, fault):
    """Let ``fault`` happen in place of a step."""
    owner, name, nth = STEPS[step]
    if owner == "file":
        fdopen = os.fdopen
        monkeypatch.setattr(os, "fdopen", lambda *args: File(fdopen(*args), name, fault))
        return
    original, calls = getattr(owner, name), []

    def step_or_fault(*args, **options):
        calls.append(args)
        return fault() if len(calls) == nth else original(*args, **options)

    monkeypatch.setattr(owner, name, step_or_fault)


def full(*args):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", STEPS)
def test_failure_of_any_step_leaves_a_whole_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "file.bin"
    files.atomic_write(path, b"old")
    with monkeypatch.context() as patched:
        at_step(patched, step, full)
        with pytest.raises(OSError, match=r"No space left.*file\.bin"):
            files.atomic_write(path, b"new")
    assert path.read_bytes() == (b"new" if step in AFTER_THE_RENAME else b"old")
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("step", STEPS)
def test_death_at_any_step_leaves_a_whole_file_and_whoever_uses_the_folder_cleans_up(
    tmp_path, monkeypatch, step
):
    path = tmp_path / "file.bin"
    files.atomic_write(path, b"old")
    child = os.fork()
    if child == 0:
        try:
            at_step(monkeypatch, step, lambda *args: os._exit(9))
            files.atomic_write(path, b"new")
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert path.read_bytes() == (b"new" if step in AFTER_THE_RENAME else b"old")
    with files.folder_lock(tmp_path, "wait"):
        leftovers = list(tmp_path.glob(f"{files.TEMPORARY}*"))
        # It may still be in use. Before it is made, and after it is renamed, there is none.
        assert len(leftovers) == (step not in ("make", *AFTER_THE_RENAME))
    for leftover in leftovers:
        os.utime(leftover, (0, 0))
    with files.folder_lock(tmp_path, "wait"):
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "file.bin"]


def test_file_that_is_being_written_is_no_leftover(tmp_path, monkeypatch):
    def write_another(*args):
        monkeypatch.undo()
        files.atomic_write(tmp_path / "other.bin", b"other")
        os.replace(*args)

    monkeypatch.setattr(os, "replace", write_another)
    files.atomic_write(tmp_path / "file.bin", b"content")
    assert (tmp_path / "file.bin").read_bytes() == b"content"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file.bin", "other.bin"]


def test_full_disk_is_one_line_and_what_was_written_is_whole(few_digits, workspace):
    """A file system of 4 MB of its own: the checkpoint has room, the state has none."""
    place = workspace / "small"
    place.mkdir()
    flags = [*few_digits, "--epochs", "1", "--output-dir", "small/base"]
    train = [sys.executable, str(REPO / "train_base.py"), *flags]
    commands = 'mount -t tmpfs -o size=4m none small && "$@" > /dev/null; echo $?; ls -A small/base'
    as_root = [] if os.getuid() == 0 else ["--map-root-user"]
    completed = subprocess.run(
        ["unshare", "--mount", *as_root, "sh", "-c", commands, "sh", *train],
        cwd=workspace,
        capture_output=True,
        text=True,
    )
    assert completed.stderr == (
        "train_base.py: error: small/base/training_state.pth: No space left on device: make room, "
        "and run the same command again\n"
    )
    assert completed.stdout.split() == ["2", ".lock"]


@pytest.mark.long
def test_full_disk_in_a_later_epoch_names_the_way_to_go_on(few_digits, workspace):
    """12 MB hold one epoch's files, and not the second state beside the first."""
    (workspace / "small").mkdir()
    flags = [*few_digits, "--epochs", "2", "--output-dir", "small/base"]
    train = [sys.executable, str(REPO / "train_base.py"), *flags]
    commands = (
        'mount -t tmpfs -o size=12m none small && "$@" || mount -o remount,size=40m small && '
        '"$@" --resume 2>&1'
    )
    as_root = [] if os.getuid() == 0 else ["--map-root-user"]
    completed = subprocess.run(
        ["unshare", "--mount", *as_root, "sh", "-c", commands, "sh", *train],
        cwd=workspace,
        capture_output=True,
        text=True,
    )
    assert completed.stderr == (
        "train_base.py: error: small/base/training_state.pth: No space left on device: make room, "
        f"and this continues: python train_base.py {' '.join(flags)} --resume\n"
    )
    assert completed.stdout.count("epoch 1/2") == 1
    assert "Resumed after epoch 1, step 0 of the next\nepoch 2/2" in completed.stdout


def test_limit_on_the_size_of_files_is_one_line_and_the_old_page_stays(no_figures):
    page = no_figures / "report.html"
    page.write_bytes(b"old")
    completed = run(
        "report.py",
        "e.json",
        cwd=no_figures,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert completed.returncode == 2
    assert completed.stderr == (
        "report.py: error: report.html: File too large: raise the limit (ulimit -f), and run "
        "the same command again\n"
    )
    assert page.read_bytes() == b"old"
    assert not list(page.parent.glob(".writing-*"))


def test_folder_without_permission_is_one_line(no_figures):
    (no_figures / "closed").mkdir(mode=0o555)
    command = [sys.executable, REPO / "report.py", "e.json", "--output", "closed/report.html"]
    if os.getuid() == 0:  # who may write anywhere, unless this right is taken
        assert shutil.which("setpriv")
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    completed = subprocess.run(command, cwd=no_figures, capture_output=True, text=True)
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert line.endswith("report.html: Permission denied: ask for the right to it, or name another "
                         "place")  # fmt: skip
    assert not list((no_figures / "closed").iterdir())


def test_metrics_of_a_newer_schema_are_one_line(finished, tmp_path):
    shutil.copytree(finished.folder / "runs", tmp_path / "runs")
    path = tmp_path / "runs/base/metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "schema_version": 3}))
    before = (tmp_path / "runs/report.html").read_bytes()
    completed = run("report.py", cwd=tmp_path)
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert "metrics.json has schema_version 3, and this code reads 2" in completed.stderr
    assert (tmp_path / "runs/report.html").read_bytes() == before


def test_data_that_vanished_and_cannot_be_fetched_is_one_line(tmp_path):
    """No network: every host is asked for through a proxy that is not there."""
    nowhere = "http://127.0.0.1:9"
    environment = {
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
        "PIP_INDEX_URL": f"{nowhere}/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
    }
    train = REPO / "train_base.py"
    completed = run_forked(train, [*ONE_EPOCH, "--resume"], tmp_path, **environment)
    assert completed.returncode == 2
    line = completed.stderr.splitlines()[-1]
    assert line.startswith("train_base.py: error: MNIST could not be fetched (torchvision's")
    assert "connect to a network, or put the files" in line
    assert not list(tmp_path.rglob("*.pth"))


def test_checkpoint_that_is_not_the_one_of_the_metrics_is_not_measured(finished, workspace):
    """What a crash between the two writes would leave, or a file that was exchanged."""
    shutil.copytree(finished.folder / "runs/improved", workspace / "runs/base")
    (workspace / "runs/base/checkpoint.pth").write_bytes(
        (finished.folder / "runs/base/checkpoint.pth").read_bytes()
    )
    completed = run("evaluate.py", cwd=workspace)
    assert completed.returncode == 1
    assert "metrics.json describes another checkpoint.pth" in completed.stdout
