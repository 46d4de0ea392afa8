"""ONNX models: any network of any framework, run by onnxruntime on the CPU, if it is installed."""

import math
import re
from typing import Any

import numpy as np

from common.data.catalog import Normalization
from common.support.errors import SubmissionError
from common.support.text import quoted, shorten, terminal_safe
from grading.readers.claims import read_normalization
from grading.readers.onnx.contents import read_onnx_file
from grading.readers.onnx.session import onnxruntime, open_session

_BATCH_SIZE = 1000
# How many images a model with a free batch is tried with. No size of a layer is likely to be this.
_TRIED = 7
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
# Softmax in float16, or quantised to 8 bits, is not exact.
_TOLERANCE = 0.01
_LOG_OF_ZERO = -100.0  # softmax turns it into 0 again, and the loss stays finite
_FAILED_NODE = re.compile(r"while running (\w{1,40}) node")


class OnnxModel:
    """An ONNX model, opened and tried once.

    ``normalization`` is what the file declares, if it does and if it counts.
    ``takes_pixels``: the input is uint8, and pixels from 0 to 255 go in as they are. ``notes`` say
    what was done with inputs and outputs; they are complete when the model is opened. Raises
    SubmissionError if its input or its output is not that of a classifier of such images.
    """

    def __init__(
        self,
        session: "onnxruntime.InferenceSession",
        normalization: Normalization | None,
        side: int,
        num_classes: int,
    ) -> None:
        self.notes: list[str] = []
        self._session, self._num_classes = session, num_classes
        self._name, self._dtype, self._batch_size, self._shape = self._find_input(side)
        self.takes_pixels = self._dtype == np.uint8
        self.normalization = None if self.takes_pixels else normalization
        if self.takes_pixels:
            ignored = ", so the declared normalization was not used" if normalization else ""
            self.notes.append(f"the input is uint8: pixels 0 to 255 went in as they are{ignored}")
        self._scores: str | None = None  # the name of the output that has them, if any
        self._classes: str | None = None  # the same, where the classes count or have to agree
        self._columns = list(range(num_classes))  # of the scores, by class
        self._is_probabilities = False
        self._choose_outputs(*self._try())

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Return logits, float32 [N, C], or classes, uint8 [N].

        ``inputs`` are float32 [N, 1, side, side], normalised, or uint8 if the model takes pixels.
        They go in in batches of the size that the model asks for, so give it all there are. Raises
        SubmissionError if the model fails, or has not one answer for each image.
        """
        names = list(filter(None, (self._scores, self._classes)))
        size = self._batch_size or _BATCH_SIZE
        images = self._shaped(inputs)
        starts = range(0, len(images), size)
        batches = [self._answer(names, images[start : start + size]) for start in starts]
        joined = dict(zip(names, map(np.concatenate, zip(*batches, strict=True)), strict=True))
        classes = None if self._classes is None else joined[self._classes]
        if classes is not None and not 0 <= classes.min() <= classes.max() < self._num_classes:
            wrong = classes.min() if classes.min() < 0 else classes.max()
            raise SubmissionError(
                f"the model answers with class {wrong} in {quoted(self._classes)}, and the classes "
                f"are 0 to {self._num_classes - 1}: export it so that it answers with these"
            )
        if self._scores is None:
            return joined[names[0]].astype(np.uint8)
        scores = joined[self._scores][:, self._columns]
        differing = 0 if classes is None else (scores.argmax(axis=1) != classes).sum()
        if differing:
            raise SubmissionError(
                f"the outputs {_listed(names)} contradict each other for {differing} of "
                f"{len(inputs)} images: export the model with only the one that counts"
            )
        with np.errstate(all="ignore"):  # what is not finite is refused by the parent
            if self._is_probabilities:
                scores = np.maximum(np.log(scores.astype(np.float64)), _LOG_OF_ZERO)
            return scores.astype(np.float32)

    def _find_input(self, side: int) -> tuple[str, type, int | None, tuple[int, ...]]:
        """Return name, type, fixed batch size if there is one, and shape of an image."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise SubmissionError(
                f"the model has {len(inputs)} inputs ({_listed([i.name for i in inputs])}), "
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
        shown = f"{quoted(found.name)} is {quoted(found.type)} of shape {_shape_text(found.shape)}"
        if len(fitting) > 1:
            raise SubmissionError(
                f"the model's input {shown}, which can be {' or '.join(map(_form_text, fitting))}: "
                "export it with the sizes of an image fixed, and only N free"
            )
        if not fitting or dtype is None:
            raise SubmissionError(
                f"the model's input {shown}, expected float32, float64 or uint8 (pixels 0 to 255) "
                f"of shape {', '.join(map(_form_text, forms[:-1]))} or {_form_text(forms[-1])}: "
                "let the model itself turn such images into what it needs, and export it again"
            )
        if fitting[0] not in forms[:2]:
            shown = _form_text(fitting[0])
            self.notes.append(f"the input {shown} was filled with the same {side**2} numbers")
        if dtype in (np.float64, np.float16):
            self.notes.append(f"the numbers went in as {np.dtype(dtype).name}")
        return found.name, dtype, sizes[0] or None, fitting[0]

    def _shaped(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), *self._shape).astype(self._dtype, copy=False)

    def _run(self, names: list[str] | None, images: np.ndarray) -> tuple[int, list[Any]]:
        """Return how many images went in, at least as many as there are, and what came out."""
        if self._batch_size is not None and self._batch_size != len(images):
            # A model with a fixed batch takes no smaller one.
            images = np.resize(images, (self._batch_size, *self._shape))
        try:
            return len(images), self._session.run(names, {self._name: images})
        except Exception as error:  # onnxruntime's own types share no base class but this
            node = _FAILED_NODE.search(str(error)[:2000])
            where = f", at its operator {quoted(node[1])}" if node else ""
            raise SubmissionError(
                f"the model fails when it is run{where}: try it with onnxruntime on an array of "
                f"shape {list(images.shape)} and type {images.dtype}, and export it again"
            ) from error

    def _answer(self, names: list[str], images: np.ndarray) -> list[np.ndarray]:
        count, values = self._run(names, images)
        answers = []
        for name, value in zip(names, values, strict=True):
            found = _read_output(value, count, self._num_classes)
            if found is None or found.ndim != (2 if name == self._scores else 1):
                raise SubmissionError(
                    f"the model answers {count} images with {_described(name, value)}, which is "
                    "not one answer for each: try it with as many, and export it again"
                )
            answers.append(found[: len(images)])
        return answers

    def _try(self) -> tuple[int, dict[str, Any]]:
        """Return how many made-up images were tried, and all outputs by name."""
        pixels = np.arange(_TRIED * math.prod(self._shape)).reshape(_TRIED, -1) * 37 % 256
        images = self._shaped(pixels if self.takes_pixels else pixels / 255)
        count, values = self._run(None, images[: self._batch_size])
        names = [output.name for output in self._session.get_outputs()]
        return count, dict(zip(names, values, strict=True))

    def _choose_outputs(self, count: int, values: dict[str, Any]) -> None:
        """Decide which output has the answer, from what all of them said to ``count`` images."""
        pairs = [(n, _read_output(value, count, self._num_classes)) for n, value in values.items()]
        read = {name: answers for name, answers in pairs if answers is not None}
        classes = [name for name, answers in read.items() if answers.ndim == 1]
        scores = [n for n, found in read.items() if found.ndim == 2 and found.dtype.kind == "f"]
        # Whole numbers [N, C] may be scores, ranks or indices.
        unclear = [name for name in read if name not in classes + scores]
        if unclear + scores + classes == unclear[:1]:
            shown = [_described(name, value, count) for name, value in values.items()]
            raise SubmissionError(
                f"the model answers with {' and '.join(shown[:3])}, expected float32 "
                f"[N, {self._num_classes}], a number for each class, or whole numbers [N], the "
                "classes: export it with such an output"
            )
        if unclear or len(scores) > 1 or len(classes) > 1:
            raise SubmissionError(
                f"several outputs of the model could be its answer "
                f"({_listed(scores + classes + unclear)}): export it with only one of them"
            )
        for name in scores:
            self._scores = name
            off = abs(read[name].sum(axis=1, dtype=np.float64) - 1)
            self._is_probabilities = bool((off <= _TOLERANCE).all() and (read[name] >= 0).all())
        if classes and not self._is_probabilities:
            self._classes = classes[0]  # scores beside them have to agree
        is_text = bool(classes) and values[classes[0]].dtype.kind == "O"
        if is_text and scores and isinstance(values[scores[0]], np.ndarray):
            # scikit-learn sorts its classes, and as texts "10" comes before "2".
            texts = sorted(_texts(self._num_classes))
            self._columns = [texts.index(text) for text in _texts(self._num_classes)]
        if len(values) > 1:
            counted = quoted((scores or classes)[0])
            self.notes.append(f"of its outputs {_listed(list(values))}, {counted} counted")
        if self._is_probabilities:
            self.notes.append("the output is probabilities: their logarithms are the logits")
        elif not scores:
            self.notes.append("the output is classes, so there is no loss")


