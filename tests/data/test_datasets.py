"""MNIST's family: files in each set's own layout, and the scripts on Fashion-MNIST.

Fashion-MNIST is the real one. Of KMNIST, QMNIST and EMNIST small files are generated as torchvision
reads them.
"""

import gzip
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from common.checkpoints import load_checkpoint
from common.data.arrays import load_split, pixel_moments
from common.data.catalog import (
    DATASETS,
    EMNIST_DIGITS_SPEC,
    FASHION_MNIST_SPEC,
    IDX_SPEC,
    KMNIST_SPEC,
    MNIST,
    MNIST_SPEC,
    QMNIST_SPEC,
)
from common.data.idx import decode_idx, encode_idx
from common.data.splits import load_training_data
from common.support.errors import UserError
from common.transforms import train_transform
from tests.conftest import ONE_EPOCH, read, run
from tests.data.made_up import write_set

FASHION_ARGUMENTS = ("--dataset", "fashion-mnist")
GENERATED = [KMNIST_SPEC, QMNIST_SPEC, EMNIST_DIGITS_SPEC]


@pytest.mark.parametrize("spec", GENERATED, ids=lambda spec: spec.key)
def test_layout_is_the_one_that_torchvision_reads(tmp_path, spec):
    images, labels = write_set(spec, tmp_path)
    (name, arguments), *_ = spec.torchvision
    if spec is QMNIST_SPEC:
        arguments = {"what": "test"}
    theirs = getattr(datasets, name)(tmp_path, train=False, **arguments)
    ours = load_split(spec, tmp_path, "test")
    assert ours.targets.tolist() == [int(target) for _, target in theirs]
    # torchvision hands out EMNIST's images as the files have them: lying on their side.
    upright = theirs.data.transpose(1, 2) if spec.is_transposed else theirs.data
    assert np.array_equal(ours.images, upright.numpy())
    assert np.array_equal(ours.images, images)
    assert np.array_equal(ours.targets, labels)


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("spec", [*GENERATED, IDX_SPEC], ids=lambda spec: spec.key)
def test_chosen_images_are_those_of_the_whole_set(tmp_path, spec, is_packed):
    data_dir = tmp_path / "set"
    write_set(spec, data_dir, train=2500)
    for path in (data_dir / spec.folder).iterdir() if is_packed else ():
        packed = gzip.compress(path.read_bytes())
        path.unlink()
        path.with_name(f"{path.name}.gz").write_bytes(packed)
    spec = spec._replace(archive_md5={}, md5={})
    rows = np.array([2499, 0, 1000, 999, 7])
    chosen = load_split(spec, data_dir, "train", lambda count: rows % count)
    whole = load_split(spec, data_dir, "train")
    assert np.array_equal(chosen.images, whole.images[rows])
    assert np.array_equal(chosen.targets, whole.targets[rows])
    assert (chosen.md5, chosen.dataset) == (whole.md5, whole.dataset)


