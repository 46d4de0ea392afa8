"""Runs that are interrupted go on to the same end; two at once, or damage, end in one line."""

import itertools
import os
import random
import re
import shlex
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn, optim

from bench.checks.interruptions import outcome
from common.checkpoints import TrainingState, load_saved_state
from common.loops import Batches, train_one_epoch
from common.models import ExponentialMovingAverage, ImprovedMNISTClassifier
from common.runs import Run
from common.support.cli import Stopped
from common.support.environment import seed_everything
from common.support.errors import UserError
from common.support.files import folder_lock
from common.support.processor import has_onednn
from common.transforms import Distortions
from tests.conftest import REPO, read, run
from tests.processes import start_forked

CPU = torch.device("cpu")


def interrupt(process, number, after):
    """Send a signal once a line that begins with ``after`` was printed; return the last words."""
    for line in process.stdout:
        if line.startswith(after):
            process.send_signal(number)
            break
    with process.stdout, process.stderr:
        errors = process.stderr.read()
    process.wait(60)
    return errors.strip().splitlines()


@pytest.fixture(scope="module")
def flags(few_digits):
    """Those of a training whose epochs are long enough for a signal to come within one."""
    return (*few_digits, "--epochs", "3", "--batch-size", "16")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, flags):
    """A folder in which a run came to its end."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run("train_base.py", *flags, cwd=folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def interrupted(flags, tmp_path_factory):
    """A run that SIGTERM ended after its first epoch; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("interrupted")
    process = start_forked(REPO / "train_base.py", flags, folder)
    last_words = interrupt(process, signal.SIGTERM, after="epoch 1/3")
    return SimpleNamespace(folder=folder, last_words=last_words, status=process.returncode)


@pytest.fixture
def unfinished(interrupted, workspace):
    """A copy of the interrupted run's folder."""
    (workspace / "runs/idx").mkdir(parents=True)
    subprocess.run(
        ["cp", "-a", interrupted.folder / "runs/idx/base", workspace / "runs/idx"], check=True
    )
    return workspace


def test_sigterm_ends_in_a_line_that_gives_the_command_that_goes_on(interrupted, undisturbed):
    assert interrupted.status == 143
    (line,) = interrupted.last_words
    said, command = line.rsplit(": ", 1)
    assert said == "train_base.py: terminated; the state is saved, and this continues"
    words = shlex.split(command)
    assert words[0] == "python"
    assert words[-1] == "--resume"
    files = sorted(path.name for path in (interrupted.folder / "runs/idx/base").glob("[!.]*"))
    assert files == ["checkpoint.pth", "metrics.json", "training_state.pth"]


def test_run_stopped_by_signals_ends_as_if_nothing_had_happened(flags, undisturbed, unfinished):
    process = start_forked(REPO / "train_base.py", (*flags, "--resume"), unfinished)
    last_words = interrupt(process, signal.SIGINT, after="epoch 2/3")
    assert process.returncode == 130
    assert last_words[-1].startswith("train_base.py: interrupted; the state is saved")
    completed = run("train_base.py", *flags, "--resume", cwd=unfinished)
    assert completed.returncode == 0
    assert completed.stderr.startswith("Resumed after epoch 2, step ")
    assert outcome(unfinished / "runs/idx/base") == outcome(undisturbed / "runs/idx/base")


def test_finished_run_is_left_alone(flags, undisturbed):
    before = {p: p.stat().st_mtime_ns for p in (undisturbed / "runs/idx/base").iterdir()}
    completed = run("train_base.py", *flags, "--resume", cwd=undisturbed)
    assert completed.returncode == 0
    assert "The run in runs/idx/base is finished: nothing to resume" in completed.stdout
    assert {p: p.stat().st_mtime_ns for p in (undisturbed / "runs/idx/base").iterdir()} == before


