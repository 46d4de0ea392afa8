"""MNIST's file format (IDX), and the files of a data set in it.

Format: http://yann.lecun.com/exdb/mnist/ as restated in torchvision's ``datasets/mnist.py``: two
zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit integer,
then the values in C order.
"""

import gzip
import hashlib
import io
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data.catalog import DATASETS, DatasetSpec
from common.support.errors import UserError

# The type codes that the data sets use: images and most labels, and QMNIST's labels.
_TYPES: dict[int, np.dtype] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}

_AT_A_TIME = 1000  # images
_LARGEST_SIDE = 4096  # pixels


def md5_of(content: bytes) -> str:
    """Return the MD5 sum of ``content`` as 32 hexadecimal digits."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def encode_idx(array: np.ndarray) -> bytes:
    """Return ``array`` (uint8 or big-endian int32, any shape) as the bytes of an IDX file."""
    for code, dtype in _TYPES.items():
        if array.dtype == dtype:
            header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
            return header + array.tobytes()
    raise ValueError(f"array has dtype {array.dtype}, but must have one of {list(_TYPES.values())}")


def decode_idx(content: bytes) -> np.ndarray:
    """Return the read-only array (uint8 or int32) in the bytes of an IDX file.

    Raises ValueError if the header is not that of such a file, or the length does not match it.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise ValueError("not an IDX file of unsigned bytes or 32-bit integers")
    dtype, dimensions = _TYPES[content[2]], content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError("the header is cut short")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if len(content) - start != dtype.itemsize * np.prod(shape, dtype=object):
        count = (len(content) - start) / dtype.itemsize
        raise ValueError(f"the header declares shape {list(shape)}, but {count:g} values follow")
    return np.frombuffer(content, dtype=dtype, offset=start).reshape(shape)


class DataFile(NamedTuple):
    """Where the content of a data set's file is: a file, compressed or not, or an .npz's array."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path} ({self.member})" if self.member else str(self.path)


def read_content(file: DataFile) -> bytes:
    """Return the uncompressed content, of an array what an IDX file of it has.

    Raises OSError, EOFError, ValueError, KeyError or zlib.error if it is damaged.
    """
    if file.member is not None:
        with np.load(file.path, allow_pickle=False) as archive:
            array = archive[file.member]
        if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:
            array = array.astype(np.uint8)  # labels are often saved as wider numbers
        return encode_idx(array)
    content = file.path.read_bytes()
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def read_verified(spec: DatasetSpec, name: str, file: DataFile) -> tuple[np.ndarray, str]:
    """Return the values in a data set's file ``name``, and the MD5 sum of the uncompressed content.

    Raises UserError if a checksum differs from a known one, or the content is not IDX.
    """
    if file.path.suffix == ".gz" and name in spec.archive_md5:
        _require_md5(spec, file, md5_of(file.path.read_bytes()), spec.archive_md5[name])
    try:
        content = read_content(file)
    except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
        raise UserError(f"{file} is damaged: {_advice(spec)}") from error
    found = md5_of(content)
    _require_md5(spec, file, found, spec.md5.get(name))
    try:
        return decode_idx(content), found
    except ValueError as error:
        raise UserError(f"{file}: {error}; {_advice(spec)}") from error


def read_images(
    spec: DatasetSpec, name: str, file: DataFile, rows: np.ndarray
) -> tuple[np.ndarray, str]:
    """Return the images of these numbers, in this order, and what ``read_verified`` does else.

    The others, which may be many, are not held. Raises UserError as that does.
    """
    if file.path.suffix == ".gz" and name in spec.archive_md5:
        _require_md5(spec, file, md5_of(file.path.read_bytes()), spec.archive_md5[name])
    try:
        images, found = _pick(file, rows)
    except (OSError, EOFError, ValueError, KeyError, zlib.error, struct.error) as error:
        raise UserError(f"{file} is damaged: {_advice(spec)}") from error
    _require_md5(spec, file, found, spec.md5.get(name))
    return images, found


def _pick(file: DataFile, rows: np.ndarray) -> tuple[np.ndarray, str]:
    with _opened(file) as stream:
        head = stream.read(16)
        digest, start = hashlib.md5(head, usedforsecurity=False), 0
        count, *sides = struct.unpack(">4x3I", head)
        if not head.startswith(b"\0\0\x08\x03") or max(sides) > _LARGEST_SIDE:
            raise ValueError("not an IDX file of images")
        images = np.empty((len(rows), *sides), np.uint8)
        while piece := stream.read(_AT_A_TIME * math.prod(sides)):
            digest.update(piece)
            read = np.frombuffer(piece, np.uint8).reshape(-1, *sides)
            are_here = (start <= rows) & (rows < start + len(read))
            images[are_here] = read[rows[are_here] - start]
            start += len(read)
    if start != count or rows.max() >= count:
        raise ValueError(f"the header declares {count} images, but {start} follow")
    return images, digest.hexdigest()


def _opened(file: DataFile) -> io.BufferedIOBase:
    if file.member is not None:
        return io.BytesIO(read_content(file))
    with file.path.open("rb") as stream:
        is_packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(file.path) if is_packed else file.path.open("rb")


def _require_md5(spec: DatasetSpec, file: DataFile, found: str, expected: str | None) -> None:
    if expected in (None, found):
        return
    for other in DATASETS.values():
        if found in other.md5.values():
            raise UserError(
                f"{file} is a file of {other.title}, not of {spec.title}: name --dataset "
                f"{other.key}, or put {spec.title}'s there"
            )
    raise UserError(
        f"{file} is damaged or not {spec.title}'s (MD5 {found}, expected {expected}): "
        f"{_advice(spec)}"
    )


def _advice(spec: DatasetSpec) -> str:
    if spec.torchvision:
        return "delete it and run again to fetch it anew"
    return "write it anew, as IDX"
