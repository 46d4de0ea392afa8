"""GitHub's action and workflow: their steps run as a runner runs them, as far as they can here.

`make lint` holds both against GitHub's syntax.
"""

import os
import re
import subprocess

import numpy as np
import pytest
import torch

# check-jsonschema, which checks the form of these files, brings it along.
from ruamel.yaml import YAML

from tests.conftest import REPO
from tests.grading.corpus.pickles import Payload

FOLDER = REPO / "platforms/github"


def load(name):
    return YAML(typ="safe").load(FOLDER / name)


def test_workflow_names_the_action_and_its_inputs():
    (job,) = load("grade.yml")["jobs"].values()
    checkout, graded = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert graded["uses"].split("@")[0].endswith(f"/{FOLDER.relative_to(REPO)}")
    assert graded["with"].keys() <= load("action.yml")["inputs"].keys()


def test_installation_is_a_target_of_the_makefile():
    install = next(s for s in load("action.yml")["runs"]["steps"] if "Install" in s.get("name", ""))
    command = install["run"].replace("make -C", "make --dry-run -C")
    environment = {**os.environ, "GITHUB_ACTION_PATH": str(FOLDER)}
    planned = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command], env=environment, capture_output=True, text=True
    )
    assert planned.returncode == 0, planned.stderr


@pytest.mark.parametrize("name", ["platforms/github/action.yml", "platforms/github/grade.yml"])
def test_actions_of_others_are_named_by_commit(name):
    for action in re.findall(r"uses: (actions/\S+)", (REPO / name).read_text()):
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action)


def grade(workspace, submission, options="--threshold 80", action=FOLDER):
    """Run the step that grades, with what a runner sets; return it and the job's summary."""
    step = load("action.yml")["runs"]["steps"][-1]
    inputs = {"submission": submission, "options": options}
    given = {key: inputs[value.split(".")[1].strip(" }")] for key, value in step["env"].items()}
    summary = workspace / "summary.md"
    summary.write_text("")
    completed = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=workspace,
        env={
            **os.environ,
            **given,
            "CI": "true",
            "GITHUB_ACTION_PATH": str(action),
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_WORKSPACE": str(workspace),
            "RUNNER_TEMP": str(workspace / "temp"),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in completed.stderr
    return completed, summary.read_text()


def test_exit_status_is_the_grade(tmp_path, good_checkpoint):
    torch.save(good_checkpoint, tmp_path / "checkpoint.pth")
    completed, summary = grade(tmp_path, "checkpoint.pth")
    assert completed.returncode == 0, completed.stderr
    assert "| checkpoint\\.pth | pass |" in summary
    assert "::warning" not in completed.stdout
    completed, summary = grade(tmp_path, "checkpoint.pth", "--threshold 99.5 --jobs 1")
    assert completed.returncode == 1
    assert "| checkpoint\\.pth | fail |" in summary
    assert "::warning title=Grading::checkpoint.pth: " in completed.stdout


def test_hostile_file_and_missing_file(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"fc1.weight": Payload(canary)}, tmp_path / "::error::x $(id).pth")
    completed, summary = grade(tmp_path, "::error::x $(id).pth")
    assert completed.returncode == 1
    assert "| error |" in summary
    # What stands in the fence is no command to a runner, whatever it looks like.
    fence = re.compile(r"::stop-commands::(\w+)\n(.*)::\1::", re.DOTALL)
    before, _, inside, after = fence.split(completed.stdout)
    assert "\n::error::x" in inside
    commands = [line for line in (before + after).splitlines() if "::" in line]
    assert [line.split("::")[1] for line in commands] == ["error title=Grading"]
    assert not canary.exists()
    completed, summary = grade(tmp_path, "checkpoint.pth")
    assert completed.returncode == 2
    assert completed.stdout.startswith("::error title=Grading::checkpoint.pth is not in the")
    assert summary == "checkpoint.pth is not in the repository: push it\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("  ", []),
        ("--jobs 1\n--threshold '0'\n", ["--jobs", "1", "--threshold", "0"]),
        ("--models 'my models.py'", ["--models", "my models.py"]),
    ],
)
def test_options_may_be_none_several_lines_or_quoted(tmp_path, options, words):
    """What stands in for the grader prints its arguments, a line each."""
    action, python = tmp_path / "platforms/github", tmp_path / ".venv/bin/python"
    action.mkdir(parents=True)
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 7\n")
    python.chmod(0o755)
    (tmp_path / "a b.npy").touch()
    completed, _ = grade(tmp_path, "a b.npy", options, action)
    assert completed.returncode == 7
    script, submission, *flags = completed.stdout.splitlines()
    assert os.path.samefile(os.path.dirname(script), tmp_path)
    assert (os.path.basename(script), submission) == ("evaluate.py", "a b.npy")
    assert flags[::2][:2] == ["--data-dir", "--output"]
    assert flags[4:] == words


@pytest.mark.parametrize("options", ["--threshold '0", "--exit-zero --models teacher's.py"])
def test_quote_that_is_not_closed_drops_no_flag_in_silence(tmp_path, options):
    np.save(tmp_path / "a.npy", np.zeros(10_000, np.int64))
    completed, summary = grade(tmp_path, "a.npy", options)
    assert completed.returncode == 2
    assert completed.stdout == (
        "::error title=Grading::a quote in options is not closed: close it, or leave it out\n"
    )
    assert summary == f"options: a quote is not closed in: {options}\n"
