"""Time is limited, and nobody pays for others, for who grades, or for what the machine lacks."""

import math
import os
import re
import resource
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from common.data.arrays import LabelledImages
from common.data.catalog import MNIST
from common.support.errors import MachineError, PassingError, SubmissionError
from evaluations.rows import ClassAnswers
from grading.preprocessing import Preprocessing
from grading.sandbox import machine
from grading.sandbox.machine import available_memory, fit_jobs
from grading.sandbox.wire import MAX_FILES
from tests.conftest import NEEDS_BUBBLEWRAP
from tests.grading.sandbox.readings import answers_of, measure, open_file, start


class SlowAdvisor(Preprocessing):
    """Somebody who grades and has much else to do."""

    def advise(self, logits, is_last):
        is_first = len(logits) > 2
        time.sleep(1.3 if is_first else 0)
        return {0, 1} if is_first else {0}


@pytest.fixture(scope="module")
def hurried():
    """A sandbox with a second for each submission, and a parent that needs longer to answer one."""
    images, labels = np.zeros((300, 28, 28), np.uint8), np.zeros(300, int)
    sample = LabelledImages("", images, labels, {}, MNIST)
    preprocessing = SlowAdvisor(MNIST.normalization, sample)
    with start("process", timeout=1, preprocessing=preprocessing) as sandbox:
        yield sandbox


OVERTIME = {
    "spin": r"allowed \(--timeout\): hand in predictions",
    "sleep": r"took longer than the 1 s allowed \(--timeout\): hand in predictions",
    "outlive_the_clock": r"allowed \(--timeout\)|SIGKILL",
}


def require_limits_of_time(sandbox, folder):
    server = sandbox.process.pid
    outcomes = measure(sandbox, folder, [[name] for name in OVERTIME])
    for outcome, reason in zip(outcomes, OVERTIME.values(), strict=True):
        assert isinstance(outcome, SubmissionError)
        assert re.search(reason, str(outcome)), str(outcome)
    assert sandbox.process.pid == server


def test_whose_time_is_over_is_ended(hurried, tmp_path):
    require_limits_of_time(hurried, tmp_path)


@pytest.mark.long
@NEEDS_BUBBLEWRAP
def test_whose_time_is_over_is_ended_in_bubblewrap(tmp_path):
    with start("bubblewrap", timeout=1) as sandbox:
        require_limits_of_time(sandbox, tmp_path)


def test_waiting_costs_no_time_and_claiming_to_wait_gains_none(hurried, tmp_path):
    commands = [["ask"], ["ask_and_sleep"], ["nap"]]
    outcomes = measure(hurried, tmp_path, commands)
    assert "took longer than the 1 s allowed" in str(outcomes.pop(1))
    assert all(isinstance(outcome, ClassAnswers) for outcome in outcomes), outcomes


def test_time_in_which_all_are_stopped_does_not_count(hurried, tmp_path):
    """As Ctrl-Z does it, or a container that is frozen."""
    (tmp_path / "nap").write_text('["nap"]')
    server = hurried.process.pid

    def stop_all():
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        pids = [server, *map(int, children)]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                os.kill(pid, number)
            time.sleep(1.3 * (number == signal.SIGSTOP))

    timer = threading.Timer(0.3, stop_all)
    timer.start()
    ((_, outcome),) = hurried.measure([(0, open_file(tmp_path / "nap"))])
    timer.join()
    assert isinstance(answers_of(outcome), ClassAnswers), outcome


def test_the_others_are_seen_to_while_the_next_files_are_read(hurried, tmp_path):
    (tmp_path / "x").write_text('["nothing"]')
    measured = []

    def opened():
        yield 0, open_file(tmp_path / "x")
        deadline = time.monotonic() + 20
        while not measured and time.monotonic() < deadline:
            yield None
        assert measured
        yield 1, open_file(tmp_path / "x")

    for number, _ in hurried.measure(opened()):
        measured.append(number)
    assert measured == [0, 1]


