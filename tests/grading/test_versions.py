"""Which changes of the code have a class graded again: those that can change a row, and no others.

The code is copied, and asked for its version after each change of one file of the copy.
"""

import json
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPO
from tests.test_layers import FILES, imported_by

# Where a row comes from. The parent names two of these only as text, in command lines.
ROOTS = (
    *("grading.grade", "grading.preprocessing", "grading.intake.rows", "grading.readers.reader"),
    *("grading.sandbox.server", "grading.sandbox.unzip", "grading.test_sets"),
    "grading.sandbox.portable.worker",
)
NEW = ("common/new.py", "evaluations/new.py", "grading/new.py", "grading/readers/tables/new.py")
WITHOUT_EFFECT = (
    *("reporting/pages.py", "reporting/new.py", "templates/report.html", "evaluate.py"),
    *("own_runs/measure.py", "common/runs.py", "own_runs/playground.py", "common/loops.py"),
    *("common/checkpoints.py", "own_runs/corruptions.py", "common/data/splits.py"),
    "grading/flags.py",
    *("common/support/cli.py", "common/support/distributed.py", "common/support/environment.py"),
    *("evaluations/schemas.py", "evaluations/validation.py", "evaluations/disclosure.py"),
    *("evaluations/names.py", "evaluations/words.py"),
    *("grading/document.py", "grading/gradebooks/gradebook.py", "grading/gradebooks/new.py"),
)

PROGRAM = """
import json, sys
from pathlib import Path
from grading.document import grading_versions
versions = {}
for name in ["", *json.load(sys.stdin)]:
    path = Path(name or "untouched.py")
    path.parent.mkdir(exist_ok=True)
    before = path.read_bytes() if path.exists() else None
    path.write_bytes((before or b"") + b"# changed")
    versions[name] = grading_versions("auto", None)["grader"]
    path.unlink() if before is None else path.write_bytes(before)
print(json.dumps(versions))
"""


def modules_behind_a_row():
    """Return the files of all modules that the roots import, in functions or not."""
    reached, waiting = set(), list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other for other in imported_by(FILES[name]) if other in FILES]
    return sorted(FILES[name].relative_to(REPO).as_posix() for name in reached)


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """The version of the grader after a change of each file, by the file; "" has none changed."""
    folder = tmp_path_factory.mktemp("copy")
    for room in ("common", "evaluations", "grading"):
        shutil.copytree(REPO / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        input=json.dumps([*modules_behind_a_row(), *NEW, *WITHOUT_EFFECT]),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(completed.stdout)


def test_modules_behind_a_row_are_found():
    found = {*modules_behind_a_row()}
    named = {"evaluations/rows.py", "common/models.py", "grading/readers/onnx/session.py"}
    assert named <= found
    assert not found & {*WITHOUT_EFFECT}


@pytest.mark.parametrize("path", [*modules_behind_a_row(), *NEW])
def test_what_can_change_a_row_has_a_class_graded_again(versions, path):
    assert versions[path] != versions[""]


@pytest.mark.parametrize("path", WITHOUT_EFFECT)
def test_what_changes_no_row_leaves_rows_as_they_are(versions, path):
    assert versions[path] == versions[""]
