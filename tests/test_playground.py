"""The playground: its file says what torch computes, and its page lets nothing in or out."""

import base64
import copy
import hashlib
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import evaluate
import report
from common.checkpoints import load_checkpoint
from common.data.pixels import decode_pixels
from common.support.errors import UserError
from common.transforms import normalize
from own_runs.playground import sample_training_digits
from reporting.playground_page import SCRIPTS, page_script, render_playground
from tests.conftest import REPO, read, run
from tests.reporting.test_report import HOSTILE, Page

FLAGS = ("--playground", "--threshold", "80", "--output", "shown/evaluation.json")


@pytest.fixture(scope="module")
def shown(finished):
    """The better of the small runs as a playground, and what the scripts said of it."""
    evaluated = run("evaluate.py", *FLAGS, cwd=finished.folder)
    rendered = run("report.py", "--playground", "shown/playground.json", cwd=finished.folder)
    folder = finished.folder / "shown"
    return SimpleNamespace(
        folder=folder,
        evaluated=evaluated,
        rendered=rendered,
        document=read(folder / "playground.json"),
        page=(folder / "playground.html").read_text(encoding="utf-8"),
    )


@pytest.fixture
def document(shown):
    return copy.deepcopy(shown.document)


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


def test_page_is_well_formed_and_can_ask_for_nothing(shown):
    page = Page(shown.page)
    assert len(page.ids) == len(set(page.ids))
    assert not page.tags & {"link", "iframe", "object", "form", "base"}
    assert not re.search(r"https?:|@import|url\(|\bon\w+=", shown.page)
    digest = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    policy = next(value for _, value in page.attributes if value and "default-src" in value)
    assert policy.startswith("default-src 'none'; ")
    assert re.findall(r"script-src [^;]*", policy) == [f"script-src 'sha256-{digest}'"]
    assert f"<script>{page_script()}</script>" in shown.page
    assert len(shown.page.encode()) < 4_000_000


def test_script_fits_in_a_sitting():
    scripts = (REPO / "templates/playground").glob("*.js")
    lines = {s.stem: len(s.read_text(encoding="utf-8").splitlines()) for s in scripts}
    assert lines.keys() == set(SCRIPTS)
    assert max(lines.values()) <= 300


def test_page_says_what_an_answer_is_worth(shown):
    text = re.sub(r"\s+", " ", " ".join(Page(shown.page).text))
    whole, quantized = (shown.document[f"{kind}_network"] for kind in ("float", "quantized"))
    for network in (whole, quantized):
        low, high = network["accuracy_ci95"]
        assert f"{network['accuracy']:.2f} %" in text
        assert f"{low:.2f}–{high:.2f} %" in text
    assert f"gives another answer to {quantized['changed_answers']} of them" in text
    assert "sought among 1,000 of 60,000: 100 of each digit" in text
    assert "seed 42" in text
    assert "Drawings are not the test set" in text
    assert "has to answer one of ten digits, whatever is drawn" in text


def test_words_in_the_file_stay_words(document):
    document["run"]["name"] = document["run"]["architecture"] = HOSTILE
    document["test_set"]["name"] = HOSTILE
    document["network"]["extra"] = document["test_digits"]["recognised"][0]["extra"] = HOSTILE
    text = render_playground(document, checksum="")
    assert "alert(1)" in text
    assert text.count("<script") == 2
    assert "onerror" not in {name for name, _ in Page(text).attributes}
    assert "49" not in re.findall(r"run <strong>(.*?)</strong>", text)


