"""A class in a platform's form: one submission a student, of the newest attempt."""

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from common.support.text import json_text, quoted
from grading.intake.submission import Submission
from grading.platforms.gradescope import Handed
from grading.platforms.known import Form
from grading.platforms.upload import Parts, Upload
from grading.sandbox.members import is_passed_over

# Files that are looked at: of a class, and at least of each folder among several.
_MAX_FILES, _LEAST_FILES, _MAX_DEPTH = 10**6, 10_000, 8
_MAX_TEXT = 2**16  # bytes that are read of a platform's own file


def files_under(folder: Path) -> dict[Parts, Path]:
    """Return what is in a class's folder and no folder, sorted; no link to a folder is followed."""
    return dict(sorted(_walk(folder, (), _MAX_FILES)))


def _walk(folder: Path, parts: Parts, limit: int) -> Iterator[tuple[Parts, Path]]:
    """Yield the files; folders side by side share the limit, so that none hides the others."""
    folders = []
    # What cannot be read is an error of its student's when it is opened.
    with contextlib.suppress(PermissionError), os.scandir(folder) as listing:
        for entry in itertools.islice(listing, limit):
            inner = (*parts, entry.name)
            if not entry.is_dir(follow_symlinks=False):
                yield inner, Path(entry.path)
            elif not is_passed_over(entry.name) and len(inner) < _MAX_DEPTH:
                folders.append((Path(entry.path), inner))
    share = max(_LEAST_FILES, limit // max(1, len(folders)))
    for path, inner in folders:
        yield from itertools.islice(_walk(path, inner, share), share)


def read_text(place: Path | None) -> str:
    """Return the beginning of a platform's own file; nothing if it is no regular file."""
    try:
        if place is None or not stat.S_ISREG(os.lstat(place).st_mode):
            return ""
        with place.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def one_a_student(form: Form, places: dict[Parts, Path]) -> tuple[list[Submission], list[str]]:
    """Return the submissions, and the names of what is the platform's own or of no form."""
    inner = {path[form.depth :]: (path, place) for path, place in places.items()}
    students: dict[str, list[tuple[Upload, Parts, Path]]] = {}
    left_out = []
    for name, (path, place) in inner.items():
        upload = form.uploads.get(name)
        if upload is None or not upload.owner:
            left_out.append("/".join(path))
        elif not any(map(is_passed_over, name[1:])):
            students.setdefault(upload.owner, []).append((upload, path, place))
    found = [_newest(form, files) for _, files in sorted(students.items())]
    return found, left_out


def _newest(form: Form, files: list[tuple[Upload, Parts, Path]]) -> Submission:
    work = [file for file in files if not file[0].is_own]
    attempts = sorted({upload.attempt for upload, _, _ in work})
    counted = [file for file in work if file[0].attempt == attempts[-1]]
    note = ""
    if len(attempts) > 1:
        newest = " ".join(map(str, attempts[-1]))
        note = f"of {len(attempts)} attempts on {form.platform.title} the newest was taken: "
        note += quoted(newest)
    titles = {upload.title for upload, _, _ in counted}
    if {"metrics.json", "checkpoint.pth"} <= titles:  # a run's folder
        counted = [file for file in counted if file[0].title == "checkpoint.pth"]
    # Without any file the student still gets a row, which says so.
    named = tuple((upload.title, place) for upload, _, place in counted)
    named = named or (("nothing handed in", files[0][2]),)
    upload, path, _ = (counted or files)[0]
    time = max(upload.time for upload, _, _ in counted) if counted else ""
    key = upload.key or upload.owner
    return Submission(
        *(key, named[0][1], None, named),
        owner=key,
        upload=json_text("/".join(path)),
        note=note,
        key=key,
        handed=Handed(submitted_at=time),
    )
