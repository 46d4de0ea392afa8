"""Runs of the training scripts: started as a user starts them, and measured on the test images."""

import subprocess
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import common
from common.data.arrays import LabelledImages
from common.loops import Batches
from common.support.errors import UserError
from own_runs.measure import Measured, Unmeasured, measure_run

REPOSITORY = Path(common.__path__[0]).resolve().parent

# Percent. A row needs a verdict, but nothing in bench/ reads it.
_THRESHOLD = Fraction(90)


def train(
    script: str,
    *flags: str | Path,
    environment: Mapping[str, str] | None = None,
    unsaid: str | None = None,
) -> None:
    """Run a training script to its end, in the current working directory.

    Parameters
    ----------
    script : str
        Its file name in the repository.
    flags : str or Path
        Its command line.
    environment : mapping, optional
        Replaces the environment variables of this process.
    unsaid : str, optional
        Lines with this text are not printed.

    Raises
    ------
    UserError
        If it fails; its own message is on standard error.
    """
    command = [sys.executable, REPOSITORY / script, *flags]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if unsaid is None or unsaid not in line:
                print(line, end="", flush=True)
    if process.returncode != 0:
        raise UserError(
            f"{script} {' '.join(map(str, flags))} failed with exit status {process.returncode}"
        )


def measure(folder: Path, test_set: LabelledImages, batches: Batches) -> Measured:
    """Measure a run as evaluate.py does; parameters as for ``measure_run``.

    Raises
    ------
    UserError
        If it cannot be measured.
    """
    run = measure_run(folder, test_set, batches, _THRESHOLD)
    if isinstance(run, Unmeasured):
        raise UserError(f"{folder}: {run.row['reason']}")
    return run
