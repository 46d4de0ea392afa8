"""Checkpoints as people really save them: each has the grade of its one meaning, or a next step."""

import argparse
import pathlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from grading.readers.weights.registry import register_file
from tests.conftest import read, run
from tests.grading.checkpoints import (
    MODELS,
    RECIPE,
    Loud,
    cnn,
    for_pixels,
    for_transposed,
    needing,
    renamed,
    trained_with_tanh,
)
from tests.grading.corpus import saved
from tests.grading.corpus.pickles import Payload


@pytest.fixture(scope="module")
def place(tmp_path_factory, data_dir, good_checkpoint, train_images):
    place = tmp_path_factory.mktemp("checkpoints")
    (place / "data").symlink_to(data_dir)
    (place / "submissions").mkdir()
    weights, count = good_checkpoint["model_state_dict"], 0
    while f"fc{count + 1}.weight" in weights:
        count += 1
    chain = [str(1 + 2 * n) for n in range(count)]
    Loud.canary = str(place / "canary")
    space = argparse.Namespace(lr=np.float64(0.1), out=pathlib.Path("runs/base"), tags=["a"])
    contents = {
        "net.pth": {"net": weights, "epoch": 3},
        "odd-key.pth": {"weights of the best epoch": weights, "history": [1.0]},
        "two.pth": {"ema": weights, "student": weights},
        "deep-prefix.pth": {f"module.backbone.{k}": v for k, v in weights.items()},
        "w.bin": weights,
        "w.tar": weights,
        "w.pth.tar": {"state_dict": weights, "best_acc1": np.float32(91.0)},
        "nosuffix": weights,
        "plain-data.pth": {"model": weights, "args": space, "loss": np.float32(0.1)},
        "fraction.pth": {"model_state_dict": weights, "accuracy": 0.973},
        "fraction-of-numpy.pth": {"model_state_dict": weights, "accuracy": np.float64(0.973)},
        "sequential.pth": renamed(weights, chain),
        "tutorial.pth": renamed(weights, [f"linear_relu_stack.{n}" for n in chain]),
        "dense.pth": renamed(weights, [f"dense_{n}" for n in range(1, count + 1)]),
        "tanh.pth": (tanh := trained_with_tanh(train_images)),
        "tanh-fc.pth": renamed(tanh, ["fc1", "fc2", "fc3"]),
        "cnn.pth": {"state_dict": cnn().state_dict(), "normalization": RECIPE},
        "unit.pth": {"model_state_dict": for_pixels(weights), "normalization": (0.0, 1.0)},
        "unit-unsaid.pth": for_pixels(weights),
        "raw-unsaid.pth": for_pixels(weights, largest=255),
        "transposed.pth": for_transposed(weights),
        "transposed-raw.pth": for_transposed(for_pixels(weights, largest=255)),
        "transposed-unit.pth": {
            "model_state_dict": for_transposed(for_pixels(weights)),
            "normalization": (0.0, 1.0),
        },
        "with-args.pth": needing({"width": 24}),
        "other-args.pth": needing({"width": 24, "depth": 2}),
        "bad-normalization.pth": {"model_state_dict": weights, "normalization": (0.1, 0.0)},
        "loud.pth": {"model": weights, "args": argparse.Namespace(x=Loud())},
        "payload.pth": {"model": weights, "args": argparse.Namespace(x=Payload(Loud.canary))},
    }
    for name, content in contents.items():
        (place / "submissions" / name).write_bytes(saved(content))
    old = saved({"model": weights, "args": space}, _use_new_zipfile_serialization=False)
    (place / "submissions/old.pth").write_bytes(old)
    (place / "submissions/old-nosuffix").write_bytes(old)
    (place / "submissions/text.pth").write_text("accuracy,0.97\n")
    (place / "submissions/text.bin").write_text("ImageId,Label\n1,1\n")
    (place / "net.py").write_text(MODELS)
    return place


