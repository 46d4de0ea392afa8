"""Builds the autograder's zip file, and runs it in a copy of Gradescope's layout."""

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

import numpy as np
import pytest

from tests.conftest import REPO, run

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


def grade(root, files, user="root"):
    """Put files into the submission's folder, and run the autograder as a user."""
    shutil.rmtree(root / "submission")
    (root / "submission").mkdir()
    for name, content in files.items():
        (root / "submission" / name).write_bytes(content)
    command = [str(root / "source/run_autograder")]
    if user == "other" and os.geteuid() == 0:
        for path in (root, *root.rglob("*")):
            os.chown(path, OTHER_USER, OTHER_USER, follow_symlinks=False)
        # Python itself may lie where only root may look: the right to read is all that stays.
        keep = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
        ids = [f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups"]
        command = ["setpriv", *ids, *keep, *command]
    # As in a container, which does not let bubblewrap work.
    tools = root / "tools"
    tools.mkdir(exist_ok=True)
    found = {"python3": Path(sys.executable).resolve(), "setpriv": shutil.which("setpriv")}
    for tool, place in found.items():
        (tools / tool).unlink(missing_ok=True)
        (tools / tool).symlink_to(place)
    completed = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "AUTOGRADER_ROOT": str(root), "PATH": str(tools)},
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
