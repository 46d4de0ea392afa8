"""Opens an ONNX file with onnxruntime: versions, weights in other files, why it is refused."""

import os
import re

from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers.onnx.contents import OnnxFile
from grading.sandbox.members import DATA

# onnxruntime starts telemetry when it is imported unless this is set before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

try:
    import onnxruntime
except ImportError:  # optional: requirements-grading.txt
    onnxruntime = None

_INSIDE = (
    "export it again with all weights inside (torch.onnx.export(..., external_data=False), or "
    "onnx.save of the loaded model)"
)

# A model with an empty graph, of IR version 2**31 - 1, and one of opset 2**31 - 1.
_NEWEST_IR = b"\x08\xff\xff\xff\xff\x07\x42\x02\x10\x07\x3a\x02\x12\x00"
_NEWEST_OPSET = b"\x08\x07\x42\x06\x10\xff\xff\xff\xff\x07\x3a\x02\x12\x00"
_MAX_IR = re.compile(r"max supported IR version: (\d{1,9})", re.IGNORECASE)
_MAX_OPSET = re.compile(r"domain ([\w.]{1,40}) is till opset (\d{1,9})")
_UNKNOWN_OPERATOR = re.compile(
    r"(?:No Op registered for (\S{1,60})|(\S{1,60}) is not a registered function/op)"
)
_NOT_IMPLEMENTED = re.compile(r"Could not find an implementation for (\w{1,40})")


def open_session(
    content: bytes, file: OnnxFile, data_files: dict[str, bytes]
) -> "onnxruntime.InferenceSession":
    """Return the session of a model, on one thread of the CPU. No file is opened.

    ``data_files`` are other files of the same submission, by base name. Raises SubmissionError if
    weights are missing, the file is too new, or no model.
    """
    options = _options()
    names = [location.decode("utf-8", "backslashreplace") for location in sorted(file.locations)]
    for name in names:
        if name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
            raise SubmissionError(
                f"the model keeps weights in other files, by the path {quoted(name)}, and only a "
                f"file right beside the model is read: {_INSIDE}"
            )
    data = [content for name, content in data_files.items() if name.endswith(DATA)]
    if len(names) == len(data) == 1:
        # A platform or a person has renamed it: that of one model's only file has one meaning.
        data_files = {names[0]: data[0], **data_files}
    for name in names:
        if name not in data_files:
            raise SubmissionError(
                f"the model keeps weights in other files, and {quoted(name)} is not there: hand it "
                f"in beside the model, under this name, or {_INSIDE}"
            )
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
        return _open(content, options)
    except Exception as error:  # onnxruntime's own types share no base class but this
        raise SubmissionError(_why_refused(str(error)[:4000], file, names)) from error


def _open(content: bytes, options: "onnxruntime.SessionOptions") -> "onnxruntime.InferenceSession":
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _options() -> "onnxruntime.SessionOptions":
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _why_refused(text: str, file: OnnxFile, names: list[str]) -> str:
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
    highest = []
    for content, pattern in ((_NEWEST_IR, _MAX_IR), (_NEWEST_OPSET, _MAX_OPSET)):
        try:
            _open(content, _options())
            found = None
        except Exception as error:  # as above
            found = pattern.search(str(error))
        highest.append(int(found.groups()[-1]) if found else 0)
    return highest[0], highest[1]