def evaluate(place, output, *flags, paths=("submissions",)):
    path = place / output / "evaluation.json"
    # The corpus goes through every isolation: what is here is the same in each.
    common = ("--threshold", "80", "--isolation", "process", "--output", path)
    completed = run("evaluate.py", *paths, *common, *flags, cwd=place)
    assert completed.returncode == 1, completed.stderr
    return SimpleNamespace(
        completed=completed, rows={row["name"]: row for row in read(path)["results"]}
    )


@pytest.fixture(scope="module")
def graded(place, on_few_images):
    return evaluate(place, "graded")


@pytest.fixture(scope="module")
def rows(graded):
    return graded.rows


def test_every_file_has_its_row_and_nothing_ran(place, graded):
    names = sorted(path.name for path in (place / "submissions").iterdir())
    assert sorted(graded.rows) == names
    assert graded.completed.stderr == ""
    assert not (place / "canary").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("net.pth", "odd-key.pth", "deep-prefix.pth", "w.bin", "w.tar", "w.pth.tar", "nosuffix"),
        *("plain-data.pth", "fraction.pth", "fraction-of-numpy.pth", "old.pth", "old-nosuffix"),
    ],
)
def test_one_meaning_has_one_grade(rows, own_row, name):
    assert rows[name]["status"] == "pass", rows[name]["reason"]
    assert rows[name]["kind"] == "checkpoint"
    for key in ("correct", "confusion_matrix", "architecture", "parameters"):
        assert rows[name][key] == own_row[key]
    assert rows[name]["preprocessing"]["source"] == "recipe"


def test_prefix_of_several_parts_is_noted(rows):
    assert "module.backbone. was taken off every name" in rows["deep-prefix.pth"]["notes"]
    assert "taken off" not in rows["net.pth"]["notes"]


def test_two_sets_of_weights_are_both_named(rows):
    assert rows["two.pth"]["status"] == "error"
    assert "'ema'" in rows["two.pth"]["reason"]
    assert "'student'" in rows["two.pth"]["reason"]


@pytest.mark.parametrize("name", ["text.pth", "text.bin"])
def test_text_is_no_checkpoint_whatever_its_name(rows, name):
    assert rows[name]["status"] == "error"
    assert "not a PyTorch checkpoint" in rows[name]["reason"]


@pytest.mark.parametrize("name", ["fraction.pth", "fraction-of-numpy.pth"])
def test_claim_of_at_most_one_is_a_fraction(rows, name):
    assert rows[name]["claimed_accuracy"] == pytest.approx(97.3)
    assert rows[name]["claim_differs"]


@pytest.mark.parametrize(("name", "culprit"), [("loud.pth", "Loud"), ("payload.pth", "mkdir")])
def test_objects_with_code_are_refused_by_name(rows, place, name, culprit):
    row = rows[name]
    assert row["status"] == "error"
    assert culprit in row["reason"]
    assert "model_state_dict" in row["reason"], "what to save instead"
    assert not (place / "canary").exists()


@pytest.mark.parametrize("name", ["sequential.pth", "tutorial.pth", "dense.pth"])
def test_chain_under_other_names_is_rebuilt_with_relu_and_says_so(rows, own_row, name):
    assert rows[name]["correct"] == own_row["correct"]
    assert "ReLU" in rows[name]["notes"]
    assert rows[name]["architecture"].startswith("MLP 784-")


@pytest.mark.parametrize("name", ["tanh.pth", "tanh-fc.pth"])
def test_network_with_tanh_fails_by_no_guess_of_ours(rows, name):
    """Either the sample shows that it is no ReLU network, or a note says what was guessed."""
    row = rows[name]
    if row["status"] == "error":
        assert "with ReLU between them the network recognises only" in row["reason"]
        assert ".onnx" in row["reason"]
    else:
        assert row["preprocessing"]["sample_accuracy"] >= 50
        assert "ReLU" in row["notes"]


def test_another_network_hears_of_onnx_and_of_models(rows):
    assert rows["cnn.pth"]["status"] == "error"
    for part in ("conv1", "torch.onnx.export", "--models"):
        assert part in rows["cnn.pth"]["reason"]


