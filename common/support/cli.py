"""What all command lines share: the parser, the exit status, and what signals do.

Which flags there are is up to each script.
"""

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NoReturn

from common.support.errors import CANNOT_RUN, UserError
from common.support.text import json_text, terminal_safe

SIGNALS = (signal.SIGINT, signal.SIGTERM)

# 128 + SIGPIPE, a signal that Windows does not have.
_PIPE_CLOSED = 141

_FREE_SPACE = "make room"
_NO_RIGHT = "ask for the right to it, or name another place"
_NOT_A_FOLDER = "a file is where a folder should be; move it away, or name another place"
# What to do about an error of the operating system.
_ADVICE = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EROFS: "name a folder that can be written to",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EEXIST: _NOT_A_FOLDER,
    errno.ENOTDIR: _NOT_A_FOLDER,
}
# Those that end what was under way, and that going on can overcome.
_IN_THE_MIDDLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows each flag's default, unless there is none or the help text itself says it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        is_said = action.help is not None and "(default" in action.help
        if is_said or action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


class ArgumentParser(argparse.ArgumentParser):
    """An argparse parser whose help shows the defaults, and whose error is one line.

    ``called`` are the script and the arguments that were read instead of the process's own.
    """

    called: ClassVar[list[str]] = []

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 (argparse's own)
        main = sys.modules["__main__"].__spec__
        if main is not None and "." in main.name:  # started by python -m, which argparse ignores
            options = {"prog": f"python -m {main.name}", **options}
        # A flag that is mistyped must not be another one.
        super().__init__(formatter_class=_HelpFormatter, allow_abbrev=False, **options)

    def parse_args(self, args: Sequence[str] | None = None) -> argparse.Namespace:  # type: ignore[override]
        """Read the arguments of the process, or these."""
        if args is not None:
            ArgumentParser.called = [self.prog, *args]
        return super().parse_args(args)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line. Raises UserError, always."""
        raise UserError(f"{message} (--help lists the flags)")


def command_line() -> list[str]:
    """Return the script's name and its arguments, as words that JSON can hold.

    In a notebook they are those of the ``main`` that was called, and not the kernel's own.
    """
    called = ArgumentParser.called or [Path(sys.argv[0]).name, *sys.argv[1:]]
    return [json_text(word) for word in called]


class Stopped(BaseException):
    """A signal asks the script to end. No ``except Exception`` may swallow it."""

    def __init__(self, number: int) -> None:
        self.number = number  # of the signal; the exit status is 128 more
        self.advice = "files already written are whole"  # and how to continue, for the user


class DeferredSignals:
    """A context in which the first signal is only noted; a second one ends the script at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> "DeferredSignals":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Stopped(number)
        self.received = number


def run_script(main: Callable[[], int]) -> NoReturn:
    """Call ``main`` and end the process with the right exit status.

    A ``UserError`` or an ``OSError`` (disk full, no permission) becomes one line on standard error
    and status 2; the notes of an OSError say how to go on, if not by the same command. SIGINT and
    SIGTERM become a line and the status 130 or 143: 128 plus the signal's number, as a shell has
    it. Any other exception is a bug and keeps its traceback.
    """
    program = Path(sys.argv[0]).name
    # A shell can start a script with its output closed (`>&-`); Python then has no stream at all.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    # A hostile file name can hold what the terminal's encoding cannot; it must not end the run.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    before = {number: signal.signal(number, _raise_stopped) for number in SIGNALS}
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has left (`evaluate.py | head`). Python flushes once more at
        # exit, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = _PIPE_CLOSED
    except (UserError, OSError) as error:
        print(f"{program}: error: {_one_line(error)}", file=sys.stderr)
        status = CANNOT_RUN
    except Stopped as stopped:
        word = "interrupted" if stopped.number == signal.SIGINT else "terminated"
        print(f"\n{program}: {word}; {terminal_safe(stopped.advice)}", file=sys.stderr)
        status = 128 + stopped.number
    if hasattr(sys, "ps1"):  # run within a session that goes on (%run): its Ctrl-C is its own
        for number, handler in before.items():
            signal.signal(number, handler)
    sys.exit(status)


def _raise_stopped(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(number)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        advice = f": {_ADVICE[error.errno]}" if error.errno in _ADVICE else ""
        if error.errno in _IN_THE_MIDDLE:
            how_to_go_on = getattr(error, "__notes__", ["run the same command again"])
            advice = ", and ".join([advice, *how_to_go_on])
        return terminal_safe(f"{where}{error.strerror}{advice}")
    return terminal_safe(" ".join(str(error).split()))
