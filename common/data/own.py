"""Data of one's own that are no IDX files: folders of pictures, numpy's arrays, tables of pixels.

What is the training set and what the test set is read off names: ``train/7/a.png``, ``x_train`` in
an .npz file, ``X_kannada_MNIST_train.npz``, ``mnist_train.csv``.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.npyio import NpzFile

from common.data.conversion import as_images, as_labels, pictures_of, read_pictures
from common.data.idx import DataFile
from common.support.errors import UserError
from common.support.text import json_text

_SPLITS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation"},
    "test": {"test", "testing"},
}
_KINDS = {
    "images": {"x", "image", "images", "imgs"},
    "labels": {"y", "label", "labels", "targets"},
}
_LABELS = {"label", "labels", "class", "target", "y"}  # names of a table's column
_NUMBERS = [str(number) for number in range(256)]
_DAMAGED = "is damaged or holds Python objects: write it anew, or take it away"


class OwnSplit(NamedTuple):
    """The images of a split, not yet checked, and what was done to get them."""

    images: np.ndarray  # uint8 [N, side, side], or whatever is to be refused
    labels: np.ndarray  # whole numbers [N], or whatever is to be refused
    source: str  # where they are
    notes: list[str]
    classes: Sequence[str] | None = None  # names, if the data have any


def read_own_split(
    data_dir: Path, split: str, classes: Sequence[str] | None = None
) -> OwnSplit | None:
    """Return the split "train" or "test" of the data in ``data_dir``, a folder or an .npz file.

    None if there is none. Pictures go before arrays, and arrays before tables. Images to validate
    on belong to the training images; without test images they are these. ``classes`` are the
    training set's, to tell which folder of test pictures is which. Raises UserError if a file is
    damaged, or two could be meant.
    """
    forms: list[tuple[Callable[[Path], dict[str, Any]], Callable[[list[Any]], OwnSplit]]] = [
        (_find_folders, partial(_read_folders, classes=classes)),
        (_find_arrays, _read_arrays),
        (_find_tables, _read_tables),
    ]
    for find, read in forms:
        places = find(data_dir)
        with_val = split == "train" and "test" in places and "val" in places
        part = "val" if split == "test" and "test" not in places else split
        if part in places:
            found = read([places[part], *([places["val"]] if with_val else [])])
            notes = [*found.notes, *(["with those to validate on"] if with_val else [])]
            return found._replace(source=str(places[part]), notes=notes)
    return None


def _by_kind(
    named: Iterable[tuple[tuple[str, ...], Any]], *groups: dict[str, set[str]]
) -> dict[Any, Any]:
    """Return what is one of each group, by its names there; of several names the first decides."""
    found: dict[Any, Any] = {}
    for names, item in named:
        kinds = tuple(_kind_of(names, group) for group in groups)
        if None in kinds:
            continue
        key = kinds if len(kinds) > 1 else kinds[0]
        if key in found:
            raise UserError(
                f"{found[key]} and {item} may both be meant as {' '.join(map(str, kinds))}: leave "
                "one of them there"
            )
        found[key] = item
    return found


def _kind_of(names: tuple[str, ...], group: dict[str, set[str]]) -> str | None:
    for name in names:
        words = set(re.split(r"[\W_]+", name.lower()))
        kinds = [kind for kind, known in group.items() if known & words]
        if len(kinds) == 1:
            return kinds[0]
    return None


def _find_folders(data_dir: Path) -> dict[str, Path]:
    folders = [path for path in sorted(data_dir.glob("*/")) if pictures_of(path)]
    return _by_kind((((folder.name,), folder) for folder in folders), _SPLITS)


def _read_folders(folders: list[Path], classes: Sequence[str] | None) -> OwnSplit:
    pictures = [picture for folder in folders for picture in pictures_of(folder)]
    if classes is None:
        names = sorted({json_text(picture.parent.name) for picture in pictures})
        classes = names
        if {*names} <= {*_NUMBERS}:
            classes = _NUMBERS[: int(max(names, key=int)) + 1]
    images, labels, notes = read_pictures(pictures, classes)
    return OwnSplit(images, labels, "", notes, classes)


class _Pair(NamedTuple):
    """Where the images and the labels of a split are."""

    images: DataFile
    labels: DataFile

    def __str__(self) -> str:
        return f"{self.images} and {self.labels}"

    def read(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Return images, labels, and notes of what was done. Raises UserError if damaged."""
        images, notes = as_images(_read_array(self.images))
        return images, as_labels(_read_array(self.labels)), notes