def test_other_run_in_the_folder_is_refused_with_the_difference(flags, unfinished):
    before = outcome(unfinished / "runs/idx/base")
    other = ("--seed", "7", "--lr", "0.003", "--val-size", "200")
    completed = run("train_base.py", *flags, *other, "--resume", cwd=unfinished)
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert re.search(
        r"the run in runs/idx/base is another one: recipe.optimizer.lr is 0.003, and was 0.001 "
        r"\(and \d+ more\); give what it began with, leave out --resume",
        completed.stderr,
    )
    assert outcome(unfinished / "runs/idx/base") == before


def test_other_conditions_are_named(flags, unfinished):
    path = unfinished / "runs/idx/base/training_state.pth"
    saved = torch.load(path, weights_only=True)
    saved["conditions"]["arithmetic"] = "an abacus"
    torch.save(saved, path)
    completed = run("train_base.py", *flags, "--resume", cwd=unfinished)
    assert completed.returncode == 0
    assert re.search(
        r"\nThe result may differ in its last bits: arithmetic is .+, and was 'an abacus'\n",
        completed.stderr,
    )


@pytest.mark.long
def test_rest_of_a_run_on_other_threads_ends_in_the_same_bits_or_says_so(
    flags, unfinished, undisturbed
):
    completed = run("train_base.py", *flags, "--resume", "--threads", "2", cwd=unfinished)
    assert completed.returncode == 0
    if has_onednn():
        assert "may differ" not in completed.stderr
        assert outcome(unfinished / "runs/idx/base") == outcome(undisturbed / "runs/idx/base")
    else:
        assert "may differ in its last bits: threads is 2, and was 1" in completed.stderr


def test_threads_are_a_condition_of_a_network_that_depends_on_them(train_images, tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten())
    optimizer = optim.Adam(model.parameters())
    schedule = optim.lr_scheduler.StepLR(optimizer, 1)
    state = TrainingState(model, optimizer, schedule, Batches(train_images, 100, CPU))
    dependent = Run(tmp_path, state, nn.CrossEntropyLoss(), {"val_size": 0}, 1, 0)
    assert dependent.conditions["threads"] == torch.get_num_threads()


def test_new_start_says_what_it_replaces(flags, unfinished):
    completed = run("train_base.py", *flags, "--epochs", "1", cwd=unfinished)
    assert completed.returncode == 0
    assert completed.stderr == (
        "The unfinished run in runs/idx/base is replaced; --resume would continue it\n"
    )
    assert read(unfinished / "runs/idx/base/metrics.json")["complete"]
    completed = run("train_base.py", *flags, "--epochs", "1", cwd=unfinished)
    line = "The first epoch replaces the run in runs/idx/base; --output-dir keeps it\n"
    assert completed.stderr == line


def test_damaged_state_is_one_line(flags, unfinished):
    path = unfinished / "runs/idx/base/training_state.pth"
    path.write_bytes(path.read_bytes()[:300_000])
    completed = run("train_base.py", *flags, "--resume", cwd=unfinished)
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert line.endswith("training_state.pth is damaged: leave out --resume to start anew")
    assert path.stat().st_size == 300_000


def test_no_state_of_other_bytes_or_other_content_is_taken_up(interrupted, tmp_path):
    content = (interrupted.folder / "runs/idx/base/training_state.pth").read_bytes()
    (tmp_path / "flipped").write_bytes(content[:300_000] + b"?" + content[300_001:])
    with pytest.raises(UserError, match="flipped is damaged"):
        load_saved_state(tmp_path / "flipped", required=())
    with pytest.raises(UserError, match="is no state of a training"):
        load_saved_state(interrupted.folder / "runs/idx/base/checkpoint.pth", required=["progress"])


def test_metrics_cut_in_half_are_one_line_and_left_alone(flags, workspace):
    path = workspace / "runs/idx/base/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"complete": tr')
    completed = run("train_base.py", *flags, "--resume", cwd=workspace)
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert "metrics.json is not valid JSON" in completed.stderr
    assert path.read_bytes() == b'{"complete": tr'


