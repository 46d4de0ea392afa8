"""MNIST that lies on the disk is used as it lies, whatever its files are called."""

import gzip
import os
import shutil

import numpy as np
import pytest

from common.data import download
from common.data.arrays import load_split
from common.data.catalog import FASHION_MNIST_SPEC, MNIST_SPEC
from common.support.errors import UserError
from grading.test_sets import load_private_test_set
from tests.conftest import ONE_EPOCH, REPO, read, run

FILES = MNIST_SPEC.all_files


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Without any source: whoever tries to fetch, fails."""

    def fail(*arguments):
        raise RuntimeError("no network")

    monkeypatch.setattr(download, "_from_torchvision", fail)
    monkeypatch.setattr(download, "_from_mirror", fail)


def put(folder, layout, data_dir):
    """Write MNIST's files in this layout, and return what --data-dir is then."""
    raw = data_dir / "MNIST/raw"
    dotted = {name: name.replace("-idx", ".idx") for name in FILES}
    places = {
        "dots": {n: f"data/MNIST/raw/{dotted[n]}" for n in FILES},
        "dots, compressed": {n: f"data/{dotted[n]}.gz" for n in FILES},
        "data-dir itself": {n: f"data/{n}" for n in FILES},
        "one folder up": {n: n for n in FILES},
        "one folder down": {n: f"data/archive/{n}" for n in FILES},
        "a folder named like the file": {n: f"data/{dotted[n]}/{dotted[n]}" for n in FILES},
        "the same in MNIST/raw": {n: f"data/MNIST/raw/{n}/{n}" for n in FILES},
        "any name": {n: f"data/{number}.bin" for number, n in enumerate(FILES)},
    }
    (folder / "data").mkdir()
    if layout == "Keras":
        arrays = zip(("x_train", "y_train", "x_test", "y_test"), _arrays(data_dir), strict=True)
        np.savez(folder / "data/mnist.npz", **dict(arrays))
        return
    for name, place in places[layout].items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress((raw / name).read_bytes(), 1))
        else:
            os.link(raw / name, path) if _same_device(raw, folder) else shutil.copy(
                raw / name, path
            )


def _same_device(one, other):
    return os.stat(one).st_dev == os.stat(other).st_dev


def _arrays(data_dir):
    for part in ("train", "test"):
        images = load_split(MNIST_SPEC, data_dir, part)
        yield from (images.images, images.targets.astype(np.uint8))