def _find_arrays(place: Path) -> dict[str, "_Pair"]:
    """Return the arrays of images and of labels, by split, in a file or in a folder's files."""
    files = [place] if place.is_file() else sorted(place.glob("*"))
    named = [
        ((file.member or "", path.stem), file)
        for path in files
        if path.suffix.lower() in {".npz", ".npy"}
        for file in _arrays_in(path)
    ]
    found = _by_kind(named, _SPLITS, _KINDS)
    return {
        split: _Pair(found[split, "images"], found[split, "labels"])
        for split in _SPLITS
        if {(split, "images"), (split, "labels")} <= found.keys()
    }


def _arrays_in(path: Path) -> list[DataFile]:
    loaded = _loaded(path)
    names = loaded.files if isinstance(loaded, NpzFile) else [None]
    return [DataFile(path, name) for name in names]


def _read_array(file: DataFile) -> np.ndarray:
    loaded = _loaded(file.path)
    try:
        return loaded if isinstance(loaded, np.ndarray) else loaded[file.member or ""]
    except Exception as error:  # a damaged archive raises more than zipfile names
        raise UserError(f"{file} {_DAMAGED}") from error


def _loaded(path: Path) -> np.ndarray | NpzFile:
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # likewise
        raise UserError(f"{path} {_DAMAGED}") from error


def _read_arrays(pairs: list[_Pair]) -> OwnSplit:
    return _joined([pair.read() for pair in pairs], list(map(str, pairs)))


def _find_tables(data_dir: Path) -> dict[str, Path]:
    tables = [path for path in sorted(data_dir.glob("*.csv")) if path.is_file()]
    return _by_kind((((path.stem,), path) for path in tables), _SPLITS)


def _read_tables(paths: list[Path]) -> OwnSplit:
    return _joined([_read_table(path) for path in paths], list(map(str, paths)))


def _read_table(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return images, labels and notes of a table with a label and the pixels in each line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = [field.strip().strip("\"'").lower() for field in file.readline().split(",")]
        has_header = not all(re.fullmatch(r"[\d.e+-]+", field) for field in first)
        labels = [n for n, name in enumerate(first) if name in _LABELS] if has_header else [0]
        pixels = len(first) - 1
        if len(labels) != 1 or pixels < 4 or math.isqrt(pixels) ** 2 != pixels:
            raise UserError(
                f"{path} has {len(first)} columns, expected one named label and the pixels of a "
                "square image (Kaggle's test.csv has no labels: test on a part of train.csv)"
            )
        # Whole numbers up to 2 to the power of 24 are exact.
        table = np.loadtxt(
            path, np.float32, delimiter=",", skiprows=int(has_header), ndmin=2, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no table of numbers ({error}): write it anew") from error
    images, notes = as_images(np.delete(table, labels[0], axis=1))
    return images, as_labels(table[:, labels[0]]), notes


def _joined(parts: list[tuple[np.ndarray, np.ndarray, list[str]]], sources: list[str]) -> OwnSplit:
    """Return the images of several files as one split."""
    images, labels, notes = zip(*parts, strict=True)
    try:
        arrays = np.concatenate(images), np.concatenate(labels)
    except ValueError as error:
        raise UserError(
            f"{' and '.join(sources)} have different shapes: make them alike"
        ) from error
    return OwnSplit(*arrays, "", list(dict.fromkeys(note for some in notes for note in some)))
