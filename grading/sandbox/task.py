"""A submission on its way through the server: its block of answers and the messages about it."""

import contextlib
import json
import os
import socket

from grading.sandbox.portable.exchange import Advisor, Exchange, Numbered
from grading.sandbox.wire import Shape, close_all


class Task(Exchange):
    """A submission whose process answers in a block of memory that the parent made."""

    def __init__(self, item: Numbered, shape: Shape) -> None:
        super().__init__(item, shape)
        self.block = os.memfd_create("answers")
        os.ftruncate(self.block, shape.block_size)

    def read(self, size: int, start: int) -> bytes:
        """Return so many bytes of the block."""
        return os.pread(self.block, size, start)

    def send(self, control: socket.socket, slot: int) -> None:
        """Hand the submission to the server."""
        files = self.item[1]
        for file in files:
            os.lseek(file.descriptor, 0, os.SEEK_SET)
        request = json.dumps({"slot": slot, "files": self.named()}, ensure_ascii=False).encode()
        descriptors = [self.block, *(file.descriptor for file in files)]
        with contextlib.suppress(ConnectionError, TimeoutError):  # it is gone: see its report
            socket.send_fds(control, [request], descriptors)

    def close(self, with_files: bool = True) -> None:
        """Close everything; the files stay open for another attempt if asked to."""
        os.close(self.block)
        if with_files:
            close_all(self.item[1])

    def answer(self, control: socket.socket, slot: int, advisor: Advisor) -> None:
        """Answer what was tried on the sample with what to try next, or to take."""
        advice = json.dumps({"slot": slot, "advice": self.advice(advisor)}).encode()
        with contextlib.suppress(OSError):  # a server that is gone: see its report
            control.send(advice)
