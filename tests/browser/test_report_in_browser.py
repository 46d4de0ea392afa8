"""The report as a browser shows it: wide and narrow, light and dark, printed, without a mouse.

The probes are JavaScript that is evaluated in the page; its Content-Security-Policy, which forbids
the page any script of its own, does not concern them.
"""

import contextlib
import functools
import itertools
import re
from types import SimpleNamespace

import pytest

from bench.checks.screenshot import PAPER, SCREEN_HEIGHT
from reporting.comparison import render_comparison
from reporting.figures.counts import accuracy_distribution
from reporting.pages import render_report
from reporting.student_pages import render_feedback
from reporting.study import render_study
from tests.browser.browsing import AXE, SCHEMES, look, opened, unexpected
from tests.conftest import REPO, read
from tests.reporting.states import STATES

# CSS pixels on A4, of 96 to the inch, within the margins of 1 cm.
PRINTED_WIDTH, PRINTED_HEIGHT = (round((side - 20) / 25.4 * 96) for side in (210, 297))

OTHERS = ("several", "study", "feedback pass", "feedback fail", "feedback error")

# A page with one of everything that the tests look for.
WRONG = """<!doctype html><html><head><title>t</title>
<style>:root { --series-1: #eee } figure { height: 2000px }</style></head>
<body style="background: white"><h1>One</h1><h3>Three</h3><img src="https://example.org/a.png">
<svg aria-label="f" width="200" height="50"><rect width="200" height="50" fill="black"/>
<text x="5" y="20" style="fill: #333; font-size: 9px">dark on dark, too small, and so long that it
is longer than its figure</text>
<path d="M0 0h9" style="stroke: var(--series-1)"/></svg>
<div class="scroll" role="region" aria-label="t"></div>
<p style="width: 3000px; color: #ccc">Wide and faint</p><figure>Cut</figure>
<script>console.log("x"); throw Error("y")</script>"""


@pytest.fixture(scope="module")
def url_of(finished, tmp_path_factory):
    """Returns the address of a page, which is rendered once: a report in a state, or several."""
    folder = tmp_path_factory.mktemp("pages")
    evaluation = read(finished.folder / "runs/evaluation.json")
    runs = {n: read(finished.folder / f"runs/{n}/metrics.json") for n in ("base", "improved")}

    def several():
        states = {name: STATES[name](evaluation, runs) for name in ("default", "submissions")}
        evaluations, runs_of_each = ({n: s[part] for n, s in states.items()} for part in (0, 1))
        return render_comparison(evaluations, runs_of_each, {})

    def study():
        return render_study(read(REPO / "bench/results/claims.json"), checksum="")

    def feedback(status):
        graded, _ = STATES["submissions"](evaluation, runs)
        accuracies = [row["accuracy"] for row in graded["results"] if row["status"] != "error"]
        row = next(row for row in graded["results"] if row["status"] == status)
        figure = accuracy_distribution(accuracies, graded["threshold"], marked=0)
        return render_feedback(graded, len(accuracies), row, figure)

    def render_text(name):
        if name in STATES:
            return render_report(*STATES[name](evaluation, runs), {})
        page, *status = name.split()
        return {"several": several, "study": study, "feedback": feedback}[page](*status)

    @functools.cache
    def render(name):
        page = folder / f"{name}.html"
        page.write_text(render_text(name), encoding="utf-8")
        return page.as_uri()

    return render


@pytest.fixture(scope="module", params=[*STATES, *OTHERS])
def report(request, browser, url_of):
    """The report in one of its states; a test says first at which size and in which scheme."""
    url = url_of(request.param)
    with opened(browser, url) as (page, heard):
        yield SimpleNamespace(state=request.param, url=url, page=page, heard=heard)


@pytest.fixture
def open_default(browser, url_of):
    """Returns a function that opens the report as it is, for tests that change the page."""
    with contextlib.ExitStack() as stack:

        def open_page(**options):
            page, _ = stack.enter_context(opened(browser, url_of("default"), **options))
            return page

        yield open_page


@pytest.fixture(scope="module")
def wrong_url(tmp_path_factory):
    path = tmp_path_factory.mktemp("wrong") / "wrong.html"
    path.write_text(WRONG, encoding="utf-8")
    return path.as_uri()


def words(text):
    return " ".join(text.split())


def has_no_jumps(levels):
    return all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False))


