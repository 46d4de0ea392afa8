"""MNIST's family: files in each set's own layout, and the scripts on other data than MNIST's.

Fashion-MNIST is the real one. Of KMNIST_SPEC, QMNIST_SPEC and EMNIST small files are generated as torchvision
reads them; any other data set is made up.
"""

import gzip
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
import torch
from tests.conftest import ONE_EPOCH, read, run
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
    Sizes,
)
from common.data.idx import decode_idx, encode_idx, find_files
from common.data.splits import load_training_data
from common.support.errors import UserError
from common.transforms import train_transform

IDX_ARGUMENTS = ("--dataset", "idx", "--data-dir", "shapes")
FASHION_ARGUMENTS = ("--dataset", "fashion-mnist")
GENERATED = [KMNIST_SPEC, QMNIST_SPEC, EMNIST_DIGITS_SPEC]


def write_set(spec, data_dir, sizes=MNIST.sizes, train=600, test=200):
    """Write random prototypes, with noise, in a set's own layout; return the upright test part."""
    generator = np.random.default_rng(7)
    prototypes = generator.integers(0, 256, (sizes.num_classes, sizes.side, sizes.side))
    folder = data_dir / spec.folder
    folder.mkdir(parents=True)
    for part, count in (("train", train), ("test", test)):
        labels = generator.permutation(np.arange(count) % sizes.num_classes)
        noise = generator.normal(0, 60, (count, sizes.side, sizes.side))
        images = np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)
        stored = images.transpose(0, 2, 1) if spec.is_transposed else images
        columns = labels.astype(np.uint8)
        if spec is QMNIST_SPEC:
            columns = np.zeros((count, 8), dtype=">i4")
            columns[:, 0], columns[:, 1:] = labels, generator.integers(0, 60_000, (count, 7))
        for name, array in zip(spec.files[part], (stored, columns), strict=True):
            (folder / name).write_bytes(encode_idx(np.ascontiguousarray(array)))
    return images, labels


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
    """The four scripts on Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("fashion")
    (folder / "data").symlink_to(data_dir)
    return SimpleNamespace(
        folder=folder,
        trainings=[
            run(script, *FASHION_ARGUMENTS, *ONE_EPOCH, cwd=folder)
            for script in ("train_base.py", "train_improved.py")
        ],
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


def test_fashion_mnist_goes_through_all_four_scripts(fashion):
    steps = [*fashion.trainings, fashion.evaluation, fashion.report]
    assert [step.returncode for step in steps] == [0, 0, 0, 0], steps
    assert "0 T-shirt/top, 1 Trouser" in fashion.trainings[0].stdout
    runs = fashion.folder / "runs/fashion-mnist"
    written = {str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file()}
    assert written >= {"evaluation.json", "report.html", "base/metrics.json"}
    assert "fashion_mnist_classifier_best.pth" in written
    evaluation = read(runs / "evaluation.json")
    assert evaluation["dataset"]["classes"][9] == "Ankle boot"
    assert evaluation["dataset"]["md5"] == {
        name: FASHION_MNIST_SPEC.md5[name] for name in FASHION_MNIST_SPEC.files["test"]
    }
    assert [row["named_confusions"] for row in evaluation["results"]] == [[], []]


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
    completed = run("evaluate.py", "--output", "other/evaluation.json", cwd=fashion.folder)
    assert completed.returncode == 1
    (row,) = read(fashion.folder / "other/evaluation.json")["results"]
    assert row["reason"].startswith("trained on 'Fashion-MNIST'")
    assert "give the --dataset" in row["reason"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The four scripts on a data set of one's own: 30 classes, 16 x 16 pixels."""
    folder = tmp_path_factory.mktemp("shapes")
    write_set(IDX_SPEC, folder / "shapes", Sizes(side=16, num_classes=30))
    for script in ("train_base.py", "train_improved.py"):
        arguments = ("--val-size", "60", "--epochs", "3", "--batch-size", "32")
        completed = run(script, *IDX_ARGUMENTS, *arguments, cwd=folder)
        assert completed.returncode == 0, completed.stderr
    evaluation = run("evaluate.py", *IDX_ARGUMENTS, "--threshold", "50", cwd=folder)
    assert evaluation.returncode == 0, evaluation.stderr
    return folder


def test_networks_size_themselves_by_the_data(shapes):
    for name in ("base", "improved"):
        recipe = read(shapes / f"runs/idx/{name}/metrics.json")["recipe"]["model"]
        assert (recipe["input_size"], recipe["num_classes"]) == (256, 30)
    evaluation = read(shapes / "runs/idx/evaluation.json")
    assert evaluation["dataset"]["title"] == "shapes"
    assert np.shape(evaluation["results"][0]["confusion_matrix"]) == (30, 30)


def test_report_of_many_classes_has_no_confusion_matrix(shapes):
    completed = run("report.py", "runs/idx/evaluation.json", cwd=shapes)
    assert completed.returncode == 0, completed.stderr
    page = (shapes / "runs/idx/report.html").read_text(encoding="utf-8")
    assert "shapes classifier report" in page
    assert "20 of 30 classes are shown" in page
    assert "Confusion matrix of" not in page


