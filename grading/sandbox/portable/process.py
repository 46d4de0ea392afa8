"""How a module of this repository is started as a process, and under which isolation."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import common
from common.support.errors import UserError
from grading.sandbox.confinement import bubblewrap
from grading.sandbox.machine import is_linux

REPOSITORY = Path(common.__path__[0]).resolve().parent
# What a submission's process runs.
CODE = tuple(REPOSITORY / room for room in ("common", "evaluations", "grading"))

# All that a submission's process could read from the environment. One thread: a child forked from
# a process whose thread pool has run would hang.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Large pages, where glibc and the kernel have them: a fork copies less, and takes less time.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
# Without these Windows loads no library.
_OF_WINDOWS = ("SYSTEMROOT", "PATH", "TEMP")


def choose_isolation(asked: str) -> str:
    """Return the isolation that is tried: "auto" is "none" where a process cannot be confined.

    Raises UserError if another one is insisted on there.
    """
    if is_linux() or asked == "none":
        return asked
    if asked != "auto":
        raise UserError(
            f"--isolation {asked} needs Linux, whose limits keep submissions apart: leave it out, "
            "or run it there, in WSL or in a container"
        )
    return "none"


def start_process(
    module: str,
    arguments: Iterable[str],
    isolation: str,
    folders: Iterable[Path] = CODE,
    **streams: Any,  # noqa: ANN401
) -> subprocess.Popen[bytes]:
    """Start a module of this repository, in bubblewrap if that is the ``isolation``."""
    command = [sys.executable, "-m", module, *arguments]
    if isolation == "bubblewrap":
        command = bubblewrap.wrapped(command, folders, REPOSITORY)
    environment = dict(_ENVIRONMENT)
    if os.name == "nt":
        environment |= {name: os.environ[name] for name in _OF_WINDOWS if name in os.environ}
    # In a session of its own: Ctrl-C is for the parent, which then ends the process.
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, start_new_session=True, **streams
    )
