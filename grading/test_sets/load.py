"""A test set of whoever grades (IDX files, an .npz file, folders of pictures), and what passes."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np

from common.data.arrays import LabelledImages, load_split, require_pair, require_sizes
from common.data.catalog import Dataset, DatasetSpec
from common.data.idx import DataFile, decode_idx, encode_idx, md5_of, read_content
from common.data.search import find_files
from common.support.errors import UserError
from common.support.text import json_text, quoted
from grading.test_sets.images import as_images, as_labels, light_on_dark, read_greys

_FORMS = (
    "a pair of IDX files (*images-idx3-ubyte, *labels-idx1-ubyte, or .gz), an .npz file with "
    "x_test and y_test, or a folder of pictures for each class"
)
# Images and labels in an .npz file: Keras' names, and MedMNIST's.
_ARRAYS = (("x_test", "y_test"), ("test_images", "test_labels"))
_KINDS = ("images?idx3?ubyte", "labels?idx1?ubyte")
_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm"}


def threshold_of(spec: DatasetSpec, percent: str | None) -> Fraction:
    """Return the accuracy that passes, exactly: "97.1" is 971/10, not the nearest binary number.

    ``percent`` is what ``--threshold`` says, or None. Raises UserError if it is no percentage, or
    missing for a data set that has none of its own.
    """
    text = spec.threshold if percent is None else percent
    if text is None:
        raise UserError(f"--dataset {spec.key} has no threshold of its own: give --threshold")
    if not re.fullmatch(r"\d{1,3}(\.\d{1,9})?", text, re.ASCII) or Fraction(text) > 100:
        raise UserError(f"--threshold is {text!r}, but must be a decimal number from 0 to 100")
    return Fraction(text)


def load_test_set(spec: DatasetSpec, data_dir: Path, path: Path | None) -> LabelledImages:
    """Return the images and labels to measure on: those at ``path``, or the data set's own."""
    if path is None:
        return load_split(spec, data_dir, "test")
    return load_private_test_set(spec, data_dir, path)


def load_private_test_set(spec: DatasetSpec, data_dir: Path, path: Path) -> LabelledImages:
    """Read the images and labels to grade on.

    Classes and normalisation are those of ``spec``; the images are upright. The name says what was
    done to them.

    Raises UserError if ``path`` is none of the three, or does not fit the data set.
    """
    if not path.exists():
        raise UserError(f"--test-set {path}: no such file or folder")
    dataset = spec.known or load_split(spec, data_dir, "train").dataset
    folders = sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []
    pictures = [p for folder in folders for p in sorted(folder.iterdir()) if _is_picture(p)]
    notes: list[str] = []
    if pictures:
        images, labels, notes = _read_pictures(path, pictures, dataset)
        contents = {"images": encode_idx(images), "labels": encode_idx(labels)}
    elif path.suffix.lower() == ".npz" and path.is_file():
        images, labels, notes = _read_arrays(path)
        require_pair(images, labels, f"{path} (images)", f"{path} (labels)")
        contents = {path.name: encode_idx(images) + encode_idx(labels)}
    else:
        files = _pair_in(spec, path)
        contents = {str(file): _content(file) for file in files}
        images, labels = (_decode(name, content) for name, content in contents.items())
        require_pair(images, labels, *files)
    if spec.known:
        images, inverted = light_on_dark(images, path)
        notes += inverted
    targets = labels.astype(np.int64)
    require_sizes(dataset.sizes, images, targets, f"--test-set {path}")
    md5 = {json_text(Path(name).name): md5_of(content) for name, content in contents.items()}
    name = ", ".join([f"private test set {json_text(path.resolve().name)}", *notes])
    return LabelledImages(name, images, targets, md5, dataset)


def _pair_in(spec: DatasetSpec, path: Path) -> list[DataFile]:
    """Return where images and labels are."""
    if not path.is_dir():
        raise UserError(f"--test-set {path} is none of these: {_FORMS}")
    pair = {kind: _files_named(path, f"*{kind}") for kind in _KINDS}
    if all(len(files) == 1 for files in pair.values()):
        return [DataFile(files[0]) for files in pair.values()]
    names = spec.files["test"]
    found = find_files(spec, path, names)  # the folder may be what --data-dir takes
    # What lies beside the folder, or a package has installed, was not named.
    if sum(file.path.is_relative_to(path) for file in found.values()) == len(names):
        return [found[name] for name in names]
    kind, files = next((k, f) for k, f in pair.items() if len(f) != 1)
    raise UserError(
        f"--test-set {path}: {len(files)} files named *{kind.replace('?', '-')}, expected one: put "
        f"there {_FORMS}"
    )


def _files_named(folder: Path, pattern: str) -> list[Path]:
    return sorted(p for end in ("", ".gz") for p in folder.glob(pattern + end) if p.is_file())


def _content(file: DataFile) -> bytes:
    try:
        return read_content(file)
    except Exception as error:  # a damaged archive raises more than zipfile names
        raise UserError(f"--test-set {file} is damaged: write it anew") from error


def _decode(name: str, content: bytes) -> np.ndarray:
    try:
        return decode_idx(content)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _PICTURES and not path.name.startswith(".")


def _read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the images and labels in an .npz file, and notes of what was done to them."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            for names in _ARRAYS:
                if {*names} <= {*archive}:
                    (images, notes), labels = as_images(archive[names[0]]), archive[names[1]]
                    return images, as_labels(labels), notes
            found = ", ".join(map(quoted, archive)) or "none"
    except Exception as error:  # a damaged archive raises more than zipfile names
        raise UserError(f"--test-set {path} is damaged: write it anew") from error
    raise UserError(
        f"--test-set {path} has the arrays {found}, expected x_test and y_test: name them so"
    )


def _read_pictures(
    path: Path, pictures: list[Path], dataset: Dataset
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return images, uint8 [N, side, side], labels (the folder's name is the class's), and notes.

    Raises UserError if a folder is of no class, or a picture of another size.
    """
    numbers = {name: number for number, name in enumerate(dataset.classes)}
    numbers |= {str(number): number for number in range(len(dataset.classes))}
    side = dataset.side
    for picture in pictures:
        if picture.parent.name not in numbers:
            raise UserError(
                f"--test-set {path}: the folder {json_text(picture.parent.name)!r} is named like "
                f"no class ({', '.join(dataset.classes)}): rename it, its number will do"
            )
    greys, notes = read_greys(pictures)
    for picture, grey in zip(pictures, greys, strict=True):
        if grey.shape != (side, side):
            raise UserError(
                f"--test-set: {picture} has {grey.shape[1]} x {grey.shape[0]} pixels, expected "
                f"{side} x {side}: resize it"
            )
    labels = [numbers[picture.parent.name] for picture in pictures]
    return np.stack(greys), np.array(labels, np.uint8), notes
