"""MNIST's file format (IDX).

Format: http://yann.lecun.com/exdb/mnist/ as restated in torchvision's ``datasets/mnist.py``: two
zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit integer,
then the values in C order.
"""

import hashlib
import struct

import numpy as np

# Of the type codes, those that the data sets use: images and most labels, and QMNIST's labels.
_TYPES = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


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
    """Return the array (uint8 or int32) that the bytes of an IDX file hold. It is read-only.

    Raises
    ------
    ValueError
        If the header is not that of such an IDX file, or the length does not match it.
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
