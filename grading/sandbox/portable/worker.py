"""A process that reads submissions, one after another, where none can be confined.

``client`` starts it as ``python -m grading.sandbox.portable.worker SETTINGS``. On standard input
come the images, and then for each submission its length as a request, the request in JSON, and the
files. On standard output it answers with a byte for what happened and its block of answers.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import IO

import numpy as np
import torch

from grading.sandbox import wire
from grading.sandbox.portable.measuring import Measuring
from grading.sandbox.wire import LENGTH, Said


def main(settings: str) -> None:
    """Read the settings and the images, and then submissions until standard input ends."""
    torch.set_num_threads(1)  # as in the server of Linux, whose answers are to be the same
    options = json.loads(settings)
    # What a library prints goes nowhere, and not among the answers.
    requests, answers = (os.fdopen(os.dup(number), mode) for number, mode in ((0, "rb"), (1, "wb")))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    shape = wire.Shape(*options["shape"])
    num_pixels = (shape.num_images + shape.num_sampled) * options["side"] ** 2
    pixels = np.frombuffer(bytearray(requests.read(num_pixels)), np.uint8)
    measuring = Measuring(torch.from_numpy(pixels), options)
    os.dup2(null, 2)
    _send(answers, Said.READY)
    while len(length := requests.read(LENGTH.size)) == LENGTH.size:
        request = json.loads(requests.read(*LENGTH.unpack(length)))
        files = [(name, requests.read(size)) for name, size in request]
        block = memoryview(bytearray(shape.block_size))

        def ask(block: memoryview = block) -> int:
            _send(answers, Said.ASKED, block)
            (advice,) = wire.ADVICE.unpack(requests.read(wire.ADVICE.size))
            return int(advice)

        with _limited(options["memory"], options["timeout"]):
            limit = measuring.answer(files, block, ask)
        # Who met a limit may have left this process without memory for the next one.
        _send(answers, Said.LAST if limit else Said.ANSWERED, block)
        if limit:
            return


def _send(stream: IO[bytes], kind: bytes, block: bytes | memoryview = b"") -> None:
    stream.write(kind)
    stream.write(block)
    stream.flush()


@contextlib.contextmanager
def _limited(memory: int, seconds: float) -> Iterator[None]:
    """Limit this process for a while as a process of its own is, as far as the system can.

    These limits can be lifted again: they are for who has an accident, not for who attacks.
    """
    if sys.platform == "win32":
        yield
        return
    try:
        import resource
    except ImportError:
        yield
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limits = {
        resource.RLIMIT_CPU: int(used.ru_utime + used.ru_stime + seconds) + 1,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 0,
    }
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:
        limits[resource.RLIMIT_AS] = int(file.read().split()[0]) * resource.getpagesize() + memory
    before = {name: resource.getrlimit(name) for name in limits}
    try:
        for name, limit in limits.items():
            most = before[name][1]
            within = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(name, (within, most))
        yield
    finally:
        for name, pair in before.items():
            resource.setrlimit(name, pair)


if __name__ == "__main__":
    main(sys.argv[1])
