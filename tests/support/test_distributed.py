"""Two processes that torchrun starts: one training, one evaluation, whatever becomes of either."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.checks.interruptions import outcome
from common.loops import Batches
from common.models import MNISTClassifier
from common.support.errors import UserError
from tests.conftest import REPO, read, run
from tests.processes import run_ranks
from tests.support.gradient_worker import trained

CPU = torch.device("cpu")


def start(script, *args, cwd, restarts=0):
    """Start two ranks on this machine; torchrun itself, when it fails, shows a traceback."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*torchrun, "--nproc-per-node=2", f"--max-restarts={restarts}", REPO / script, *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def said_by(script, errors):
    """Return the lines of the script, without torchrun's own."""
    return [line for line in errors.splitlines() if line.startswith(f"{Path(script).name}: ")]


def together(script, *args, cwd):
    """Run two ranks to the end, and return what they printed."""
    ranks = run_ranks(REPO / script, args, cwd)
    errors = "".join(rank.stderr for rank in ranks)
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    assert "Traceback" not in errors
    return "".join(rank.stdout for rank in ranks), errors


def kill(torchrun, rank):
    """Send SIGKILL to the process of a rank."""
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    for child in children:
        if f"RANK={rank}" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            os.kill(int(child), signal.SIGKILL)


def wait_for_line(process, beginning):
    for line in process.stdout:
        if line.startswith(beginning):
            return
    raise AssertionError(process.stderr.read())


@pytest.fixture(scope="module")
def flags(few_digits):
    return (*few_digits, "--epochs", "3")


@pytest.fixture(scope="module")
def undisturbed(flags, tmp_path_factory):
    """A folder in which two ranks trained to the end, and what they printed."""
    folder = tmp_path_factory.mktemp("two")
    return folder, *together("train_base.py", *flags, cwd=folder)


@pytest.fixture(scope="module")
def interrupted(flags, tmp_path_factory):
    """A folder in which SIGTERM ended torchrun after the first epoch, and the last words."""
    folder = tmp_path_factory.mktemp("interrupted")
    process = start("train_base.py", *flags, cwd=folder)
    wait_for_line(process, "epoch 1/3")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    return folder, said_by("train_base.py", errors)


def test_two_ranks_leave_one_set_of_files_and_one_text(few_digits, undisturbed):
    folder, printed, _ = undisturbed
    files = sorted(path.name for path in (folder / "runs/idx/base").glob("[!.]*"))
    assert files == ["checkpoint.pth", "metrics.json"]
    for beginning in (
        "few0 training",
        "epoch 1/3",
        "epoch 2/3",
        "epoch 3/3",
        "Wrote runs/idx/base",
    ):
        assert sum(line.startswith(beginning) for line in printed.splitlines()) == 1
    metrics = read(folder / "runs/idx/base/metrics.json")
    assert metrics["environment"]["world_size"] == 2
    assert metrics["history"][-1]["val_accuracy"] > 85
    assert run("evaluate.py", "--threshold", "85", *few_digits[:4], cwd=folder).returncode == 0


