"""A test set of whoever grades (IDX files, arrays, pictures), and what passes."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np

from common.data.arrays import LabelledImages, load_split, require_pair, require_sizes
from common.data.catalog import DatasetSpec
from common.data.conversion import pictures_of, read_pictures
from common.data.idx import DataFile, decode_idx, encode_idx, md5_of, read_content
from common.data.own import read_own_split
from common.data.search import find_files
from common.support.errors import UserError
from common.support.text import json_text

_FORMS = (
    "a pair of IDX files (*images-idx3-ubyte, *labels-idx1-ubyte, or .gz), an .npz file with "
    "x_test and y_test, a folder of pictures for each class, or what --data-dir takes"
)
_KINDS = ("images?idx3?ubyte", "labels?idx1?ubyte")
# The known data sets are light on dark: MNIST and its family have a black corner in every image. Of
# the images, with light corners: below the first the set is light on dark, above the second dark on
# light. No image of MNIST or Fashion-MNIST has a median of its corners above 127.
_FEW, _MOST = 0.1, 0.9


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

    Raises UserError if ``path`` is nothing of the kind, or does not fit the data set.
    """
    if not path.exists():
        raise UserError(f"--test-set {path}: no such file or folder")
    dataset = spec.known or load_split(spec, data_dir, "train").dataset
    pictures = pictures_of(path) if path.is_dir() else []
    files = _pair_in(spec, path) if path.is_dir() and not pictures else []
    notes: list[str] = []
    if pictures:
        images, labels, notes = read_pictures(pictures, dataset.classes, dataset.side)
        contents = {"images": encode_idx(images), "labels": encode_idx(labels.astype(np.uint8))}
    elif files:
        contents = {str(file): _content(file) for file in files}
        images, labels = (_decode(name, content) for name, content in contents.items())
        require_pair(images, labels, *files)
    elif own := read_own_split(path, "test", dataset.classes):
        images, labels, notes = own.images, own.labels, own.notes
        require_pair(images, labels, f"{path} (images)", f"{path} (labels)")
        contents = {"images": encode_idx(images), "labels": encode_idx(labels.astype(np.uint8))}
    else:
        raise UserError(f"--test-set {path} is none of these: {_FORMS}")
    if spec.known:
        images, inverted = _light_on_dark(images, path)
        notes += inverted
    targets = labels.astype(np.int64)
    require_sizes(dataset.sizes, images, targets, f"--test-set {path}")
    md5 = {json_text(Path(name).name): md5_of(content) for name, content in contents.items()}
    name = ", ".join([f"private test set {json_text(path.resolve().name)}", *notes])
    return LabelledImages(name, images, targets, md5, dataset)


def _pair_in(spec: DatasetSpec, path: Path) -> list[DataFile]:
    """Return where images and labels are, if they are a pair of IDX files; else nothing."""
    pair = {kind: _files_named(path, f"*{kind}") for kind in _KINDS}
    if all(len(files) == 1 for files in pair.values()):
        return [DataFile(files[0]) for files in pair.values()]
    names = spec.files["test"]
    found = find_files(spec, path, names)  # the folder may be what --data-dir takes
    # What lies beside the folder, or a package has installed, was not named.
    if sum(file.path.is_relative_to(path) for file in found.values()) == len(names):
        return [found[name] for name in names]
    if any(pair.values()):
        kind, files = next((k, f) for k, f in pair.items() if len(f) != 1)
        raise UserError(
            f"--test-set {path}: {len(files)} files named *{kind.replace('?', '-')}, expected one: "
            f"put there {_FORMS}"
        )
    return []


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


def _light_on_dark(images: np.ndarray, path: Path) -> tuple[np.ndarray, list[str]]:
    """Return images, uint8 [N, side, side], that are light on dark, inverted if all are the other.

    Raises UserError if some are and some are not.
    """
    corners = np.median(images[:, [0, 0, -1, -1], [0, -1, 0, -1]], axis=1)
    share = float((corners > 127).mean())
    if share > _MOST:
        return 255 - images, ["inverted, since it was dark on light"]
    if share >= _FEW:
        raise UserError(
            f"--test-set {path}: {100 * share:.0f} % of the images are dark on light, and the "
            "others light on dark: invert the former (PIL.ImageOps.invert)"
        )
    return images, []