TAMPERED = {
    "a script in pixels": lambda d: d["training_digits"]["images"][0].update(pixels="</script>"),
    "an image too small": lambda d: d["training_digits"]["images"][0].update(pixels="AAAA"),
    "a script in weights": lambda d: d["network"]["layers"][0].update(levels="<!--<script>"),
    "weights cut short": lambda d: d["network"]["layers"][1].update(levels="AAAA"),
    "scales of no number": lambda d: d["network"]["layers"][-1].update(
        scales=base64.b64encode(np.full(10, np.nan, "<f4").tobytes()).decode()
    ),
    "a deviation of zero": lambda d: d["network"].update(pixel_std=0),
    "a mean that is no number": lambda d: d["network"].update(pixel_mean="nan"),
    "a label of no digit": lambda d: d["test_digits"]["recognised"][0].update(true=99),
    "no layers": lambda d: d["network"].update(layers=[]),
    "a layer left out": lambda d: d["network"]["layers"].pop(1),
    "an index in words": lambda d: d["test_digits"]["recognised"][0].update(index="<b>"),
    "an accuracy in words": lambda d: d["float_network"].update(accuracy="high"),
    "units of another layer": lambda d: d["strongest_images"].pop(),
    "an image that is not there": lambda d: d["strongest_images"][0].__setitem__(0, [1000]),
    "groups of another kind": lambda d: d.update(test_digits=5),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_tampered_file_is_refused(document, tmp_path, change):
    TAMPERED[change](document)
    (tmp_path / "p.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError, match=r"p\.json: .*run evaluate\.py --playground again"):
        report.main([f"--playground={tmp_path}/p.json", f"--output={tmp_path}/p.html"])
    assert not (tmp_path / "p.html").exists()


def assert_one_line(completed, text):
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert text in completed.stderr


def test_other_files_are_refused(shown, tmp_path):
    shutil.copy(shown.folder / "evaluation.json", tmp_path)
    completed = run("report.py", "--playground", "evaluation.json", cwd=tmp_path)
    assert_one_line(completed, "run is missing: run evaluate.py --playground again")
    assert not (tmp_path / "playground.html").exists()
    shutil.copy(shown.folder / "playground.json", tmp_path)
    flags = ("--playground", "playground.json", "--output", "playground.json")
    assert_one_line(run("report.py", *flags, cwd=tmp_path), "what the page is made from")


def test_playground_is_of_ones_own_runs(finished, tmp_path):
    completed = run("evaluate.py", finished.folder, "--playground", cwd=tmp_path)
    assert_one_line(completed, "leave out PATH")
    flags = ("--playground", "--output", "runs/playground.json")
    assert_one_line(run("evaluate.py", *flags, cwd=finished.folder), "name another file")


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
    finished, data_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("own_runs.playground.MNISTClassifier", torch.nn.Bilinear)
    flags = [f"--output={tmp_path}/evaluation.json", f"--data-dir={data_dir}", "--threshold=80"]
    monkeypatch.chdir(finished.folder)
    assert evaluate.main(["--playground", *flags]) == 0
    said = "No playground: improved is a ImprovedMNISTClassifier, and the page runs MNISTClassifier"
    assert said in capsys.readouterr().out
    assert not (tmp_path / "playground.json").exists()


LINK = 'href="playground.html"'


def test_report_renders_the_playground_and_links_to_it(shown, finished, tmp_path):
    for path in ("evaluation.json", "playground.json"):
        shutil.copy(shown.folder / path, tmp_path)
    completed = run("report.py", tmp_path / "evaluation.json", cwd=finished.folder)
    lines = completed.stdout.splitlines()
    assert lines[0] == f"Playground: {tmp_path}/playground.html"
    assert lines[-1] == f"Report: {tmp_path}/report.html"
    assert (tmp_path / "playground.html").read_text(encoding="utf-8") == shown.page
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert LINK in text
    assert len(text.encode()) < 300_000
    output = tmp_path / "elsewhere/page.html"
    report.main([str(tmp_path / "evaluation.json"), f"--output={output}"])
    assert LINK in output.read_text(encoding="utf-8")
    assert output.with_name("playground.html").exists(), "it goes where the link looks for it"


def other_run(document):
    document["run"]["sha256"] = "0" * 64


def other_images(document):
    document["test_set"]["md5"] = {}


@pytest.mark.parametrize("change", [None, other_run, other_images])
def test_report_links_to_no_playground_of_another_network(shown, document, tmp_path, change):
    shutil.copy(shown.folder / "evaluation.json", tmp_path)
    if change:
        change(document)
        (tmp_path / "playground.json").write_text(json.dumps(document), encoding="utf-8")
    report.main([str(tmp_path / "evaluation.json")])
    assert "playground.html" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "playground.html").exists()


def test_report_is_not_written_over_what_its_playground_is_made_from(shown, tmp_path):
    for path in ("evaluation.json", "playground.json"):
        shutil.copy(shown.folder / path, tmp_path)
    output = tmp_path / "playground.json"
    with pytest.raises(UserError, match="what the page is made from"):
        report.main([str(tmp_path / "evaluation.json"), f"--output={output}"])
    assert read(output) == shown.document
