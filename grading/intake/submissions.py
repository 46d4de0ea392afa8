"""Which submissions a path holds: one a student, with the files that may count.

Which of several files counts is decided by their content, in the submission's own process.
"""

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from common.support.errors import UserError
from common.support.text import json_text
from grading.intake.attempts import files_under, one_a_student, read_text
from grading.intake.class_zip import Member, unpack_class
from grading.intake.submission import Submission
from grading.platforms import known
from grading.platforms.gradescope import METADATA, Handed, read_gradescope_metadata
from grading.platforms.upload import Parts
from grading.sandbox.members import is_passed_over, parts_of

# What operating systems and programs leave in folders, and nobody hands in.
_LITTER = re.compile(
    rf"__MACOSX|\._.*|\.DS_Store|Thumbs\.db|desktop\.ini|~\$.*|{re.escape(METADATA)}", re.I
)

# All that a training script leaves in its folder.
_RUN_FILES = {"checkpoint.pth", "metrics.json", "training_state.pth"}


class _File(NamedTuple):
    """One of a student's files."""

    title: str  # what the student called it, or the folder or zip file around it
    entry: str  # the same by the name that the platform gave it
    inner: str  # its name in the folder, with a slash before it
    place: Path


class Found(NamedTuple):
    """What is to be graded, and what was left out because nobody hands it in."""

    submissions: list[Submission]
    left_out: list[str]


def require_outside(output: Path, paths: list[Path]) -> None:
    """Refuse to write among the submissions, which could overwrite one.

    Raises UserError if ``output`` would be in a folder that is graded, or replace a graded file.
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


def find_submissions(paths: list[Path], isolation: str, folder: Path, platform: str = "") -> Found:
    """Return what is to be graded under ``paths``, sorted within each.

    A file or a run's folder is one submission; any other folder is a class's, without its hidden
    files. A folder is a run's if it holds a run's files and nothing else: one student's
    ``metrics.json`` must not make a run of everybody's folder. A zip file is a class's if its
    members have the names that a course platform gives; it is unpacked into ``folder``, under
    ``isolation``.

    Raises UserError if a path does not exist, a folder is empty, or a class's zip file is encrypted
    or too large.
    """
    found: dict[tuple[Path, str], Submission] = {}
    left_out: list[str] = []
    named: set[str] = set()  # absolute paths: a folder can be given in several spellings
    for path in paths:
        if not os.path.lexists(path):
            raise UserError(f"{path}: no such file or folder")
        if os.path.abspath(path) in named:
            continue
        named.add(os.path.abspath(path))
        if os.path.isdir(path) and not _is_run_and_nothing_else(path):
            submissions, litter = _of_folder(path, platform)
        elif (
            path.suffix.lower() == ".zip"
            and os.path.isfile(path)
            and (members := unpack_class(path, folder, isolation, platform))
        ):
            submissions, litter = _of_zip(path, members, platform)
        else:
            submissions, litter = [Submission(path.name or str(path), path, None)], []
        left_out += litter
        if not submissions:
            raise UserError(f"{path}: nothing to grade in this folder")
        for submission in submissions:
            key = submission.name if submission.source == path else ""
            found.setdefault((submission.source, key), submission)
    return Found(_with_distinct_names(list(found.values())), left_out)


def _is_run_and_nothing_else(folder: Path) -> bool:
    inside = {name for name in os.listdir(folder) if not name.startswith(".")}
    return "metrics.json" in inside and inside <= _RUN_FILES


def _of_folder(folder: Path, platform: str) -> tuple[list[Submission], list[str]]:
    """Return the submissions in a class's folder, and the names of what nobody hands in."""
    names = sorted(os.listdir(folder))
    form, places = known.recognise_on_top(names, platform), {}
    if form is None:
        places = files_under(folder)
        form = _form(folder, places, platform)
        if form and form.platform not in known.ON_TOP:
            found, litter = one_a_student(form, places)
            return [s._replace(limit=folder) for s in found], litter
    if around := _around(form, places):
        folder = folder.joinpath(*around)
        names = sorted(os.listdir(folder))
    entries = {name: [("", places.get((name,)) or folder / name)] for name in names}
    found, litter = _of_class(entries, folder / METADATA, form)
    whole = [s._replace(limit=folder, files=s.files if len(s.files) > 1 else ()) for s in found]
    return whole, litter


def _form(where: Path, places: dict[Parts, Path], platform: str) -> known.Form | None:
    shown = [path for path in places if not _LITTER.fullmatch(path[0]) or path[-1] == METADATA]
    form = known.recognise(shown, lambda name: read_text(places.get(name)), known.insist(platform))
    if platform and not form:
        raise known.refuse(where, platform, shown)
    return form


