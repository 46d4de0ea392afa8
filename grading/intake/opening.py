"""Opens the files of a submission that may count, without reading more than their first bytes."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from common.support.errors import SubmissionError
from common.support.text import json_text
from grading.intake.submission import Submission
from grading.sandbox import machine
from grading.sandbox.members import DATA, TABLES, is_passed_over
from grading.sandbox.wire import MAX_BYTES, MAX_FILES, OpenFile, changed_at, close_all

MODELS = (
    *(".pth", ".pt", ".ckpt", ".bin", ".tar", ".safetensors", ".onnx"),
    *(".keras", ".h5", ".hdf5"),
)
# What is refused with a word on what to hand in instead, if nothing else is there.
_REFUSED = (
    *(".pt2", ".pkl", ".pickle", ".joblib"),
    *(".xlsx", ".xls", ".ods", ".parquet", ".feather", ".mat", ".rds", ".rdata", ".rar", ".7z"),
    *(".distcp", ".ocdbt", ".msgpack", ".pdparams", ".pb", ".tflite"),
)
_KNOWN = {*MODELS, *TABLES, *DATA, *_REFUSED, ".zip"}
KNOWN = f"{', '.join(MODELS)}, {', '.join(TABLES)} or .zip"

# Beginnings of files without a suffix: zip, pickles of two protocols, numpy, HDF5; ONNX has none.
_BEGINNINGS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x93NUMPY", b"\x89HDF")

# Of safetensors: the upper bytes of a length, and JSON.
_SAFETENSORS = b"\0\0\0\0{"
_INDEX = ".index.json"  # says in which files the weights of one network are

MAX_TABLE_BYTES = 16 * 2**20  # 10,000 rows of ten probabilities take 2 MB
_MAX_FOLDER_ENTRIES, _MAX_FOLDER_DEPTH = 10_000, 32

# Of these, systems have what they need: Windows would end a text's lines otherwise.
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)

_LINK = "not a regular file: a link that leads"
_OUTSIDE = f"{_LINK} outside of the folder: hand in the file itself"


def open_submission(submission: Submission) -> list[OpenFile]:
    """Open the files that may count, without ever blocking and without following a link outside.

    In a training run's folder that is ``checkpoint.pth``, in any other folder every file of a known
    kind, at any depth; hidden files are left out. Raises SubmissionError if there is none, and
    MachineError for what this machine lacks.
    """
    try:
        in_folder = submission.limit is not None and not submission.is_in_zip
        if in_folder and submission.source.is_symlink():
            # Even one that leads to another submission: that would be somebody else's work.
            raise SubmissionError("not a regular file but a link: hand in the file itself")
        source = Path(os.path.realpath(submission.source))
        if submission.files:
            return _open_several(_files_of(submission))
        if not stat.S_ISDIR(os.lstat(source).st_mode):
            return _open_one(submission.source, source, submission.limit)
        if submission.is_run:
            path = source / "checkpoint.pth"
            return [_open(path.name, _resolve(path, source), source)]
        return _open_several((name, path, source) for name, path in _files_in(source))
    except FileNotFoundError as error:
        raise SubmissionError("no such file: upload it again") from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and machine.lacks(error):
            raise machine.lack(error) from error
        problem = getattr(error, "strerror", None) or str(error)
        raise SubmissionError(f"cannot be read: {problem}; upload it again") from error


def _open_one(named: Path, source: Path, limit: Path | None) -> list[OpenFile]:
    """Open a file that is a submission of its own, and the weights beside an .onnx file."""
    files = [_open(json_text(named.name), source, limit)]
    suffix = os.path.splitext(named.name)[1].lower()
    beside = named.with_name(f"{named.name}.data")
    if limit is None and suffix == ".onnx" and beside.is_file():
        with contextlib.suppress(SubmissionError):  # the model says that its weights are missing
            files.append(_open(json_text(beside.name), Path(os.path.realpath(beside)), None))
    if not _may_count(files[0], suffix):
        close_all(files)
        raise SubmissionError(f"unknown kind of file: hand in one of {KNOWN}")
    return files


def _open_several(paths: Iterator[tuple[str, Path, Path | None]]) -> list[OpenFile]:
    """Open those of several files that may count; a broken one matters only if no other does.

    Each comes with the folder out of which no link may lead. Tables come last: of many, most are
    logs, and they may not take the places of models.
    """
    files: list[OpenFile] = []
    broken: SubmissionError | None = None
    try:
        for name, path, limit in sorted(paths, key=lambda p: (p[0].lower().endswith(TABLES), p[0])):
            suffix = os.path.splitext(name)[1].lower()
            if len(files) == MAX_FILES and suffix in TABLES and not files[0].name.endswith(TABLES):
                break
            if suffix not in _KNOWN and suffix and not name.lower().endswith(_INDEX):
                continue
            try:
                file = _open(name, _resolve(path, limit) if limit else path, limit)
            except SubmissionError as error:
                broken = broken or error
                continue
            if not _may_count(file, suffix):
                os.close(file.descriptor)
                continue
            files.append(file)
            if len(files) > MAX_FILES:
                raise SubmissionError(
                    f"more than {MAX_FILES} files that could be graded: hand in the one that counts"
                )
    except BaseException:
        close_all(files)
        raise
    if not files:
        raise broken or SubmissionError(f"no file to grade: hand in one of {KNOWN}")
    return files


def _may_count(file: OpenFile, suffix: str) -> bool:
    """Tell whether a file can be a submission: by its suffix, or by how it begins without one."""
    if suffix in TABLES and file.size > MAX_TABLE_BYTES:
        return False
    if suffix in _KNOWN or file.name.lower().endswith(_INDEX):
        return True
    beginning = os.read(file.descriptor, 9)  # whoever reads it all goes back to the start
    return beginning.startswith(_BEGINNINGS) or beginning[4:] == _SAFETENSORS


def _resolve(path: Path, limit: Path) -> Path:
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(limit)):
        raise SubmissionError(_OUTSIDE)
    if path.is_symlink() and not real.exists():
        raise SubmissionError(f"{_LINK} nowhere: hand in the file itself")
    return real


def _files_of(submission: Submission) -> Iterator[tuple[str, Path, Path | None]]:
    for title, path in submission.files:
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from ((f"{title}/{name}", inner, path) for name, inner in _files_in(path))
        else:
            yield json_text(title), path, submission.limit


def _files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what is not a folder, at any depth, with its name in the folder; hidden ones not."""
    # Not os.walk: it lists a whole folder before anyone can count, and recurses for each level.
    entries, waiting = 0, [(folder, 0)]
    while waiting:
        parent, depth = waiting.pop()
        if depth > _MAX_FOLDER_DEPTH:
            raise SubmissionError(
                f"the folder is more than {_MAX_FOLDER_DEPTH} folders deep: hand in the file that "
                "counts"
            )
        with os.scandir(parent) as listing:
            for entry in listing:
                entries += 1
                if entries > _MAX_FOLDER_ENTRIES:
                    raise SubmissionError(
                        f"the folder has more than {_MAX_FOLDER_ENTRIES:,} entries: hand in the "
                        "file that counts"
                    )
                if is_passed_over(entry.name):
                    continue
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((path, depth + 1))
                else:
                    yield json_text(path.relative_to(folder).as_posix()), path


