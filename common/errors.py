"""The errors a user can cause, and the exit status that each way of ending has."""

import errno
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from common import signals
from common.escaping import printable

# Exit statuses shared by all four scripts; 128 + signal number is the shell's own convention.
ALL_PASSED = 0
SOME_FAILED = 1
CANNOT_RUN = 2


# What to do about what the operating system refuses.
_ADVICE = {
    errno.ENOSPC: "make room, and run the same command again",
    errno.EDQUOT: "make room, and run the same command again",
    errno.EFBIG: "raise the limit (ulimit -f), and run the same command again",
    errno.EROFS: "name a folder that can be written to",
    errno.EACCES: "ask for the right to it, or name another place",
    errno.EPERM: "ask for the right to it, or name another place",
    errno.EEXIST: "a file is where a folder should be; move it away, or name another place",
    errno.ENOTDIR: "a file is where a folder should be; move it away, or name another place",
}


class UserError(Exception):
    """Something the user can mend; its text says what is wrong, where, and what to do."""


class SubmissionError(Exception):
    """Why a file cannot be graded, in a sentence for the person who handed it in."""


def require_between(above: float, at_most: float, **settings: float) -> None:
    """Refuse settings outside of a range; the keywords are the flags' names.

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


def run_script(main: Callable[[], int]) -> NoReturn:
    """Call ``main`` and end the process with the right exit status.

    A ``UserError`` or an ``OSError`` (disk full, no permission) becomes one line on standard error
    and status 2, SIGINT and SIGTERM a line and the status 130 or 143. Other exceptions are bugs and
    keep their traceback.
    """
    program = Path(sys.argv[0]).name
    # A shell can start a script with its output closed (`>&-`); Python then has no stream at all.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    # A hostile file name can hold what the terminal's encoding cannot; it must not end the run.
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr.reconfigure(errors="backslashreplace")
    signals.stop_at_once()
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output left (`evaluate.py | head`). Python would complain once more
        # when it flushes at exit, so give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except (UserError, OSError) as error:
        print(f"{program}: error: {_one_line(error)}", file=sys.stderr)
        status = CANNOT_RUN
    except signals.Stopped as stopped:
        word = "interrupted" if stopped.number == signal.SIGINT else "terminated"
        print(f"\n{program}: {word}; {printable(stopped.advice)}", file=sys.stderr)
        status = 128 + stopped.number
    sys.exit(status)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        advice = f": {_ADVICE[error.errno]}" if error.errno in _ADVICE else ""
        return printable(f"{where}{error.strerror}{advice}")
    return printable(" ".join(str(error).split()))
