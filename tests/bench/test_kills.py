"""Trainings and gradings that are killed, and damaged files: what keeps both cores busy."""

import subprocess
import sys

import pytest

from tests.conftest import REPO


def check(name, *flags):
    """Return what a check of bench/ prints; it has to find nothing wrong."""
    completed = subprocess.run(
        [sys.executable, "-m", f"bench.checks.{name}", *map(str, flags)],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


@pytest.mark.long
def test_killed_runs_end_as_if_nothing_had_happened(data_dir):
    """At any time, within a write, and while the data set is first put in place."""
    flags = ("--runs", 1, "--val-size", 57000, "--epochs", 2, "--data-dir", data_dir)
    printed = check("interruptions", *flags)
    assert "1 of 1 ended equal to the undisturbed run to the bit" in printed


@pytest.mark.long
def test_killed_gradings_end_with_the_same_rows(data_dir):
    """Each signal once for the process that grades, the server, and one that reads."""
    printed = check("class_kills", "--count", 60, "--kills", 9, "--data-dir", data_dir)
    for target in ("parent", "server", "reader"):
        assert f"{target}: 1 SIGKILL, 1 SIGTERM, 1 SIGSTOP" in printed


@pytest.mark.long
def test_damaged_files_have_a_row_each(data_dir):
    printed = check("damaged_files", "--count", 200, "--answers", 50, "--data-dir", data_dir)
    assert ": 200 rows" in printed
