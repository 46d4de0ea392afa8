"""Opens an ONNX file with onnxruntime: versions, weights in other files, why it is refused.

onnxruntime would open by path whatever a file names as the place of its weights. So the places are
found here first, in the file's own bytes, and only files of the same submission are passed on.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from common.support.errors import SubmissionError
from common.support.text import quoted

# onnxruntime starts telemetry when it is imported unless this is set before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

try:
    import onnxruntime
except ImportError:  # optional: requirements-grading.txt
    onnxruntime = None

_DAMAGED = (
    "not an ONNX model, or a damaged one: export it again, try it with onnx.checker.check_model, "
    "and upload it anew"
)
_TOO_MANY = "the model has more parts than a network for such images needs: export a smaller one"
_INSIDE = (
    "export it again with all weights inside (torch.onnx.export(..., external_data=False), or "
    "onnx.save of the loaded model)"
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

# A model with an empty graph, of IR version 2**31 - 1, and one of opset 2**31 - 1.
_NEWEST_IR = b"\x08\xff\xff\xff\xff\x07\x42\x02\x10\x07\x3a\x02\x12\x00"
_NEWEST_OPSET = b"\x08\x07\x42\x06\x10\xff\xff\xff\xff\x07\x3a\x02\x12\x00"
_MAX_IR = re.compile(r"max supported IR version: (\d{1,9})", re.IGNORECASE)
_MAX_OPSET = re.compile(r"domain ([\w.]{1,40}) is till opset (\d{1,9})")
_UNKNOWN_OPERATOR = re.compile(
    r"(?:No Op registered for (\S{1,60})|(\S{1,60}) is not a registered function/op)"
)
_NOT_IMPLEMENTED = re.compile(r"Could not find an implementation for (\w{1,40})")


class OnnxFile(NamedTuple):
    """What the bytes of an ONNX file say of themselves."""

    ir_version: int
    opsets: dict[str, int]  # version by domain; that of ONNX's own operators is ""
    normalizations: list[str]  # the values of "normalization" in metadata_props
    locations: set[bytes]  # the paths of other files that have weights of the main graph
    is_nested: bool  # weights of a part of the model (a loop's body, a function) are in other files


def open_session(
    content: bytes, file: OnnxFile, data_files: dict[str, bytes]
) -> "onnxruntime.InferenceSession":
    """Return the session of a model, on one thread of the CPU. No file is opened.

    ``data_files`` are other files of the same submission, by base name.

    Raises SubmissionError if weights are missing, the file is too new, or no model.
    """
    options = _options()
    names = [_checked_location(location, data_files) for location in sorted(file.locations)]
    if file.is_nested:
        # onnxruntime takes these from no memory, it opens them by path.
        raise SubmissionError(
            f"the model keeps weights in other files, and some of them belong to a nested part of "
            f"it (a loop, a condition, a function, a constant): {_INSIDE}"
        )
    if names:
        add = getattr(options, "add_external_initializers_from_files_in_memory", None)
        if add is None:
            raise SubmissionError(
                f"the model keeps weights in other files, and onnxruntime "
                f"{onnxruntime.__version__} here cannot take them along: {_INSIDE}, or ask who "
                "grades for onnxruntime 1.24 or newer"
            )
        add(names, [data_files[n] for n in names], [len(data_files[n]) for n in names])
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own types share no base class but this
        raise SubmissionError(_why_refused(str(error)[:4000], file, names)) from error


def _options() -> "onnxruntime.SessionOptions":
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _checked_location(location: bytes, data_files: dict[str, bytes]) -> str:
    """Return the name of a file beside the model; nothing else is a place for weights."""
    name = location.decode("utf-8", "backslashreplace")
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise SubmissionError(
            f"the model keeps weights in other files, by the path {quoted(name)}, and only a file "
            f"right beside the model is read: {_INSIDE}"
        )
    if name not in data_files:
        raise SubmissionError(
            f"the model keeps weights in other files, and {quoted(name)} is not there: hand it in "
            f"beside the model, under this name, or {_INSIDE}"
        )
    return name


def _why_refused(text: str, file: OnnxFile, names: list[str]) -> str:
    """Return the reason and the next step for an error of onnxruntime."""
    max_ir, max_opset = supported_versions()
    opset, other = file.opsets.get("", 0), _MAX_OPSET.search(text)
    is_newer_opset = 0 < max_opset < opset or other is not None
    if 0 < max_ir < file.ir_version or is_newer_opset:
        theirs = f"IR version {file.ir_version}, opset {opset}"
        ours = f"IR version {max_ir}, opset {max_opset}"
        if other is not None and other[1] in file.opsets:
            theirs += f", {other[1]} {file.opsets[other[1]]}"
            ours += f", {other[1]} {other[2]}"
        lower = "" if is_newer_opset else ", or set model.ir_version = 10 and save it (onnx.save)"
        return (
            f"the model is too new: the file has {theirs}, and onnxruntime "
            f"{onnxruntime.__version__} here reads up to {ours}: export it again with "
            f"opset_version=17 (skl2onnx: target_opset=17){lower}"
        )
    if unknown := _UNKNOWN_OPERATOR.search(text):
        return (
            f"the model uses {quoted(unknown[1] or unknown[2])}, an operator that is not part of "
            f"ONNX (opset {opset}): export it again with ONNX's own operators alone"
        )
    if missing := _NOT_IMPLEMENTED.search(text):
        return (
            f"onnxruntime has no {quoted(missing[1])} for the type of numbers that the model uses: "
            "export it again as float32"
        )
    if names and "xternal" in text:
        shown = ", ".join(quoted(name) for name in names[:3])
        return (
            f"the weights in {shown} do not fit the model (another size, or another version): hand "
            f"in both files of the same export, or {_INSIDE}"
        )
    return (
        "onnxruntime cannot open the model, and onnx.checker.check_model(model, full_check=True) "
        "may tell why: export it again with opset_version=17, and try it with onnxruntime"
    )


def supported_versions() -> tuple[int, int]:
    """Return the highest IR version and opset that onnxruntime reads here.

    They are in its answers to two models that are newer than any. 0 if they cannot be found.
    """
    return _highest(_NEWEST_IR, _MAX_IR), _highest(_NEWEST_OPSET, _MAX_OPSET)


def _highest(content: bytes, pattern: re.Pattern[str]) -> int:
    try:
        onnxruntime.InferenceSession(content, _options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        found = pattern.search(str(error))
        return int(found.groups()[-1]) if found else 0
    return 0


def read_onnx_file(content: bytes) -> OnnxFile:
    """Return what an ONNX file says of itself. The bytes are hostile.

    Raises SubmissionError if the file is no ONNX model.
    """
    if content[4:8] == b"ORTM":
        raise SubmissionError(
            "a model in onnxruntime's own format (.ort): hand in the .onnx file it was made from"
        )
    parser = _Parser(content)
    found = OnnxFile(0, {}, [], set(), False)
    has_graph = False
    for number, value, stop in parser.fields(0, len(content)):
        has_graph |= number == 7
        if number == 1 and stop is None:
            found = found._replace(ir_version=value)
        elif number == 8 and stop is not None:
            domain, version = parser.opset(value, stop)
            found.opsets["" if domain == "ai.onnx" else domain] = version
        elif number == 14 and stop is not None:
            key, text = parser.entry(value, stop)
            if key == b"normalization":
                found.normalizations.append(text[:100].decode("utf-8", "replace"))
    if not has_graph:
        raise SubmissionError(_DAMAGED)
    locations = list(_find_locations(parser))
    return found._replace(
        locations={location for location, _ in locations},
        is_nested=any(is_nested for _, is_nested in locations),
    )


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
            key, location = parser.entry(value, stop)
            if key == _KEY:
                yield location, inner == "nested entry"


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

    def entry(self, start: int, end: int) -> tuple[bytes, bytes]:
        """Return key and value of a StringStringEntryProto; the last of each counts."""
        found = {1: b"", 2: b""}
        for number, value, stop in self.fields(start, end):
            if stop is not None and number in found:
                found[number] = self.content[value:stop][:_MAX_TEXT]
        return found[1], found[2]

    def opset(self, start: int, end: int) -> tuple[str, int]:
        """Return domain and version of an OperatorSetIdProto."""
        domain, version = "", 0
        for number, value, stop in self.fields(start, end):
            if number == 1 and stop is not None:
                domain = self.content[value:stop][:_MAX_TEXT].decode("utf-8", "replace")
            elif number == 2 and stop is None:
                version = value
        return domain, version
