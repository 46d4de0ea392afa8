"""What SIGINT (Ctrl-C) and SIGTERM do: end a script at once, or at the next good moment."""

import signal
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asks the script to end. No ``except Exception`` may swallow it.

    Attributes
    ----------
    number : int
        Of the signal; the exit status is 128 more.
    advice : str
        What became of the work, and how it goes on: for the line that the user sees.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.advice = "files already written are whole"


def stop_at_once() -> None:
    """Let both signals raise ``Stopped`` wherever the script is."""
    for number in SIGNALS:
        signal.signal(number, _raise_stopped)


def _raise_stopped(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(number)


def ignore() -> None:
    """Let both signals do nothing from here on."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class DeferredSignals:
    """While it is entered, the first signal is only noted; a second one ends the script at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> "DeferredSignals":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop_if_received(self) -> None:
        """Raise ``Stopped`` if a signal was noted: a good moment to end has come."""
        if self.received is not None:
            raise Stopped(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Stopped(number)
        self.received = number
