"""What a user can get wrong, and what can be in the way: one line, and the right status."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ONE_EPOCH, REPO, read, run
from tests.processes import run_forked

SCRIPTS = ("train_base.py", "train_improved.py", "evaluate.py", "report.py")


def test_diverging_loss_names_epoch_and_step_and_keeps_the_last_good_epoch(few_digits, workspace):
    one_epoch = (*few_digits, "--epochs", "1")
    assert run("train_base.py", *one_epoch, cwd=workspace).returncode == 0
    before = (workspace / "runs/idx/base/checkpoint.pth").read_bytes()
    completed = run("train_base.py", *one_epoch, "--lr", "1e20", cwd=workspace)
    assert completed.returncode == 2
    assert re.search(r"the loss is (nan|inf) at epoch 1, step \d+ of 47", completed.stderr)
    said = ["The first epoch replaces the run in runs/idx/base; --output-dir keeps it"]
    assert completed.stderr.splitlines()[:-1] == said
    assert (workspace / "runs/idx/base/checkpoint.pth").read_bytes() == before


MISTAKES = [
    ("train_base.py", ("--epochs", "0"), "--epochs is 0"),
    ("train_base.py", ("--epochs", "x"), "invalid int value"),
    ("train_base.py", ("--batch-size", "-1"), "--batch-size is -1"),
    ("train_improved.py", ("--lr", "nan"), "--lr is nan"),
    ("train_base.py", ("--seed", "-1"), "--seed is -1"),
    ("train_base.py", ("--val-size", "60000"), "--val-size is 60000"),
    ("train_base.py", ("--device", "tpu"), "--device is 'tpu'"),
    ("evaluate.py", ("x.pth", "--device", "cpu"), "--device is for one's own runs"),
    ("train_base.py", ("--output-dir", "data/MNIST/raw/train-labels-idx1-ubyte"), "train-labels"),
    ("train_improved.py", ("--batch-size", "1"), "one image has no variance"),
    ("evaluate.py", (), "no training run in runs: run train_base.py"),
    ("evaluate.py", ("missing.pth",), "missing.pth: no such file or folder"),
    ("evaluate.py", ("--threshold", "101"), "--threshold is '101'"),
    ("evaluate.py", ("--threshold", "nan"), "--threshold is 'nan'"),
    ("evaluate.py", ("--threshold", "1e999999999"), "--threshold is '1e999999999'"),
    ("evaluate.py", ("--bogus",), "unrecognized arguments: --bogus"),
    ("report.py", (), "runs/evaluation.json: no such file"),
]


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory, data_dir):
    """Make all the mistakes in one folder, and return what was said of each."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "data").symlink_to(data_dir)
    return folder, {mistake: run(mistake[0], *mistake[1], cwd=folder) for mistake in MISTAKES}


@pytest.mark.parametrize(
    "mistake", MISTAKES, ids=lambda mistake: " ".join([mistake[0], *mistake[1]])
)
def test_what_a_user_can_get_wrong_is_one_line_and_status_2(mistakes, mistake):
    folder, runs = mistakes
    script, _, complaint = mistake
    assert runs[mistake].returncode == 2
    assert len(runs[mistake].stderr.splitlines()) == 1
    assert runs[mistake].stderr.startswith(f"{script}: error: ")
    assert complaint in runs[mistake].stderr
    assert [path.name for path in folder.iterdir()] == ["data"], "nothing was written"


def test_folder_name_that_is_no_utf8_is_escaped(few_digits, workspace):
    flags = (*few_digits, "--epochs", "1", "--output-dir", b"runs/\xff")
    completed = run("train_base.py", *flags, cwd=workspace)
    assert completed.returncode == 0, completed.stderr
    assert read(os.path.join(workspace, "runs/\udcff/metrics.json"))["name"] == "\\xff"


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_closed_output_does_not_stop_a_script(no_figures, closed):
    command = f"exec {sys.executable} {REPO / 'report.py'} e.json {closed}"
    completed = subprocess.run(command, shell=True, cwd=no_figures, capture_output=True)
    assert completed.returncode == 0, completed.stderr
    assert (no_figures / "report.html").exists()


def test_output_folder_that_cannot_be_made_is_one_line(workspace):
    (workspace / "runs").write_text("a file where a folder should be")
    completed = run("train_base.py", *ONE_EPOCH, cwd=workspace)
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert "runs" in completed.stderr


# What is not done unless they are given.
WITHOUT_DEFAULT = (
    "-h",
    "--test-set",
    "--models",
    "--format",
    "--roster",
    "--assignment",
    "--due",
    "--history",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_each_flag_with_its_default(tmp_path, script):
    completed = run_forked(REPO / script, ["--help"], tmp_path, COLUMNS="200")
    assert completed.returncode == 0
    options = re.split(r"\n  (?=-)", completed.stdout)[1:]
    for option in options:
        assert not re.search(r"None|False|see above|\[\]", option), option
        flag, *_ = option.split("  ")
        if " " in flag and not flag.startswith(WITHOUT_DEFAULT):
            assert "default:" in option, option
    if script.startswith("train"):
        for flag in ("data-dir", "output-dir", "epochs", "batch-size", "lr", "seed", "device"):
            assert f"--{flag} " in completed.stdout
