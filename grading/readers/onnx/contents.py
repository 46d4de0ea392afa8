"""What the bytes of an ONNX file say: versions, metadata, and which other files have its weights.

onnxruntime would open by path whatever a file names as the place of its weights. So the places are
found here first, and only files of the same submission are passed on.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from common.support.errors import SubmissionError

_DAMAGED = (
    "not an ONNX model, or a damaged one: export it again, try it with onnx.checker.check_model, "
    "and upload it anew"
)
_TOO_MANY = (
    "the model has more parts than a network for such images needs: export a smaller one, or hand "
    "in predictions (.csv with ImageId,Label)"
)

# Where the messages of an ONNX file (onnx.proto) hold others that lead to a tensor: kind of message
# and number of the field -> kind of the message in it. Only tensors name other files.
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "main graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "main graph": {1: "node", 5: "initializer", 15: "sparse"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "initializer": {13: "entry"},
    "tensor": {13: "nested entry"},
}
_KEY = b"location"  # the key of an external_data entry whose value is a path
# onnxruntime's parser takes no more than 100 levels. Models have some thousand fields on the way to
# a tensor; these take less than a second.
_MAX_DEPTH = 100
_MAX_FIELDS = 500_000
_MAX_TEXT = 5000  # bytes of a text that is kept; Linux' longest path has 4096


class OnnxFile(NamedTuple):
    """What the bytes of an ONNX file say of themselves."""

    ir_version: int
    opsets: dict[str, int]  # version by domain; that of ONNX's own operators is ""
    normalizations: list[str]  # the values of "normalization" in metadata_props
    locations: set[bytes]  # the paths of other files that have weights of the main graph
    is_nested: bool  # weights of a part of the model (a loop's body, a function) are in other files


def read_onnx_file(content: bytes) -> OnnxFile:
    """Return what an ONNX file says of itself. Raises SubmissionError if it is none."""
    if content[4:8] == b"ORTM":
        raise SubmissionError(
            "a model in onnxruntime's own format (.ort): hand in the .onnx file it was made from"
        )
    parser = _Parser(content)
    ir_version, opsets, normalizations, has_graph = 0, {}, [], False
    for number, value, stop in parser.fields(0, len(content)):
        has_graph |= number == 7
        if number == 1 and stop is None:
            ir_version = value
        elif number == 8 and stop is not None:
            texts, numbers = parser.message(value, stop)
            domain = texts[1].decode("utf-8", "replace")
            opsets["" if domain == "ai.onnx" else domain] = numbers[2]
        elif number == 14 and stop is not None:
            texts, _ = parser.message(value, stop)
            if texts[1] == b"normalization":
                normalizations.append(texts[2][:100].decode("utf-8", "replace"))
    if not has_graph:
        raise SubmissionError(_DAMAGED)
    found = set(_find_locations(parser))
    locations = {location for location, _ in found}
    return OnnxFile(ir_version, opsets, normalizations, locations, any(n for _, n in found))


def _find_locations(parser: "_Parser") -> Iterator[tuple[bytes, bool]]:
    """Yield each path at which weights are kept, and whether they belong to a nested part.

    A part without the word "location" is passed over as a whole, such as a forest's million nodes.
    """
    parts = [("model", 0, len(parser.content), 0)]
    while parts:
        kind, start, end, depth = parts.pop()
        if depth > _MAX_DEPTH:
            raise SubmissionError(_DAMAGED)
        for number, value, stop in parser.fields(start, end):
            inner = _PARTS[kind].get(number)
            if inner is None or stop is None or parser.content.find(_KEY, value, stop) < 0:
                continue
            if not inner.endswith("entry"):
                parts.append((inner, value, stop, depth + 1))
                continue
            # Whether data_location says that this counts is not asked: onnxruntime merges two
            # halves of a message, and then the other one may say so.
            texts, _ = parser.message(value, stop)
            if texts[1] == _KEY:
                yield texts[2], inner == "nested entry"


class _Parser:
    """Takes messages of protobuf apart, without recursion and within a number of fields."""

    def __init__(self, content: bytes) -> None:
        self.content, self.left = content, _MAX_FIELDS

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int | None]]:
        """Yield number, value and None, or number, start and end of what a field holds.

        Numbers of fixed size are passed over. Groups, which ONNX does not have, are damage.
        """
        at = start
        while at < end:
            self.left -= 1
            if self.left < 0:
                raise SubmissionError(_TOO_MANY)
            tag, at = self._varint(at, end)
            number, wire_type = tag >> 3, tag & 7
            value, stop = at, None
            if wire_type == 0:
                value, at = self._varint(at, end)
            elif wire_type == 2:
                length, value = self._varint(at, end)
                at = stop = value + length
            elif wire_type in (1, 5):
                at += 8 if wire_type == 1 else 4
            if not 0 < number < 2**29 or wire_type not in (0, 1, 2, 5) or at > end:
                raise SubmissionError(_DAMAGED)
            if wire_type in (0, 2):
                yield number, value, stop

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Return a number of at most 10 bytes, 7 bits each, and where it ends."""
        value = 0
        for place in range(at, min(at + 10, end)):
            byte = self.content[place]
            value |= (byte & 0x7F) << 7 * (place - at)
            if byte < 0x80:
                return value, place + 1
        raise SubmissionError(_DAMAGED)

    def message(self, start: int, end: int) -> tuple[dict[int, bytes], dict[int, int]]:
        """Return the texts and the numbers in a message, by field; the last of each counts."""
        texts: dict[int, bytes] = defaultdict(bytes)
        numbers: dict[int, int] = defaultdict(int)
        for number, value, stop in self.fields(start, end):
            if stop is None:
                numbers[number] = value
            else:
                texts[number] = self.content[value : min(stop, value + _MAX_TEXT)]
        return texts, numbers
