"""MNIST's file format (IDX), and the files of a data set in it.

Format: http://yann.lecun.com/exdb/mnist/ as restated in torchvision's ``datasets/mnist.py``: two
zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit integer,
then the values in C order.
"""

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np

from common.data.catalog import DatasetSpec
from common.support.errors import UserError

# The type codes that the data sets use: images and most labels, and QMNIST's labels.
_TYPES: dict[int, np.dtype] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


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


def find_files(spec: DatasetSpec, data_dir: Path) -> dict[str, Path]:
    """Return where the files of a data set are, by name; a missing one is left out.

    A file may be as it is or compressed by gzip, under ``data_dir`` or where a Debian package has
    put it.
    """
    folders = [Path(data_dir, spec.folder)]
    if spec.packaged:
        folders.append(Path(spec.packaged))
    found = {}
    for name in spec.all_files:
        places = [folder / file for folder in folders for file in (name, f"{name}.gz")]
        if path := next((path for path in places if path.exists()), None):
            found[name] = path
    return found


def read_verified(spec: DatasetSpec, path: Path) -> tuple[np.ndarray, str]:
    """Read a file that ``find_files`` has found.

    Returns
    -------
    array, md5
        The values, and the MD5 sum of the uncompressed content.

    Raises UserError if a checksum differs from a known one, or the content is not IDX.
    """
    name, content = path.name.removesuffix(".gz"), path.read_bytes()
    if path.suffix == ".gz":
        _require_md5(spec, path, md5_of(content), spec.archive_md5.get(name))
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path} is damaged: {_advice(spec)}") from error
    found = md5_of(content)
    _require_md5(spec, path, found, spec.md5.get(name))
    try:
        return decode_idx(content), found
    except ValueError as error:
        raise UserError(f"{path}: {error}; {_advice(spec)}") from error


def _require_md5(spec: DatasetSpec, path: Path, found: str, expected: str | None) -> None:
    if expected not in (None, found):
        raise UserError(
            f"{path} is damaged or not {spec.title}'s (MD5 {found}, expected {expected}): "
            f"{_advice(spec)}"
        )


def _advice(spec: DatasetSpec) -> str:
    if spec.torchvision:
        return "delete it and run again to fetch it anew"
    return "write it anew, as IDX"
