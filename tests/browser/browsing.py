"""What the tests in a browser call: a page that is offline, what it shows, and the probes."""

import contextlib
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.checks.screenshot import SCREEN_HEIGHT, launch_chromium

PROBES = Path(__file__).with_name("probes.js").read_text(encoding="utf-8")
# Where the Makefile puts it.
AXE = Path(sys.prefix, "axe/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")

SCHEMES = ("light", "dark")

# CSS pixels on A4, of 96 to the inch, within the margins of 1 cm.
PRINTED_WIDTH, PRINTED_HEIGHT = (round((side - 20) / 25.4 * 96) for side in (210, 297))


@contextlib.contextmanager
def chromium():
    with sync_playwright() as playwright, launch_chromium(playwright) as browser:
        yield browser


@contextlib.contextmanager
def opened(browser, url, width=1280, **options):
    """Opens an address offline; ``heard`` notes what the page asks for and what it complains of."""
    heard = []
    viewport = {"width": width, "height": SCREEN_HEIGHT}
    with browser.new_context(offline=True, viewport=viewport, **options) as context:
        page = context.new_page()
        page.on("request", lambda request: heard.append(f"request: {request.url}"))
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.goto(url)
        page.evaluate(PROBES)
        yield page, heard


def visit(tab, url, width=1280):
    """Opens another page in a tab, as in a new one; that would take longer than most tests."""
    page, heard = tab
    page.mouse.move(0, 0)
    look(page, width)
    page.emulate_media(media="null")
    heard.clear()
    page.goto(url)
    page.evaluate(PROBES)
    return page, heard


def look(page, width, scheme="light", height=SCREEN_HEIGHT):
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)


def unexpected(heard, url):
    expected = (f"request: {url}", "request: data:")
    return [item for item in heard if not item.startswith(expected)]


def has_no_jumps(levels):
    return all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False))


def next_frame(page):
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))")


def shown(page):
    next_frame(page)
    return page.inner_text("#answer")


# From a copy: Chromium complains of a canvas that is read time and again.
OPACITIES = """(canvas) => {
  const { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return [...copy.getImageData(0, 0, width, height).data].filter((_, i) => i % 4 === 3);
}"""
