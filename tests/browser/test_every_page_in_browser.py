"""Each page in each of its states, as a browser shows it: wide and narrow, light and dark, printed.

The probes are JavaScript that is evaluated in the page; its Content-Security-Policy, which forbids
the page any script of its own, does not concern them.
"""

import itertools
from types import SimpleNamespace

import pytest

from tests.browser.browsing import (
    AXE,
    PRINTED_HEIGHT,
    SCHEMES,
    has_no_jumps,
    look,
    opened,
    unexpected,
    visit,
)
from tests.reporting.states import STATES

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


@pytest.fixture(scope="module", params=[*STATES, *OTHERS])
def report(request, tab, url_of):
    """The report in one of its states; a test says first at which size and in which scheme."""
    url = url_of(request.param)
    page, heard = visit(tab, url)
    return SimpleNamespace(state=request.param, url=url, page=page, heard=heard)


@pytest.fixture(scope="module")
def wrong_url(tmp_path_factory):
    path = tmp_path_factory.mktemp("wrong") / "wrong.html"
    path.write_text(WRONG, encoding="utf-8")
    return path.as_uri()


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


def test_no_small_table_is_broken_across_pages(report):
    report.page.emulate_media(media="print")
    try:
        assert report.page.evaluate(f"probes.breakableTables({PRINTED_HEIGHT})") == []
    finally:
        report.page.emulate_media(media="screen")
