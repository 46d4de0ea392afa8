"""A submission that is being read, as the parent sees it: what it asked, and how it ended."""

import os
import signal
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from common.data.arrays import LabelledImages
from common.data.catalog import Normalization
from common.support.errors import MachineError, PassingError, SubmissionError, UserError
from common.support.text import terminal_safe
from grading.sandbox import machine, wire
from grading.sandbox.wire import STAGES, Answers, OpenFile, Shape, Trials

ANEW = "save it anew, or hand in predictions"
TWICE = f"{ANEW}; or the machine that grades lacks memory: ask who grades"
_LESS = (
    "hand in predictions (.csv with ImageId,Label) or a smaller network, or ask who grades for "
    "more time"
)

_MAX_NAME = 200  # characters of a file's name that its process is told

Numbered = tuple[int, list[OpenFile]]  # with the caller's own number
Outcome = tuple[Answers, Trials] | SubmissionError | MachineError

# What a process brings about itself. Any other signal may come from outside: from the kernel, when
# memory is short, or from a person. By name: Windows imports this, and lacks most of them.
_OWN_SIGNALS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGSYS", "SIGTRAP", "SIGXCPU")


class Advisor(Protocol):
    """Chooses how each submission's inputs are made of pixels (``grading.preprocessing``)."""

    sample: LabelledImages | None
    is_given: bool
    names: Sequence[str]
    normalizations: Sequence[Normalization]

    def advise(self, logits: dict[int, np.ndarray], is_last: bool) -> set[int]:
        """Return the numbers of the ways to go on with; a single one is taken."""


class Exchange:
    """A submission that is being read: its files, and what it may ask."""

    def __init__(self, item: Numbered, shape: Shape) -> None:
        self.item, self.shape = item, shape
        self._stages_left = list(STAGES)
        self._asked = set(range(shape.num_tried // 2))
        self._trials = Trials({})

    def read(self, size: int, start: int) -> bytes:
        """Return so many bytes of its block of answers."""
        raise NotImplementedError

    def named(self) -> list[tuple[str, int]]:
        """Return the names of the files, as far as its process is told, and their sizes."""
        return [(file.name[-_MAX_NAME:], file.size) for file in self.item[1]]

    def advice(self, advisor: Advisor) -> int:
        """Return the ways to go on with, a bit each; none to who breaks the rules."""
        if not self._stages_left or not self.shape.num_sampled:
            return 0
        num_images = self._stages_left.pop(0)
        logits = {number: self._tried(number, num_images) for number in self._asked}
        self._asked = advisor.advise(logits, is_last=not self._stages_left)
        for number, answers in logits.items():
            if len(answers) > len(self._trials.predicted.get(number, ())):
                self._trials.predicted[number] = answers.argmax(axis=1)
        if len(self._asked) == 1:
            self._trials = self._trials._replace(taken=min(self._asked))
            self._stages_left = []
        return sum(1 << number for number in self._asked)

    def outcome(self, ending: int, detail: int, timeout: float) -> Outcome:
        """Return the answers, or why there are none, once its process has ended."""
        if ending == wire.NOT_STARTED:
            return machine.lack(OSError(detail, os.strerror(detail)))
        if any(file.has_changed() for file in self.item[1]):
            return PassingError("changed while it was read: grade it again with the same command")
        try:
            if ending != wire.EXITED or detail != 0:
                is_slow = ending == wire.TIMED_OUT or _used_its_time(ending, detail)
                is_passing = is_slow or came_from_outside(ending, detail)
                kind = PassingError if is_passing else SubmissionError
                raise kind(_why_it_ended(ending, detail, timeout))
            answers = wire.decode(self.read(self.shape.sample_start(0), 0), self.shape)
        except SubmissionError as error:
            return error
        return answers, self._trials

    def _tried(self, number: int, num_images: int) -> np.ndarray:
        """Return what it answered to the first images of the sample: logits, [num_images, C]."""
        size = 4 * min(num_images, self.shape.num_sampled) * self.shape.num_classes
        content = self.read(size, self.shape.sample_start(number))
        return wire.decode_sample(content, self.shape.num_classes)


def not_started(complaints: bytes, who: str) -> UserError:
    """Return the error for a process that did not start, by the last line that it printed."""
    lines = complaints.decode("utf-8", "replace").strip().splitlines()
    last = terminal_safe(lines[-1] if lines else "no word")
    _, flag, said = last.partition("--models ")  # a file of whoever grades: that says enough
    return UserError(f"{flag}{said}" if flag else f"{who}: {last}")


def came_from_outside(ending: int, detail: int) -> bool:
    """Tell whether it may not be the submission that ended its process."""
    is_killed = ending == wire.KILLED and _signal_name(detail) not in _OWN_SIGNALS
    return ending == wire.NOT_STARTED or is_killed


def _used_its_time(ending: int, detail: int) -> bool:
    return ending == wire.KILLED and _signal_name(detail) == "SIGXCPU"


def _signal_name(number: int) -> str:
    # Most real-time signals have no name.
    return signal.Signals(number).name if number in {*signal.Signals} else f"signal {number}"


def _why_it_ended(ending: int, detail: int, timeout: float) -> str:
    if ending == wire.TIMED_OUT:
        return f"took longer than the {timeout:g} s allowed (--timeout): {_LESS}"
    if ending == wire.EXITED:
        return f"ended the process that read it (exit status {detail}): {ANEW}"
    if _used_its_time(ending, detail):
        return f"used more than the {timeout:g} s of processor time allowed (--timeout): {_LESS}"
    name = _signal_name(detail)
    if came_from_outside(ending, detail):
        return f"crashed the process that read it ({name}), the second time alone: {TWICE}"
    return f"crashed the process that read it ({name}): {ANEW}"
