"""The sandbox's server: it has torch and the images loaded, and forks a child a submission.

``client`` starts it as ``python -m grading.sandbox.server SETTINGS``, with one end of a
socket pair as standard input. It never opens a submission itself: it passes the descriptor that it
got on to a child, and reports how the child ended. It has no labels and no file of its own.
"""

import contextlib
import errno
import gc
import importlib
import json
import math
import mmap
import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from common.data.catalog import Normalization, Sizes
from common.measuring import Answers, ClassAnswers, LogitAnswers
from common.support.errors import SubmissionError
from common.transforms import normalize
from grading.sandbox import limits, wire
from grading.sandbox.machine import STEP, Clock
from grading.sandbox.reading import Network, Reading, Table, Way
from grading.sandbox.wire import OpenFile

_UNREADABLE = "the file cannot be read: save or export it anew, and upload it again"


@dataclass
class Child:
    """A submission's process."""

    slot: int
    pid: int
    descriptor: int  # of the process: readable when it has ended
    channel: socket.socket  # on which it asks how its inputs are made
    seconds_left: float
    questions_left: int = len(wire.STAGES)
    is_waiting: bool = False  # for the parent, which costs it no time


class Server:
    """The loop of the server.

    ``control`` is where requests come from and reports go to; a message is a packet. ``pixels`` are
    the test images and then the sample, uint8 [N, side, side]. ``options`` are those that
    ``client`` sends. The reader is a module with ``read_submission(files, sizes, num_images)`` and
    ``warm_up(sizes, models)``.
    """

    def __init__(self, control: socket.socket, pixels: Tensor, options: dict[str, Any]) -> None:
        self.control, self.shape = control, wire.Shape(*options["shape"])
        self.test_pixels = pixels[: self.shape.num_images]
        self.sample_pixels = pixels[self.shape.num_images :]
        self.sizes = Sizes(options["side"], self.shape.num_classes)
        self.normalizations = [Normalization(*pair) for pair in options["normalizations"]]
        self.is_given = options["is_given"]
        self.memory, self.timeout = options["memory"], options["timeout"]
        self.reader = importlib.import_module(options["reader"])
        self.models = options["models"]
        # Of most submissions, so made once, before any of them is there.
        self.inputs = normalize(self.test_pixels, self.normalizations[0])
        self.children: dict[int, Child] = {}  # by slot
        self.clock = Clock()
        self.selector = selectors.DefaultSelector()
        self.null = os.open(os.devnull, os.O_RDWR)

    def serve(self) -> None:
        """Answer requests until the other end of the socket is closed; no child is left then."""
        self.reader.warm_up(self.sizes, self.models)
        limits.try_them(self.memory, self.timeout)
        gc.collect()
        gc.freeze()  # a collection in a child would touch, and so copy, every page with an object
        self.selector.register(self.control, selectors.EVENT_READ)
        self._report(wire.READY, wire.EXITED, 0)
        while True:
            running = [child for child in self.children.values() if not child.is_waiting]
            seconds = min([STEP / 2, *(child.seconds_left for child in running)])
            ready = self.selector.select(seconds if running else None)
            passed = self.clock.passed()
            for child in running:
                child.seconds_left -= passed
            for key, _ in ready:
                child = key.data
                if key.fileobj is self.control:
                    if not self._take_request():
                        # They die with the server anyway, unless one has switched that off.
                        for child in self.children.values():
                            os.kill(child.pid, signal.SIGKILL)
                        return
                elif self.children.get(child.slot) is child:  # not reaped a moment ago
                    if key.fd == child.descriptor:
                        self._reap(child, timed_out=False)
                    else:
                        self._hear(child)
            for child in [c for c in self.children.values() if c.seconds_left <= 0]:
                self._reap(child, timed_out=True)

    def _take_request(self) -> bool:
        most = wire.MAX_FILES + 1
        message, descriptors, _, _ = socket.recv_fds(self.control, wire.MAX_REQUEST, most)
        if not message:
            return False
        request = json.loads(message)
        if "advice" in request:
            self._pass_on(request["slot"], request["advice"])
            return True
        try:
            pid, channel = self._fork(request, descriptors)
        except OSError as error:
            self._report(request["slot"], wire.NOT_STARTED, error.errno or 0)
            return True
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        child = Child(request["slot"], pid, os.pidfd_open(pid), channel, self.timeout)
        self.children[child.slot] = child
        self.selector.register(child.descriptor, selectors.EVENT_READ, child)
        self.selector.register(channel, selectors.EVENT_READ, child)
        return True

    def _fork(self, request: dict[str, Any], descriptors: list[int]) -> tuple[int, socket.socket]:
        """Return the process of a child, and the channel to it.

        Raises OSError if this machine has no room for it.
        """
        if len(descriptors) != 1 + len(request["files"]):
            raise OSError(errno.EMFILE, "descriptors were lost on their way")
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                channel.close()
                raise
            if pid == 0:
                self._be_child(request, theirs.fileno(), descriptors)
        channel.setblocking(False)
        return pid, channel

    def _hear(self, child: Child) -> None:
        """Pass on what a child asks; one that does not keep to the rules is not heard again."""
        self.selector.unregister(child.channel)
        with contextlib.suppress(OSError):
            if child.channel.recv(1) == wire.TRIED and child.questions_left:
                child.questions_left -= 1
                child.is_waiting = True
                self._report(child.slot, wire.ASKED, 0)

    def _pass_on(self, slot: int, advice: int) -> None:
        child = self.children.get(slot)
        if child and child.is_waiting:
            child.is_waiting = False
            with contextlib.suppress(OSError):  # it has ended
                child.channel.send(wire.ADVICE.pack(advice))
            self.selector.register(child.channel, selectors.EVENT_READ, child)

    def _reap(self, child: Child, timed_out: bool) -> None:
        if timed_out:
            os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        self.selector.unregister(child.descriptor)
        with contextlib.suppress(KeyError):  # it asks, or is not heard any more
            self.selector.unregister(child.channel)
        del self.children[child.slot]
        os.close(child.descriptor)
        child.channel.close()
        code = os.waitstatus_to_exitcode(status)  # below 0 the signal
        ending = wire.KILLED if code < 0 else wire.EXITED
        if timed_out and code == -signal.SIGKILL:  # it had not ended by itself a moment before
            ending = wire.TIMED_OUT
        self._report(child.slot, ending, abs(code))

    def _report(self, slot: int, ending: int, detail: int) -> None:
        self.control.send(wire.REPORT.pack(slot, ending, detail))

    def _be_child(self, request: dict[str, Any], channel: int, descriptors: list[int]) -> NoReturn:
        status = 1
        with contextlib.suppress(BaseException):
            os.setsid()
            # Standard input was the control socket: who held it could report for others.
            for number in (0, 1, 2):
                os.dup2(self.null, number)
            block, *sources = descriptors
            files = [
                OpenFile(name, descriptor, size)
                for (name, size), descriptor in zip(request["files"], sources, strict=True)
            ]
            self._answer(request["slot"], block, channel, files)
            status = 0
        os._exit(status)

    def _answer(self, slot: int, target: int, channel: int, files: list[OpenFile]) -> None:
        block = memoryview(mmap.mmap(target, self.shape.block_size))
        limits.become_nobody(slot)
        start = 3
        for kept in sorted([channel, *(file.descriptor for file in files)]):
            os.closerange(start, kept)
            start = kept + 1
        os.closerange(start, 2**16)
        limits.limit_resources(self.memory, self.timeout)
        try:
            contents = []
            for file in files:
                with os.fdopen(file.descriptor, "rb") as stream:
                    contents.append((file.name, stream.read(file.size)))
            limits.forbid_opening()
            reading = self.reader.read_submission(contents, self.sizes, self.shape.num_images)
            wire.encode(block, self._measure(reading, block, channel))
        except Exception as error:  # whatever a submission provokes costs its own row alone
            reason = str(error) if isinstance(error, SubmissionError) else _UNREADABLE
            wire.encode_refusal(block, limits.limit_met(error, self.memory) or reason)

    def _measure(self, reading: Reading, block: memoryview, channel: int) -> Answers:
        """Return the answers to the test images, which are read once."""
        if isinstance(reading, Table):
            return reading.answers
        chosen = wire.ADVISED
        known: Sequence[Normalization | None] = self.normalizations
        if reading.takes_pixels:
            chosen, known = wire.NONE, [None]
        elif reading.normalization is not None and not self.is_given:
            chosen, known = wire.DECLARED, [reading.normalization]
        half = self.shape.num_tried // 2
        ways = {
            number + half * is_transposed: Way(normalization, is_transposed)
            for is_transposed in (False, True)
            for number, normalization in enumerate(known)
        }
        taken = self._advised(reading, ways, block, channel) if self.shape.num_sampled else ways[0]
        mean, std = taken.normalization or (math.nan, math.nan)
        info = reading.info._replace(chosen=chosen, mean=mean, std=std)
        is_usual = taken == Way(self.normalizations[0])
        outputs = reading.predict(self.inputs if is_usual else taken.inputs(self.test_pixels))
        return ClassAnswers(outputs, info) if outputs.ndim == 1 else LogitAnswers(outputs, info)

    def _advised(
        self, reading: Network, ways: dict[int, Way], block: memoryview, channel: int
    ) -> Way:
        """Try ways on the sample until the parent says which one to take.

        The parent does not know which ways there are: from the others it has no answer.
        """
        advice, answered = (1 << self.shape.num_tried // 2) - 1, dict.fromkeys(ways, 0)
        for num_images in wire.STAGES:
            for number, way in ways.items():
                if advice >> number & 1:
                    self._try(reading, block, number, way, range(answered[number], num_images))
                    answered[number] = num_images
            os.write(channel, wire.TRIED)
            (advice,) = wire.ADVICE.unpack(os.read(channel, wire.ADVICE.size))
            if advice.bit_count() == 1:
                return ways[advice.bit_length() - 1]
        raise SubmissionError("the process that reads it was not answered: grade it again")

    def _try(
        self, reading: Network, block: memoryview, number: int, way: Way, images: range
    ) -> None:
        """Answer these images of the sample, as far as there are so many."""
        pixels = self.sample_pixels[images.start : images.stop]
        if len(pixels):
            try:
                outputs = reading.predict(way.inputs(pixels))
            except SubmissionError:  # the answers to the test images alone decide
                outputs = np.zeros((len(pixels), self.shape.num_classes), np.float32)
            if outputs.ndim == 1:
                outputs = np.eye(self.shape.num_classes, dtype=np.float32)[outputs]
            wire.encode_sample(block, self.shape, number, images.start, outputs)


def main(settings: str) -> None:
    """Read the settings and the images, and serve requests."""
    torch.set_num_threads(1)  # a child forked from a process whose thread pool ran would hang
    options = json.loads(settings)
    control = socket.socket(fileno=os.dup(0))
    _, (images_descriptor,), _, _ = socket.recv_fds(control, 1, 1)
    with os.fdopen(images_descriptor, "rb") as file:
        pixels = torch.from_numpy(np.fromfile(file, np.uint8))
    limits.hide_from_debuggers()
    side = options["side"]
    Server(control, pixels.view(-1, side, side), options).serve()


if __name__ == "__main__":
    main(sys.argv[1])
