"""How the scripts' command lines look; which flags there are stands in each script."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from common.errors import UserError
from common.files import readable


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of each flag, once: a help text can say it in its own words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.help and "(default" in action.help:
            return action.help
        return super()._get_help_string(action)


class ArgumentParser(argparse.ArgumentParser):
    """An argparse parser whose help shows every default, and whose complaint is one line."""

    def __init__(self, **options: str) -> None:
        super().__init__(formatter_class=_HelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises
        ------
        UserError
            Always.
        """
        raise UserError(f"{message} (--help lists the flags)")


def command_line() -> list[str]:
    """Return the script's name and what it was called with, as words that JSON can hold."""
    return [readable(word) for word in (Path(sys.argv[0]).name, *sys.argv[1:])]
