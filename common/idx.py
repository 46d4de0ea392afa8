"""MNIST's file format (IDX), and how its four files must look.

Format: http://yann.lecun.com/exdb/mnist/ as restated in torchvision's ``datasets/mnist.py``: two
zero bytes, a type code (8: unsigned byte), the number of dimensions, each dimension as a big-endian
32-bit integer, then the values in C order.
"""

import hashlib
import struct
from pathlib import Path

import numpy as np

from common.errors import UserError

# MD5 of each uncompressed file. They guard against damage and wrong files, not against forgery.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}

NUM_CLASSES = 10

_UNSIGNED_BYTE = 8


def raw_folder(data_dir: Path) -> Path:
    """Return the folder of the four files, in torchvision's layout."""
    return Path(data_dir) / "MNIST" / "raw"


def md5_of(content: bytes) -> str:
    """Return the MD5 sum of ``content`` as 32 hexadecimal digits."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def encode_idx(array: np.ndarray) -> bytes:
    """Return ``array`` (uint8, any shape) as the bytes of an IDX file."""
    if array.dtype != np.uint8:
        raise ValueError(f"array has dtype {array.dtype}, but IDX files of MNIST hold uint8")
    header = struct.pack(f">HBB{array.ndim}I", 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.tobytes()


def decode_idx(content: bytes) -> np.ndarray:
    """Return the uint8 array that the bytes of an IDX file hold. The array is read-only.

    Raises
    ------
    ValueError
        If the header is not that of an unsigned-byte IDX file, or the length does not match it.
    """
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise ValueError("not an IDX file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError("the header is cut short")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    if values.size != np.prod(shape, dtype=object):
        raise ValueError(f"the header declares shape {shape}, but {values.size} values follow")
    return values.reshape(shape)


def read_verified(path: Path) -> np.ndarray:
    """Read one of MNIST's four files, which must be exactly the published one.

    Raises
    ------
    UserError
        If the file is missing, or its MD5 sum is not the published one.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    found = md5_of(content)
    if found != MD5[path.name]:
        raise UserError(
            f"{path} is damaged or not MNIST's (MD5 {found}, expected {MD5[path.name]}): "
            "delete it and run again to fetch it anew"
        )
    return decode_idx(content)
