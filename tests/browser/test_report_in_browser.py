"""The report as a person reads it: with a mouse, with keys alone, zoomed, printed, unstyled."""

import contextlib
import re

import pytest

from bench.checks.screenshot import PAPER, SCREEN_HEIGHT
from tests.browser.browsing import PRINTED_HEIGHT, PRINTED_WIDTH, has_no_jumps, look, opened, visit
from tests.conftest import read


@pytest.fixture
def open_default(browser, tab, url_of):
    """Returns a function that opens the report as it is, for tests that change the page."""
    with contextlib.ExitStack() as stack:

        def open_page(width=1280, **options):
            url = url_of("default")
            if not options:
                return visit(tab, url, width)[0]
            return stack.enter_context(opened(browser, url, width, **options))[0]

        yield open_page


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize(("width", "most"), [(390, 14_000), (1280, 6_000)])
def test_report_is_no_long_letter(open_default, width, most):
    assert open_default(width=width).evaluate("probes.pageHeight()") <= most


def test_first_screen_has_the_verdict_its_picture_and_how_both_learned(open_default):
    page = open_default()
    assert page.evaluate("probes.topOf('h1')") < page.evaluate("probes.endOfFigures('header')")
    assert page.evaluate("probes.endOfFigures('section:has(#learning)')") <= SCREEN_HEIGHT
    page.set_viewport_size({"width": 390, "height": SCREEN_HEIGHT})
    assert page.evaluate("probes.topOf('h1')") < page.evaluate("probes.topOf('.opening figure')")


def test_contents_stay_in_view_beside_a_wide_page(open_default):
    page = open_default()
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert 0 <= page.evaluate("probes.topOf('nav')") < SCREEN_HEIGHT / 2
    page.set_viewport_size({"width": 390, "height": SCREEN_HEIGHT})
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert page.evaluate("probes.topOf('nav')") < 0


def test_confusion_matrix_is_a_table_to_copy(open_default, finished):
    page = open_default()
    for row in read(finished.folder / "runs/evaluation.json")["results"]:
        table = page.get_by_role("table", name=row["name"], exact=True)
        lines = [line.split("\t") for line in table.inner_text().splitlines()[2:]]
        found = [[int(cell) for cell in line[1:11]] for line in lines]
        assert found == row["confusion_matrix"]


def test_click_on_a_cell_shows_its_errors_below_the_matrix(open_default, finished):
    page = open_default(java_script_enabled=False)
    (row, _) = read(finished.folder / "runs/evaluation.json")["results"]
    for true, predicted in sorted({(e["true"], e["predicted"]) for e in row["confused"]})[:3]:
        page.locator(f'a[href="#e1-{true}-{predicted}"]').click()
        (panel,) = page.locator(".cells p:visible").all()
        numbers = re.search(r"no\. (.*)", panel.inner_text())[1].split(", ")
        picture = panel.locator("i")
        assert picture.bounding_box()["width"] == 48 * len(numbers)
        shown = picture.evaluate("(i) => getComputedStyle(i).backgroundImage")
        assert shown.startswith('url("data:image/png')
        same = [e for e in row["confused"] if (e["true"], e["predicted"]) == (true, predicted)]
        assert numbers == [str(error["index"]) for error in same]


def test_commands_and_the_tables_of_figures_are_whole(open_default):
    page = open_default()
    for width in (390, 1280):
        look(page, width)
        assert page.evaluate("probes.cutRegions('pre, .call')") == []
    assert page.evaluate("probes.cutRegions('figure .scroll, .scroll:has(.settings)')") == []


def test_flags_of_commands_are_on_one_line_and_copied_as_they_are(open_default, finished):
    page = open_default()
    for width in (360, 390, 1000, 1280):
        look(page, width)
        assert page.evaluate("probes.mostLines('pre span')") == 1
    page.evaluate("getSelection().selectAllChildren(document.querySelector('pre'))")
    copied = page.evaluate("getSelection().toString()").splitlines()
    assert "python train_base.py --val-size 57000 --epochs 2" in copied
    assert "python report.py runs/evaluation.json" in copied


@pytest.mark.parametrize("width", [1280, 1600])
@pytest.mark.parametrize("state", ["three_runs", "five_runs"])
def test_tables_of_several_runs_are_whole(tab, url_of, state, width):
    page, _ = visit(tab, url_of(state), width)
    assert page.evaluate("probes.cutRegions('.scroll')") == []


def test_figures_keep_clear_of_the_tables_above_them(open_default):
    page = open_default()
    parts = (page.locator(f"section:has(#confidence) > .{name}") for name in ("beside", "figures"))
    tables, figures = parts
    for width in (390, 1280):
        look(page, width)
        above = tables.bounding_box()
        assert figures.bounding_box()["y"] >= above["y"] + above["height"] + 16


def test_names_of_ungraded_submissions_are_on_a_narrow_screen(tab, url_of):
    page, _ = visit(tab, url_of("submissions"), width=390)
    boxes = [name.bounding_box() for name in page.locator(".reasons bdi:visible").all()]
    assert len(boxes) > 30
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)


def test_nothing_sticks_out_at_200_percent(open_default):
    # A window of 1280 pixels, zoomed, has 640 CSS pixels of twice the size.
    page = open_default(width=640, device_scale_factor=2)
    assert page.evaluate("probes.overflowing()") == []


def test_figures_follow_the_scheme(open_default):
    page = open_default(color_scheme="light")
    light = page.evaluate("probes.textFills()")
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate("probes.textFills()")
    assert light
    assert all(a != b for a, b in zip(light, dark, strict=True))


def test_page_says_the_same_without_javascript(open_default):
    with_scripts = open_default().inner_text("body")
    without = open_default(java_script_enabled=False).inner_text("body")
    assert words(without) == words(with_scripts)


def test_page_can_be_read_without_css(open_default):
    page = open_default()
    verdict = page.inner_text("h1")
    page.evaluate("probes.removeStyles()")
    assert re.search(r"Pass: \d\d\.\d\d", verdict)
    assert words(page.inner_text("h1")) == words(verdict)
    assert has_no_jumps(page.evaluate("probes.headings()"))


def test_tab_reaches_every_link_and_scroll_region_in_order(open_default):
    page = open_default(width=360)
    expected = page.evaluate("probes.tabStops()")
    reached = []
    for _ in expected:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("probes.focused()"))
    assert expected
    assert reached == expected


def test_report_is_printed_on_pages_of_a4(open_default):
    pdf = open_default().pdf(**PAPER)
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6


def test_no_figure_is_cut_by_the_end_of_a_page(open_default):
    page = open_default(width=PRINTED_WIDTH)
    page.emulate_media(media="print")
    figures = page.evaluate("probes.figureBoxes()")
    assert figures
    for figure in figures:
        assert figure["breakInside"] == "avoid", figure
        assert figure["height"] <= PRINTED_HEIGHT, figure
