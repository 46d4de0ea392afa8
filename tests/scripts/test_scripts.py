"""The four scripts as a user runs them, one after the other, on real images."""

import re
import shutil

import pytest
import torch

import train_improved
from evaluations.words import accuracy_text, p_text
from tests.conftest import REPO, read, run
from tests.processes import run_forked

AUGMENTED_DEFAULTS = {"epochs": 100, "batch_size": 256, "lr": 0.006}
PLAIN_DEFAULTS = {"epochs": 15, "batch_size": 64, "lr": 0.01}

SCRIPTS = ("train_base.py", "train_improved.py", "evaluate.py", "report.py")


def test_each_script_ends_well(finished):
    for name in ("base", "improved", "evaluation", "report"):
        completed = getattr(finished, name)
        assert completed.returncode == 0, completed.stderr
        assert completed.stderr == "", "bars and warnings are for terminals"


@pytest.mark.parametrize("name", ["base", "improved"])
def test_metrics_tell_the_whole_run(finished, name):
    metrics = read(finished.folder / f"runs/{name}/metrics.json")
    assert metrics["schema_version"] == 2
    assert metrics["name"] == name
    assert metrics["data"]["train_size"] == 3000
    assert metrics["data"]["val_size"] == 57000
    assert [row["epoch"] for row in metrics["history"]] == [1, 2]
    last = metrics["history"][-1]
    assert last["train_loss"] < metrics["history"][0]["train_loss"]
    assert 80 < last["val_accuracy"] < 100
    assert last["val_total"] == 57_000
    assert last["val_accuracy"] == 100 * last["val_correct"] / 57_000
    assert metrics["recipe"]["seed"] == 42
    assert 0.1 < metrics["temperature"] < 10
    assert metrics["environment"]["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("arguments", "of_the_process", "defaults"),
    [
        (["--augment"], [], AUGMENTED_DEFAULTS),
        ([], ["--augment"], PLAIN_DEFAULTS),
        (None, ["--augment"], AUGMENTED_DEFAULTS),
        (["--augment", "--lr", "0.5"], [], AUGMENTED_DEFAULTS | {"lr": 0.5}),
        (["--epochs", "15", "--augment"], [], AUGMENTED_DEFAULTS | {"epochs": 15}),
    ],
)
def test_augment_changes_the_defaults_of_the_call_that_has_it(
    arguments, of_the_process, defaults, monkeypatch
):
    monkeypatch.setattr("sys.argv", ["train_improved.py", *of_the_process])
    args = train_improved.parse_arguments(arguments)
    assert {name: getattr(args, name) for name in defaults} == defaults


