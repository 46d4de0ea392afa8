"""A run that was handed in is trained anew, by the project's own scripts alone."""

import shutil

import pytest
import torch

from common.support.files import write_json
from tests.conftest import REPO, read
from tests.processes import run_forked


def retrain(folder, data_dir):
    flags = [folder, "--data-dir", data_dir]
    completed = run_forked(REPO / "bench/checks/retrain.py", flags, REPO)
    assert "Traceback" not in completed.stderr
    return completed


@pytest.fixture
def handed_in(finished, tmp_path):
    shutil.copytree(finished.folder / "runs/base", tmp_path / "their run")
    return tmp_path / "their run"


def edit(folder, change):
    metrics = read(folder / "metrics.json")
    change(metrics)
    write_json(folder / "metrics.json", metrics)


@pytest.mark.long
def test_honest_run_is_the_same_to_the_bit(handed_in, data_dir):
    completed = retrain(handed_in, data_dir)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines()[-1] == f"{handed_in}: to the bit"
    flags = "--epochs=2 --batch_size=64 --seed=42 --val_size=57000 --lr=0.001".replace("_", "-")
    assert f"Trains: python train_base.py --dataset=mnist {flags}\n" in completed.stdout
    assert "epoch 2/2" in completed.stdout
    assert "Wrote" not in completed.stdout


@pytest.mark.long
def test_weights_of_another_training_are_another_result(handed_in, data_dir):
    content = torch.load(handed_in / "checkpoint.pth", weights_only=True)
    content["model_state_dict"]["fc1.bias"][0] += 1e-6
    torch.save(content, handed_in / "checkpoint.pth")
    completed = retrain(handed_in, data_dir)
    assert completed.returncode == 1
    assert completed.stdout.splitlines()[-1] == f"{handed_in}: another result"


@pytest.mark.long
def test_other_conditions_are_named(handed_in, data_dir):
    def change(metrics):
        metrics["environment"]["torch"] = "1.0"
        metrics["recipe"]["model"]["dropout_rate"] = 0.5
        metrics["recipe"]["epochs"] = 1

    edit(handed_in, change)
    completed = retrain(handed_in, data_dir)
    assert completed.returncode == 2
    (line,) = [line for line in completed.stderr.splitlines() if "error:" in line]
    assert "cannot be compared, because its recipe model is {" in line
    assert "torch was '1.0', and is " in line


def test_file_in_place_of_the_folder_is_one_line(handed_in, data_dir):
    completed = retrain(handed_in / "checkpoint.pth", data_dir)
    assert completed.returncode == 2
    assert completed.stderr.endswith(
        ": name the folder that holds metrics.json and checkpoint.pth\n"
    )


@pytest.mark.parametrize(
    ("place", "value"), [(("model", "name"), "Theirs"), (("epochs",), "1; rm -rf"), (("model",), 5)]
)
def test_what_no_script_trains_is_one_line(handed_in, data_dir, place, value):
    def change(metrics):
        parent = metrics["recipe"]
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value

    edit(handed_in, change)
    completed = retrain(handed_in, data_dir)
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert "retrain.py: error: metrics.json has " in line
    assert "Trains" not in completed.stdout
