"""The errors that a user can cause, and the exit statuses of the scripts."""

import math

ALL_PASSED = 0
SOME_FAILED = 1
CANNOT_RUN = 2


class UserError(Exception):
    """Something that the user can fix. The text says what is wrong, where, and what to do."""


class SubmissionError(Exception):
    """Why a file cannot be graded, in a sentence for the person who handed it in."""


def require_between(above: float, at_most: float, **settings: float) -> None:
    """Refuse settings outside of a range; the keywords are the names of the flags.

    Raises
    ------
    UserError
        For the first of them; it names the flag and the value found.
    """
    for name, value in settings.items():
        if not above < value <= at_most:
            raise UserError(
                f"--{name} is {value:g}, but must be above {above:g} and at most {at_most:g}"
            )


def require_positive(**settings: float) -> None:
    """Refuse settings that are not finite numbers above 0; the keywords are the flags' names.

    Raises
    ------
    UserError
        For the first of them; it names the flag and the value found.
    """
    for name, value in settings.items():
        if not 0 < value < math.inf:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} is {value}, but must be a finite number above 0")