def test_main_called_from_python_trains_by_the_augmented_recipe(
    few_digits, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("sys.argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    place = ("--output-dir", str(tmp_path / "run"))
    train_improved.main([*few_digits, *place, "--epochs", "1", "--augment"])
    recipe = read(tmp_path / "run/metrics.json")["recipe"]
    assert recipe["batch_size"] == 256
    assert recipe["schedule"]["max_lr"] == 0.006
    assert "distortions" in recipe


def test_help_says_both_defaults(capsys):
    with pytest.raises(SystemExit):
        train_improved.parse_arguments(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for plain, augmented in zip(PLAIN_DEFAULTS.values(), AUGMENTED_DEFAULTS.values(), strict=True):
        assert f"(default: {plain}, with --augment {augmented})" in told


def test_recipes_are_recorded_as_designed(finished):
    base = read(finished.folder / "runs/base/metrics.json")
    assert base["architecture"] == "MNISTClassifier"
    assert base["parameters"] == 567_434
    assert base["recipe"]["model"]["hidden_sizes"] == [512, 256, 128]
    assert base["recipe"]["model"]["dropout_rate"] == 0.3
    assert base["recipe"]["loss"] == {"name": "CrossEntropyLoss", "label_smoothing": 0.0}
    assert base["recipe"]["optimizer"]["name"] == "Adam"
    assert base["recipe"]["optimizer"]["weight_decay"] == 1e-4
    assert base["recipe"]["schedule"] == {
        "name": "StepLR",
        "step_size": 10,
        "gamma": 0.7,
        "initial_lr": 1e-3,
    }
    improved = read(finished.folder / "runs/improved/metrics.json")
    assert improved["architecture"] == "ImprovedMNISTClassifier"
    assert improved["recipe"]["model"]["hidden_sizes"] == [1024, 512, 256, 128]
    assert improved["recipe"]["model"]["dropout_rate"] == 0.4
    assert improved["recipe"]["loss"]["label_smoothing"] == 0.1
    assert improved["recipe"]["optimizer"]["name"] == "AdamW"
    assert improved["recipe"]["optimizer"]["weight_decay"] == 1e-3
    assert improved["recipe"]["schedule"]["max_lr"] == 0.01
    assert improved["recipe"]["schedule"]["total_steps"] == 2 * 47


def test_learning_rates_follow_the_schedules(finished):
    base = read(finished.folder / "runs/base/metrics.json")["history"]
    assert [row["learning_rate"] for row in base] == [1e-3] * 2
    improved = read(finished.folder / "runs/improved/metrics.json")["history"]
    # 0.01 / 25 / 10,000: where OneCycleLR ends by its documented defaults.
    assert improved[-1]["learning_rate"] == pytest.approx(4e-8)


@pytest.mark.parametrize("name", ["base", "improved"])
def test_checkpoint_loads_safely_and_holds_the_contract(finished, name):
    path = finished.folder / f"runs/{name}/checkpoint.pth"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint.keys() == {
        *("model_state_dict", "model_architecture", "model_args", "accuracy"),
        *("accuracy_total", "epoch", "recipe", "versions", "normalization", "classes"),
    }
    assert checkpoint["normalization"] == [0.1307, 0.3081]
    assert checkpoint["classes"] == list("0123456789")
    metrics = read(path.with_name("metrics.json"))
    assert checkpoint["accuracy"] == metrics["history"][-1]["val_accuracy"]
    assert checkpoint["accuracy_total"] == 57_000
    assert checkpoint["epoch"] == 2


def test_exploration_is_printed(finished):
    printed = finished.base.stdout
    assert "3,000 to train on, 57,000 to validate on; each 1 x 28 x 28" in printed
    assert "mean 0.1307, standard deviation 0.3081" in printed


def test_console_without_braille_has_no_digit_pictures(few_digits, workspace):
    flags = (*few_digits, "--epochs", "1")
    completed = run_forked(REPO / "train_base.py", flags, workspace, PYTHONIOENCODING="cp1252")
    assert completed.returncode == 0, completed.stderr
    assert "validate" in completed.stdout
    assert "\\u28" not in completed.stdout
    assert "\u28ff" not in completed.stdout


def test_evaluation_holds_the_contract(finished):
    evaluation = read(finished.folder / "runs/evaluation.json")
    assert evaluation["schema_version"] == 2
    assert evaluation["threshold"] == 80
    assert evaluation["dataset"]["size"] == 10_000
    assert [row["name"] for row in evaluation["results"]] == ["base", "improved"]
    for row in evaluation["results"]:
        matrix = torch.tensor(row["confusion_matrix"])
        assert row["status"] == "pass"
        assert row["total"] == matrix.sum() == 10_000
        assert row["correct"] == matrix.trace()
        assert row["accuracy"] == row["correct"] / 100
        assert row["accuracy_ci95"][0] < row["accuracy"] < row["accuracy_ci95"][1]
        assert sum(entry["correct"] for entry in row["per_class"]) == row["correct"]
        assert row["source"] == f"runs/{row['name']}"
        assert re.fullmatch("[0-9a-f]{64}", row["sha256"])
    (pair,) = evaluation["comparisons"]
    base, improved = evaluation["results"]
    assert pair["only_b"] - pair["only_a"] == improved["correct"] - base["correct"]
    assert len(pair["indices_only_a"]) == pair["only_a"]
    assert not set(pair["indices_only_a"]) & set(pair["indices_only_b"])
    # What improved missed, base recognises.
    assert {error["index"] for error in pair["missed_by_b"]} <= set(pair["indices_only_a"])
    certainty = [error["probability"] for error in pair["missed_by_b"]]
    assert certainty == sorted(certainty, reverse=True)
    assert all(error["true"] != error["predicted"] for error in pair["missed_by_b"])


def test_confidence_is_measured_with_the_temperature_of_the_training(finished):
    for row in read(finished.folder / "runs/evaluation.json")["results"]:
        metrics = read(finished.folder / f"runs/{row['name']}/metrics.json")
        confidence = row["confidence"]
        assert confidence["temperature"] == metrics["temperature"]
        assert confidence["before"]["loss"] == row["loss"]
        assert confidence["coverage"][0]["correct"] == row["correct"]


def test_better_model_is_chosen_on_validation_images(finished):
    evaluation = read(finished.folder / "runs/evaluation.json")
    by_validation = max(evaluation["results"], key=lambda row: row["validation"]["accuracy"])
    assert evaluation["best"] == by_validation["name"]
    best = torch.load(finished.folder / "runs/mnist_classifier_best.pth", weights_only=True)
    assert best["accuracy"] == by_validation["accuracy"]
    assert best["model_architecture"] == by_validation["architecture"]
    assert best["epoch"] == 2
    own = torch.load(
        finished.folder / "runs" / evaluation["best"] / "checkpoint.pth", weights_only=True
    )
    for name, tensor in own["model_state_dict"].items():
        assert torch.equal(tensor, best["model_state_dict"][name])


def test_evaluation_ends_in_the_success_line(finished):
    best = torch.load(finished.folder / "runs/mnist_classifier_best.pth", weights_only=True)
    count, last = finished.evaluation.stdout.rstrip().splitlines()[-2:]
    assert count == "2 of 2 reached 80 %"
    assert last == f"✓ SUCCESS: Model achieved {best['accuracy']:.2f}% accuracy (threshold 80 %)"


def test_failing_verdict_is_status_1_and_still_written(finished, workspace):
    shutil.copytree(finished.folder / "runs/base", workspace / "runs/base")
    output = workspace / "evaluation.json"
    completed = run("evaluate.py", "--threshold", "99.9", "--output", output, cwd=workspace)
    assert completed.returncode == 1
    assert completed.stdout.rstrip().splitlines()[-1].startswith("✗ FAILURE: Model achieved ")
    assert {row["status"] for row in read(output)["results"]} == {"fail"}
    forgiven = ("--threshold", "99.9", "--output", output, "--exit-zero")
    assert run("evaluate.py", *forgiven, cwd=workspace).returncode == 0


def test_another_seed_gives_other_weights(few_digits, workspace):
    for seed in ("42", "43"):
        flags = (*few_digits, "--epochs", "1", "--seed", seed, "--output-dir", f"runs/{seed}")
        assert run("train_base.py", *flags, cwd=workspace).returncode == 0
    first, second = (
        torch.load(workspace / f"runs/{seed}/checkpoint.pth", weights_only=True)["model_state_dict"]
        for seed in (42, 43)
    )
    assert not torch.equal(first["fc1.weight"], second["fc1.weight"])


def test_training_on_all_images_has_no_validation(few_digits, workspace):
    completed = run("train_base.py", *few_digits, "--val-size", "0", "--epochs", "2", cwd=workspace)
    assert completed.returncode == 0, completed.stderr
    runs = workspace / "runs/idx"
    metrics = read(runs / "base/metrics.json")
    assert metrics["data"]["train_size"] == 3300
    assert metrics["history"][0]["val_accuracy"] is None
    assert metrics["temperature"] is None
    # Nothing to choose by: the run is measured, and no better model is claimed or left over.
    (runs / "idx_classifier_best.pth").write_bytes(b"of an earlier evaluation")
    completed = run("evaluate.py", *few_digits[:4], "--threshold", "50", cwd=workspace)
    assert completed.returncode == 0, completed.stdout
    assert read(runs / "evaluation.json")["best"] is None
    assert not (runs / "idx_classifier_best.pth").exists()
    assert run("report.py", runs / "evaluation.json", cwd=workspace).returncode == 0


@pytest.mark.parametrize(
    ("accuracy", "threshold", "text"),
    [
        (100 * 53_999 / 60_000, 90.0, "89.998"),
        (100 * 8_999 / 10_000, 90.0, "89.99"),
        (90.0, 90.0, "90.00"),
        (100 * 599_999 / 600_000, 100.0, "99.9998"),
        (97.1, 97.1, "97.10"),
        (100 * 54_001 / 60_000, 90.0, "90.00"),
        (100 * 54_001 / 60_000, 90.001, "90.002"),
    ],
)
def test_no_rounded_figure_contradicts_the_verdict(accuracy, threshold, text):
    assert accuracy_text(accuracy, threshold) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, "1"),
        (0.2063438, "0.21"),
        (0.05, "0.05"),
        (0.0496, "0.0496"),
        (0.04999, "0.04999"),
        (0.000123, "0.00012"),
        (0.00009, "< 0.0001"),
        (0.0, "< 0.0001"),
    ],
)
def test_p_value_has_two_digits_and_keeps_its_side_of_the_usual_level(p, text):
    assert p_text(p) == text


def test_failure_by_less_than_rounding_shows_wherever_it_stands(finished, workspace):
    """Terminal, report, grades: a threshold that lies a hair above the accuracy."""
    shutil.copytree(finished.folder / "runs/base", workspace / "runs/base")
    row, _ = read(finished.folder / "runs/evaluation.json")["results"]
    threshold = f"{row['accuracy'] + 0.000001:.6f}"
    completed = run("evaluate.py", "--threshold", threshold, cwd=workspace)
    assert completed.returncode == 1
    expected = accuracy_text(row["accuracy"], float(threshold))
    line = f"FAILURE: Model achieved {expected}% accuracy (threshold {threshold} %)"
    assert line in completed.stdout
    assert run("report.py", cwd=workspace).returncode == 0
    page = (workspace / "runs/report.html").read_text(encoding="utf-8")
    assert f"Fail: {expected}" in page
    assert "0.00 points below" not in re.sub(r"\s", " ", page)
    run("evaluate.py", "runs/base/checkpoint.pth", "--threshold", threshold, cwd=workspace)
    assert f'"{expected}"' in (workspace / "runs/grading/grades.csv").read_text(encoding="utf-8")
