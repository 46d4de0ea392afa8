"""Images in JSON: grey values as base64, row by row."""

import base64
import math

import numpy as np


def encode_pixels(image: np.ndarray) -> str:
    """Return a square image (uint8, shape [side, side]) as ``side**2`` bytes in base64."""
    return base64.b64encode(np.ascontiguousarray(image, dtype=np.uint8).tobytes()).decode()


def decode_pixels(text: str) -> np.ndarray:
    """Return the image (uint8, shape [side, side]) that ``encode_pixels`` encoded.

    Raises ValueError if it is no square.
    """
    values = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    side = math.isqrt(len(values))
    return values.reshape(side, side)
