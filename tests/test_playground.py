"""The playground's file: it says what torch computes, and is of one's own better run."""

import base64
import json
import shutil

import numpy as np
import torch

import evaluate
from common.checkpoints import load_checkpoint
from common.data.pixels import decode_pixels
from common.transforms import normalize
from own_runs.playground import sample_training_digits
from tests.conftest import read, run


def arrays_of(layer):
    """Returns the weights (float32 [outputs, inputs]), levels and biases of a layer in the file."""
    levels, scales, biases = (
        np.frombuffer(base64.b64decode(layer[key]), dtype)
        for key, dtype in (("levels", np.int8), ("scales", "<f4"), ("biases", "<f4"))
    )
    levels = levels.reshape(layer["outputs"], layer["inputs"])
    return levels * scales[:, None], levels, biases


def logits_of(network, images):
    pixels = torch.tensor(images).flatten(1).double() / 255
    values = (pixels - network["pixel_mean"]) / network["pixel_std"]
    for number, layer in enumerate(network["layers"]):
        weights, _, biases = (torch.tensor(array).double() for array in arrays_of(layer))
        values = (values.relu() if number else values) @ weights.T + biases
    return values


def test_scripts_say_what_they_wrote(shown):
    assert shown.evaluated.returncode == shown.rendered.returncode == 0
    accuracy = shown.document["quantized_network"]["accuracy"]
    said = f"Playground: shown/playground.json, {accuracy:.2f} % with weights of 8 bits"
    assert said in shown.evaluated.stdout
    assert shown.rendered.stdout == "Playground: shown/playground.html\n"


def test_accuracies_are_those_of_torch(shown, test_images):
    row = next(
        row
        for row in read(shown.folder / "evaluation.json")["results"]
        if row["name"] == shown.document["run"]["name"]
    )
    for key in ("correct", "total", "accuracy", "accuracy_ci95"):
        assert shown.document["float_network"][key] == row[key]
    answers = logits_of(shown.document["network"], test_images.images).argmax(dim=1)
    quantized = shown.document["quantized_network"]
    assert quantized["correct"] == (answers.numpy() == test_images.targets).sum()
    model = load_checkpoint(shown.folder / "mnist_classifier_best.pth").model
    with torch.inference_mode():
        float_answers = model(normalize(torch.tensor(test_images.images))).argmax(dim=1)
    assert quantized["changed_answers"] == (answers != float_answers).sum()
    assert abs(row["accuracy"] - quantized["accuracy"]) <= 0.2


def test_weights_are_those_of_the_run_to_half_a_level(shown):
    model = load_checkpoint(shown.folder / "mnist_classifier_best.pth").model
    layers = shown.document["network"]["layers"]
    assert [layer["outputs"] for layer in layers] == [*model.model_args["hidden_sizes"], 10]
    for number, layer in enumerate(layers, start=1):
        weights, levels, biases = arrays_of(layer)
        assert np.abs(levels.astype(int)).max() == 127
        assert (np.abs(levels.astype(int)).max(axis=1) == 127).all()
        # What the layer and its normalisation do to unit vectors and to zero is their weights.
        modules = [getattr(model, f"{kind}{number}", None) for kind in ("fc", "bn")]
        linear = torch.nn.Sequential(*filter(None, modules)).double()
        with torch.inference_mode():
            zero = linear(torch.zeros(1, layer["inputs"], dtype=torch.float64))
            folded = linear(torch.eye(layer["inputs"], dtype=torch.float64)) - zero
        steps = np.abs(weights).max(axis=1, keepdims=True) / 127
        assert (np.abs(folded.numpy().T - weights) <= 0.5001 * steps).all()
        np.testing.assert_allclose(biases, zero[0].numpy(), rtol=1e-5, atol=1e-6)


def test_training_digits_are_a_stratified_sample(shown, train_images):
    sample = shown.document["training_digits"]
    images = sample["images"]
    assert sample["per_digit"] == 100
    assert np.bincount([image["digit"] for image in images]).tolist() == [100] * 10
    assert len({image["index"] for image in images}) == len(images)
    for image in images:
        assert train_images.targets[image["index"]] == image["digit"]
        assert np.array_equal(decode_pixels(image["pixels"]), train_images.images[image["index"]])
    assert sample_training_digits(train_images) == sample


def test_units_are_shown_the_training_images_that_activate_them_most(shown):
    network, strongest = shown.document["network"], shown.document["strongest_images"]
    digits = shown.document["training_digits"]["images"]
    images = np.stack([decode_pixels(digit["pixels"]) for digit in digits])
    assert len(strongest) == len(network["layers"]) - 1
    for number, units in enumerate(strongest, start=1):
        layers = network["layers"][:number]
        activations = logits_of({**network, "layers": layers}, images).relu().numpy()
        greatest = -np.sort(-activations, axis=0)[:6].T
        for unit, places in enumerate(units):
            values = activations[places, unit]
            assert (values > 0).all()
            expected = greatest[unit][greatest[unit] > 1e-5]
            np.testing.assert_allclose(values[: len(expected)], expected, rtol=1e-4)


def test_test_digits_are_grouped_by_what_the_network_in_the_page_answers(shown, test_images):
    groups = shown.document["test_digits"]
    for name, group in groups.items():
        indices = [digit["index"] for digit in group]
        answers = logits_of(shown.document["network"], test_images.images[indices]).argmax(dim=1)
        assert [digit["predicted"] for digit in group] == answers.tolist()
        assert [digit["true"] for digit in group] == test_images.targets[indices].tolist()
        assert {d["predicted"] == d["true"] for d in group} == {name == "recognised"}
    assert [digit["true"] for digit in groups["recognised"]] == sorted([*range(10)] * 2)
    assert len(groups["misclassified"]) == 24


def test_playground_is_of_ones_own_runs(finished, tmp_path):
    for folder, said, *flags in (
        (tmp_path, "leave out PATH", finished.folder),
        (finished.folder, "name another file", "--output", "runs/playground.json"),
    ):
        completed = run("evaluate.py", *flags, "--playground", cwd=folder)
        assert completed.returncode == 2
        (line,) = completed.stderr.splitlines()
        assert said in line


def test_without_a_best_run_there_is_no_playground(finished, workspace):
    shutil.copytree(finished.folder / "runs/base", workspace / "runs/base")
    path = workspace / "runs/base/metrics.json"
    metrics = read(path)
    for epoch in metrics["history"]:
        epoch["val_accuracy"] = None
    path.write_text(json.dumps(metrics), encoding="utf-8")
    (workspace / "runs/playground.json").write_text("of an earlier best run")
    completed = run("evaluate.py", "--playground", "--exit-zero", cwd=workspace)
    assert completed.returncode == 0, "make report goes on"
    assert "\nNo playground: no run that held out validation images" in completed.stdout
    assert read(workspace / "runs/evaluation.json")["best"] is None
    assert not (workspace / "runs/playground.json").exists()


def test_network_that_the_page_cannot_run_is_said_and_no_reason_to_stop(
    finished, workspace, monkeypatch, capsys
):
    shutil.copytree(finished.folder / "runs/improved", workspace / "runs/improved")
    monkeypatch.setattr("own_runs.playground.MNISTClassifier", torch.nn.Bilinear)
    monkeypatch.chdir(workspace)
    assert evaluate.main(["--playground", "--threshold=80"]) == 0
    said = "No playground: improved is a ImprovedMNISTClassifier, and the page runs MNISTClassifier"
    assert said in capsys.readouterr().out
    assert not (workspace / "runs/playground.json").exists()
