"""Networks on changed images: what is measured, and why batch normalisation is worse there."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench.checks.robustness import with_batch_statistics
from common.data.pixels import decode_pixels
from common.loops import Batches
from common.models import ImprovedMNISTClassifier, MNISTClassifier
from evaluations.rows import LogitAnswers
from own_runs.corruptions import CORRUPTIONS
from own_runs.measure import Measured, measure_robustness
from tests.conftest import read, run

CPU = torch.device("cpu")


def made_run(name, model, validation=None):
    row = {"name": name, "validation": None if validation is None else {"accuracy": validation}}
    return Measured(row, LogitAnswers(np.empty((0, 10))), model)


def accuracies(measured, test_images, size=1000):
    """Return accuracies by run and change."""
    rows = measure_robustness(measured, test_images, CPU, size)["corruptions"]
    return {(run["run"], row["name"]): run["accuracy"] for row in rows for run in row["runs"]}


@pytest.fixture(scope="module")
def twins(train_images):
    """Two networks of one recipe, trained on the same 4,000 images: plain, and normalised."""
    sample = train_images.select(np.arange(4000))
    trained = {}
    for name, architecture in (("plain", MNISTClassifier), ("normalised", ImprovedMNISTClassifier)):
        torch.manual_seed(0)
        model = architecture(hidden_sizes=(128, 64), dropout_rate=0.0)
        optimizer = torch.optim.Adam(model.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=200)
        order = torch.Generator().manual_seed(0)
        batches = Batches(sample, batch_size=100, device=CPU, generator=order)
        for _ in range(5):
            for images, targets in batches:
                optimizer.zero_grad()
                F.cross_entropy(model(images), targets).backward()
                optimizer.step()
                schedule.step()
        trained[name] = model
    return trained


@pytest.fixture(scope="module")
def twins_accuracies(twins, test_images):
    """The accuracies of both, and of the normalised one with the statistics of changed images."""
    models = twins | {"adapted": with_batch_statistics(twins["normalised"])}
    return accuracies([made_run(*item) for item in models.items()], test_images)


@pytest.mark.parametrize("change", ["noise", "salt and pepper", "grey background"])
def test_batch_normalisation_is_the_cause(twins_accuracies, change):
    """It alone differs. With the statistics of the changed images the loss is gone."""
    plain, normalised, adapted = (
        twins_accuracies[name, change] for name in ("plain", "normalised", "adapted")
    )
    assert normalised < plain - 1
    assert adapted > normalised + 2


def test_without_a_change_batch_normalisation_costs_nothing(twins_accuracies):
    unchanged = [twins_accuracies[name, "no change"] for name in ("plain", "normalised", "adapted")]
    assert min(unchanged) > 88
    assert max(unchanged) < min(unchanged) + 3


def test_of_many_runs_the_four_best_by_validation_are_measured(twins, test_images):
    validations = (90.0, None, 97.0, 95.0, 99.0, 96.0)
    runs = [made_run(str(i), twins["plain"], value) for i, value in enumerate(validations)]
    found = accuracies(runs, test_images, size=10)
    assert {name for name, _ in found} == {"4", "2", "5", "3"}


def test_evaluation_has_each_change_for_each_run(finished):
    evaluation = read(finished.folder / "runs/evaluation.json")
    assert evaluation["robustness"]["size"] == 1000
    rows = evaluation["robustness"]["corruptions"]
    assert [row["name"] for row in rows] == [corruption.name for corruption in CORRUPTIONS]
    pictures = {row["name"]: decode_pixels(row["pixels"]) for row in rows}
    for row, corruption in zip(rows, CORRUPTIONS, strict=True):
        assert {run["run"] for run in row["runs"]} == {"base", "improved"}
        assert all(run["accuracy"] == run["correct"] / 10 for run in row["runs"])
        if row["group"] in ("none", "strokes", "greys"):  # each image by itself
            unchanged = pictures["no change"][None]
            assert np.array_equal(corruption.apply(unchanged)[0], pictures[row["name"]])
    whole = {row["name"]: row["accuracy_ci95"] for row in evaluation["results"]}
    for one in rows[0]["runs"]:  # a sample of the test images, unchanged
        low, high = one["accuracy_ci95"]
        assert low < whole[one["run"]][1]
        assert whole[one["run"]][0] < high


def test_submissions_are_not_measured_on_changed_images(finished, tmp_path):
    output = tmp_path / "evaluation.json"
    flags = ("--threshold", "80", "--output", output)
    completed = run("evaluate.py", "runs/base/checkpoint.pth", *flags, cwd=finished.folder)
    assert completed.returncode == 0, completed.stderr
    assert "robustness" not in read(output)
