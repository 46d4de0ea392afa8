"""Runs of one's own: all of them are measured, compared and shown, a network of one's own too."""

import json
import re
import shutil

import pytest
import torch

from common.checkpoints import load_checkpoint
from common.support.errors import UserError
from own_runs.folders import find_own_runs, is_own_run
from tests.conftest import ONE_EPOCH, REPO, read, run
from tests.processes import run_forked


def copy_run(finished, folder, name, like="base", **recipe):
    """Put a copy of a run under another name, with other settings in its recipe."""
    shutil.copytree(finished.folder / "runs" / like, folder / "runs" / name)
    path = folder / "runs" / name / "metrics.json"
    document = read(path)
    document["recipe"] |= recipe
    path.write_text(json.dumps(document), encoding="utf-8")


def code_blocks(heading):
    """Return the indented blocks below a heading of the README."""
    section = (REPO / "README.md").read_text(encoding="utf-8").split(f"## {heading}\n")[1]
    section = section.split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, flags=re.MULTILINE)
    return [re.sub("^    ", "", block, flags=re.MULTILINE).strip() for block in blocks]


def train_with(folder, network, call):
    """Write ``train_mine.py``: the base recipe with a network of ``my_network.py``."""
    source = (REPO / "train_base.py").read_text(encoding="utf-8")
    start = source.index("    model = MNISTClassifier(")
    end = source.index("    ).to(device)\n", start) + len("    ).to(device)\n")
    source = f"{source[:start]}    model = {call}.to(device)\n{source[end:]}"
    imported = f"import argparse\nfrom my_network import {network}\n"
    mine = source.replace("import argparse\n", imported)
    (folder / "train_mine.py").write_text(mine, encoding="utf-8")


def test_readme_on_changing_a_recipe(workspace):
    """A changed recipe and a network of one's own get their curves, as the README says."""
    for name in ("common", "evaluations", "own_runs", "grading", "reporting", "templates"):
        shutil.copytree(REPO / name, workspace / name)
    for script in ("train_base.py", "evaluate.py", "report.py"):
        shutil.copy(REPO / script, workspace)
    changed, network, trained = code_blocks("Change a recipe")
    (workspace / "my_network.py").write_text(network + "\n", encoding="utf-8")
    train_with(workspace, "OneHidden", "OneHidden(units=64)")
    # The README's own commands, shortened by flags that every user has.
    first, second = changed.splitlines()
    small = " ".join(ONE_EPOCH)
    commands = [f"{first} {small}", f"{trained} {small}", *second.split("; ")]
    for command in commands:
        python, script, *flags = command.split()
        assert python == "python"
        done = run_forked(workspace / script, flags, workspace)
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
    rows = {row["name"]: row for row in read(workspace / "runs/evaluation.json")["results"]}
    assert rows.keys() == {"faster", "mine"}
    assert rows["mine"]["architecture"] == "OneHidden"
    assert all(row["own"] and row["confidence"] for row in rows.values())
    page = (workspace / "runs/report.html").read_text(encoding="utf-8")
    (curves,) = re.findall(r'aria-label="(Loss after each epoch[^"]*)"', page)
    assert "faster, validation" in curves
    assert "mine, validation" in curves


@pytest.mark.parametrize(
    ("call", "kept", "said"),
    [
        ("units", "", "missing 1 required positional argument: 'units'"),
        ("units=32", "", "size mismatch"),
        ("units", "self.model_args = {'units': units, 'activation': nn.ReLU}", "JSON serializable"),
    ],
)
def test_network_without_its_arguments_is_refused_before_it_is_trained(workspace, call, kept, said):
    for name in ("common", "evaluations", "reporting"):
        shutil.copytree(REPO / name, workspace / name)
    (workspace / "my_network.py").write_text(
        f"""from torch import nn
from common.models import register


@register
class OneHidden(nn.Sequential):
    def __init__(self, {call}):
        super().__init__(nn.Flatten(), nn.Linear(784, units), nn.Linear(units, 10))
        {kept}
"""
    )
    train_with(workspace, "OneHidden", "OneHidden(units=64)")
    script = workspace / "train_mine.py"
    done = run_forked(script, ["--output-dir", "runs/mine", *ONE_EPOCH], workspace)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("train_mine.py: error: my_network.py: evaluate.py could not build One")
    assert """: write self.model_args = {"units": units} in its __init__""" in line
    assert said in line
    assert "epoch" not in done.stdout
    assert not (workspace / "runs/mine").exists()