def open_onnx(
    content: bytes, data_files: dict[str, bytes], side: int, num_classes: int
) -> OnnxModel:
    """Open a model from the bytes of its file. Raises SubmissionError if it is no such classifier.

    ``data_files`` are other files of the same submission, by base name: they may hold weights.
    Any other file, and custom operators, are not available to the model.
    """
    if onnxruntime is None:
        raise SubmissionError(
            "this machine cannot read ONNX yet: ask who grades to run "
            "pip install -r requirements-grading.txt"
        )
    file = read_onnx_file(content)
    declared = {read_normalization(text) for text in file.normalizations}
    if len(declared) > 1 or None in declared:
        raise SubmissionError(
            f"metadata_props has the normalization {_listed(file.normalizations)}: write mean and "
            'standard deviation of pixels in [0, 1] once, as text, such as "0.1307,0.3081"'
        )
    session = open_session(content, file, data_files)
    return OnnxModel(session, declared.pop() if declared else None, side, num_classes)


def _read_output(value: object, count: int, num_classes: int) -> np.ndarray | None:
    """Return the numbers [count, C] or the classes, int [count], in an output; else None."""
    if isinstance(value, np.ndarray):
        # Axes of size 1 mean nothing, so a model for one image may have no axis for the batch.
        sizes = [size for size in value.shape if size != 1]
        if value.dtype.kind in "fiu" and sizes == [n for n in (count, num_classes) if n != 1]:
            return value.reshape(count, num_classes)
        if value.dtype.kind in "iuO" and sizes == [n for n in (count,) if n != 1]:
            if value.dtype.kind != "O":
                return value.reshape(count)
            numbers = {text: number for number, text in enumerate(_texts(num_classes))}
            known = all(text in numbers for text in value.flat)
            return np.array([numbers[text] for text in value.flat]) if known else None
    elif isinstance(value, list) and len(value) == count:  # of ZipMap: a dictionary for each image
        for keys in (range(num_classes), _texts(num_classes)):
            wanted = set(keys)
            if all(isinstance(answer, dict) and answer.keys() == wanted for answer in value):
                return np.array([[answer[key] for key in keys] for answer in value], np.float64)
    return None


def _texts(num_classes: int) -> list[str]:
    return [str(number) for number in range(num_classes)]


def _described(name: str, value: object, count: int | None = None) -> str:
    """Return type, shape and name of an output; an axis of ``count`` is shown as N."""
    if not isinstance(value, np.ndarray):
        return f"a {type(value).__name__} in {quoted(name)}"
    kind = "text" if value.dtype.kind == "O" else value.dtype
    is_batch = count is not None and value.shape[:1] == (count,)
    shape = ["N", *value.shape[1:]] if is_batch else [*value.shape]
    return f"{kind} {_shape_text(shape)} in {quoted(name)}"


def _form_text(form: tuple[int, ...]) -> str:
    return _shape_text(["N", *form])


def _shape_text(shape: list[Any]) -> str:
    sizes = ["?" if x is None else shorten(terminal_safe(str(x)), 20) for x in shape[:6]]
    return f"[{', '.join(sizes)}]"


def _listed(names: list[str]) -> str:
    shown = ", ".join(quoted(name) for name in names[:3])
    return f"{shown}, ..." if len(names) > 3 else shown
