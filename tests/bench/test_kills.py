"""Trainings killed at random moments: a file of its own, since it keeps both cores busy."""

import subprocess
import sys

import pytest

from tests.conftest import REPO


@pytest.mark.long
def test_killed_runs_end_as_if_nothing_had_happened(data_dir):
    """At any time, within a write, and while the data set is first put in place."""
    flags = ("--runs", "1", "--val-size", "57000", "--epochs", "2", "--data-dir", data_dir)
    completed = subprocess.run(
        [sys.executable, "-m", "bench.checks.interruptions", *flags],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr
    assert "1 of 1 ended equal to the undisturbed run to the bit" in completed.stdout
