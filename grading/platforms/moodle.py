"""Moodle: <full name or team>[_<number>]_assignsubmission_file[_<title>], in all languages.

Sources: moodle/moodle, mod/assign/classes/downloader.php, mod/assign/gradingtable.php,
mod/assign/feedback/offline/importgradeslib.php. _onlinetext_ is text typed in.
"""

import re
from collections.abc import Iterator, Sequence

from grading.platforms.back import Back, Cells, Pairs
from grading.platforms.upload import Parts, Platform, TextOf, Upload, Uploads

_NAME = re.compile(r"(?P<owner>.+)_assignsubmission_(?P<kind>file|onlinetext)_?(?P<title>.*)", re.S)
_NUMBER = re.compile(r"_(\d+)$", re.A)
_PAIR = re.compile(r"_(\d+)_assignsubmission_file", re.A)


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    uploads: Uploads = {}
    for path in paths:
        if found := _NAME.fullmatch(path[0]):
            number = _NUMBER.search(found["owner"])
            key = number[1] if number else found["owner"]
            title = found["title"] or path[0]
            uploads[path] = Upload(found["owner"], title, key, (), found["kind"] == "onlinetext")
    return uploads


def pairs_of(name: str) -> Pairs:
    """Return whom a name that Moodle gave can mean: pairs of a full name or team, and a number."""
    # A student who can edit the full name can put such a pair into it, so there may be several.
    return [(name[: found.start()], found[1]) for found in _PAIR.finditer(name)]


# A worksheet can be in any language. What stands at no fixed place is known by its German word.
_GERMAN = {
    "Vollständiger Name": "Full name",
    "Vorname": "First name",
    "Nachname": "Last name",
    "Anmeldename": "Username",
    "ID-Nummer": "ID number",
    "Matrikelnummer": "ID number",
    "E-Mail-Adresse": "Email address",
    "Gruppe": "Group",
    "Zuletzt geändert (Abgabe)": "Last modified (submission)",
    "Feedback als Kommentar": "Feedback comments",
}
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)?", re.A)
_PARTICIPANT = re.compile(r"[^\d]+\d+", re.A)


def _in_english(header: Cells, rows: Sequence[Cells]) -> Cells:
    """Return a worksheet's titles in English; those of any other list as they are.

    The first column ends in the participant's number; the maximum is the first column of numbers,
    and the grade, empty or a number, is before it.
    """
    if "Identifier" in header or not all(_PARTICIPANT.fullmatch(r[0].strip()) for r in rows):
        return header
    for at in range(3, len(header)):
        if all(map(_NUMBERS.fullmatch, _column(rows, at))) and all(
            cell in ("", "-") or _NUMBERS.fullmatch(cell) for cell in _column(rows, at - 1)
        ):
            words = [_GERMAN.get(word, word) for word in header]
            words[0], words[at - 1], words[at] = "Identifier", "Grade", "Maximum Grade"
            if not {"Full name", "First name"} & {*words}:
                words[1] = "Full name"
            return words
    return header


def _column(rows: Sequence[Cells], at: int) -> Iterator[str]:
    return (row[at].strip() for row in rows)


_KEYS = ("Username", "ID number", "Email address")
_NEEDS = (
    "offline grading worksheet of Moodle (columns Identifier and Grade), and no list of "
    f"participants (column {' or '.join(_KEYS)}): download one of them in English"
)
_NAMES = ("Full name", "First name", "Last name")
# One word in place of a number makes Moodle refuse a whole file. A worksheet's row stays as it was
# without a grade; a list of participants is imported with the graded alone.
_WORKSHEET = Back(
    keys=("Identifier",),
    grade="Grade",
    needs=_NEEDS,
    names=_NAMES,
    also=_KEYS,
    team="Group",
    maximum="Maximum Grade",
    comment="Feedback comments",
    is_whole=True,
    keeps=True,
    translate=_in_english,
    pairs=pairs_of,
    is_numbered=True,
    are_named=True,
)
_PARTICIPANTS = Back(
    keys=_KEYS,
    needs=_NEEDS,
    names=_NAMES,
    team="Group",
    comment="Feedback",
    pairs=pairs_of,
    are_named=True,
)
MOODLE = Platform("moodle", "Moodle", _read, (_WORKSHEET, _PARTICIPANTS))
