"""HDF5 files of Keras, read from memory with h5py, if it is installed.

An HDF5 file can name other files as the place of its numbers, and pack a little into very much. So
names are followed by hard links alone, and only numbers that lie in the file as they are are read.
"""

import contextlib
import io
import itertools
import math
import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.weights.tensor_checks import check_values

# HDF5 loads filters for packed numbers from shared libraries unless this is set before.
os.environ["HDF5_PLUGIN_PRELOAD"] = "::"

try:
    import h5py
except ImportError:  # optional: requirements-grading.txt
    h5py = None

ANEW = "save it again with model.save('model.keras'), and upload it anew"
_MOST_NAMES = 1000  # in a group; those beyond are of no network for such images
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(content: bytes) -> bool:
    """Tell by a file's content whether it is one of HDF5's."""
    return content.startswith(_SIGNATURE)


class Hdf5File:
    """An HDF5 file. All methods raise SubmissionError for what is not as Keras writes it."""

    def __init__(self, content: bytes) -> None:
        if h5py is None:
            raise SubmissionError(
                "this machine cannot read files of Keras yet: ask who grades to run "
                "pip install -r requirements-grading.txt"
            )
        with _reading():
            self._root = h5py.File(io.BytesIO(content), "r")

    def text(self, name: str) -> str | None:
        """Return the text in an attribute of the file, or None."""
        with _reading():
            value = self._root.attrs.get(name)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        return value if isinstance(value, str) else None

    def names(self, path: Sequence[str]) -> list[str]:
        """Return the names of what is in a group; of none where it is not there."""
        with _reading():
            group = self._find(path)
            return [] if group is None else list(itertools.islice(group, _MOST_NAMES))

    def weight_names(self, path: Sequence[str]) -> list[str]:
        """Return what the attribute ``weight_names`` of a group lists, such as "dense/kernel:0"."""
        with _reading():
            group = self._find(path)
            found = [] if group is None else group.attrs.get("weight_names", [])
            names = [n.decode() if isinstance(n, bytes) else n for n in found]
        if not all(isinstance(name, str) for name in names):
            raise SubmissionError(f"weight_names holds something else than names: {ANEW}")
        return names

    def tensor(self, path: Sequence[str], shape: tuple[int, ...]) -> Tensor:
        """Return numbers as float32, of just this shape."""
        shown = quoted("/".join(path)[-58:])
        with _reading():
            found = self._find(path)
            if not isinstance(found, h5py.Dataset):
                raise SubmissionError(f"the weights {shown} are not in the file: {ANEW}")
            if found.shape != shape:
                size = list((found.shape or ())[:6])
                raise SubmissionError(
                    f"the weights {shown} have shape {size}, expected {list(shape)} by the layers "
                    f"that the file describes: {ANEW}"
                )
            if not _is_plain(found):
                raise SubmissionError(
                    f"the weights {shown} are packed, or in another file: {ANEW}, as Keras writes "
                    "it"
                )
            return _as_float32(found, "/".join(path))

    def _find(self, path: Sequence[str]) -> "h5py.Group | h5py.Dataset | None":
        found = self._root
        for name in path:
            if not isinstance(found, h5py.Group):
                return None
            links, key = found.id.links, name.encode()  # asked themselves, and not followed
            if not links.exists(key):
                return None
            if links.get_info(key).type != h5py.h5l.TYPE_HARD:
                raise SubmissionError(
                    f"{quoted(name)} is a link to another place or file, which Keras does not "
                    f"write: {ANEW}"
                )
            found = found[name]
        return found


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except SubmissionError:
        raise
    except Exception as error:  # h5py raises most of Python's own types
        raise SubmissionError(f"not an HDF5 file of Keras, or a damaged one: {ANEW}") from error


def _is_plain(found: "h5py.Dataset") -> bool:
    """Tell whether all numbers of it lie in this file, and as they are."""
    size = math.prod(found.shape) * found.dtype.itemsize
    is_packed = found.id.get_create_plist().get_nfilters() > 0
    is_elsewhere = found.is_virtual or found.external is not None
    return not is_packed and not is_elsewhere and found.id.get_storage_size() >= size


def _as_float32(found: "h5py.Dataset", name: str) -> Tensor:
    if found.dtype == np.dtype("V2"):  # how h5py keeps bfloat16
        halves = np.ascontiguousarray(found[()]).view(np.uint16)
        numbers = (halves.astype(np.uint32) << 16).view(np.float32)
    elif found.dtype.kind == "f" and found.dtype.itemsize <= 8:
        numbers = np.ascontiguousarray(found[()], dtype=np.float32)
    else:
        raise SubmissionError(
            f"the weights {quoted(name[-58:])} are no floating-point numbers: save the model from "
            "before it was quantised, with model.save('model.keras')"
        )
    tensor = torch.from_numpy(numbers)
    check_values({name: tensor})
    return tensor
