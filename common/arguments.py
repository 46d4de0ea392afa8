"""How the scripts' command lines look; which flags there are stands in each script."""

import argparse
from typing import NoReturn

from common.errors import UserError


class ArgumentParser(argparse.ArgumentParser):
    """An argparse parser whose help shows every default, and whose complaint is one line."""

    def __init__(self, **options: str) -> None:
        super().__init__(formatter_class=argparse.ArgumentDefaultsHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises
        ------
        UserError
            Always.
        """
        raise UserError(f"{message} (--help lists the flags)")