def test_second_process_in_a_folder_stops_with_a_line(flags, undisturbed):
    for folder, script, *args in [
        ("runs/idx/base", "train_base.py", *flags),
        ("runs/idx", "evaluate.py", "--threshold", "80", *flags[:4]),
        (
            *("runs/idx/grading", "evaluate.py", "runs/idx/base/checkpoint.pth"),
            *("--threshold", "80", *flags[:4]),
        ),
    ]:
        with folder_lock(undisturbed / folder, "wait"):
            completed = run(script, *args, cwd=undisturbed)
        assert completed.returncode == 2
        assert len(completed.stderr.splitlines()) == 1
        assert f"{folder} is in use by another process" in completed.stderr


def test_second_download_waits_for_the_first(tmp_path, data_dir):
    raw = tmp_path / "MNIST/raw"
    download = (
        "import pathlib; from common.data.download import MNIST_SPEC, download; "
        f"download(MNIST_SPEC, pathlib.Path({str(tmp_path)!r}))"
    )
    with folder_lock(raw, "wait"):
        process = subprocess.Popen(
            [sys.executable, "-c", download], cwd=REPO, stderr=subprocess.PIPE, text=True
        )
        said = process.stderr.readline()
        for path in (data_dir / "MNIST/raw").glob("[!.]*"):
            (raw / path.name).symlink_to(path)
    assert said == f"Waiting for another process that writes into {raw} ...\n"
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("stop_at", [1, 3, 10, 11, 20])
@pytest.mark.parametrize("is_augmented", [False, True])
def test_run_goes_on_at_the_step_of_the_signal(train_images, tmp_path, stop_at, is_augmented):
    """Ten steps an epoch: stopped after the first, in the middle, and at the end of an epoch."""

    def trained(name, signal_at=None, resume=False):
        seed_everything(3)
        few = train_images.select(np.arange(1000))
        distort = Distortions() if is_augmented else None
        batches = Batches(few, 100, CPU, torch.Generator().manual_seed(3), distort)
        model = ImprovedMNISTClassifier(hidden_sizes=(16, 8))
        average = ExponentialMovingAverage(model, decay=0.9) if is_augmented else None
        optimizer = optim.AdamW(model.parameters(), fused=True)
        schedule = optim.lr_scheduler.OneCycleLR(optimizer, 0.01, epochs=2, steps_per_epoch=10)
        steps = itertools.count(1)

        def criterion(logits, targets):
            if next(steps) == signal_at:
                os.kill(os.getpid(), signal.SIGTERM)
            return F.cross_entropy(logits, targets)

        state = TrainingState(model, optimizer, schedule, batches, average)
        data = {"val_size": 0}
        with Run(tmp_path / name, state, nn.CrossEntropyLoss(), data, 2, 3, resume) as run:
            for epoch in run.epochs():
                training = train_one_epoch(
                    model, batches, criterion, optimizer, epoch, schedule, run.progress, average
                )
                random.random(), np.random.rand()
                run.finish_epoch(training, None)
            run.finish(Batches(few.select(np.arange(0)), 1, CPU))
        return outcome(tmp_path / name), random.random(), np.random.rand(), torch.rand(1)

    undisturbed = trained("undisturbed")
    with pytest.raises(Stopped) as stopped:
        trained("stopped", signal_at=stop_at)
    assert stopped.value.number == signal.SIGTERM
    assert trained("stopped", resume=True) == undisturbed


@pytest.mark.parametrize("done", [0, 1, 7, 16])
def test_batches_go_on_where_they_were(train_images, done):
    """Also after the last one, which is not the same as before the first."""

    def batches():
        return Batches(few, 64, CPU, generator=torch.Generator().manual_seed(3))

    few = train_images.select(np.arange(1000))
    whole = batches()
    expected = [targets for _ in range(2) for _, targets in whole]
    first = batches()
    passing = iter(first)
    seen = [next(passing)[1] for _ in range(done)]
    second = batches()
    second.load_state_dict(first.state_dict())
    second.load_state_dict(second.state_dict())
    seen += [targets for _, targets in second]
    seen += [targets for _, targets in second]
    assert len(seen) == len(expected)
    assert all(torch.equal(*pair) for pair in zip(seen, expected, strict=True))