def _around(form: known.Form | None, paths: Iterable[Parts]) -> Parts:
    """Return the folders around all of a class."""
    if not form or not form.depth:
        return ()
    return next(path for path in paths if not _LITTER.fullmatch(path[0]))[: form.depth]


def _of_zip(path: Path, members: list[Member], platform: str) -> tuple[list[Submission], list[str]]:
    """Return the submissions in a class's zip file, as in the folder that it holds."""
    named = [(tuple(parts_of(name)), place) for name, place in members]
    whole = {parts: place for parts, place in named if parts}  # not "/" and the like
    form = _form(path, dict(sorted(whole.items())), platform)
    limit = members[0][1].parent
    if form and form.platform not in known.ON_TOP:
        found, litter = one_a_student(form, dict(sorted(whole.items())))
        return [s._replace(source=path, limit=limit) for s in found], litter
    entries: dict[str, list[tuple[str, Path]]] = {}
    around = _around(form, sorted(whole))
    # Of two members of one name the last counts, as in a folder that they are unpacked to.
    places = {
        parts[len(around) :] if parts[: len(around)] == around else parts: place
        for parts, place in named
    }
    for parts, place in sorted(places.items()):
        if parts and not any(map(is_passed_over, parts[1:])):
            inner = "".join(f"/{part}" for part in parts[1:])
            entries.setdefault(parts[0], []).append((inner, place))
    for files in entries.values():
        if {"/metrics.json", "/checkpoint.pth"} <= {inner for inner, _ in files}:  # a run's folder
            files[:] = [(inner, place) for inner, place in files if inner == "/checkpoint.pth"]
    metadata = entries.get(METADATA, [("", Path(os.devnull))])[0][1]
    submissions, litter = _of_class(entries, metadata, form)
    return [s._replace(source=path, limit=limit) for s in submissions], litter


def _of_class(
    entries: dict[str, list[tuple[str, Path]]], metadata: Path, form: known.Form | None
) -> tuple[list[Submission], list[str]]:
    """Return the submissions of a class, and the names of what nobody hands in.

    ``entries`` are the files and folders by name, in order; each file with what follows the name
    and where it is. ``metadata`` is Gradescope's file, if there is one.
    """
    metadata_of = read_gradescope_metadata(metadata)
    litter = [name for name in entries if _LITTER.fullmatch(name)]
    names = [n for n in entries if not n.startswith(".") and n not in litter]
    uploads = {path[0]: upload for path, upload in form.uploads.items()} if form else {}
    groups: dict[str, list[_File]] = {}
    for name in names:
        upload = uploads.get(name)
        if upload is not None and upload.is_own:
            litter.append(name)
            continue
        owner = upload.owner if upload else name.removesuffix(".data")
        key = owner if upload or owner in entries else name
        title = upload.title if upload else name
        files = [_File(title, name, inner, place) for inner, place in entries[name]]
        groups.setdefault(key, []).extend(files)
    submissions = []
    for owner, files in groups.items():
        entry = files[0].entry
        handed = metadata_of.get(entry, Handed())
        key = ""
        if upload := uploads.get(entry):
            key, handed = upload.key, handed._replace(is_late=upload.is_late)
        submissions.append(_of_student(owner, files, handed, key))
    return submissions, litter


def _of_student(owner: str, files: list[_File], handed: Handed, key: str) -> Submission:
    entries = list(dict.fromkeys(file.entry for file in files))
    is_one = len(entries) == 1
    places = tuple(
        ((is_one and file.inner[1:]) or f"{file.title}{file.inner}", file.place) for file in files
    )
    name = entries[0] if is_one else owner
    whose = ", ".join(handed.students) or owner
    return Submission(name, places[0][1], None, places, handed, whose, entries[0], key=key)


def _with_distinct_names(submissions: list[Submission]) -> list[Submission]:
    r"""Name equal ones after their sources, and number what is equal even then.

    Such as the byte FF and the four characters ``\xff``.
    """
    names = [json_text(submission.name) for submission in submissions]
    times_named = Counter(names)
    for index, submission in enumerate(submissions):
        if times_named[names[index]] > 1:
            inside = f"/{names[index]}" if submission.is_in_zip else ""
            names[index] = f"{json_text(submission.source)}{inside}"
    taken = Counter(names)
    for index, name in enumerate(names):
        if taken[name] > 1:
            numbered = (f"{name} ({number})" for number in itertools.count(2))
            names[index] = next(other for other in numbered if other not in taken)
            taken[name] -= 1
            taken[names[index]] = 1
    pairs = zip(submissions, names, strict=True)
    return [s if s.name == name else s._replace(name=name) for s, name in pairs]
