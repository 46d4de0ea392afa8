"""How images go into an ONNX model: in which shape, of which type, into one input or many."""

from typing import Any, NamedTuple

import numpy as np

from common.support.errors import SubmissionError
from common.support.text import quoted, shorten, terminal_safe

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


class Inputs(NamedTuple):
    """What a model takes."""

    names: list[str]  # one, or one for each pixel in the order of a row
    dtype: type
    batch_size: int | None  # if it is fixed
    shape: tuple[int, ...]  # of an image

    @property
    def takes_pixels(self) -> bool:
        """Whole numbers are pixels from 0 to 255."""
        return np.dtype(self.dtype).kind in "iu"

    def shaped(self, images: np.ndarray) -> np.ndarray:
        """Return the numbers of ``images`` [N, ...] in the model's shape and type."""
        return images.reshape(len(images), *self.shape).astype(self.dtype, copy=False)

    def feed(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return images as they are shaped, by the names of the inputs."""
        if len(self.names) == 1:
            return {self.names[0]: images}
        columns = np.ascontiguousarray(images.T)
        return {name: column[:, None] for name, column in zip(self.names, columns, strict=True)}


def find_inputs(inputs: list[Any], side: int, notes: list[str]) -> Inputs:
    """Return how images go into the inputs that onnxruntime lists, and note what is special.

    Raises SubmissionError if they are not those of a classifier of such images.
    """
    if len(inputs) == side**2 and (columns := _columns(inputs)):
        notes.append(f"its {side**2} inputs were filled with the pixels in order")
        return columns
    if len(inputs) != 1:
        raise SubmissionError(
            f"the model has {len(inputs)} inputs ({listed([i.name for i in inputs])}), "
            "expected one: export it so that the images are all that it takes"
        )
    found = inputs[0]
    forms = [(1, side, side), (side**2,), (side, side), (side, side, 1)]
    # The size of a free axis is None or a name.
    sizes = [size if isinstance(size, int) else None for size in found.shape]
    fitting = [
        form
        for form in forms
        if len(form) == len(sizes) - 1
        and all(size in (None, wanted) for size, wanted in zip(sizes[1:], form, strict=True))
    ]
    dtype = _DTYPES.get(found.type)
    shown = f"{quoted(found.name)} is {quoted(found.type)} of shape {shape_text(found.shape)}"
    if len(fitting) > 1:
        raise SubmissionError(
            f"the model's input {shown}, which can be {' or '.join(map(_form_text, fitting))}: "
            "export it with the sizes of an image fixed, and only N free"
        )
    if not fitting or dtype is None:
        raise SubmissionError(
            f"the model's input {shown}, expected float32, float64, or uint8, int32 or int64 "
            f"(pixels 0 to 255) of shape {', '.join(map(_form_text, forms[:-1]))} or "
            f"{_form_text(forms[-1])}: let the model itself turn such images into what it needs, "
            "and export it again"
        )
    if fitting[0] not in forms[:2]:
        shown = _form_text(fitting[0])
        notes.append(f"the input {shown} was filled with the same {side**2} numbers")
    return Inputs([found.name], dtype, sizes[0] or None, fitting[0])


def _columns(inputs: list[Any]) -> Inputs | None:
    """Return inputs that are the columns of a table, [N, 1] each and all alike."""
    first = inputs[0]
    sizes = [size if isinstance(size, int) else None for size in first.shape]
    is_alike = all(
        found.type == first.type and len(found.shape) == 2 and found.shape[1] == 1
        for found in inputs
    )
    if not is_alike or first.type not in _DTYPES:
        return None
    names = [found.name for found in inputs]
    return Inputs(names, _DTYPES[first.type], sizes[0] or None, (len(inputs),))


def listed(names: list[str]) -> str:
    """Return the first three of untrusted names, quoted."""
    shown = ", ".join(quoted(name) for name in names[:3])
    return f"{shown}, ..." if len(names) > 3 else shown


def shape_text(shape: list[Any]) -> str:
    """Return an untrusted shape as text; at most six axes."""
    sizes = ["?" if x is None else shorten(terminal_safe(str(x)), 20) for x in shape[:6]]
    return f"[{', '.join(sizes)}]"


def _form_text(form: tuple[int, ...]) -> str:
    return shape_text(["N", *form])