LAYOUTS = (
    *("dots", "dots, compressed", "data-dir itself", "one folder up", "one folder down"),
    *("a folder named like the file", "the same in MNIST/raw", "any name", "Keras"),
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_data_that_are_there_are_used_without_a_copy(tmp_path, data_dir, test_images, layout):
    put(tmp_path, layout, data_dir)
    before = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    for part, expected in (("train", 60_000), ("test", 10_000)):
        images = load_split(MNIST_SPEC, tmp_path / "data", part)
        assert len(images) == expected
    np.testing.assert_array_equal(images.images, test_images.images)
    np.testing.assert_array_equal(images.targets, test_images.targets)
    assert images.md5 == test_images.md5
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == before


def test_scripts_run_on_keras_file_offline(tmp_path, data_dir):
    put(tmp_path, "Keras", data_dir)
    for script, *flags in (("train_base.py", *ONE_EPOCH), ("evaluate.py", "--threshold", "80")):
        completed = run(script, *flags, cwd=tmp_path)
        assert completed.returncode == 0, completed.stderr
        assert "Fetching" not in completed.stderr
    (row,) = read(tmp_path / "runs/evaluation.json")["results"]
    assert row["accuracy"] > 80


def test_files_of_another_set_are_named(tmp_path, data_dir):
    shutil.copytree(data_dir / "MNIST/raw", tmp_path / "data/FashionMNIST/raw")
    with pytest.raises(UserError, match="is a file of MNIST, not of Fashion-MNIST: name --dataset"):
        load_split(FASHION_MNIST_SPEC, tmp_path / "data", "test")


def test_kaggles_table_is_said_to_be_another_set(tmp_path, capsys):
    (tmp_path / "train.csv").write_text("label,pixel0\n")
    with pytest.raises(UserError, match="could not be fetched"):
        load_split(MNIST_SPEC, tmp_path, "test")
    assert "42,000 shuffled images are another set" in capsys.readouterr().err


@pytest.fixture
def private(tmp_path, test_images):
    """The first 50 test images in each form that --test-set takes."""
    from PIL import Image

    images, targets = test_images.images[:50], test_images.targets[:50]
    np.savez_compressed(tmp_path / "private.npz", x_test=images, y_test=targets)
    np.savez(tmp_path / "lacks.npz", x_test=images)
    both = np.concatenate([images, 255 - images])
    np.savez(tmp_path / "mixed.npz", x_test=both, y_test=np.tile(targets, 2))
    for number, (image, target) in enumerate(zip(images, targets, strict=True)):
        folder = tmp_path / "pictures" / str(target)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    compressed = tmp_path / "compressed"
    compressed.mkdir()
    for name, array in (("images.idx3-ubyte", images), ("labels.idx1-ubyte", targets)):
        content = download.encode_idx(array.astype(np.uint8))
        (compressed / f"my-{name}.gz").write_bytes(gzip.compress(content))
    (tmp_path / "data").symlink_to(REPO / "data")
    return tmp_path


def test_private_test_set_of_pictures_is_graded_on(private, good_checkpoint):
    import torch

    torch.save(good_checkpoint, private / "good.pth")
    run("evaluate.py", "good.pth", "--test-set", "pictures", "--exit-zero", cwd=private)
    evaluation = read(private / "runs/grading/evaluation.json")
    (row,) = evaluation["results"]
    assert row["total"] == 50
    assert row["accuracy"] >= 80
    assert "pictures" in evaluation["dataset"]["name"]


@pytest.mark.parametrize("form", ["private.npz", "compressed"])
def test_private_test_set_in_each_form_is_read(private, test_images, form):
    found = load_private_test_set(MNIST_SPEC, REPO / "data", private / form)
    np.testing.assert_array_equal(found.images, test_images.images[:50])
    np.testing.assert_array_equal(found.targets, test_images.targets[:50])
    assert form in found.name


def test_test_set_of_other_tools_is_what_it_means(private, test_images):
    """Whatever the form is, the pixels and labels are those of the data set."""
    from PIL import Image

    images, targets = test_images.images[:50], test_images.targets[:50]
    transparent = np.stack([np.zeros_like(images), images], axis=-1)
    light = np.stack([np.full_like(images, 255), images], axis=-1)
    forms = {
        "white": (255 - images, "inverted"),
        "grey16": (images.astype(np.uint16) * 257, "16 bits scaled to 8"),
        "dark_ink": (transparent, "put on white, inverted"),
        "light_ink": (light, "put on black"),
        "colour": (np.repeat(images[..., None], 3, axis=-1), ""),
    }
    for name, (pixels, _) in forms.items():
        for number, (image, target) in enumerate(zip(pixels, targets, strict=True)):
            (private / name / str(target)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(private / name / str(target) / f"{number}.png")
    one_hot = np.eye(10)[targets]
    arrays = {
        "floats.npz": ({"x_test": images / 255, "y_test": one_hot}, "scaled from [0, 1]"),
        "column.npz": ({"x_test": images[..., None], "y_test": targets[:, None]}, ""),
        "flat.npz": ({"x_test": images.reshape(50, 784), "y_test": targets}, ""),
        "medmnist.npz": ({"test_images": images, "test_labels": targets[:, None]}, ""),
        "dark.npz": ({"x_test": 255 - images, "y_test": targets}, "inverted"),
    }
    for name, (named, _) in arrays.items():
        np.savez(private / name, **named)
    for name, (_, note) in {**forms, **arrays}.items():
        found = load_private_test_set(MNIST_SPEC, REPO / "data", private / name)
        assert note in found.name
        assert sorted(zip(found.targets, map(bytes, found.images), strict=True)) == sorted(
            zip(targets, map(bytes, images), strict=True)
        ), name


def test_test_set_may_be_a_data_folder(private, good_checkpoint):
    import torch

    torch.save(good_checkpoint, private / "good.pth")
    completed = run("evaluate.py", "good.pth", "--test-set", "data", "--exit-zero", cwd=private)
    assert completed.returncode == 0, completed.stderr
    (row,) = read(private / "runs/grading/evaluation.json")["results"]
    assert row["total"] == 10_000


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ("lacks.npz", "is none of these: a pair of IDX files"),
        ("mixed.npz", "50 % of the images are dark on light"),
        ("nowhere", "no such file or folder"),
        ("good.pth", "is none of these: a pair of IDX files"),
        ("empty", "is none of these: a pair of IDX files"),
        ("odd", "named like no class"),
        ("large", "expected 28 x 28: resize it"),
        ("broken", "is no picture"),
    ],
)
def test_test_set_that_cannot_be_used_is_a_line(private, form, complaint):
    from PIL import Image

    for name, size in (("odd/ten", 28), ("large/7", 32)):
        (private / name).mkdir(parents=True)
        Image.new("L", (size, size)).save(private / name / "a.png")
    (private / "broken/1").mkdir(parents=True)
    (private / "empty").mkdir()
    (private / "broken/1/a.png").write_bytes(b"no picture")
    (private / "good.pth").write_bytes(b"x")
    completed = run("evaluate.py", "good.pth", "--test-set", form, cwd=private)
    assert completed.returncode == 2
    assert complaint in completed.stderr
    assert completed.stderr.count("\n") == 1
