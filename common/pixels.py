"""Images in JSON: 784 grey values as base64."""

import base64

import numpy as np

SIDE = 28


def encode_pixels(image: np.ndarray) -> str:
    """Return an image (uint8, shape [28, 28]) as 784 bytes in base64."""
    return base64.b64encode(np.ascontiguousarray(image, dtype=np.uint8).tobytes()).decode()


def decode_pixels(text: str) -> np.ndarray:
    """Return the image (uint8, shape [28, 28]) that ``encode_pixels`` encoded."""
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(SIDE, SIDE)