def test_submissions_are_graded_on_data_of_ones_own(shapes):
    folder = shapes / "submissions"
    folder.mkdir()
    checkpoint = shapes / "runs/idx/base/checkpoint.pth"
    (folder / "good.pth").write_bytes(checkpoint.read_bytes())
    labels = load_split(IDX_SPEC, shapes / "shapes", "test").targets.tolist()
    lines = [f"{number},{label}" for number, label in enumerate(labels, start=1)]
    (folder / "perfect.csv").write_text("\n".join(["ImageId,Label", *lines]))
    (folder / "too-high.csv").write_text("\n".join(["ImageId,Label", *lines[:-1], "200,30"]))
    completed = run("evaluate.py", "submissions", *IDX_ARGUMENTS, "--threshold", "50", cwd=shapes)
    assert completed.returncode == 1, completed.stderr
    rows = {r["name"]: r for r in read(shapes / "runs/idx/grading/evaluation.json")["results"]}
    own = read(shapes / "runs/idx/evaluation.json")["results"][0]
    assert rows["good.pth"]["confusion_matrix"] == own["confusion_matrix"]
    assert rows["perfect.csv"]["correct"] == 200
    assert not rows["perfect.csv"]["suspicious"]
    assert rows["too-high.csv"]["reason"] == "line 201: label '30' is not 0 to 29"


def test_data_of_ones_own_need_a_threshold(shapes):
    completed = run("evaluate.py", *IDX_ARGUMENTS, cwd=shapes)
    assert completed.returncode == 2
    assert completed.stderr.splitlines() == [
        "evaluate.py: error: --dataset idx has no threshold of its own: give --threshold"
    ]


def rewrite(folder, part, kind, change):
    path = folder / IDX_SPEC.files[part][kind]
    path.write_bytes(encode_idx(np.ascontiguousarray(change(decode_idx(path.read_bytes())))))


@pytest.mark.parametrize(
    ("part", "kind", "change", "complaint"),
    [
        ("train", 0, lambda images: images[:, :, 1:], r"shape \[600, 28, 27\] of uint8"),
        ("train", 0, lambda images: images[:, 0], r"shape \[600, 28\] of uint8"),
        ("train", 0, lambda images: images * 0, "all pixels of the training images are equal"),
        ("train", 0, lambda images: images[:0], r"shape \[0, 28, 28\]"),
        ("train", 0, lambda images: images.astype(">i4"), "of int32, expected"),
        ("train", 1, lambda labels: labels[:-1], r"must hold 600 labels from 0 to 255"),
        ("train", 1, lambda labels: labels * 0, "every training image has the label 0"),
        ("test", 0, lambda images: images[:, 1:, 1:], "27 x 27 pixels and labels up to 9"),
        ("test", 1, lambda labels: labels + 1, "labels up to 10, expected 28"),
    ],
)
def test_data_that_cannot_be_used_are_refused(tmp_path, part, kind, change, complaint):
    write_set(IDX_SPEC, tmp_path / "set")
    rewrite(tmp_path / "set", part, kind, change)
    with pytest.raises(UserError, match=complaint):
        load_split(IDX_SPEC, tmp_path / "set", "test")


def test_labels_of_256_classes_are_the_most_there_can_be(tmp_path):
    write_set(IDX_SPEC, tmp_path / "set", Sizes(side=4, num_classes=256))
    assert load_split(IDX_SPEC, tmp_path / "set", "train").dataset.sizes == Sizes(side=4, num_classes=256)


def test_missing_and_damaged_files_are_one_line(tmp_path):
    completed = run("train_base.py", *IDX_ARGUMENTS, cwd=tmp_path)
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert line == (
        "train_base.py: error: shapes lacks train-images-idx3-ubyte or train-labels-idx1-ubyte: "
        "put them there, or name another --data-dir"
    )
    write_set(IDX_SPEC, tmp_path / "shapes")
    (tmp_path / "shapes/train-labels-idx1-ubyte").write_bytes(b"<html>")
    with pytest.raises(UserError, match="not an IDX file of unsigned bytes or 32-bit integers; w"):
        load_training_data(IDX_SPEC, tmp_path / "shapes", 0, 42)


def test_compressed_files_are_read_as_they_are(tmp_path):
    images, _ = write_set(IDX_SPEC, tmp_path / "set")
    path = find_files(IDX_SPEC, tmp_path / "set")["t10k-images-idx3-ubyte"]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert np.array_equal(load_split(IDX_SPEC, tmp_path / "set", "test").images, images)
    path.with_name(f"{path.name}.gz").write_bytes(b"\x1f\x8b\x08 cut")
    with pytest.raises(UserError, match=r"ubyte\.gz is damaged: write it anew, as IDX"):
        load_split(IDX_SPEC, tmp_path / "set", "test")


def test_single_image_of_a_class_cannot_be_in_both_parts(tmp_path):
    write_set(IDX_SPEC, tmp_path / "set")
    rewrite(tmp_path / "set", "train", 1, lambda labels: np.where(labels == 9, 0, labels))
    rewrite(tmp_path / "set", "train", 1, lambda labels: np.r_[labels[:-1], np.uint8(9)])
    with pytest.raises(UserError, match="class 9 has a single image"):
        load_training_data(IDX_SPEC, tmp_path / "set", 100, 42)
    assert len(load_training_data(IDX_SPEC, tmp_path / "set", 0, 42).train) == 600


def test_mnist_is_measured_and_normalised_as_published(data_dir):
    data = load_training_data(MNIST_SPEC, data_dir, 5000, 42)
    assert tuple(round(data.summary[key], 4) for key in ("pixel_mean", "pixel_std")) == (
        MNIST.normalization
    )
