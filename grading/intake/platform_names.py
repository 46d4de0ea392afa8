"""Whose file is whose, by the names that course platforms give to what was handed in."""

import ast
import contextlib
import re
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

# lastfirst[_LATE]_<user id>_<file id>_<title>; a later version has -1, -2, ... before its suffix.
_CANVAS = re.compile(r"(?P<who>[^_]+)(?:_LATE)?_(?P<user>\d+)_(?P<file>\d+)_(?P<title>.+)", re.S)
_VERSION = re.compile(r"-(\d+)(?=\.[^.]*$|$)")
# <full name>_<participant>_assignsubmission_file[_<title>], or _onlinetext_ for text typed in.
_MOODLE = re.compile(
    r"(?P<owner>.+_\d+)_assignsubmission_(?P<kind>file|onlinetext)_?(?P<title>.*)", re.S
)
METADATA = "submission_metadata.yml"  # Gradescope's
_MAX_METADATA = 4 * 2**20  # bytes
# "  :created_at: 2026-04-26 17:34:00.861687000 Z", or "    utc: ..." in the lines below.
_TIME = re.compile(
    r"  (?::created_at:|  utc:) ['\"]?(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?"
    r"(?: ?(Z|[+-]\d\d:?\d\d))?['\"]?\s*(?:#.*)?$",
    re.ASCII,
)
# "  - :name: Ada", and the lines below it: what is further in belongs to a name of several lines.
_SUBMITTER = re.compile(r"(?:  - |    ):(?:name|sid|email): (.+?)\s*$")
# <name>[_LATE]_<user>_<file>_<title>, or [LATE_]anon_<letters>_<file>_<title>
# (lib/content_zipper.rb in instructure/canvas-lms).
_CANVAS_LATE = re.compile(r"(?:[^_]+(_LATE)?_\d+|(LATE_)?anon_[^_]+)_\d+_.+", re.DOTALL | re.ASCII)


class Upload(NamedTuple):
    """One file of a student, by the name that the platform gave it."""

    owner: str  # the same for all files of a student
    title: str  # what the student called it
    is_text: bool = False  # typed into the platform, and no file of the student's


def canvas_group(name: str) -> Upload | None:
    """Read a name that Canvas gave; None if it is none. Versions of a title share the title."""
    if found := _CANVAS.fullmatch(name):
        return Upload(f"{found['who']}_{found['user']}", _VERSION.sub("", found["title"]))
    return None


def canvas_order(name: str) -> tuple[str, int, int]:
    """Return what sorts Canvas's names: of several versions of a title, the highest comes last."""
    found = _CANVAS.fullmatch(name)
    if not found:
        return name, 0, 0
    version = _VERSION.search(found["title"])
    return found["who"], int(version[1]) if version else 0, int(found["file"])


def moodle_group(name: str) -> Upload | None:
    """Read a name that Moodle gave; None if it is none."""
    if found := _MOODLE.fullmatch(name):
        return Upload(found["owner"], found["title"] or name, found["kind"] == "onlinetext")
    return None


def are_of_canvas(names: Collection[str]) -> bool:
    """Tell whether most of the names are Canvas's; one alone may be a coincidence."""
    return sum(canvas_group(name) is not None for name in names) > len(names) / 2


def are_of_platform(names: Collection[str]) -> bool:
    """Tell whether these are the names in what a course platform gives to download."""
    # One name of Canvas's form may be a student's own.
    is_canvas = len(names) > 1 and are_of_canvas(names)
    return METADATA in names or is_canvas or any(map(moodle_group, names))


class Handed(NamedTuple):
    """What a platform says of a submission."""

    students: tuple[str, ...] = ()  # names, numbers and addresses, by Gradescope's metadata
    submitted_at: str = ""  # ISO 8601, likewise
    is_late: bool | None = None  # by Canvas's own due date


def read_gradescope_metadata(path: Path) -> dict[str, Handed]:
    """Return the students and the time of each folder of a Gradescope export.

    Reads the few lines that matter of submission_metadata.yml (Ruby's YAML: keys begin with a
    colon), so that no YAML parser is needed. Without the file there are none.
    """
    if not path.is_file() or path.stat().st_size > _MAX_METADATA:
        return {}
    folders: dict[str, Handed] = {}
    folder, key = "", ""
    # Not splitlines: it would also end a line where a name has an odd character.
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        if found := re.match(r"['\"]?(submission_\d+)['\"]?:\s*$", line):
            folder, key = found[1], ""
        elif found := re.match(r"  :(\w+):", line):
            key = found[1]
        known = folders.get(folder, Handed())
        # Rails writes a time with its zone as an object, whose first key is the time in UTC.
        if key == "created_at" and (found := _TIME.match(line)):
            text, key = f"{found[1]}T{found[2]}{found[3] or 'Z'}", ""
            folders[folder] = known._replace(submitted_at="")
            with contextlib.suppress(ValueError):  # there may be no such time
                time = datetime.fromisoformat(text).isoformat()
                folders[folder] = known._replace(submitted_at=time)
        elif key == "submitters" and (found := _SUBMITTER.match(line)) and _plain(found[1]):
            folders[folder] = known._replace(students=(*known.students, _plain(found[1])))
    return folders


def _plain(scalar: str) -> str:
    """Return the text of a YAML scalar on one line; nothing for null or a longer text."""
    if scalar in ("null", "~") or scalar.startswith(("|", ">")):
        return ""
    if scalar.startswith('"'):
        with contextlib.suppress(ValueError, SyntaxError):  # its escapes are Python's too
            return str(ast.literal_eval(scalar)).strip()
    return scalar.strip("'\"").replace("''", "'").strip()


def lateness_on_canvas(names: Collection[str]) -> dict[str, bool]:
    """Return for the uploads of a class on Canvas whether it marked them late, by name.

    Nothing if most of the names are not Canvas's: one alone may be a coincidence.
    """
    found = {name: _CANVAS_LATE.fullmatch(name) for name in names}
    late = {name: any(match.groups()) for name, match in found.items() if match}
    return late if len(late) > len(names) / 2 else {}
