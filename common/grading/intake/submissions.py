"""Which submissions a path holds, one a file or student's folder, and which file of it counts."""

import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common.support.errors import SubmissionError, UserError
from common.support.text import json_text, quoted

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
_MAX_FOLDER_DEPTH = 32

# The files that a training script leaves in its folder.
_RUN_FILES = {"checkpoint.pth", "metrics.json", "training_state.pth"}

_OUTSIDE = "not a regular file: a link that leads outside of the folder"
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
        # Unlike Path's method, this is False for whatever the system refuses to look at.
        return os.path.isfile(self.source / "metrics.json")


def require_outside(output: Path, paths: list[Path]) -> None:
    """Refuse to write among the submissions, which could overwrite one.

    Raises UserError if ``output`` would lie in a folder that is graded, or replace a file that is.
    """
    folder = output.parent.resolve()
    for path in paths:
        real = path.resolve()
        if real in (output.resolve(), folder / "grades.csv") or (
            os.path.isdir(path) and folder.is_relative_to(real)
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

    A file or a run's folder is one submission; any other folder is a collection of them, without
    its hidden files. A folder is a run's if it holds a run's files and nothing else: one student's
    ``metrics.json`` must not make a run of everybody's folder.

    Raises UserError if a path does not exist, or a folder is empty.
    """
    found: dict[Path, tuple[str, Path | None]] = {}
    named: set[str] = set()  # absolute paths: a folder can be given in several spellings
    for path in paths:
        if not os.path.lexists(path):
            raise UserError(f"{path}: no such file or folder")
        if os.path.abspath(path) in named:
            continue
        named.add(os.path.abspath(path))
        if not os.path.isdir(path):
            found.setdefault(path, (path.name or str(path), None))
            continue
        entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        if not entries:
            raise UserError(f"{path}: nothing to grade in this folder")
        inside = {entry.name for entry in entries}
        if "metrics.json" in inside and inside <= _RUN_FILES:
            found.setdefault(path, (path.name or str(path), None))
            continue
        for entry in entries:
            found.setdefault(entry, (entry.name, path))
    times_named = Counter(json_text(name) for name, _ in found.values())
    names = [
        json_text(name if times_named[json_text(name)] == 1 else path)
        for path, (name, _) in found.items()
    ]
    return [
        Submission(name, path, limit)
        for name, (path, (_, limit)) in zip(_distinct(names), found.items(), strict=True)
    ]


def _distinct(names: list[str]) -> list[str]:
    r"""Number equal names, such as the byte FF and the four characters ``\xff``."""
    taken = Counter(names)
    for index, name in enumerate(names):
        if taken[name] > 1:
            numbered = (f"{name} ({number})" for number in itertools.count(2))
            names[index] = next(other for other in numbered if other not in taken)
            taken[name] -= 1
            taken[names[index]] = 1
    return names


def open_submission(submission: Submission) -> OpenFile:
    """Open the file that counts, without ever blocking and without following a link outside.

    In a training run's folder it is ``checkpoint.pth``, in any other folder the only file of a
    known kind, at any depth. Hidden files are left out.

    Raises SubmissionError if there is no such file, or it must not be opened.
    """
    try:
        if submission.limit is not None and submission.source.is_symlink():
            # Even one that leads to another submission: that would be somebody else's work.
            raise SubmissionError("not a regular file but a link: hand in the file itself")
        source = Path(os.path.realpath(submission.source))
        if not stat.S_ISDIR(os.lstat(source).st_mode):
            return _open(source, Path(submission.source).suffix, submission.limit)
        path = source / "checkpoint.pth" if submission.is_run else _only_candidate(source)
        return _open(_resolve(path, source), path.suffix, source)
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


def _resolve(path: Path, limit: Path) -> Path:
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(limit):
        raise SubmissionError(_OUTSIDE)
    if path.is_symlink() and not real.exists():
        raise SubmissionError("not a regular file: a link that leads nowhere")
    return real


def _only_candidate(folder: Path) -> Path:
    candidates = sorted(
        path for path in _files_in(folder) if path.suffix.lower() in (*KINDS, ".pt2")
    )
    if not candidates:
        raise SubmissionError(f"the folder has no file to grade: hand in one of {_known()}")
    if len(candidates) > 1:
        shown = ", ".join(quoted(json_text(path.relative_to(folder))) for path in candidates[:3])
        raise SubmissionError(
            f"ambiguous: the folder has {len(candidates)} files that could be graded ({shown}"
            f"{', ...' if len(candidates) > 3 else ''}): keep one"
        )
    return candidates[0]


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield what is not a folder, at any depth; hidden files and folders are left out."""
    # Not os.walk: it lists a whole folder before anyone can count, and recurses for each level.
    entries = 0
    waiting = [(folder, 0)]
    while waiting:
        parent, depth = waiting.pop()
        if depth > _MAX_FOLDER_DEPTH:
            raise SubmissionError(f"the folder is more than {_MAX_FOLDER_DEPTH} folders deep")
        with os.scandir(parent) as listing:
            for entry in listing:
                entries += 1
                if entries > _MAX_FOLDER_ENTRIES:
                    raise SubmissionError(
                        f"the folder has more than {_MAX_FOLDER_ENTRIES:,} entries"
                    )
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), depth + 1))
                else:
                    yield Path(entry.path)


def _open(path: Path, suffix: str, limit: Path | None) -> OpenFile:
    """Open a path without links in it, if it leads to a regular file of a known kind."""
    _require_regular(os.lstat(path).st_mode)
    if suffix.lower() == ".pt2":
        raise SubmissionError(_UNSAFE)
    if suffix.lower() not in KINDS:
        raise SubmissionError(f"unknown kind of file: hand in one of {_known()}")
    # The file may have been replaced since then: follow no link, and wait for no FIFO.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _require_regular(status.st_mode)
        # A folder in the path may have become a link since it was resolved.
        opened = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if limit is not None and not opened.is_relative_to(os.path.realpath(limit)):
            raise SubmissionError(_OUTSIDE)
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
