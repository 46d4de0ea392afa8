"""Reads a submission: its files go in, the network or the answers that count come out.

Runs only in the submission's own process (``grading.sandbox``), which has no labels. Which
of several files counts is decided by their content: the only one that can be graded.
"""

import argparse
import codecs
import contextlib
import io
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from common.data.catalog import Sizes
from common.models import MNISTClassifier
from common.support.errors import SubmissionError
from common.support.text import quoted
from grading.readers import kinds
from grading.readers.archives import unpack
from grading.readers.checkpoint import is_checkpoint
from grading.readers.kinds import (
    ADVICE,
    HAS_SAFETENSORS,
    INSTEAD,
    is_spreadsheet,
    may_count,
    read_file,
    suffix_of,
)
from grading.readers.registry import register_file
from grading.sandbox.members import TABLES
from grading.sandbox.reading import Network, Reading, Table

NamedFile = tuple[str, bytes]

# For the names in old zip files, for pickles of protocol 0, and for escapes in our messages.
_LATE_CODECS = ("cp437", "latin-1", "ascii", "raw_unicode_escape", "unicode_escape", "utf-16")


def read_submission(files: list[NamedFile], sizes: Sizes, num_images: int) -> Reading:
    """Return what a submission is, of the only one of its files that can be graded.

    A zip file that is no checkpoint is opened, one level deep, and counts as the folder it holds.
    Raises SubmissionError if none can be graded, or several.
    """
    handed_in = [name for name, _ in files]
    readings: list[tuple[str, Reading]] = []
    problems: list[tuple[str, SubmissionError]] = []
    files = [inner for file in files for inner in _opened(file, len(handed_in) == 1, problems)]
    for name, content in files:
        try:
            reading = read_file(
                name, content, _beside(name, files), (sizes, num_images), len(files) == 1
            )
        except SubmissionError as error:
            problems.append((name, error))
            continue
        if reading is not None:
            readings.append((name, reading))
    if len(readings) > 1:
        shown = ", ".join(quoted(name) for name, _ in readings[:3])
        more = ", ..." if len(readings) > 3 else ""
        raise SubmissionError(
            f"ambiguous: {len(readings)} files could be graded ({shown}{more}): keep one"
        )
    if readings:
        ((name, reading),) = readings
        number = next(n for n, (other, _) in enumerate(files) if other == name)
        return _with_file(reading, number, None if handed_in == [name] else name)
    raise _why_none(problems)


def _why_none(problems: list[tuple[str, SubmissionError]]) -> SubmissionError:
    """Return why none of the files can be graded: of models first, since tables may be logs."""
    if not problems:
        return SubmissionError(f"no file in it can be graded: {ADVICE}")
    if len(problems) == 1:
        return problems[0][1]
    models = [p for p in problems if not p[0].lower().endswith(TABLES)]
    name, error = (models or problems)[0]
    reason = f"none of {len(problems)} files can be graded; {quoted(name)}: {error}"
    problem = SubmissionError(reason)
    problem.__cause__ = error  # which may come from a limit
    return problem


def _with_file(reading: Reading, number: int, name: str | None) -> Reading:
    """Note which file it was that counted."""
    info = reading.answers.info if isinstance(reading, Table) else reading.info
    notes = [f"{quoted(name)} counted"] if name else []
    info = info._replace(file=number, notes="; ".join([*notes, *filter(None, [info.notes])]))
    if isinstance(reading, Table):
        return Table(reading.answers._replace(info=info))
    return reading._replace(info=info)


def _beside(name: str, files: list[NamedFile]) -> dict[str, bytes]:
    """Return the files in the same folder, by their names there."""
    folder = PurePosixPath(name).parent
    return {
        PurePosixPath(other).name: content
        for other, content in files
        if PurePosixPath(other).parent == folder
    }


def _opened(
    file: NamedFile, is_alone: bool, problems: list[tuple[str, SubmissionError]]
) -> list[NamedFile]:
    """Return the files in a student's zip that may count; of any other file just that."""
    name, content = file
    if not content.startswith(b"PK") or is_checkpoint(content) or is_spreadsheet(name, content):
        return [file]
    if suffix_of(name) not in (".zip", "") and suffix_of(name) in INSTEAD:
        return [file]
    try:
        members = unpack(content)
    except SubmissionError as error:
        problems.append((name, error))
        return []
    place = "" if is_alone else f"{name}/"
    return [(f"{place}{inner}", found) for inner, found in members if may_count(inner, found)]


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
        ("a.npy", _numpy_file(np.zeros(1, np.int64))),
        ("a.zip", _zip_file({"a.pth": _saved(state_dict)})),
    ]
    if HAS_SAFETENSORS:
        files.append(("a.safetensors", kinds.safetensors.torch.save(state_dict)))
    for file in files:
        reading = read_submission([file], sizes, num_images=1)
        if isinstance(reading, Network):
            reading.predict(torch.zeros(1, 1, sizes.side, sizes.side))
    for codec in _LATE_CODECS:
        codecs.lookup(codec)
    refused = (_saved({"object": SubmissionError}), b"", b"\xff,\n", _numpy_file(np.array([{}])))
    for content in refused:
        for name in ("a.pth", "a.csv", "a.npy", "a.zip", "a.onnx"):
            with contextlib.suppress(SubmissionError):
                read_submission([(name, content)], sizes, num_images=1)


def _saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _numpy_file(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _zip_file(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
