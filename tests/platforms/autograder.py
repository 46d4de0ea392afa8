"""Builds the autograder's zip file, and runs it in a copy of Gradescope's layout."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

import platforms.gradescope.grade
from tests.conftest import REPO, run
from tests.in_process import lend

OTHER_USER = 12345
METADATA = {
    "id": 1,
    "created_at": "2026-12-01T23:10:00.365935+01:00",
    "assignment": {"due_date": "2026-12-01T23:00:00.000000+01:00", "title": "Digits"},
    "users": [{"email": "ada@example.org", "id": 7, "name": "Ada\x1b[31m"}],
}


def build(folder, *flags):
    path = folder / "autograder.zip"
    return path, run("platforms/gradescope/build.py", "--output", path, *flags, cwd=REPO)


def make_layout(archive):
    """Unpack a zip file into /autograder, made somewhere else, where any user may look."""
    root = Path(tempfile.mkdtemp(prefix="autograder-"))
    root.chmod(0o755)
    for name in ("source", "submission", "results"):
        (root / name).mkdir()
    with zipfile.ZipFile(archive) as file:
        file.extractall(root / "source")
        for member in file.infolist():
            (root / "source" / member.filename).chmod(member.external_attr >> 16)
    python = root / "source/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (root / "submission_metadata.json").write_text(json.dumps(METADATA))
    return root


def hand_in(root, files):
    """Put files into the submission's folder; a path becomes a link to it."""
    shutil.rmtree(root / "submission")
    (root / "submission").mkdir()
    for name, content in files.items():
        if isinstance(content, Path):
            (root / "submission" / name).symlink_to(content)
        else:
            (root / "submission" / name).write_bytes(content)


def tools_without_bubblewrap(root):
    """Return a folder of commands as in a container, which does not let bubblewrap work."""
    tools = root / "tools"
    tools.mkdir(exist_ok=True)
    found = {"python3": Path(sys.executable).resolve(), "setpriv": shutil.which("setpriv")}
    for tool, place in found.items():
        (tools / tool).unlink(missing_ok=True)
        (tools / tool).symlink_to(place)
    return str(tools)


def grade_here(root, files):
    """Grade in the process of the tests, with a sandbox that outlives the call.

    Starting both costs seconds. What is started is then the same as in the zip file, and so is all
    that lies beside it: settings, models and data.
    """
    hand_in(root, files)
    printed = io.StringIO()
    with (
        mock.patch.object(platforms.gradescope.grade, "SOURCE", root / "source"),
        mock.patch.object(platforms.gradescope.grade, "Sandbox", lend),
        mock.patch.object(sys, "argv", ["grade.py", str(root)]),
        mock.patch.dict(os.environ, PATH=tools_without_bubblewrap(root)),
        contextlib.redirect_stdout(printed),
    ):
        assert platforms.gradescope.grade.main() == 0
    assert "bubblewrap" not in printed.getvalue()
    return SimpleNamespace(results=read_results(root), printed=printed.getvalue(), root=root)


def grade(root, files, user="root"):
    """Put files into the submission's folder, and run the autograder as a user."""
    hand_in(root, files)
    command = [str(root / "source/run_autograder")]
    if user == "other" and os.geteuid() == 0:
        for path in (root, *root.rglob("*")):
            os.chown(path, OTHER_USER, OTHER_USER, follow_symlinks=False)
        # Python itself may lie where only root may look: the right to read is all that stays.
        keep = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
        ids = [f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups"]
        command = ["setpriv", *ids, *keep, *command]
    tools = tools_without_bubblewrap(root)
    completed = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "AUTOGRADER_ROOT": str(root), "PATH": tools},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    assert "bubblewrap" not in completed.stdout
    return SimpleNamespace(results=read_results(root), printed=completed.stdout, root=root)


def npy_of(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def read_results(root):
    """Read the results as Gradescope does, and hold them against its specification."""
    assert [path.name for path in (root / "results").iterdir()] == ["results.json"]
    content = (root / "results/results.json").read_bytes()
    assert b"\r" not in content
    results = json.loads(content, parse_constant=lambda name: pytest.fail(name))
    top = {"score", "output", "output_format", "stdout_visibility", "tests", "leaderboard"}
    assert results.keys() <= top
    assert isinstance(results["score"], int | float)
    assert 0 <= results["score"] <= 100
    assert results["stdout_visibility"] == "hidden"
    keys = {"name", "status", "output", "output_format", "visibility"}
    for test in results.get("tests", []):
        assert test.keys() == keys
        assert test["status"] in ("passed", "failed")
        # A hidden test would hide the score from the student, too.
        assert test["visibility"] == "visible"
    return results
