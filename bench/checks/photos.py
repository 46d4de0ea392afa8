"""Count how many photos of handwritten digits the playground recognises, and Python.

Makes fifteen kinds of photo of the same hundred test digits. Each is given to the rendered page in
the headless Chromium, as a person does who chooses a file, and to ``prepare_photo``; the network is
that of the page both times. Run it as ``python -m bench.checks.photos``.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from tqdm import tqdm

from bench.checks.screenshot import launch_chromium
from bench.photo_kinds import KINDS, encoded, photos_of
from common.data.arrays import load_split
from common.data.catalog import MNIST_SPEC
from common.data.photos import prepare_photo
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, UserError, require_positive

MORE_THAN_ONE = "more than one digit?"

_NOTHING = "Nothing is drawn yet."
_ANSWERS = """(images) => images.map((greys) => {
  const logits = activationsOf(network, greys).at(-1);
  return String(logits.indexOf(Math.max(...logits)));
})"""


def answers_to(page: Page, images: np.ndarray) -> np.ndarray:
    """Return what the network of the page says to images (uint8 [N, 28, 28]): str [N]."""
    return np.array(page.evaluate(_ANSWERS, images.reshape(len(images), -1).tolist()))


def answer_to(page: Page, image: Image.Image) -> tuple[str, str]:
    """Choose the picture on the page; return the answer, and the note below it."""
    page.click("#clear")
    source = page.locator("#source")
    source.filter(has_text=_NOTHING).wait_for()
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": encoded(image)}
    page.set_input_files("#file", file)
    source.filter(has_not_text=_NOTHING).wait_for()
    return page.inner_text("#answer"), source.inner_text()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("page", nargs="?", type=Path, default="runs/playground.html", help="the page to test")
    flag("--photos", type=int, default=100, help="of each kind")
    flag("--seed", type=int, default=0, help="of the choice of digits, and of the photos")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    return parser.parse_args()


def main() -> int:
    """Count, and print a line for each kind."""
    args = parse_arguments()
    require_positive(photos=args.photos)
    if not args.page.is_file():
        raise UserError(f"{args.page}: no such file: evaluate.py --playground, then report.py does")
    test_set = load_split(MNIST_SPEC, args.data_dir, "test")
    chosen = np.random.default_rng(args.seed).permutation(len(test_set))[: args.photos]
    digits, targets = test_set.images[chosen], test_set.targets[chosen].astype(str)
    with sync_playwright() as playwright, launch_chromium(playwright) as browser:
        page = browser.new_page()
        page.goto(args.page.resolve().as_uri())
        right = (answers_to(page, digits) == targets).sum()
        print(f"of {len(digits)} photos          page  Python  same answer  {MORE_THAN_ONE}")
        print(f"{'the test digits themselves':26}{right:6}")
        for kind in tqdm(KINDS, unit="kind", disable=None, leave=False):
            photos = list(photos_of(kind, digits, args.seed))
            answers, notes = np.array([answer_to(page, photo) for photo in photos]).T
            in_python = answers_to(page, np.stack([prepare_photo(photo) for photo in photos]))
            counts = (answers == targets, in_python == targets, in_python == answers)
            several = sum(MORE_THAN_ONE in note for note in notes)
            page_right, python_right, same = (count.sum() for count in counts)
            tqdm.write(f"{kind:26}{page_right:6}{python_right:8}{same:13}{several:22}")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
