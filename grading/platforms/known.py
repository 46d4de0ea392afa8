"""All platforms, and which of them a class is from."""

from collections.abc import Sequence
from typing import NamedTuple

from common.support.errors import UserError
from common.support.text import quoted
from grading.platforms.canvas import CANVAS
from grading.platforms.flat.autolab import AUTOLAB
from grading.platforms.flat.blackboard import BLACKBOARD
from grading.platforms.flat.brightspace import BRIGHTSPACE
from grading.platforms.flat.open_edx import OPEN_EDX
from grading.platforms.gradescope import GRADESCOPE
from grading.platforms.moodle import MOODLE
from grading.platforms.nested.codegrade import CODEGRADE
from grading.platforms.nested.ilias import ILIAS
from grading.platforms.nested.nbgrader import NBGRADER
from grading.platforms.nested.openolat import OPENOLAT
from grading.platforms.nested.sakai import SAKAI
from grading.platforms.nested.submitty import SUBMITTY
from grading.platforms.nested.teams import TEAMS
from grading.platforms.upload import Parts, Platform, TextOf, Uploads

# Whose downloads have a folder for each student.
_NESTED = (CODEGRADE, OPENOLAT, SAKAI, NBGRADER, TEAMS, SUBMITTY, ILIAS)
# In order: what the more telling names say comes first.
_ALL = (GRADESCOPE, MOODLE, BLACKBOARD, BRIGHTSPACE, OPEN_EDX, AUTOLAB, *_NESTED, CANVAS)
PLATFORMS = {platform.name: platform for platform in _ALL}
# Read by the names on top alone; what is in their folders is opened when it is graded.
ON_TOP = (GRADESCOPE, MOODLE, CANVAS)
# The first of all, which no name in a folder could overrule.
_AT_ONCE = _ALL[:2]


class Form(NamedTuple):
    """A platform's form that a class was found to have."""

    platform: Platform
    depth: int  # how many folders are around the class
    uploads: Uploads  # by the names within these


def recognise(
    paths: Sequence[Parts], text_of: TextOf, among: Sequence[Platform] = _ALL
) -> Form | None:
    """Return the form of a class, with or without folders around all of it; None if none fits.

    ``text_of`` takes whole names. A student's own folders are never taken for a class's by less
    than most of the names.
    """
    depth, inner = 0, list(paths)
    while inner:
        around = paths[0][:depth]

        def text(name: Parts, around: Parts = around) -> str:
            return text_of((*around, *name))

        is_flat = max(map(len, inner)) == 1
        for platform in among:
            if is_flat and platform in _NESTED:
                continue
            if uploads := platform.read(inner, text):
                return Form(platform, depth, uploads)
        if len({path[0] for path in inner}) > 1 or min(map(len, inner)) == 1:
            return None
        depth, inner = depth + 1, [path[1:] for path in inner]
    return None


def recognise_on_top(names: Sequence[str], platform: str = "") -> Form | None:
    """Return the form of a class if the names on top settle it, so that no folder is looked into.

    None settles nothing. ``platform`` is the one that it must be from, if it is named.
    """
    among = [known for known in _AT_ONCE if known in insist(platform)]
    return recognise([(name,) for name in names], lambda _: "", among)


def insist(name: str) -> Sequence[Platform]:
    """Return the platforms that a class may be from: all of them, unless one is named."""
    return (PLATFORMS[name],) if name else _ALL


def refuse(where: object, name: str, paths: Sequence[Parts]) -> UserError:
    """Return the error for a class that is not of the platform, with what was seen."""
    seen = ", ".join(quoted("/".join(path)) for path in sorted(paths)[:3])
    return UserError(
        f"{where}: not the form of {PLATFORMS[name].title}, but {seen}: leave out --platform, or "
        "name the download as the platform gave it"
    )