def test_declared_normalization_is_taken_and_another_inferred(rows, own_row):
    for name, kind, source in (("unit", "unit", "declared"), ("raw-unsaid", "raw", "inferred")):
        row = rows[f"{name}.pth"]
        assert row["preprocessing"]["name"] == kind
        assert row["preprocessing"]["source"] == source
        assert row["correct"] == pytest.approx(own_row["correct"], abs=1)
    assert rows["bad-normalization.pth"]["status"] == "error"
    assert "normalization" in rows["bad-normalization.pth"]["reason"]


@pytest.mark.parametrize(
    ("name", "normalization", "source"),
    [
        ("transposed.pth", "recipe", "inferred"),
        ("transposed-raw.pth", "raw", "inferred"),
        ("transposed-unit.pth", "unit", "declared"),
    ],
)
def test_network_for_transposed_images_gets_them_and_a_note(
    graded, rows, own_row, name, normalization, source
):
    row = rows[name]
    assert row["correct"] == pytest.approx(own_row["correct"], abs=1)
    used = row["preprocessing"]
    assert (used["name"], used["source"], used["transposed"]) == (normalization, source, True)
    assert "measured on transposed images" in row["notes"]
    assert f"of transposed images ({source})" in graded.completed.stdout
    assert not rows["net.pth"]["preprocessing"]["transposed"]


def test_classes_of_the_assignment_and_insisting(place, own_row, few_images, on_few_images):
    """One run with both: the CNN is graded by its class, on the inputs that are insisted on."""
    names = ("cnn", "net", "unit", "unit-unsaid", "with-args", "other-args")
    paths = [f"submissions/{name}.pth" for name in names]
    flags = ("--models", "net.py", "--preprocessing", "unit")
    insisted = evaluate(place, "models", *flags, paths=paths).rows
    row = insisted["cnn.pth"]
    assert row["status"] in ("pass", "fail"), row["reason"]
    assert row["architecture"] == "Net"
    with torch.inference_mode():
        answers = cnn().eval()(torch.tensor(few_images.images).unsqueeze(1).float() / 255)
    correct = int((answers.argmax(1).numpy() == few_images.targets).sum())
    assert row["correct"] == pytest.approx(correct, abs=1)
    for name in ("cnn.pth", "net.pth", "unit.pth"):
        assert insisted[name]["preprocessing"]["source"] == "given"
        assert insisted[name]["preprocessing"]["name"] == "unit"
    assert insisted["unit-unsaid.pth"]["correct"] == pytest.approx(own_row["correct"], abs=1)
    assert insisted["net.pth"]["architecture"] == own_row["architecture"]
    assert insisted["with-args.pth"]["architecture"] == "NeedsArguments"
    assert insisted["with-args.pth"]["status"] == "fail", "untrained"
    assert "model_args do not fit NeedsArguments" in insisted["other-args.pth"]["reason"]


def test_models_that_cannot_be_used_are_a_line(place):
    (place / "broken.py").write_text("import sys; sys.exit(0)")
    # One isolation: without bubblewrap's answer the other one would be tried, and say the same.
    flags = ("--isolation", "process", "--output", place / "broken/evaluation.json")
    completed = run(
        "evaluate.py", "submissions/net.pth", "--models", "broken.py", *flags, cwd=place
    )
    assert completed.returncode == 2
    (last,) = completed.stderr.strip().splitlines()
    assert last.startswith("evaluate.py: error: --models ")
    assert last.endswith("broken.py fails: SystemExit: 0")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ValueError('by\\ndesign')", "fails: ValueError: by design"),
        ("x = (", "fails: SyntaxError: "),
        ("x = 1", "has no nn.Module class"),
    ],
)
def test_what_is_wrong_with_models_is_said(tmp_path, source, words):
    (tmp_path / "broken.py").write_text(source)
    with pytest.raises(RuntimeError) as refusal:
        register_file(tmp_path / "broken.py")
    assert f"broken.py {words}" in str(refusal.value)
    assert str(refusal.value).isprintable()
