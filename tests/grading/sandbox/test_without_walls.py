"""Submissions that have an accident where no process is confined cost their own row alone."""

import functools
import os
import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from common.data.arrays import LabelledImages
from common.data.catalog import MNIST
from common.support.errors import PassingError, SubmissionError, UserError
from evaluations.rows import ClassAnswers
from grading.preprocessing import Preprocessing
from grading.sandbox.portable.client import PortableSandbox
from tests.grading.sandbox.readings import MEMORY, NUM_IMAGES, answers_of, measure, open_file


def start(jobs=2, reader="tests.grading.sandbox.abusive_reader"):
    images = np.zeros((NUM_IMAGES, 28, 28), np.uint8)
    test_set = LabelledImages("", images, np.zeros(NUM_IMAGES, int), {}, MNIST)
    rule = Preprocessing(MNIST.normalization)
    return PortableSandbox(test_set, "none", MEMORY, 4, jobs, rule, reader=reader)


TRIED = {
    "sleep": (["sleep"], r"took longer than the 4 s allowed \(--timeout\): hand in predictions"),
    "spin": (["spin"], r"allowed \(--timeout\): hand in predictions"),
    "memory": (["fill_memory"], r"needs more than the 0.5 GiB of memory allowed \(--memory\)"),
    "output": (["fill_output"], "ended without an answer"),
    "read": (["read_file", "/etc/passwd"], r"tried to open a file or a connection; none is allow"),
    "self": (["kill", "self"], r"crashed the process that read it \(SIGKILL\), the second time"),
    "crash": (["crash"], r"crashed the process that read it \(SIGSEGV\)"),
    "leave": (["leave", 0], "ended without an answer"),
    "leave3": (["leave", 3], r"ended the process that read it \(exit status 3\)"),
}


# Each of the others costs a process that starts anew, too, and ends as one of these does.
QUICK = ("sleep", "memory")
OTHERS = tuple(name for name in TRIED if name not in QUICK)
HALVES = [QUICK, pytest.param(OTHERS, marks=pytest.mark.long)]


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """What became of accidents, each after a submission that is read as usual.

    The first of those meets a process that was ended before.
    """

    def try_out(names):
        os.environ["CANARY"] = "a secret of the parent"
        commands = [part for name in names for part in (["nothing"], TRIED[name][0])]
        threads = threading.active_count()
        try:
            with start() as sandbox:
                sandbox._idle[0].process.kill()
                place = tmp_path_factory.mktemp("none")
                outcomes = measure(sandbox, place, [*commands, ["tell_environment"]])
        finally:
            del os.environ["CANARY"]
        return SimpleNamespace(
            outcomes=dict(zip(names, outcomes[1::2], strict=True)),
            between=outcomes[:-1:2],
            environment=outcomes[-1],
            threads=threading.active_count() - threads,
        )

    return functools.cache(try_out)


@pytest.mark.parametrize(
    ("half", "name"),
    [
        *((QUICK, name) for name in QUICK),
        *(pytest.param(OTHERS, name, marks=pytest.mark.long) for name in OTHERS),
    ],
)
def test_an_accident_costs_its_own_row_and_says_which_limit(tried, half, name):
    outcome = tried(half).outcomes[name]
    assert isinstance(outcome, SubmissionError)
    assert re.search(TRIED[name][1], str(outcome)), str(outcome)
    assert isinstance(outcome, PassingError) == (name in ("sleep", "spin", "self"))


@pytest.mark.parametrize("half", HALVES)
def test_the_others_get_their_answers(tried, half):
    assert all(isinstance(outcome, ClassAnswers) for outcome in tried(half).between)
    assert "secret" not in str(tried(half).environment)
    assert tried(half).threads == 0


def test_a_process_that_was_ended_between_two_submissions_costs_nobody(tried):
    assert isinstance(tried(QUICK).between[0], ClassAnswers)


def test_no_process_and_no_descriptor_is_left_when_grading_is_interrupted(tmp_path):
    before, threads = len(os.listdir("/proc/self/fd")), {*threading.enumerate()}
    for name, command in (("a", '["nothing"]'), ("b", '["sleep"]')):
        (tmp_path / name).write_text(command)
    with start(jobs=1) as sandbox:
        outcomes = sandbox.measure(enumerate(open_file(tmp_path / name) for name in "ab"))
        number, outcome = next(outcomes)
        assert (number, type(answers_of(outcome))) == (0, ClassAnswers)
        outcomes.close()
    for thread in {*threading.enumerate()} - threads:
        thread.join(5)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_reader_that_does_not_start_is_a_line():
    with pytest.raises(UserError, match="does not start: ModuleNotFoundError"):
        start(reader="tests.nowhere")