@pytest.mark.parametrize("damage", ["cut", "longer", "of labels", "empty", "fewer"])
def test_chosen_images_of_a_damaged_file_are_refused(tmp_path, damage):
    write_set(QMNIST_SPEC, tmp_path)
    path = tmp_path / QMNIST_SPEC.folder / QMNIST_SPEC.files["train"][0]
    content = path.read_bytes()
    damaged = {
        "cut": content[:-1],
        "longer": content + b"0" * 784,
        "of labels": b"\0\0\x08\x01" + content[4:],
        "empty": b"",
        "fewer": encode_idx(decode_idx(content)[:-1]),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(UserError, match="is damaged"):
        load_split(QMNIST_SPEC, tmp_path, "train", lambda count: np.arange(count))


def test_unknown_data_are_normalised_as_measured_on_the_training_images(tmp_path):
    write_set(IDX_SPEC, tmp_path / "set")
    data = load_training_data(IDX_SPEC, tmp_path / "set", 100, 42)
    images = np.concatenate([data.train.images, data.val.images]) / 255
    mean, std = data.train.dataset.normalization
    assert mean == pytest.approx(images.mean())
    assert std == pytest.approx(images.std())
    assert load_split(IDX_SPEC, tmp_path / "set", "test").dataset == data.train.dataset


def test_known_data_need_no_training_images_to_be_measured_on(tmp_path):
    write_set(QMNIST_SPEC, tmp_path)
    for name in QMNIST_SPEC.files["train"]:
        (tmp_path / QMNIST_SPEC.folder / name).unlink()
    assert load_split(QMNIST_SPEC, tmp_path, "test").dataset == QMNIST_SPEC.known


def test_thresholds_are_those_of_the_sets():
    assert {key: spec.threshold for key, spec in DATASETS.items()} == {
        "mnist": "90",
        "fashion-mnist": "85",
        "kmnist": "85",
        "qmnist": "90",
        "emnist-digits": "90",
        "idx": None,
    }


def test_published_sum_of_an_archive_is_checked(tmp_path):
    write_set(KMNIST_SPEC, tmp_path)
    path = tmp_path / KMNIST_SPEC.folder / KMNIST_SPEC.files["test"][0]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    with pytest.raises(UserError, match=r"-ubyte\.gz is damaged or not Kuzushiji-MNIST's"):
        load_split(KMNIST_SPEC, tmp_path, "test")


@pytest.fixture(scope="module")
def fashion(tmp_path_factory, data_dir):
    """Training, evaluation and report on Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("fashion")
    (folder / "data").symlink_to(data_dir)
    return SimpleNamespace(
        folder=folder,
        training=run("train_base.py", *FASHION_ARGUMENTS, *ONE_EPOCH, cwd=folder),
        evaluation=run("evaluate.py", *FASHION_ARGUMENTS, "--threshold", "60", cwd=folder),
        report=run("report.py", "runs/fashion-mnist/evaluation.json", cwd=folder),
    )


def test_fashion_mnist_is_the_real_one(data_dir):
    train = load_split(FASHION_MNIST_SPEC, data_dir, "train")
    test = load_split(FASHION_MNIST_SPEC, data_dir, "test")
    assert (train.images.shape, test.images.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert np.bincount(train.targets).tolist() == [6000] * 10
    assert pixel_moments(train.images) == train.dataset.normalization
    assert train.targets[:5].tolist() == [9, 0, 0, 3, 0]


def test_fashion_mnist_goes_through_the_scripts(fashion):
    steps = [fashion.training, fashion.evaluation, fashion.report]
    assert [step.returncode for step in steps] == [0, 0, 0], steps
    assert "0 T-shirt/top, 1 Trouser" in fashion.training.stdout
    runs = fashion.folder / "runs/fashion-mnist"
    written = {str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file()}
    assert written >= {"evaluation.json", "report.html", "base/metrics.json"}
    assert "fashion_mnist_classifier_best.pth" in written
    evaluation = read(runs / "evaluation.json")
    assert evaluation["dataset"]["classes"][9] == "Ankle boot"
    assert evaluation["dataset"]["md5"] == {
        name: FASHION_MNIST_SPEC.md5[name] for name in FASHION_MNIST_SPEC.files["test"]
    }
    assert [row["named_confusions"] for row in evaluation["results"]] == [[]]


def test_checkpoint_says_how_its_inputs_are_normalised(fashion, data_dir):
    """So that a network that is used by hand answers as the measured one does."""
    folder = fashion.folder / "runs/fashion-mnist"
    loaded = load_checkpoint(folder / "fashion_mnist_classifier_best.pth")
    assert loaded.classes == FASHION_MNIST_SPEC.known.classes
    test_set = load_split(FASHION_MNIST_SPEC, data_dir, "test")
    inputs = [
        train_transform(Image.fromarray(image), loaded.normalization) for image in test_set.images
    ]
    with torch.inference_mode():
        answers = loaded.model(torch.stack(inputs)).argmax(dim=1).numpy()
    evaluation = read(folder / "evaluation.json")
    (best,) = [row for row in evaluation["results"] if row["name"] == evaluation["best"]]
    assert (answers == test_set.targets).sum() == best["correct"]


def test_report_speaks_of_fashion_and_not_of_digits(fashion):
    page = (fashion.folder / "runs/fashion-mnist/report.html").read_text(encoding="utf-8")
    text = re.sub(r"<style>.*?</style>|data:image/png;base64,[\w+/=]+", "", page, flags=re.DOTALL)
    text = text.replace('class="digit"', "")
    assert "Fashion-MNIST classifier report" in text
    assert all(name in text for name in FASHION_MNIST_SPEC.known.classes)
    # The networks' class names, the data set's own name, and the folder in the commands.
    rest = re.sub(r"(Improved)?MNISTClassifier|[Ff]ashion-(MNIST|mnist)", "", text)
    assert not re.findall(r".{30}(?:mnist|digit).{30}", rest, flags=re.IGNORECASE)
    assert "Published results" not in text


def test_there_is_nothing_to_draw_for_fashion(fashion):
    completed = run("evaluate.py", *FASHION_ARGUMENTS, "--playground", cwd=fashion.folder)
    assert completed.returncode == 2
    assert completed.stderr.splitlines() == [
        "evaluate.py: error: --playground is a page to draw digits on, not fashion-mnist"
    ]


def test_run_on_another_data_set_is_not_measured(fashion):
    (fashion.folder / "runs/base").symlink_to(fashion.folder / "runs/fashion-mnist/base")
    for path in ((), ("runs/base",)):
        completed = run("evaluate.py", *path, "--output", "o/evaluation.json", cwd=fashion.folder)
        assert completed.returncode == (1 if path else 2)
        said = completed.stdout if path else completed.stderr
        assert "trained on" in said
        assert "give the --dataset" in said


def test_mnist_is_measured_and_normalised_as_published(data_dir):
    data = load_training_data(MNIST_SPEC, data_dir, 5000, 42)
    assert tuple(round(data.summary[key], 4) for key in ("pixel_mean", "pixel_std")) == (
        MNIST.normalization
    )
