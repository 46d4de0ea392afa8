"""Data of one's own in the forms of other tools: pictures, numpy's arrays, tables of pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from common.data.arrays import load_split
from common.data.catalog import IDX_SPEC
from common.support.errors import UserError
from grading.test_sets import load_private_test_set
from platforms.gradescope.build import data_files
from tests.conftest import read, run

SPLITS = ("train", "test")
SHAPES = ("circle", "cross", "square")


def split_of(split, count=24, side=8):
    """Return images of one of three brightnesses, and labels from 0 to 2."""
    labels = np.arange(count) % 3
    noise = np.random.default_rng(len(split)).integers(0, 60, (count, side, side))
    return (noise + 90 * labels[:, None, None]).astype(np.uint8), labels


def write_pictures(folder, images, names):
    for number, (image, name) in enumerate(zip(images, names, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name / f"{number:02}.png")


def pairs(images, labels):
    return sorted((bytes(image), int(label)) for image, label in zip(images, labels, strict=True))


def csv(images, labels, header="label,pixels", ending="\n"):
    file = io.StringIO()
    columns = np.column_stack([labels, images.reshape(len(images), -1)])
    np.savetxt(file, columns, fmt="%g", delimiter=",", header=header, comments="", newline=ending)
    return file.getvalue()


def named_header(images):
    return ",".join(["label", *(f"pixel{n}" for n in range(images[0].size))])


def pictures(folder, train, test):
    for name, (images, labels) in (("training", train), ("testing", test)):
        write_pictures(folder / name, images, map(str, labels))


def keras(folder, train, test):
    np.savez(folder / "a.npz", x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])


def medmnist(folder, train, test):
    named = {"train_images": train[0], "train_labels": train[1][:, None]}
    np.savez(folder / "m.npz", **named, test_images=test[0], test_labels=test[1][:, None])


def kannada(folder, train, test):
    for split, (images, labels) in zip(SPLITS, (train, test), strict=True):
        np.savez(folder / f"X_kannada_MNIST_{split}.npz", images)
        np.savez(folder / f"y_kannada_MNIST_{split}.npz", labels)


def kmnist(folder, train, test):
    for split, (images, labels) in zip(SPLITS, (train, test), strict=True):
        np.savez(folder / f"kmnist-{split}-imgs.npz", images)
        np.savez(folder / f"kmnist-{split}-labels.npz", labels)


def files_of_one_array(folder, train, test):
    for split, (images, labels) in zip(SPLITS, (train, test), strict=True):
        np.save(folder / f"x_{split}.npy", images.reshape(len(images), -1) / 255)
        np.save(folder / f"y_{split}.npy", np.eye(3)[labels])


def tables_with_a_header(folder, train, test):
    for split, (images, labels) in zip(SPLITS, (train, test), strict=True):
        text = csv(images, labels, named_header(images), "\r\n")
        (folder / f"{split}.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())


def tables_without_a_header(folder, train, test):
    for split, (images, labels) in zip(SPLITS, (train, test), strict=True):
        (folder / f"mnist_{split}.csv").write_text(csv(images, labels, header="").lstrip())


FORMS = [
    *(pictures, keras, medmnist, kannada, kmnist, files_of_one_array),
    *(tables_with_a_header, tables_without_a_header),
]


@pytest.mark.parametrize("write", FORMS)
def test_each_form_has_the_same_images(tmp_path, write):
    train, test = split_of("train"), split_of("test", 12)
    write(tmp_path, train, test)
    for split, (images, labels) in zip(SPLITS, (train, test), strict=True):
        found = load_split(IDX_SPEC, tmp_path, split)
        assert pairs(found.images, found.targets) == pairs(images, labels)
        assert found.dataset.classes == ("0", "1", "2")
        assert ("scaled from [0, 1]" in found.name) == (write is files_of_one_array)
        assert "validate" not in found.name


def test_autograder_has_the_same_images_as_idx_files(tmp_path):
    (tmp_path / "own").mkdir()
    keras(tmp_path / "own", split_of("train"), split_of("test"))
    for split in SPLITS:
        for name, content in data_files(IDX_SPEC, tmp_path / "own", split).items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    for split in SPLITS:
        ours, theirs = (load_split(IDX_SPEC, tmp_path / d, split) for d in ("own", "data"))
        assert pairs(ours.images, ours.targets) == pairs(theirs.images, theirs.targets)


def test_images_to_validate_on_are_trained_with_or_tested_on(tmp_path):
    (train, names), (val, _) = split_of("train"), split_of("validation")
    write_pictures(tmp_path / "train", train, [SHAPES[label] for label in names])
    write_pictures(tmp_path / "val", val, [SHAPES[label] for label in names])
    tested = load_split(IDX_SPEC, tmp_path, "test")
    assert pairs(tested.images, tested.targets) == pairs(val, names)
    assert len(load_split(IDX_SPEC, tmp_path, "train")) == 24
    write_pictures(tmp_path / "test", train, [SHAPES[label] for label in names])
    found = load_split(IDX_SPEC, tmp_path, "train")
    assert len(found) == 48
    assert "with those to validate on" in found.name
    assert len(load_split(IDX_SPEC, tmp_path, "test")) == 24


def test_pictures_of_16_bits_stand_beside_others(tmp_path):
    images, labels = split_of("train")
    names = [str(label) for label in labels]
    write_pictures(tmp_path / "train", images, names)
    for path in sorted(tmp_path.glob("train/1/*.png")):
        wide = np.asarray(Image.open(path)).astype(np.uint16) * 257
        Image.fromarray(wide).save(path)
    found = load_split(IDX_SPEC, tmp_path, "train")
    assert pairs(found.images, found.targets) == pairs(images, labels)
    assert found.name.endswith("training images, 16 bits scaled to 8")


def test_scripts_train_on_pictures_and_measure(tmp_path):
    """The classes are called like their folders, and the first lines say what was done."""
    for split in SPLITS:
        images, labels = split_of(split, 60)
        ink = np.stack([np.full_like(images, 255), images], axis=-1)
        write_pictures(tmp_path / "shapes" / split, ink, [SHAPES[label] for label in labels])
    data = ("--dataset", "idx", "--data-dir", "shapes")
    for script in ("train_base.py", "train_improved.py"):
        training = run(script, *data, "--val-size", "12", "--epochs", "1", cwd=tmp_path)
        assert training.returncode == 0, training.stderr
        first, *lines = training.stdout.splitlines()
        assert first.startswith("shapes training images, put on black: 48 to train on, 12 to valid")
        assert "0 circle, 1 cross, 2 square" in lines
    (tmp_path / "submissions").mkdir()
    answers = "".join(f"{number % 3}\n" for number in range(60))
    (tmp_path / "submissions/perfect.csv").write_text(answers)
    for paths, name in ((), "runs/idx"), (("submissions",), "runs/idx/grading"):
        completed = run("evaluate.py", *paths, *data, "--threshold", "0", cwd=tmp_path)
        assert completed.returncode == 0, completed.stderr
        assert completed.stdout.startswith("shapes test images, put on black: 60 images")
        evaluation = read(tmp_path / name / "evaluation.json")
        assert evaluation["dataset"]["classes"] == [*SHAPES]
        assert {row["total"] for row in evaluation["results"]} == {60}
        completed = run("report.py", f"{name}/evaluation.json", cwd=tmp_path)
        assert completed.returncode == 0, completed.stderr


IMAGES, LABELS = split_of("train")


def write_odd(folder, form):
    if form == "sizes":
        write_pictures(folder / "train", IMAGES, "ab" * 12)
        Image.new("L", (9, 7)).save(folder / "train/b/99.png")
    elif form == "two folders":
        for name in ("train", "mnist_training"):
            write_pictures(folder / name, IMAGES, "ab" * 12)
    elif form == "classes alone":
        write_pictures(folder, IMAGES, "ab" * 12)
    elif form == "colour":
        np.savez(folder / "a.npz", x_train=np.stack([IMAGES] * 3, axis=-1), y_train=LABELS)
    elif form == "names":
        np.savez(folder / "a.npz", x_train=IMAGES, y_train=np.array(SHAPES)[LABELS])
    elif form == "objects":
        np.save(folder / "x_train.npy", np.array([None]))
    elif form == "kaggle":
        (folder / "train.csv").write_text(csv(IMAGES, LABELS).split("\n", 1)[1].replace(",", ";"))
    elif form == "unlabelled":
        text = csv(IMAGES, LABELS, ",".join(f"pixel{n}" for n in range(65)))
        (folder / "train.csv").write_text(text)
    elif form == "text":
        text = csv(IMAGES, LABELS, named_header(IMAGES))
        (folder / "train.csv").write_text(text.replace("\n", "\nseven,", 1))
    elif form == "other sizes":
        keys = {"train_images": IMAGES, "val_images": IMAGES[:, 1:, 1:], "test_images": IMAGES}
        labels = {name.replace("images", "labels"): LABELS for name in keys}
        np.savez(folder / "a.npz", **keys, **labels)


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ("sizes", r"99\.png has 9 x 7 pixels, expected 8 x 8: resize it"),
        ("two folders", "mnist_training and .*train may both be meant as train: leave one"),
        ("classes alone", r"no training images: put there train/CLASS/\*\.png, an \.npz file"),
        ("colour", r"\(images\) has shape \[24, 8, 8, 3\] of uint8, expected"),
        ("names", r"\(labels\) has shape \[24\] of str\d+, but must hold 24 labels"),
        ("objects", "is damaged or holds Python objects: write it anew"),
        ("kaggle", "has 1 columns, expected one named label"),
        ("unlabelled", "has 65 columns, expected one named label"),
        ("text", "is no table of numbers"),
        ("other sizes", "have different shapes: make them alike"),
    ],
)
def test_what_has_no_single_meaning_is_refused(tmp_path, form, complaint):
    write_odd(tmp_path, form)
    with pytest.raises(UserError, match=complaint):
        load_split(IDX_SPEC, tmp_path, "train")


def test_test_picture_of_a_class_without_training_pictures(tmp_path):
    write_pictures(tmp_path / "train", IMAGES, "ab" * 12)
    write_pictures(tmp_path / "test", IMAGES, "ac" * 12)
    with pytest.raises(UserError, match=r"c is named like no class \(a, b\): rename it"):
        load_split(IDX_SPEC, tmp_path, "test")


@pytest.mark.parametrize("write", FORMS)
def test_private_test_set_takes_each_form(tmp_path, write):
    for name in ("own", "private"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, split_of("train"), split_of("test", 12))
    found = load_private_test_set(IDX_SPEC, tmp_path / "own", tmp_path / "private")
    assert pairs(found.images, found.targets) == pairs(*split_of("test", 12))
