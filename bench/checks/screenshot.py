"""Take a screenshot of a page in the headless Chromium that the browser tests use.

Writes a PNG of the first screen or of the full page. If the name of the output ends with .pdf, it
is the page as printed on A4.
"""

import shutil
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, UserError
from common.support.files import atomic_write

SCREEN_HEIGHT = 900

# The default of a print dialog: A4 with 1 cm on each side.
PAPER = {"format": "A4", "margin": dict.fromkeys(("top", "right", "bottom", "left"), "1cm")}

# Without its background tasks the browser takes equally long on any machine.
_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


def launch_chromium(playwright: Playwright) -> Browser:
    """Start the Chromium that is installed on the machine.

    Raises
    ------
    UserError
        If there is none.
    """
    path = shutil.which("chromium")
    if path is None:
        raise UserError("chromium is not installed: make test-browser does it")
    return playwright.chromium.launch(executable_path=path, args=_FLAGS)


def main() -> int:
    """Open the page, and write the picture."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("page", metavar="PAGE", type=Path, help="HTML file to show")
    flag("output", metavar="OUTPUT", type=Path, help="PNG or PDF to write")
    flag("--width", type=int, default=1280, help="of the window, in CSS pixels")
    flag("--dark", action="store_true", help="prefer the dark color scheme")
    flag("--full-page", action="store_true", help="the full page, not only the first screen")
    args = parser.parse_args()
    if not args.page.is_file():
        raise UserError(f"{args.page}: no such file: make report renders runs/report.html")
    with sync_playwright() as playwright, launch_chromium(playwright) as browser:
        page = browser.new_page(
            viewport={"width": args.width, "height": SCREEN_HEIGHT},
            color_scheme="dark" if args.dark else "light",
        )
        page.goto(args.page.resolve().as_uri())
        printed = args.output.suffix == ".pdf"
        picture = page.pdf(**PAPER) if printed else page.screenshot(full_page=args.full_page)
    atomic_write(args.output, picture)
    print(f"{args.output}: {len(picture) / 1024:.0f} KiB")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