def _open(name: str, path: Path, limit: Path | None) -> OpenFile:
    """Open a path without links in it, if it leads to a regular file."""
    _require_regular(os.lstat(path).st_mode)
    # The file may have been replaced since then: follow no link, and wait for no FIFO.
    descriptor = os.open(path, _FLAGS)
    try:
        status = os.fstat(descriptor)
        _require_regular(status.st_mode)
        # A folder in the path may have become a link since it was resolved.
        opened = _place_of(descriptor, path)
        if limit is not None and not opened.is_relative_to(os.path.realpath(limit)):
            raise SubmissionError(_OUTSIDE)
        if status.st_size == 0:
            raise SubmissionError("the file is empty: save it and upload it again")
        if status.st_size > MAX_BYTES:
            raise SubmissionError(
                f"the file has {status.st_size / 2**20:,.0f} MiB; at most "
                f"{MAX_BYTES // 2**20} MiB are allowed: hand in predictions or a smaller network"
            )
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(name, descriptor, status.st_size, changed_at(status))


def _place_of(descriptor: int, path: Path) -> Path:
    """Return where an open file is; where the system does not say that, where its path leads."""
    try:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:
        return Path(os.path.realpath(path))


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kinds = {"d": "a folder", "p": "a FIFO", "s": "a socket", "c": "a device", "b": "a device"}
        kind = kinds.get(stat.filemode(mode)[0], "a link")
        raise SubmissionError(f"not a regular file but {kind}: hand in a file")
