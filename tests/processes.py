"""Scripts run as processes that find torch imported, which is what a short one spends its time on.

A server has the libraries loaded, but nothing of this repository, and forks for each script; what
the script meets is a process of its own as ever.
"""

import contextlib
import io
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection

_TIMEOUT = 120  # seconds

# The optimizers of torch import its compiler when the first of them is made.
_LIBRARIES = (
    *("torch._dynamo", "sklearn.metrics", "sklearn.model_selection"),
    *("matplotlib.figure", "jinja2", "seaborn"),
)

# Windows cannot fork.
CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
_METHOD = multiprocessing.get_start_method()
_context = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")
if CAN_FORK:
    _context.set_forkserver_preload(list(_LIBRARIES))


class Forked:
    """A process of this server, as far as ``subprocess.Popen`` would be asked of it.

    ``runner`` is the function of ``runpy`` that runs the first of ``arguments``; ``streams`` are
    the descriptors that the process has as its first ones, by their numbers there. What counts in
    ``environment`` before torch is imported has no effect.
    """

    def __init__(self, runner, arguments, cwd, environment, streams):
        arguments = [os.fsdecode(word) for word in arguments]
        given = {number: Connection(os.dup(stream)) for number, stream in streams.items()}
        call = (runner, arguments, os.fsdecode(cwd), dict(environment), given)
        self._process = _context.Process(target=_be_script, args=call)
        self._process.start()
        self.args, self.pid, self.returncode = arguments, self._process.pid, None

    def wait(self, timeout=None):
        if self.returncode is None:
            self._process.join(timeout)
            if self._process.exitcode is None:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = self._process.exitcode
            self._process.close()
        return self.returncode

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        if self.returncode is None:
            self._process.kill()


def start_forked(script, args, cwd):
    """Start a script; return its process, whose ``stdout`` and ``stderr`` are read as it runs."""
    pipes = [os.pipe() for _ in range(2)]
    streams = {number: theirs for number, (_, theirs) in enumerate(pipes, start=1)}
    process = Forked("run_path", (script, *args), cwd, os.environ, streams)
    for _, theirs in pipes:
        os.close(theirs)
    process.stdout, process.stderr = (os.fdopen(ours, encoding="utf-8") for ours, _ in pipes)
    return process


def run_forked(script, args, cwd, **environment):
    """Run a script to its end, with more in its environment, and return what became of it."""
    (completed,) = _run_all(script, args, cwd, [environment])
    return completed


def run_ranks(script, args, cwd, world_size=2):
    """Run ranks of a script as torchrun would start them, and return what became of each."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": world_size, "LOCAL_WORLD_SIZE": world_size, "MASTER_PORT": port}
    shared |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "tests"}
    shared |= {"TORCHELASTIC_RESTART_COUNT": 0}
    ranks = [{**shared, "RANK": rank, "LOCAL_RANK": rank} for rank in range(world_size)]
    return _run_all(script, args, cwd, ranks)


def _run_all(script, args, cwd, environments):
    with contextlib.ExitStack() as opened:
        running = []
        for more in environments:
            files = [opened.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
            streams = {number: file.fileno() for number, file in enumerate(files, start=1)}
            environment = os.environ | {name: str(value) for name, value in more.items()}
            process = Forked("run_path", (script, *args), cwd, environment, streams)
            running.append((process, files))
            opened.callback(process.kill)
        return [_completed(*one) for one in running]


def _completed(process, files):
    status = process.wait(_TIMEOUT)
    for file in files:
        file.seek(0)
    texts = [file.read().decode() for file in files]
    return subprocess.CompletedProcess(process.args, status, *texts)


def _be_script(runner, arguments, cwd, environment, streams):
    # A process of a server would start its own by servers, too: no script is run so otherwise.
    multiprocessing.set_start_method(_METHOD, force=True)
    for number, stream in streams.items():
        os.dup2(stream.fileno(), number)
        stream.close()
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding=encoding)
        for number in (1, 2)
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = arguments
    if runner == "run_path":
        sys.path.insert(0, os.path.dirname(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        sys.path.insert(0, cwd)
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
