"""Moodle's grading worksheet in any language: its columns are known by where they stand.

Source: moodle/moodle, mod/assign/gradingtable.php; the German words are those of its language pack.
"""

import re

from grading.gradebooks.rosters import Roster

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?", re.ASCII)
_PARTICIPANT = re.compile(r"[^\d]+\d+", re.ASCII)
# What stands at no fixed place, and what matching names needs.
_WORDS = {
    "Vollständiger Name": "Full name",
    "Vorname": "First name",
    "Nachname": "Last name",
    "Anmeldename": "Username",
    "ID-Nummer": "ID number",
    "Matrikelnummer": "ID number",
    "E-Mail-Adresse": "Email address",
    "Gruppe": "Group",
    "Feedback als Kommentar": "Feedback comments",
}


def in_english(roster: Roster) -> Roster:
    """Return a worksheet with the English words in its header; any other roster as it is.

    The first column ends in the participant's number; the maximum is the first column of numbers,
    and the grade, empty or a number, is before it.
    """
    header, rows = roster.header, roster.rows
    if "Identifier" in header or not all(_PARTICIPANT.fullmatch(r[0].strip()) for r in rows):
        return roster
    for at in range(3, len(header)):
        before = (row[at - 1].strip() for row in rows)
        if all(_NUMBER.fullmatch(row[at].strip()) for row in rows) and all(
            cell in ("", "-") or _NUMBER.fullmatch(cell) for cell in before
        ):
            words = [_WORDS.get(word, word) for word in header]
            words[0], words[at - 1], words[at] = "Identifier", "Grade", "Maximum Grade"
            if not {"Full name", "First name"} & {*words}:
                words[1] = "Full name"
            return roster._replace(header=words)
    return roster
