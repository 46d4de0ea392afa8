"""Arrays that numpy saved (.npy and .npz), read without unpickling anything."""

import re
import sys
from math import prod

import numpy as np

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.archives import unpack
from grading.readers.tables.objects import read_objects

NPY_MAGIC = b"\x93NUMPY"

# https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, plain numbers only.
_NUMBERS = re.compile(r"[<>|=]?(?:[iu][1248]|f[248]|b1|[US][1-9][0-9]?)")  # or short texts
_HEADER = re.compile(
    rf"\{{\s*'descr'\s*:\s*'(?P<dtype>{_NUMBERS.pattern}|\|O)'\s*,"
    r"\s*'fortran_order'\s*:\s*(?P<fortran>True|False)\s*,"
    r"\s*'shape'\s*:\s*\((?P<shape>[0-9L, ]*)\)\s*(?:,\s*)?\}\s*"
)
_TYPE = re.compile(r"\{\s*'descr'\s*:\s*('[^']*'|\[)")
_MAX_HEADER = 2000  # bytes; numpy pads to 118
_MAX_DIMENSIONS = 4
_MOST_OBJECTS = 2**20

_ALONE = "save the one array of predictions, with np.save('predictions.npy', predictions)"


def read_array(content: bytes) -> np.ndarray:
    """Return the array of a .npy file, of numbers, booleans or texts; mostly a view of ``content``.

    Like ``np.load(..., allow_pickle=False)``, but the header is no Python that is evaluated, and
    nothing of the size that it declares is allocated. Raises SubmissionError.
    """
    start = 10 if content[6:7] == b"\x01" else 12
    offset = start + int.from_bytes(content[8:start], "little")
    text = content[start : min(offset, start + _MAX_HEADER)].decode("latin-1")
    found = _HEADER.fullmatch(text)
    if found is None:
        raise SubmissionError(_why_not(text))
    is_fortran = found["fortran"] == "True"
    shape = tuple(int(number) for number in re.findall("[0-9]+", found["shape"]))
    size = prod(shape)
    if size == 0 or len(shape) > _MAX_DIMENSIONS:
        raise SubmissionError(
            f"an array of the shape {quoted(str(shape))}: save one label for each test image"
        )
    if found["dtype"] == "|O":
        return _read_objects(content[offset:], shape, is_fortran, text)
    dtype = np.dtype(found["dtype"])
    if len(content) - offset != size * dtype.itemsize:
        raise SubmissionError(
            f"the .npy file declares an array of the shape {quoted(str(shape))}, but has "
            f"{max(len(content) - offset, 0):,} bytes of numbers: save it again with np.save"
        )
    flat = np.frombuffer(content, dtype, offset=offset)
    if dtype.kind == "U" and flat.view(dtype.byteorder + "u4").max() > sys.maxunicode:
        raise SubmissionError("a damaged .npy file: save the array again with np.save")
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _read_objects(
    pickled: bytes, shape: tuple[int, ...], is_fortran: bool, header: str
) -> np.ndarray:
    is_small = prod(shape) <= _MOST_OBJECTS
    elements = read_objects(pickled, prod(shape)) if is_small else None
    if elements is None or len(elements) != prod(shape) or is_fortran:
        raise SubmissionError(_why_not(header))
    return np.array(elements, dtype=str).reshape(shape)


def is_npz(content: bytes) -> bool:
    """Tell an archive of arrays by its first member."""
    length = int.from_bytes(content[26:28], "little")
    return content.startswith(b"PK\x03\x04") and content[30 : 30 + length].endswith(b".npy")


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name. Raises SubmissionError."""
    arrays = {}
    for name, member in unpack(content):
        if not member.startswith(NPY_MAGIC):
            raise SubmissionError(f"{quoted(name)} in the .npz file is no array: {_ALONE}")
        arrays[name.removesuffix(".npy")] = read_array(member)
    if not arrays:
        raise SubmissionError(f"the .npz file is empty: {_ALONE}")
    return arrays


def cells_of(array: np.ndarray) -> list[list[str]]:
    """Return an array [N, M] as text."""
    rows = array.tolist()
    return [[c.decode("latin-1") if isinstance(c, bytes) else str(c) for c in row] for row in rows]


def _why_not(header: str) -> str:
    described = _TYPE.match(header)
    dtype = described[1].strip("'") if described else ""
    if described is None or _NUMBERS.fullmatch(dtype):
        return "a damaged .npy file: save the array again with np.save"
    if dtype == "[":
        return (
            "an array with named fields (a structured dtype): save the labels alone, as whole "
            "numbers, or hand in CSV with the header ImageId,Label"
        )
    if dtype.lstrip("<>|=").startswith("O"):
        return (
            "an object array: loading one can run code (allow_pickle). Save numbers, with "
            "np.save('predictions.npy', np.asarray(predictions, dtype=int))"
        )
    return (
        f"an array of type {quoted(dtype)}: save whole numbers, with "
        "np.save('predictions.npy', np.asarray(predictions, dtype=int))"
    )
