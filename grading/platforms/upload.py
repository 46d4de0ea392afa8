"""What a platform's name for a file says: whose it is, and of which attempt."""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from grading.platforms.back import Back

Parts = tuple[str, ...]  # the names of the folders and of the file


class Upload(NamedTuple):
    """One file of a student, by the name that the platform gave it."""

    owner: str  # the same for all files of a student or team, and for nobody else's
    title: str  # what the student called it
    key: str = ""  # what the platform's gradebook calls the student
    attempt: tuple[int | str, ...] = ()  # of several attempts the highest is the newest
    is_own: bool = False  # made by the platform, and nobody's work
    time: str = ""  # when it was handed in, ISO 8601; without an offset in the platform's own zone
    is_late: bool | None = None  # by the platform's own due date


OWN = Upload("", "", is_own=True)
Uploads = dict[Parts, Upload]
TextOf = Callable[[Parts], str]  # the beginning of a file's text; empty if it is not there


class Platform(NamedTuple):
    """How a platform's download is read: by the names in it, and by its own files."""

    name: str  # as --platform takes it
    title: str  # as people write it
    # Empty unless the names have the platform's form; what is in no upload fits no form.
    read: Callable[[Sequence[Parts], TextOf], Uploads]
    backs: tuple[Back, ...] = ()  # the first whose columns a list of students has is its form


def most(uploads: Uploads, paths: Sequence[Parts], least: int = 1) -> Uploads:
    """Return the uploads if most of the paths have them, and students enough; else nothing.

    One name of a form may be a coincidence, and one of another may have been put beside them.
    """
    owners = {upload.owner for upload in uploads.values() if not upload.is_own}
    enough = len(uploads) > len(paths) / 2 and len(owners) >= least
    return uploads if enough else {}


def commonest(names: Sequence[str]) -> str:
    """Return the name that is there most often; empty without names."""
    return Counter(names).most_common(1)[0][0] if names else ""


def iso_time(text: str) -> str:
    """Return a platform's time stamp as ISO 8601; nothing if it is none, or its zone is unknown."""
    with contextlib.suppress(ValueError):
        if ":" in text:  # a day alone tells too little
            return datetime.fromisoformat(text[:40].strip().replace(" UTC", "Z")).isoformat()
    return ""
