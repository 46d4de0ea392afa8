"""Scripts run as processes that find torch imported, which is what a short one spends its time on.

A server has the libraries loaded, but nothing of this repository, and forks for each script; what
the script meets is a process of its own as ever.
"""

import io
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

_TIMEOUT = 120  # seconds

# The optimizers of torch import its compiler when the first of them is made.
_LIBRARIES = (
    *("torch._dynamo", "sklearn.metrics", "sklearn.model_selection"),
    *("matplotlib.figure", "jinja2"),
)

# Windows cannot fork.
CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
_context = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")
if CAN_FORK:
    _context.set_forkserver_preload(list(_LIBRARIES))


def run_forked(script, args, cwd):
    """Run a script to its end, and return what ``subprocess.run`` would."""
    arguments = [os.fsdecode(word) for word in (script, *args)]
    with tempfile.TemporaryDirectory() as folder:
        streams = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        process = _context.Process(target=_be_script, args=(arguments, os.fsdecode(cwd), streams))
        process.start()
        process.join(_TIMEOUT)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, _TIMEOUT)
        printed, complained = (Path(stream).read_bytes().decode() for stream in streams)
    return subprocess.CompletedProcess(arguments, process.exitcode, printed, complained)


def _be_script(arguments, cwd, streams):
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding="utf-8")
        for number in (1, 2)
    )
    os.chdir(cwd)
    sys.argv = arguments
    sys.path.insert(0, os.path.dirname(arguments[0]))
    runpy.run_path(arguments[0], run_name="__main__")
