"""Reads a submission: its files go in, the network or the answers that count come out.

Runs only in the submission's own process (``grading.sandbox``), which has no labels. Which
of several files counts is decided by their content: the only one that can be graded.
"""

import argparse
import codecs
import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import torch

from common.data.catalog import Sizes
from common.models import MNISTClassifier
from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers import kinds
from grading.readers.archives import NamedFile, unpack
from grading.readers.keras.model import is_keras
from grading.readers.weights import checkpoint
from grading.readers.weights.registry import register_file
from grading.sandbox.members import TABLES
from grading.sandbox.reading import Network, Reading, Table

_Problem = tuple[str, SubmissionError]

# For the names in old zip files, for pickles of protocol 0, and for escapes in our messages.
_LATE_CODECS = ("cp437", "latin-1", "ascii", "raw_unicode_escape", "unicode_escape", "utf-16")


def read_submission(files: list[NamedFile], sizes: Sizes, num_images: int) -> Reading:
    """Return what a submission is, of the only one of its files that can be graded.

    A zip file that is no checkpoint is opened, one level deep, and counts as the folder it holds.
    Raises SubmissionError if none can be graded, or several.
    """
    handed_in = [name for name, _ in files]
    readings: list[tuple[str, Reading]] = []
    problems: list[_Problem] = []
    files = [inner for file in files for inner in _opened(file, len(handed_in) == 1, problems)]
    for file in files:
        try:
            if reading := kinds.read_file(file, files, sizes, num_images):
                readings.append((file[0], reading))
        except SubmissionError as error:
            problems.append((file[0], error))
    if not readings:
        raise _why_none(problems)
    if len(readings) > 1:
        shown = ", ".join(quoted(name) for name, _ in readings[:3])
        more = ", ..." if len(readings) > 3 else ""
        raise SubmissionError(
            f"ambiguous: {len(readings)} files could be graded ({shown}{more}): keep one"
        )
    ((name, reading),) = readings
    number = [other for other, _ in files].index(name)
    return _with_file(reading, number, [] if handed_in == [name] else [f"{quoted(name)} counted"])


def _why_none(problems: list[_Problem]) -> SubmissionError:
    """Return why none of the files can be graded: of models first, since tables may be logs."""
    if not problems:
        return SubmissionError(f"no file in it can be graded: {kinds.ADVICE}")
    if len(problems) == 1:
        return problems[0][1]
    models = [p for p in problems if not p[0].lower().endswith(TABLES)]
    name, error = (models or problems)[0]
    reason = f"none of {len(problems)} files can be graded; {quoted(name)}: {error}"
    problem = SubmissionError(reason)
    problem.__cause__ = error  # which may come from a limit
    return problem


def _with_file(reading: Reading, number: int, notes: list[str]) -> Reading:
    """Note which file it was that counted."""
    info = reading.answers.info if isinstance(reading, Table) else reading.info
    info = info._replace(file=number, notes="; ".join(filter(None, [*notes, info.notes])))
    if isinstance(reading, Table):
        return Table(reading.answers._replace(info=info))
    return reading._replace(info=info)


def _opened(file: NamedFile, is_alone: bool, problems: list[_Problem]) -> list[NamedFile]:
    """Return the files in a student's zip that may count; of any other file just that."""
    name, content = file
    if (
        not content.startswith(b"PK")
        or checkpoint.is_checkpoint(content)
        or is_keras(content)
        or kinds.is_spreadsheet(name, content)
        or kinds.suffix_of(name) in (*kinds.INSTEAD, ".keras", ".npz")
    ):
        return [file]
    try:
        members = unpack(content)
    except SubmissionError as error:
        problems.append((name, error))
        return []
    place = "" if is_alone else f"{name}/"
    return [(f"{place}{inner}", found) for inner, found in members if kinds.may_count(inner, found)]


def warm_up(sizes: Sizes, models: str | None) -> None:
    """Import the classes of the assignment, and read a submission of each kind.

    Libraries import some of their parts only when they are used, and in a submission's own process
    no file can be opened, so nothing can be imported.
    """
    if models is not None:
        register_file(Path(models))
    network = MNISTClassifier(sizes.input_size, hidden_sizes=(8,), num_classes=sizes.num_classes)
    state_dict = network.state_dict()
    plain = {"model_state_dict": state_dict, "args": argparse.Namespace(a=np.float64(1))}
    files = [
        ("a.pth", _saved(plain)),
        ("a.csv", b"\xef\xbb\xbfImageId,Label\n1,1\n"),
        ("a.csv", "sep=;\nImageId;Label\n1;1\n".encode("utf-16")),
        ("a.npy", _saved(np.zeros(1, np.int64))),
        ("a.json", b'{"predictions": [1]}'),
        ("a.npz", _zipped("a.npy", _saved(np.array(["1"], dtype=object)))),
        ("a.pt", _saved(torch.zeros(1, dtype=torch.bfloat16))),
        ("a.zip", _zipped("a.pth", _saved(state_dict))),
    ]
    if checkpoint.HAS_SAFETENSORS:
        files.append(("a.safetensors", checkpoint.safetensors.torch.save(state_dict)))
    for file in files:
        reading = read_submission([file], sizes, num_images=1)
        if isinstance(reading, Network):
            reading.predict(torch.zeros(1, 1, sizes.side, sizes.side))
    for codec in _LATE_CODECS:
        codecs.lookup(codec)
    for content in (_saved({"object": SubmissionError}), b"", b"\xff,\n", _saved(np.array([{}]))):
        for name in ("a.pth", "a.csv", "a.npy", "a.zip", "a.onnx"):
            with contextlib.suppress(SubmissionError):
                read_submission([(name, content)], sizes, num_images=1)


def _saved(content: object) -> bytes:
    buffer = io.BytesIO()
    if isinstance(content, np.ndarray):
        np.save(buffer, content)
    else:
        torch.save(content, buffer)
    return buffer.getvalue()


def _zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()
