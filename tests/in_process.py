"""evaluate.py called in the process of the tests, with sandboxes that outlive a call.

Starting a sandbox costs seconds, nearly all of them for importing torch, and most tests of grading
are about files, rows and gradebooks. They get what users get, but for that start: the same main,
the same server, a process of its own for each submission. Where a process is the point, tests give
``run`` an option of ``subprocess.run``, or start one themselves.
"""

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import sys
from collections import OrderedDict
from unittest import mock

import evaluate
from common.support.cli import SIGNALS, ArgumentParser, run_script
from common.support.distributed import distributed_main
from grading.sandbox import client
from grading.sandbox.client import Sandbox
from grading.sandbox.portable import process
from tests.processes import CAN_FORK, Forked

_MOST = 6  # servers at a time; each holds the images, and those in bubblewrap a torch of its own
_WHOLE = 10_000  # images of the public test set
_sandboxes = OrderedDict()


class Lent:
    """A sandbox that is given back in place of ended, unless something went wrong in it."""

    def __init__(self, key, sandbox):
        self.key, self.sandbox = key, sandbox
        self.isolation, self.warning = sandbox.isolation, sandbox.warning

    def __enter__(self):
        return self.sandbox

    def __exit__(self, kind, exception, trace):
        if kind is not None:
            _sandboxes.pop(self.key).__exit__(kind, exception, trace)


def lend(test_set, isolation, memory, timeout, jobs, preprocessing, models=None):
    """Return a sandbox as ``Sandbox`` makes it of these, new or used.

    The walls around a submission are the same whatever the images: bubblewrap, unless a test asks
    for it, is there for the whole test set alone.
    """
    if isolation == "auto" and len(test_set) < _WHOLE:
        isolation = "process"
    images = hashlib.sha256(test_set.images.tobytes()).hexdigest()
    code = models.read_bytes() if models else None
    key = (images, test_set.dataset, isolation, memory, timeout, jobs, code)
    sample = preprocessing.sample
    key += (None if sample is None else hashlib.sha256(sample.images.tobytes()).hexdigest(),)
    key += (preprocessing.rule, *preprocessing.normalizations, os.environ["PATH"])
    if key not in _sandboxes:
        while len(_sandboxes) >= _MOST:
            _sandboxes.popitem(last=False)[1].__exit__(None, None, None)
        limits = (memory, timeout, jobs)
        _sandboxes[key] = Sandbox(test_set, isolation, *limits, preprocessing, models)
    _sandboxes.move_to_end(key)
    _sandboxes[key].preprocessing = preprocessing
    return Lent(key, _sandboxes[key])


def _start_server(module, arguments, isolation, folders, stdin, stdout, stderr):
    if isolation == "bubblewrap" or not CAN_FORK:
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        return process.start_process(module, arguments, isolation, folders, **streams)
    streams = {0: stdin, 2: stderr.fileno()}
    words, environment = (module, *arguments), process._ENVIRONMENT
    return Forked("run_module", words, process.REPOSITORY, environment, streams)


def fork_servers():
    """Let the servers of this process be forked with torch imported, where no wall is around them.

    What is started as users start it, such as the autograder and GitHub's action, has servers that
    import it themselves.
    """
    return mock.patch.object(client, "start_process", _start_server)


def end_sandboxes():
    """End all servers."""
    while _sandboxes:
        _sandboxes.popitem()[1].__exit__(None, None, None)


def run_evaluate(args, cwd):
    """Return what ``subprocess.run`` of evaluate.py would."""
    words = ["evaluate.py", *map(os.fsdecode, args)]
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    handlers = [(number, signal.getsignal(number)) for number in SIGNALS]
    ArgumentParser.called = []
    try:
        with (
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(streams[0]),
            contextlib.redirect_stderr(streams[1]),
            mock.patch.object(sys, "argv", words),
            mock.patch.object(evaluate, "Sandbox", lend),
        ):
            run_script(distributed_main(evaluate.main))
    except SystemExit as end:
        status = end.code
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
    printed, complained = (_text_of(stream) for stream in streams)
    return subprocess.CompletedProcess(words, status, printed, complained)


def _text_of(stream):
    stream.flush()
    return stream.buffer.getvalue().decode()
