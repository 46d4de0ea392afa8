"""ONNX models: any network of any framework, run by onnxruntime on the CPU, if it is installed."""

import math
import re
from typing import Any

import numpy as np

from common.data.catalog import Normalization
from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.claims import read_normalization
from grading.readers.onnx.contents import read_onnx_file
from grading.readers.onnx.inputs import find_inputs, listed, shape_text
from grading.readers.onnx.session import onnxruntime, open_session

_BATCH_SIZE = 1000
# How many images a model with a free batch is tried with. No size of a layer is likely to be this.
_TRIED = 7
# Softmax in float16, or quantised to 8 bits, is not exact.
_TOLERANCE = 0.01
_LOG_OF_ZERO = -100.0  # softmax turns it into 0 again, and the loss stays finite
_FAILED_NODE = re.compile(r"while running (\w{1,40}) node")


class OnnxModel:
    """An ONNX model, opened and tried once.

    ``normalization`` is what the file declares, if it does and if it counts.
    ``takes_pixels``: the input is of whole numbers, and pixels from 0 to 255 go in as they are.
    ``notes`` say what was done with inputs and outputs; they are complete when the model is opened.
    Raises SubmissionError if its input or its output is not that of a classifier of such images.
    """

    def __init__(
        self,
        session: "onnxruntime.InferenceSession",
        normalization: Normalization | None,
        side: int,
        num_classes: int,
        is_batch_dependent: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self._session, self._num_classes = session, num_classes
        self._inputs = find_inputs(session.get_inputs(), side, self.notes)
        self.takes_pixels = self._inputs.takes_pixels
        self.normalization = None if self.takes_pixels else normalization
        dtype = np.dtype(self._inputs.dtype).name
        if self.takes_pixels:
            ignored = ", so the declared normalization was not used" if normalization else ""
            self.notes.append(f"the input is {dtype}: pixels 0 to 255 went in as they are{ignored}")
        elif dtype != "float32":
            self.notes.append(f"the numbers went in as {dtype}")
        if is_batch_dependent:
            self.notes.append(
                "dynamically quantised, so its answers depend on the batch: the images went in in "
                f"order, {self._inputs.batch_size or _BATCH_SIZE:,} at a time"
            )
        self._scores: str | None = None  # the name of the output that has them, if any
        self._classes: str | None = None  # the same, where the classes count
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
        size = self._inputs.batch_size or _BATCH_SIZE
        images = self._inputs.shaped(inputs)
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
        if 2 * differing > len(inputs):
            raise SubmissionError(
                f"the outputs {listed(names)} contradict each other for {differing} of "
                f"{len(inputs)} images: export the model with only the one that counts"
            )
        with np.errstate(all="ignore"):  # what is not finite is refused by the parent
            if self._is_probabilities:
                scores = np.maximum(np.log(scores.astype(np.float64)), _LOG_OF_ZERO)
            scores = scores.astype(np.float32)
        return scores if classes is None else _led_by(classes, scores)

    def _run(self, names: list[str] | None, images: np.ndarray) -> tuple[int, list[Any]]:
        """Return how many images went in, at least as many as there are, and what came out."""
        if self._inputs.batch_size is not None and self._inputs.batch_size != len(images):
            # A model with a fixed batch takes no smaller one.
            images = np.resize(images, (self._inputs.batch_size, *self._inputs.shape))
        try:
            return len(images), self._session.run(names, self._inputs.feed(images))
        except Exception as error:  # onnxruntime's own types share no base class but this
            node = _FAILED_NODE.search(str(error)[:2000])
            where = f", at its operator {quoted(node[1])}" if node else ""
            # Of machines with a number for each pair of classes.
            how = " with options={'zipmap': False}" if node and node[1] == "ZipMap" else ""
            raise SubmissionError(
                f"the model fails when it is run{where}: try it with onnxruntime on an array of "
                f"shape {list(images.shape)} and type {images.dtype}, and export it again"
                f"{how}"
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
        pixels = np.arange(_TRIED * math.prod(self._inputs.shape)).reshape(_TRIED, -1) * 37 % 256
        images = self._inputs.shaped(pixels if self.takes_pixels else pixels / 255)
        count, values = self._run(None, images[: self._inputs.batch_size])
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
                f"({listed(scores + classes + unclear)}): export it with only one of them"
            )
        for name in scores:
            self._scores = name
            off = abs(read[name].sum(axis=1, dtype=np.float64) - 1)
            self._is_probabilities = bool((off <= _TOLERANCE).all() and (read[name] >= 0).all())
        if classes and not self._is_probabilities:
            self._classes = classes[0]
        is_text = bool(classes) and values[classes[0]].dtype.kind == "O"
        if is_text and scores and isinstance(values[scores[0]], np.ndarray):
            # scikit-learn sorts its classes, and as texts "10" comes before "2".
            texts = sorted(_texts(self._num_classes))
            self._columns = [texts.index(text) for text in _texts(self._num_classes)]
        if len(values) > 1:
            counted = f"{quoted((scores or classes)[0])} counted"
            if scores and self._classes:
                counted = f"{quoted(self._classes)} counted, and {quoted(scores[0])} for the loss"
            self.notes.append(f"of its outputs {listed(list(values))}, {counted}")
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
            f"metadata_props has the normalization {listed(file.normalizations)}: write mean and "
            'standard deviation of pixels in [0, 1] once, as text, such as "0.1307,0.3081"'
        )
    session = open_session(content, file, data_files)
    # The scales of its numbers are measured on each batch.
    is_batch_dependent = b"DynamicQuantize" in content
    normalization = declared.pop() if declared else None
    return OnnxModel(session, normalization, side, num_classes, is_batch_dependent)


def _led_by(classes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the scores with those of the classes just above all others, where they are not.

    The votes of scikit-learn's support vector machines are broken ties, and a few in a thousand are
    led by another class than that which the machine predicts.
    """
    (others,) = np.nonzero(scores.argmax(axis=1) != classes)
    scores[others, classes[others]] = np.nextafter(scores[others].max(axis=1), np.float32(np.inf))
    return scores


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
    return f"{kind} {shape_text(shape)} in {quoted(name)}"
