"""ONNX models: any network of any framework, run by onnxruntime on the CPU, if it is installed."""

import os

import numpy as np

from common.support.errors import SubmissionError
from common.support.text import quoted, shorten, terminal_safe

# onnxruntime starts telemetry when it is imported unless this is set before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

try:
    import onnxruntime
except ImportError:  # optional: requirements-grading.txt
    onnxruntime = None

_BATCH_SIZE = 1000


def predict_onnx(content: bytes, images: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the logits, float32 [N, C], of a model given as the bytes of its file.

    Parameters
    ----------
    content : bytes
        One input, float32 [N, 1, side, side] or [N, side * side]; one output, float [N, C]. N may
        be fixed: the images then come in batches of that size.
    images : ndarray of float32, shape [N, 1, side, side]
        Normalised as the recipes are.

    Raises SubmissionError if it is no such model. Custom operators and data in other files are not
    available to it.
    """
    if onnxruntime is None:
        raise SubmissionError(
            "this machine cannot read ONNX yet: who grades has to run "
            "pip install -r requirements-grading.txt"
        )
    session = _open(content)
    name, shape, batch_size = _only_input(session, images.shape[2])
    if len(session.get_outputs()) != 1:
        raise SubmissionError(f"the model has {len(session.get_outputs())} outputs, expected one")
    flat = images.reshape(len(images), *shape)
    return np.concatenate(
        [
            _predict_batch(session, name, flat[start : start + batch_size], batch_size, num_classes)
            for start in range(0, len(flat), batch_size)
        ]
    )


def _open(content: bytes) -> "onnxruntime.InferenceSession":
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own types share no base class but this
        text = str(error)
        # Data outside of the file cannot be opened (confinement); onnxruntime then answers with
        # the system's error 24, or refuses the path by itself.
        if "External data" in text or "SystemError : 24" in text:
            reason = "the model keeps weights in other files: export it with all data inside"
        elif "is not a registered function/op" in text or "No Op registered" in text:
            reason = "the model uses an operator that is not part of ONNX"
        else:
            reason = (
                "not an ONNX model that onnxruntime can open: damaged, or of a newer version "
                "(opset 17 will do)"
            )
        raise SubmissionError(reason) from error


def _only_input(session: "onnxruntime.InferenceSession", side: int) -> tuple[str, list[int], int]:
    """Return name, shape without the batch, and batch size of a model's input."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise SubmissionError(f"the model has {len(inputs)} inputs, expected one")
    found = inputs[0]
    batch, *shape = found.shape or [None]
    if found.type != "tensor(float)" or shape not in ([1, side, side], [side**2]):
        raise SubmissionError(
            f"the model's input is {quoted(found.type)} of shape {_list(found.shape)}, expected "
            f"float32 [N, 1, {side}, {side}] or [N, {side**2}]"
        )
    return found.name, shape, batch if isinstance(batch, int) else _BATCH_SIZE


def _list(shape: list[int | str]) -> str:
    sizes = [shorten(terminal_safe(str(size)), 20) for size in shape[:6]]
    return f"[{', '.join(sizes)}]"


def _predict_batch(
    session: "onnxruntime.InferenceSession",
    name: str,
    images: np.ndarray,
    batch_size: int,
    num_classes: int,
) -> np.ndarray:
    count = len(images)
    if count < batch_size and isinstance(session.get_inputs()[0].shape[0], int):
        # A model with a fixed batch takes no smaller one: fill it up, and drop those answers.
        images = np.resize(images, (batch_size, *images.shape[1:]))
    try:
        logits = session.run(None, {name: images})[0]
    except Exception as error:  # as above
        raise SubmissionError("the model fails when it is run") from error
    if not isinstance(logits, np.ndarray) or logits.shape != (len(images), num_classes):
        shape = list(getattr(logits, "shape", []))[:6]
        raise SubmissionError(
            f"the model answers {len(images)} images with shape {shape}, expected "
            f"[{len(images)}, {num_classes}]"
        )
    if logits.dtype.kind != "f":
        raise SubmissionError(f"the model answers with {logits.dtype}, expected float32")
    return logits[:count].astype(np.float32)
