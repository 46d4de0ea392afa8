"""The errors a user can cause, and the exit status that each way of ending has."""

import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from common.escaping import printable

# Exit statuses shared by all four scripts; 128 + signal number is the shell's own convention.
ALL_PASSED = 0
SOME_FAILED = 1
CANNOT_RUN = 2
INTERRUPTED = 130
TERMINATED = 143


class UserError(Exception):
    """Something the user can mend; its text says what is wrong, where, and what to do."""


class SubmissionError(Exception):
    """Why a file cannot be graded, in a sentence for the person who handed it in."""


class _Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt, no ``except Exception`` may swallow it."""


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


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
    and status 2. Other exceptions are bugs and keep their traceback.
    """
    program = Path(sys.argv[0]).name
    # A shell can start a script with its output closed (`>&-`); Python then has no stream at all.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    # A hostile file name can hold what the terminal's encoding cannot; it must not end the run.
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)
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
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted; files already written are whole", file=sys.stderr)
        status = INTERRUPTED
    except _Terminated:
        print(f"\n{program}: terminated; files already written are whole", file=sys.stderr)
        status = TERMINATED
    sys.exit(status)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return printable(f"{where}{error.strerror}")
    return printable(" ".join(str(error).split()))
