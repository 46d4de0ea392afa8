"""A submission on its way through the sandbox, as the parent sees it.

Its process answers in a block of memory, and may ask on a channel how its inputs are normalised.
"""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from common.data.arrays import LabelledImages
from common.data.catalog import Normalization
from common.grading.sandbox import wire
from common.grading.sandbox.wire import (
    ADVICE,
    EXITED,
    IMAGES_TRIED,
    TIMED_OUT,
    TRIED,
    TRIED_ALL,
    TRIED_BRIEFLY,
    TRIED_FIRST,
    TRY_ALL,
    Answers,
    OpenFile,
    Shape,
    Trials,
    close_all,
)
from common.support.errors import SubmissionError

_MAX_NAME = 200  # characters of a file's name that its process is told

Numbered = tuple[int, list[OpenFile]]  # with the caller's own number
Outcome = tuple[Answers, Trials] | SubmissionError


class Advisor(Protocol):
    """Chooses the normalisation of each submission (``common.grading.preprocessing``)."""

    sample: LabelledImages | None
    is_given: bool
    names: Sequence[str]
    normalizations: Sequence[Normalization]

    def advise(self, predicted: list[np.ndarray]) -> int:
        """Return the number of the normalisation to take, or TRY_ALL."""


class Task:
    """A submission that is being read: its files, its block of answers and its channel."""

    def __init__(self, item: Numbered, shape: Shape) -> None:
        self.item, self.shape = item, shape
        self.block = os.memfd_create("answers")
        os.ftruncate(self.block, shape.block_size)
        self.channel, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.setblocking(False)
        self.questions_left = 3
        self._trials = Trials([])

    def send(self, control: socket.socket, slot: int) -> None:
        """Hand the submission to the server."""
        files = self.item[1]
        for file in files:
            os.lseek(file.descriptor, 0, os.SEEK_SET)
        named = [(file.name[-_MAX_NAME:], file.size) for file in files]
        request = json.dumps({"slot": slot, "files": named}, ensure_ascii=False).encode()
        descriptors = [self.block, self._theirs.fileno(), *(file.descriptor for file in files)]
        with self._theirs, contextlib.suppress(OSError):  # a server that is gone: see its report
            socket.send_fds(control, [request], descriptors)

    def close(self, with_files: bool = True) -> None:
        """Close everything; the files stay open for another attempt if asked to."""
        os.close(self.block)
        self.channel.close()
        if with_files:
            close_all(self.item[1])

    def answer(self, advisor: Advisor) -> None:
        """Answer what was tried on the sample with what to take; three times at most."""
        self.questions_left -= 1
        with contextlib.suppress(OSError):
            message = self.channel.recv(TRIED.size)
            tried = message[0] if message else 0
            if tried not in (TRIED_FIRST, TRIED_BRIEFLY, TRIED_ALL) or not self.shape.num_sampled:
                self.questions_left = 0  # its process has ended, or does not keep to the rules
                return
            content = self._content()
            count = 1 if tried == TRIED_FIRST else self.shape.num_tried
            predicted = [wire.decode_sample(content, self.shape, n) for n in range(count)]
            predicted = [classes[: IMAGES_TRIED[tried]] for classes in predicted]
            advice = advisor.advise(predicted)
            if tried != TRIED_BRIEFLY:
                self._trials = Trials(predicted, 0 if advice == TRY_ALL else advice)
            self.channel.send(ADVICE.pack(advice))

    def outcome(self, ending: int, detail: int, timeout: float) -> Outcome:
        """Return the answers, or why there are none, once its process has ended."""
        if ending == TIMED_OUT:
            return SubmissionError(f"took longer than the {timeout:g} s allowed (--timeout)")
        if ending == EXITED and detail == 0:
            return self._decoded()
        if ending == EXITED:
            return SubmissionError(f"ended the process that read it (exit status {detail})")
        if detail == signal.SIGXCPU:
            return SubmissionError(
                f"used more than the {timeout:g} s of processor time allowed (--timeout)"
            )
        return SubmissionError(f"crashed the process that read it ({_signal_name(detail)})")

    def _decoded(self) -> Outcome:
        content = self._content()
        try:
            answers = wire.decode(content, self.shape)
        except SubmissionError as error:
            return error
        trials = self._trials
        if answers.info.is_guess and not trials.predicted and self.shape.num_sampled:
            # Nothing had to be chosen, but a guess has answered the sample all the same.
            trials = Trials([wire.decode_sample(content, self.shape, 0)])
        return answers, trials

    def _content(self) -> bytes:
        return os.pread(self.block, self.shape.block_size, 0)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"
