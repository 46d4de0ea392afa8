"""Files that are written whole or not at all, and the JSON that the scripts hand each other."""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from common.errors import UserError

SCHEMA_VERSION = 1

_TEMPORARY = ".writing-"


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader finds the old file or the new, never a part.

    A temporary file in the same folder is written, flushed to the disk and renamed over ``path``;
    then the folder itself is flushed, since the new name is only as durable as its folder. What
    killed processes left of such files is removed on the way.

    Raises
    ------
    UserError
        If ``path`` is no place for a file.
    OSError
        If it cannot be written to; ``path`` is then as it was before.
    """
    path = Path(path)
    require_target(path)
    _remove_leftovers(path.parent)
    try:
        _write_beside_and_rename(path, content)
    except OSError as error:
        # The name of the temporary file would mean nothing to anyone.
        raise OSError(error.errno, error.strerror, str(path)) from error


def require_target(path: Path) -> None:
    """Make the folder of ``path``, and refuse a path that is no place for a file.

    Raises
    ------
    UserError
        If a folder, a device or the like has that name: renaming over it would fail, or destroy it.
    OSError
        If the folder cannot be made.
    """
    if not path.name or (path.exists() and not path.is_file()):
        raise UserError(f"{path} is not a regular file: name another one to write to")
    path.parent.mkdir(parents=True, exist_ok=True)


def _write_beside_and_rename(path: Path, content: bytes) -> None:
    file, temporary = _open_temporary(path.parent)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            # mkstemp makes private files; what the scripts write is as readable as any other file.
            os.chmod(temporary, 0o666 & ~_current_umask())
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _open_temporary(folder: Path) -> tuple[BinaryIO, str]:
    """Make a file whose lock says, for as long as it is open, that somebody is at work on it."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)
        file = os.fdopen(descriptor, "wb")
        try:
            with contextlib.suppress(OSError):  # a file system without locks has no cleaning, too
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another process may have taken it for a leftover before it was locked.
            if os.fstat(descriptor).st_nlink > 0:
                return file, name
        except BaseException:
            file.close()
            os.unlink(name)
            raise
        file.close()


def _remove_leftovers(folder: Path) -> None:
    for leftover in folder.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError), leftover.open("r+b") as file:  # another's, or in use
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def _current_umask() -> int:
    # The only way to read it is to set it; the scripts run one thread at this point.
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write ``document`` as indented UTF-8 JSON with sorted keys and the schema version.

    Raises
    ------
    ValueError
        If a number is NaN or infinite: JSON has neither.
    """
    text = json.dumps(
        {"schema_version": SCHEMA_VERSION, **document},
        indent=2,
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
    )
    write_whole(path, f"{_escape_invisible(text)}\n".encode())


def _escape_invisible(text: str) -> str:
    # Outside of strings JSON has no such character but the newline, so it stands in a name or
    # reason of a stranger's, and could reorder the line for whoever reads the file.
    return "\n".join(
        line
        if line.isprintable()
        else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        for line in text.split("\n")
    )


def readable(path: str | Path) -> str:
    r"""Return ``path`` as text that JSON can hold; bytes that are no UTF-8 become ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def read_json(path: Path, required: Sequence[str] = ()) -> dict[str, Any]:
    """Read a document that ``write_json`` wrote.

    Raises
    ------
    UserError
        If the file is missing, is no JSON object, has a schema version this code does not know, or
        lacks one of the ``required`` keys.
    """
    try:
        document = json.loads(Path(path).read_bytes(), parse_constant=_refuse_constant)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON: write it anew with the script that made it"
        ) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema_version {version!r:.40}, and this code reads {SCHEMA_VERSION}: "
            "write it anew with the script that made it"
        )
    missing = [key for key in required if key not in document]
    if missing:
        raise UserError(f"{path} has no {missing[0]}: is it the right file?")
    return document
