"""What lies under a path: a submission a file or student's folder, and which file of it counts."""

import os
import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from common.errors import SubmissionError, UserError
from common.escaping import quoted
from common.files import readable

# How a file is read, by its suffix in small letters.
KINDS = {
    ".pth": "checkpoint",
    ".pt": "checkpoint",
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".csv": "predictions",
}

# The improved network takes 6 MB.
MAX_BYTES = 256 * 2**20

_MAX_FOLDER_ENTRIES = 10_000
_UNSAFE = (
    "a .pt2 file is a program that can run code when it is opened: hand in the weights "
    "(.pth, .safetensors) or an .onnx model"
)


class Submission(NamedTuple):
    """Something that gets one row."""

    name: str  # of the row
    source: Path  # as given
    limit: Path | None  # no link may lead outside of this folder; None: the user named the file

    @property
    def is_run(self) -> bool:
        """Whether the source is a run's folder, in which ``checkpoint.pth`` counts."""
        return (self.source / "metrics.json").is_file()


def require_outside(output: Path, paths: list[Path]) -> None:
    """Refuse to write among the submissions, which could overwrite one.

    Raises
    ------
    UserError
        If ``output`` would lie in a folder that is graded, or replace a file that is.
    """
    folder = output.parent.resolve()
    for path in paths:
        real = path.resolve()
        if real in (output.resolve(), folder / "grades.csv") or (
            path.is_dir() and folder.is_relative_to(real)
        ):
            raise UserError(
                f"{output} would be written among the submissions of {path}: "
                "name another place with --output"
            )


class OpenFile(NamedTuple):
    """The file of a submission that counts."""

    descriptor: int
    size: int  # bytes
    kind: str  # one of the values of KINDS


def find_submissions(paths: list[Path]) -> list[Submission]:
    """Return what is to be graded under ``paths``, sorted within each.

    A file or a run's folder is one submission; any other folder is a collection of them, whose
    hidden files are left out.

    Raises
    ------
    UserError
        If a path does not exist, or a folder is empty.
    """
    found: dict[Path, tuple[str, Path | None]] = {}
    named: set[str] = set()  # absolute paths: a folder can be given in several spellings
    for path in paths:
        if not os.path.lexists(path):
            raise UserError(f"{path}: no such file or folder")
        if os.path.abspath(path) in named:
            continue
        named.add(os.path.abspath(path))
        if not path.is_dir() or (path / "metrics.json").is_file():
            found.setdefault(path, (path.name or str(path), None))
            continue
        entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        if not entries:
            raise UserError(f"{path}: nothing to grade in this folder")
        for entry in entries:
            found.setdefault(entry, (entry.name, path))
    times_named = Counter(readable(name) for name, _ in found.values())
    return [
        Submission(readable(name if times_named[readable(name)] == 1 else path), path, limit)
        for path, (name, limit) in found.items()
    ]


def open_submission(submission: Submission) -> OpenFile:
    """Open the file that counts, without ever waiting and without following a link outside.

    In a folder that is ``checkpoint.pth`` if it is a training run's, else the only file of a known
    kind, at whatever depth; hidden files are left out.

    Raises
    ------
    SubmissionError
        If there is no such file, or it is none that may be opened.
    """
    try:
        source = _resolve(submission.source, submission.limit)
        if not stat.S_ISDIR(os.lstat(source).st_mode):
            return _open(source, Path(submission.source).suffix)
        path = source / "checkpoint.pth" if submission.is_run else _only_candidate(source)
        return _open(_resolve(path, source), path.suffix)
    except FileNotFoundError as error:
        missing = (
            "a run's folder (it has metrics.json), but it has no checkpoint.pth"
            if submission.is_run
            else "no such file"
        )
        raise SubmissionError(missing) from error
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise SubmissionError(f"cannot be read: {problem}") from error


def _resolve(path: Path, limit: Path | None) -> Path:
    real = Path(os.path.realpath(path))
    if limit is not None and not real.is_relative_to(os.path.realpath(limit)):
        raise SubmissionError("not a regular file: a link that leads outside of the folder")
    if path.is_symlink() and not real.exists():
        raise SubmissionError("not a regular file: a link that leads nowhere")
    return real


def _only_candidate(folder: Path) -> Path:
    candidates: list[Path] = []
    entries = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        entries += len(folders) + len(files)
        if entries > _MAX_FOLDER_ENTRIES:
            raise SubmissionError(f"the folder has more than {_MAX_FOLDER_ENTRIES:,} entries")
        candidates += [
            Path(parent, name)
            for name in sorted(files)
            if not name.startswith(".") and Path(name).suffix.lower() in (*KINDS, ".pt2")
        ]
    if not candidates:
        raise SubmissionError(f"the folder has no file to grade: hand in one of {_known()}")
    if len(candidates) > 1:
        shown = ", ".join(quoted(readable(path.relative_to(folder))) for path in candidates[:3])
        raise SubmissionError(
            f"ambiguous: the folder has {len(candidates)} files that could be graded ({shown}"
            f"{', ...' if len(candidates) > 3 else ''}): keep one"
        )
    return candidates[0]


def _open(path: Path, suffix: str) -> OpenFile:
    """Open a path without links in it, if what it leads to is a regular file of a known kind."""
    _require_regular(os.lstat(path).st_mode)
    if suffix.lower() == ".pt2":
        raise SubmissionError(_UNSAFE)
    if suffix.lower() not in KINDS:
        raise SubmissionError(f"unknown kind of file: hand in one of {_known()}")
    # Whatever took the file's place since then: no link is followed, and no FIFO waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _require_regular(status.st_mode)
        if status.st_size == 0:
            raise SubmissionError("the file is empty")
        if status.st_size > MAX_BYTES:
            raise SubmissionError(
                f"the file has {status.st_size / 2**20:,.0f} MiB; at most "
                f"{MAX_BYTES // 2**20} MiB are allowed"
            )
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(descriptor, status.st_size, KINDS[suffix.lower()])


def _require_regular(mode: int) -> None:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    if not stat.S_ISREG(mode):
        raise SubmissionError(f"not a regular file but {kinds.get(stat.S_IFMT(mode), 'a link')}")


def _known() -> str:
    return ", ".join(KINDS)