def test_each_probe_finds_what_is_wrong(browser, wrong_url):
    with opened(browser, wrong_url, width=360) as (page, heard):
        kinds = {item.split(":")[0] for item in unexpected(heard, wrong_url)}
        assert kinds == {"request", "console", "error"}
        assert any("page: 3" in item for item in page.evaluate("probes.overflowing()"))
        assert any("Wide" in item for item in page.evaluate("probes.overflowing()"))
        assert len(page.evaluate("probes.cutLabels()")) == 1
        assert len(page.evaluate("probes.faintLabels()")) == 1
        assert page.evaluate("probes.textHeights()") == [9]
        assert page.evaluate(f"probes.breakableTables({PRINTED_HEIGHT})") == ["t"]
        assert page.evaluate("probes.seriesContrasts()")["--series-1"] < 3
        assert not has_no_jumps(page.evaluate("probes.headings()"))
        assert page.evaluate("probes.figureBoxes()")[0]["height"] > PRINTED_HEIGHT
        page.evaluate(AXE)
        violations = page.evaluate("probes.accessibility()")["violations"]
        rules = {item.split()[0] for item in violations}
        assert rules >= {"color-contrast", "image-alt", "html-has-lang", "heading-order"}


def test_page_is_all_that_is_asked_for_and_it_is_quiet(report):
    for width, scheme in itertools.product((360, 1280), SCHEMES):
        look(report.page, width, scheme)
    assert f"request: {report.url}" in report.heard
    assert unexpected(report.heard, report.url) == []


@pytest.mark.parametrize("width", [360, 1600])
def test_nothing_sticks_out(report, width):
    look(report.page, width)
    assert report.page.evaluate("probes.overflowing()") == []
    assert report.page.evaluate("probes.cutLabels()") == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_text_of_a_figure_is_too_small_to_read(report, width):
    look(report.page, width)
    heights = report.page.evaluate("probes.textHeights()")
    assert heights or report.state == "all_broken"
    assert min(heights, default=11) >= 11


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
def test_tables_of_several_runs_are_whole(browser, url_of, state, width):
    with opened(browser, url_of(state), width=width) as (page, _):
        assert page.evaluate("probes.cutRegions('.scroll')") == []


def test_figures_keep_clear_of_the_tables_above_them(open_default):
    page = open_default()
    parts = (page.locator(f"section:has(#confidence) > .{name}") for name in ("beside", "figures"))
    tables, figures = parts
    for width in (390, 1280):
        look(page, width)
        above = tables.bounding_box()
        assert figures.bounding_box()["y"] >= above["y"] + above["height"] + 16


def test_names_of_ungraded_submissions_are_on_a_narrow_screen(browser, url_of):
    with opened(browser, url_of("submissions"), width=390) as (page, _):
        boxes = [name.bounding_box() for name in page.locator(".reasons bdi:visible").all()]
    assert len(boxes) > 30
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)


def test_headings_go_down_one_level_at_a_time(report):
    levels = report.page.evaluate("probes.headings()")
    assert levels.count(1) == 1
    assert has_no_jumps(levels)


def test_figures_can_be_read_in_both_schemes(report):
    # What lies under a point is told only of the window, so the window is as high as the page.
    height = report.page.evaluate("document.documentElement.scrollHeight")
    for scheme in SCHEMES:
        look(report.page, 1280, scheme, height)
        faint = report.page.evaluate("probes.faintLabels()")
        contrasts = report.page.evaluate("probes.seriesContrasts()")
        assert not faint, f"{scheme}:\n" + "\n".join(faint)
        assert all(ratio >= 3 for ratio in contrasts.values()), f"{scheme}: {contrasts}"
        assert contrasts or report.state == "all_broken"


def test_axe_finds_no_violation(report):
    report.page.evaluate(AXE)
    violations = []
    for width, scheme in itertools.product((360, 1280), SCHEMES):
        look(report.page, width, scheme)
        found = report.page.evaluate("probes.accessibility()")
        where = f"{report.state}, {scheme}, {width} pixels wide"
        violations += [f"{where}: {item}" for item in found["violations"]]
        # For a person to judge: pytest shows it with -s.
        print(f"{where}: texts whose contrast axe cannot tell, by reason: {found['unsure']}")
    assert not violations, "\n".join(violations)


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


def test_no_small_table_is_broken_across_pages(report):
    report.page.emulate_media(media="print")
    try:
        assert report.page.evaluate(f"probes.breakableTables({PRINTED_HEIGHT})") == []
    finally:
        report.page.emulate_media(media="screen")


def test_no_figure_is_cut_by_the_end_of_a_page(open_default):
    page = open_default(width=PRINTED_WIDTH)
    page.emulate_media(media="print")
    figures = page.evaluate("probes.figureBoxes()")
    assert figures
    for figure in figures:
        assert figure["breakInside"] == "avoid", figure
        assert figure["height"] <= PRINTED_HEIGHT, figure