def test_two_ranks_take_the_steps_of_one(train_images, data_dir, tmp_path):
    together("tests/support/gradient_worker.py", data_dir, tmp_path, cwd=tmp_path)
    alone = trained(train_images.select(np.arange(1000)))
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in range(2))
    for name, weights in alone["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        torch.testing.assert_close(first["weights"][name], weights, rtol=1e-4, atol=1e-6)
    for result in (first, second):
        assert result["loss"] == pytest.approx(alone["loss"], rel=1e-5)
        assert result["correct"] == alone["correct"]


@pytest.mark.parametrize(("images", "batch_size", "number"), [(1000, 60, 3), (998, 64, 4)])
def test_shares_of_a_batch_are_equal_and_hold_each_image_once(
    train_images, images, batch_size, number
):
    few = train_images.select(np.arange(images))

    def batches(rank, world_size):
        order = torch.Generator().manual_seed(3)
        return Batches(few, batch_size, CPU, order, rank=rank, world_size=world_size)

    whole = list(batches(0, 1))
    shares = [batches(rank, number) for rank in range(number)]
    assert {each.num_samples for each in shares} == {images // number * number}
    left_out = 0
    for (batch, _), *parts in zip(whole, *shares, strict=True):
        assert len({len(part) for part, _ in parts}) == 1
        left_out += len(batch) - sum(len(part) for part, _ in parts)
        for rank, (part, _) in enumerate(parts):
            assert torch.equal(part, batch[rank::number][: len(part)])
    assert left_out == images % number


def test_smallest_share_is_that_of_the_last_batch(train_images):
    few = train_images.select(np.arange(1000))
    sizes = {(64, 1): 40, (64, 2): 20, (100, 2): 50, (10**30, 4): 250, (2, 2): 1, (333, 3): 111}
    for (batch_size, number), size in sizes.items():
        assert Batches(few, batch_size, CPU, world_size=number).smallest == size


@pytest.mark.long
def test_batch_that_cannot_be_shared_out_is_refused_with_one_line(flags, workspace):
    process = start("train_base.py", *flags, "--batch-size", "65", cwd=workspace)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = said_by("train_base.py", errors)
    assert "--batch-size 65 cannot be divided equally over 2 processes" in line
    assert not (workspace / "runs").exists()


@pytest.mark.long
def test_killed_rank_is_started_again_and_nothing_differs(flags, undisturbed, workspace):
    process = start("train_base.py", *flags, cwd=workspace, restarts=1)
    wait_for_line(process, "epoch 1/3")
    kill(process, rank=0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Resumed after epoch " in errors
    assert outcome(workspace / "runs/idx/base") == outcome(undisturbed[0] / "runs/idx/base")


@pytest.mark.long
def test_signal_leaves_the_state_after_an_epoch_which_goes_on(
    flags, interrupted, undisturbed, workspace
):
    folder, (line,) = interrupted
    assert line == (
        "train_base.py: terminated; the state after epoch 1 is saved, and the same torchrun "
        "command with --resume at its end goes on from there"
    )
    subprocess.run(["cp", "-a", folder / "runs", workspace], check=True)
    together("train_base.py", *flags, "--resume", cwd=workspace)
    assert outcome(workspace / "runs/idx/base") == outcome(undisturbed[0] / "runs/idx/base")


@pytest.mark.long
def test_one_process_goes_on_where_two_stopped(flags, interrupted, workspace):
    subprocess.run(["cp", "-a", interrupted[0] / "runs", workspace], check=True)
    completed = run("train_base.py", *flags, "--resume", cwd=workspace)
    assert completed.returncode == 0
    assert "world_size is 1, and was 2" in completed.stderr
    assert len(read(workspace / "runs/idx/base/metrics.json")["history"]) == 3


@pytest.mark.long
def test_two_ranks_go_on_in_the_middle_of_an_epoch_of_one(flags, workspace):
    smaller = ("--batch-size", "16", "--epochs", "2")
    alone = subprocess.Popen(
        [sys.executable, REPO / "train_base.py", *flags, *smaller],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    wait_for_line(alone, "epoch 1/2")
    time.sleep(0.1)
    alone.send_signal(signal.SIGTERM)
    alone.communicate(timeout=60)
    saved = torch.load(workspace / "runs/idx/base/training_state.pth", weights_only=True)
    assert 0 < len(saved["progress"]["losses"]) < 188, "the signal came within an epoch"
    _, errors = together("train_base.py", *flags, *smaller, "--resume", cwd=workspace)
    assert "world_size is 2, and was 1" in errors
    history = read(workspace / "runs/idx/base/metrics.json")["history"]
    losses = [row["train_loss"] for row in history]
    assert losses == sorted(losses, reverse=True), "the epoch of both counts each image once"


@pytest.fixture
def submissions(workspace):
    """A folder of good, broken and hostile files."""
    folder = workspace / "submissions"
    folder.mkdir()
    for seed in range(12):
        torch.manual_seed(seed)
        weights = MNISTClassifier(hidden_sizes=(16,)).state_dict()
        torch.save(weights, folder / f"{seed:02}.pth")
    (folder / "copy.pth").write_bytes((folder / "03.pth").read_bytes())
    (folder / "broken.pth").write_bytes(b"broken")
    (folder / "notes.txt").write_text("hello")
    torch.save({"model_state_dict": os.system}, folder / "code.pth")
    (folder / "\u202ehtp.csv").write_text("ImageId,Label\n")
    (folder / "link.pth").symlink_to("/etc/passwd")
    return folder


def grading(name):
    return "submissions", "--leaderboard", "--exit-zero", "--output", f"{name}/evaluation.json"


@pytest.mark.long
def test_two_ranks_grade_as_one_does(submissions, workspace):
    """Although one of them is killed, and torchrun starts both again."""
    assert run("evaluate.py", *grading("alone"), cwd=workspace).returncode == 0
    expected = read(workspace / "alone/evaluation.json")["results"]
    assert len(expected) == 18

    process = start("evaluate.py", *grading("two"), cwd=workspace, restarts=1)
    part = workspace / "two/evaluation.rows-1.jsonl"
    while not part.exists() and process.poll() is None:
        time.sleep(0.001)
    kill(process, rank=1)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert printed.count("00.pth") == 1

    document = read(workspace / "two/evaluation.json")
    assert document["complete"]
    assert document["results"] == expected
    files = sorted(path.name for path in (workspace / "two").glob("[!.]*"))
    assert files == ["evaluation.json", "grades.csv"]
    alone, two = ((workspace / name / "grades.csv").read_bytes() for name in ("alone", "two"))
    assert alone == two


def test_rows_that_another_rank_had_graded_are_taken_over(submissions, workspace):
    """A run of one process goes on where two were cut short, with a row that shows it."""
    run("evaluate.py", *grading("runs"), cwd=workspace)
    path = workspace / "runs/evaluation.json"
    evaluation = read(path)
    lines = [evaluation, *(row | {"epoch": 7} for row in evaluation["results"])]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    path.with_name("evaluation.rows-1.jsonl").write_text(text)
    path.unlink()
    run("evaluate.py", *grading("runs"), cwd=workspace)
    rows = read(path)["results"]
    assert {row["epoch"] for row in rows if row["status"] == "fail"} == {7}
    assert not list(path.parent.glob("*.jsonl"))


def test_fewer_images_than_ranks_are_refused(train_images):
    with pytest.raises(UserError, match="2 images cannot be divided over 3 processes"):
        Batches(train_images.select(np.arange(2)), 63, CPU, world_size=3)


def test_batches_say_what_number_they_cannot_be_shared_by(train_images):
    with pytest.raises(UserError, match="64 cannot be divided equally over 3 processes"):
        Batches(train_images, 64, CPU, world_size=3)
