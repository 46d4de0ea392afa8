"""What the columns of a table are, by their names."""

import re
import unicodedata
from typing import NamedTuple

from grading.readers.tables.cells import MAX_CELL, spelled_number, whole_number

# Names as ``plain_name`` leaves them. An index counts as ids if there are no better ones.
_IDS = re.compile(
    "(?!test$)(?:image|img|picture|test|sample)s?(?:id|index|idx|number|no|nr)?s?|ids?|no|nr"
    "|inst(?:ance)?(?:id)?"
)
_INDEX = re.compile("#?|index|idx|row|rowids?|rownumber|rownames?|level0|unnamed[0-9]+")
_THING = "(?:labels?|class(?:es)?|digits?|categor(?:y|ies)|targets?)"
_TRUTH = re.compile(
    f"(?:y|{_THING})?(?:true|truth|actuals?|test|gt|groundtruth|real|correct|expected|observed"
    f"|reference|gold)(?:y|values?|{_THING})?(?:id|idx)?|obs"
)
# The truth too, if a model's answers stand beside it.
_LABELS = re.compile(f"{_THING}(?:id|label)?s?|y|0")
_PREDICTED = re.compile(
    "(?!.*(?:prob|conf|score)).*(?:pred|hat).*|outputs?|results?|answers?|guess(?:es)?|argmax"
    "|response|estimated?|fitted"
)
_ASIDE = re.compile(
    ".*(?:prob|conf|scor|loss|err|correct|match|time|certain|entropy|margin|seconds).*"
    "|fold|split|set|usage|weight|hit|right|wrong|batch|epoch"
)
# Orange's marks: c for the class to be predicted, m for a meta attribute, D for a discrete one.
_ORANGE = re.compile("([cmiw]?)[CDSTN]?#(?=.)")
_CLASS = re.compile(r"([^0-9]*)(0|[1-9][0-9]{0,2})([^0-9]*)")
# Before a number these name a class, and others a position: V1 is a column, class1 a one.
_NAMES_CLASS = re.compile(f"{_THING}?")


class Kinds(NamedTuple):
    """The positions of columns by what their names say; each is in one of the lists at most."""

    ids: list[int]
    indexes: list[int]  # pandas' and R's own, named or not
    truths: list[int]
    labels: list[int]
    predicted: list[int]
    aside: list[int]
    others: list[int]
    groups: list[list[int]]  # columns for each class, in the order of the classes


def kinds_of(names: list[str]) -> Kinds:
    """Sort the columns of a header by what their names say.

    Names that differ in their numbers alone, 0 to C - 1 in any order, are columns for each class.
    So are V1 to V10, which say a position.
    """
    plain = [plain_name(name) for name in names]
    numbered: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for position, name in enumerate(plain):
        if found := _CLASS.fullmatch(name):
            numbered.setdefault((found[1], found[3]), []).append((int(found[2]), position))
    groups = []
    for (before, _), members in numbered.items():
        members.sort()
        first = members[0][0]
        counted = [first + n for n in range(len(members))] == [number for number, _ in members]
        is_class = first == 0 or (first < 3 and not _NAMES_CLASS.fullmatch(before))
        if counted and is_class and len(members) > 1:
            groups.append([position for _, position in members])
    in_groups = {position for group in groups for position in group}
    ids, indexes, truths, labels, predicted, aside, others = (list[int]() for _ in range(7))
    places = {_IDS: ids, _INDEX: indexes, _TRUTH: truths, _LABELS: labels, _PREDICTED: predicted}
    places[_ASIDE] = aside
    for position, name in enumerate(plain):
        if position not in in_groups:
            found_in = (place for pattern, place in places.items() if pattern.fullmatch(name))
            next(found_in, others).append(position)
    return Kinds(ids, indexes, truths, labels, predicted, aside, others, groups)


def plain_name(name: str) -> str:
    """Return the letters and digits of a name, in small letters: "Image_ID" is "imageid"."""
    if len(name) > MAX_CELL:
        return "?"
    if marked := _ORANGE.match(name):
        if marked[1] == "c":
            return "truth"
        name = name[marked.end() :]
    number = whole_number(name)
    if number is None:
        number = spelled_number(name)
    if number is not None:
        return str(number)
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c.isalnum()) or folded