def test_who_is_killed_from_outside_is_read_again(hurried, tmp_path):
    """As the kernel does when memory is short; and one that kills itself."""
    killed = []

    def kill_one():
        server = hurried.process.pid
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        killed.append(children[0])

    timer = threading.Timer(0.3, kill_one)
    timer.start()
    outcomes = measure(hurried, tmp_path, [["nap"], ["nothing"], ["kill", "self"]])
    timer.join()
    assert killed
    own = outcomes.pop()
    assert isinstance(own, PassingError)
    assert "the machine that grades lacks memory: ask who grades" in str(own)
    assert all(isinstance(outcome, ClassAnswers) for outcome in outcomes), outcomes


def test_files_are_opened_when_there_is_room_for_them(hurried, tmp_path, monkeypatch):
    """Room for two submissions of 64 files at a time, although four may be read."""
    (tmp_path / "x").write_text('["nothing"]')
    monkeypatch.setattr(hurried, "jobs", 4)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(hurried, "most_descriptors", before + 2 * MAX_FILES + 20)
    most = 0

    def opened():
        nonlocal most
        for number in range(5):
            yield number, [open_file(tmp_path / "x", str(n))[0] for n in range(MAX_FILES)]
            most = max(most, len(os.listdir("/proc/self/fd")))

    outcomes = dict(hurried.measure(opened()))
    assert all(isinstance(answers_of(outcomes[n]), ClassAnswers) for n in range(5)), outcomes
    assert before + MAX_FILES < most <= before + 2 * MAX_FILES + 20


def test_what_the_server_cannot_start_is_no_error_of_a_submission(hurried, tmp_path):
    (tmp_path / "x").write_text('["nothing"]')
    limits = resource.prlimit(hurried.process.pid, resource.RLIMIT_NOFILE)
    few = len(os.listdir(f"/proc/{hurried.process.pid}/fd")) + 10
    files = [open_file(tmp_path / "x", str(n))[0] for n in range(MAX_FILES)]
    try:
        resource.prlimit(hurried.process.pid, resource.RLIMIT_NOFILE, (few, limits[1]))
        outcomes = dict(hurried.measure([(0, files), (1, open_file(tmp_path / "x"))]))
    finally:
        resource.prlimit(hurried.process.pid, resource.RLIMIT_NOFILE, limits)
    assert isinstance(outcomes[0], MachineError)
    assert "Too many open files: raise the limit (ulimit -n)" in str(outcomes[0])
    assert isinstance(answers_of(outcomes[1]), ClassAnswers)


@pytest.mark.parametrize("version", [1, 2])
def test_memory_is_what_the_machine_and_its_control_groups_have_left(tmp_path, version):
    group = "sys/fs/cgroup/class" if version == 2 else "sys/fs/cgroup/memory/class"
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    files = {
        "proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   8 kB\n",
        "proc/self/cgroup": "0::/class/one\n" if version == 2 else "4:memory:/class/one\n",
        f"{group}/{names[0]}": "7000\n",
        f"{group}/{names[1]}": "3000\n",
        f"{group}/memory.stat": f"cache 5\n{names[2]} 1000\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert available_memory(tmp_path) == 5000
    (tmp_path / f"{group}/{names[0]}").write_text("max\n")
    assert available_memory(tmp_path) == 8192
    assert available_memory(tmp_path / "nowhere") == math.inf


def test_no_more_are_read_at_a_time_than_memory_has_room_for(monkeypatch, capsys):
    monkeypatch.setattr(machine, "available_memory", lambda root: 5 * 2**30)
    assert fit_jobs(2, 2**30) == 2
    assert not capsys.readouterr().err
    assert fit_jobs(8, 2**30) == 4
    assert capsys.readouterr().err.startswith("Reading 4 at a time instead of 8: of the 5 GiB")
    assert fit_jobs(8, 2**40) == 1