def test_many_runs_are_all_shown(finished, workspace):
    for number in range(10):
        copy_run(finished, workspace, f"try-{number}", epochs=number + 5)
    for name in ("base", "improved"):
        copy_run(finished, workspace, name, like=name)
    measured = run("evaluate.py", "--threshold", "80", cwd=workspace)
    assert measured.returncode == 0, measured.stderr
    assert "Replaced, and not among" not in measured.stdout
    evaluation = read(workspace / "runs/evaluation.json")
    names = [row["name"] for row in evaluation["results"]]
    assert names[:2] == ["base", "improved"]
    assert len(names) == 12
    best = evaluation["best"]
    assert [{pair["a"], pair["b"]} - {best} for pair in evaluation["comparisons"]] == [
        {name} for name in names if name != best
    ]
    assert run("report.py", cwd=workspace).returncode == 0
    page = (workspace / "runs/report.html").read_text(encoding="utf-8")
    (curves,) = re.findall(r'aria-label="(Loss after each epoch[^"]*)"', page)
    assert all(f"{name}, validation" in curves for name in names)
    # A setting that was changed, beside the run that is most like it.
    assert "epochs 9 <small>(not 2)</small>" in page
    assert page.count("<figcaption>Reliability of") == 4
    assert len(page) < 600_000


def test_some_runs_can_be_named(finished, workspace):
    for name in ("one", "two", "three"):
        copy_run(finished, workspace, name)
    assert run("evaluate.py", "runs/two", "runs/three", cwd=workspace).returncode == 1
    rows = read(workspace / "runs/evaluation.json")["results"]
    assert [row["name"] for row in rows] == ["two", "three"]
    assert all(row["own"] for row in rows)
    refused = run("evaluate.py", "runs/two", "--leaderboard", cwd=workspace)
    assert "runs/two is a training run of your own" in refused.stderr


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("runs/two/metrics.json", "is a file of a training run: name the run's folder, runs/two"),
        ("runs", "holds your own training runs: leave out PATH to measure all of them, or name"),
    ],
)
def test_what_is_named_for_a_run_says_what_was_meant(finished, workspace, path, said):
    for name in ("one", "two"):
        copy_run(finished, workspace, name)
    completed = run("evaluate.py", path, cwd=workspace)
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert f"evaluate.py: error: {path} {said}" in line
    assert not (workspace / "runs/grading").exists()


def test_runs_of_another_data_set_are_left_out(finished, workspace):
    copy_run(finished, workspace, "base")
    copy_run(finished, workspace, "clothes")
    path = workspace / "runs/clothes/metrics.json"
    path.write_text(path.read_text().replace('"key": "mnist"', '"key": "fashion-mnist"'))
    measured = run("evaluate.py", cwd=workspace)
    assert "trained on other data sets: 'clothes'" in measured.stdout
    rows = read(workspace / "runs/evaluation.json")["results"]
    assert [row["name"] for row in rows] == ["base"]


def trained_at(folder, command):
    folder.mkdir(parents=True)
    (folder / "checkpoint.pth").touch()
    document = {"schema_version": 2, "environment": {"command": command}}
    (folder / "metrics.json").write_text(json.dumps(document), encoding="utf-8")


def test_whose_a_run_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    trained_at(runs / "faster", [])
    assert is_own_run(runs / "faster", runs)
    trained_at(tmp_path / "tries/one", ["train_base.py", "--output-dir", "tries/one"])
    trained_at(tmp_path / "tries/two", ["train_base.py", "--output-dir=tries/two"])
    assert is_own_run(tmp_path / "tries/one", runs)
    assert is_own_run(tmp_path / "tries/two", runs)
    # Beside anything else it is a submission, whatever it says of itself.
    (tmp_path / "tries/eve.csv").touch()
    assert not is_own_run(tmp_path / "tries/one", runs)
    trained_at(tmp_path / "class/ada", ["train_base.py", "--output-dir", "runs/base"])
    assert not is_own_run(tmp_path / "class/ada", runs)
    (runs / "grading").mkdir()
    assert not is_own_run(runs / "grading", runs)


@pytest.mark.parametrize("content", ["", "[]", '{"schema_version": 2, "data": []}'])
def test_run_with_unreadable_metrics_is_found_all_the_same(tmp_path, content):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/metrics.json").write_text(content)
    assert find_own_runs(tmp_path, "mnist") == ([tmp_path / "broken"], [])


def test_training_after_the_evaluation_is_not_shown_beside_it(finished, workspace):
    copy_run(finished, workspace, "faster")
    run("evaluate.py", cwd=workspace)
    path = workspace / "runs/faster/metrics.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"seed": 42', '"seed": 43'))
    completed = run("report.py", cwd=workspace)
    assert completed.returncode == 2
    assert "runs/faster/metrics.json has changed since it was measured" in completed.stderr


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model_architecture": "Gone", "model_module": "gone"}, "stand in gone.py beside"),
        ({"model_architecture": "Gone"}, "stand in a file beside"),
        ({"model_args": {"width": 3}}, "cannot be built from its model_args"),
    ],
)
def test_network_that_cannot_be_built_again_says_what_is_missing(
    good_checkpoint, tmp_path, changes, complaint
):
    torch.save({**good_checkpoint, **changes}, tmp_path / "checkpoint.pth")
    with pytest.raises(UserError, match=complaint):
        load_checkpoint(tmp_path / "checkpoint.pth")
