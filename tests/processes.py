"""Scripts run as processes that find torch imported, which is what a short one spends its time on.

A server has the libraries loaded, but nothing of this repository, and forks for each script; what
the script meets is a process of its own as ever.
"""

import io
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

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


def run_forked(script, args, cwd, **environment):
    """Run a script to its end, with more in its environment; return what ``subprocess.run`` would.

    What counts before torch is imported has no effect.
    """
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
    arguments = [os.fsdecode(word) for word in (script, *args)]
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for number, more in enumerate(environments):
            streams = [os.path.join(folder, f"{name}{number}") for name in ("stdout", "stderr")]
            environment = {name: str(value) for name, value in more.items()}
            call = (arguments, os.fsdecode(cwd), streams, environment)
            running.append((_context.Process(target=_be_script, args=call), streams))
            running[-1][0].start()
        completed = []
        for process, streams in running:
            process.join(_TIMEOUT)
            if process.exitcode is None:
                process.kill()
                raise subprocess.TimeoutExpired(arguments, _TIMEOUT)
            texts = [Path(stream).read_bytes().decode() for stream in streams]
            completed.append(subprocess.CompletedProcess(arguments, process.exitcode, *texts))
    return completed


def _be_script(arguments, cwd, streams, environment):
    os.environ.update(environment)
    # A process of a server would start its own by servers, too: no script is run so otherwise.
    multiprocessing.set_start_method(_METHOD, force=True)
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding=encoding)
        for number in (1, 2)
    )
    os.chdir(cwd)
    sys.argv = arguments
    sys.path.insert(0, os.path.dirname(arguments[0]))
    runpy.run_path(arguments[0], run_name="__main__")
