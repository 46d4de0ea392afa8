"""The playground as a person meets it: drawn on with mouse and finger, fed with pictures and keys.

The network is the better one of the small trainings that all tests share, with 3,000 images.
"""

import base64
import itertools

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from common.transforms import normalize
from reporting.pictures import image_png
from tests.browser.browsing import (
    AXE,
    OPACITIES,
    SCHEMES,
    look,
    next_frame,
    opened,
    shown,
    unexpected,
)
from tests.browser.network import dequantized_logits
from tests.browser.pad import draw_stroke, first_image_of, input_of_network, on_screen
from tests.browser.strokes import DIGITS

IMAGES = 1000

LOGITS = """([pixels, count]) => {
  const bytes = decodeBytes(pixels);
  return Array.from({ length: count }, (_, i) =>
    [...activationsOf(network, bytes.subarray(784 * i, 784 * (i + 1))).at(-1)]);
}"""

INJECT = """() => {
  const script = document.createElement("script");
  script.textContent = "globalThis.injected = true";
  document.body.append(script);
}"""

HAND_OVER = """([kind, png]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([decodeBytes(png)], "digit.png", { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent(kind, { clipboardData: transfer, bubbles: true })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


def draw(page, digit, moved=0, scale=1.0):
    page.click("#clear")
    for stroke in DIGITS[digit]:
        draw_stroke(page, [(moved + scale * x, moved + scale * y) for x, y in stroke])
    return shown(page)


VISIBLE_CANVASES = """[...document.querySelectorAll("canvas")]
  .filter((canvas) => canvas.checkVisibility({ visibilityProperty: true }))"""
INKLESS = f"""{VISIBLE_CANVASES}.filter((canvas) => !({OPACITIES})(canvas).some(Boolean))
  .map((canvas) => canvas.id)"""


def test_network_in_the_page_is_the_one_in_the_file(page, playground, test_images):
    images = torch.tensor(test_images.images[:IMAGES])
    pixels = base64.b64encode(images.numpy().tobytes()).decode()
    logits = torch.tensor(page.evaluate(LOGITS, [pixels, IMAGES]), dtype=torch.float64)
    # The page keeps activations in 32 bits; a logit is about 3.
    torch.testing.assert_close(
        logits, dequantized_logits(playground.document, images), rtol=0, atol=1e-5
    )
    with torch.inference_mode():
        float_logits = playground.model(normalize(images))
    differ = logits.argmax(dim=1) != float_logits.argmax(dim=1)
    best_two = float_logits[differ].topk(2).values
    assert differ.sum() <= 5
    assert (best_two[:, 0] - best_two[:, 1] < 0.1).all(), "more than a near tie"


def test_digits_drawn_with_the_mouse_are_recognised(page):
    answers = [draw(page, digit) for digit in range(10)]
    assert sum(answer == str(digit) for digit, answer in enumerate(answers)) >= 8, answers


def test_answer_changes_while_the_mouse_moves(page):
    page.mouse.move(*on_screen(page, [(140, 40)])[0])
    page.mouse.down()
    assert shown(page) != "–"
    page.mouse.move(*on_screen(page, [(136, 240)])[0], steps=10)
    assert shown(page) == "1"
    assert page.locator("#neighbours strong").all_inner_texts()[0] == "1"
    assert page.inner_text("#said") == "", "nothing is said while the pen is down"
    assert page.inner_text("#active-1") != "0"
    shares = page.locator("#probabilities td:nth-child(3)").all_inner_texts()
    assert sum(float(share.split()[0]) for share in shares) == pytest.approx(100, abs=1)
    page.mouse.up()
    expect(page.locator("#said")).to_have_text(f"1, {page.inner_text('#sure')}")


def test_drawings_are_brought_to_the_form_of_mnist(page):
    draw(page, 3)
    whole = input_of_network(page).reshape(28, 28)
    rows, columns = np.nonzero(whole)
    assert rows.max() - rows.min() + 1 == 20
    assert columns.max() - columns.min() + 1 < 20
    for axis in (0, 1):
        centre = (whole.sum(axis=1 - axis) * (np.arange(28) + 0.5)).sum() / whole.sum()
        assert abs(centre - 14) <= 0.5
    draw(page, 3, moved=60, scale=0.7)
    assert np.corrcoef(whole.ravel(), input_of_network(page))[0, 1] > 0.9


def test_area_is_averaged_exactly(page):
    # A square of 40 x 40 with a hole of 9 x 9: 2 x 2 of its pixels make one of MNIST's.
    ink = np.zeros((60, 60), dtype=int)
    ink[7:47, 11:51] = 255
    ink[20:29, 20:29] = 0
    form = page.evaluate(
        "([ink, width]) => [...toMnistForm(ink, width)]", [ink.ravel().tolist(), 60]
    )
    expected = ink[7:47, 11:51].reshape(20, 2, 20, 2).mean(axis=(1, 3))
    found = np.array(form).reshape(28, 28)[4:24, 4:24]
    assert np.abs(found - expected).max() <= 0.5


def test_undo_takes_back_one_thing_at_a_time(page):
    draw_stroke(page, DIGITS[4][0])
    first = input_of_network(page)
    draw_stroke(page, DIGITS[4][1])
    assert not np.array_equal(input_of_network(page), first)
    page.click("#undo")
    assert np.array_equal(input_of_network(page), first)
    page.click("#clear")
    assert shown(page) == "–"
    page.keyboard.press("Control+z")
    assert shown(page) != "–"
    page.click("#undo")
    expect(page.locator("#source")).to_contain_text("Test image")
    page.click("#undo")
    assert shown(page) == "–"


def test_finger_draws_and_does_not_scroll(browser, playground):
    options = {"has_touch": True, "is_mobile": True, "width": 360}
    with opened(browser, playground.url, **options) as (page, heard):
        page.evaluate(
            "kinds = []; pad.onpointerdown = (event) => kinds.push(event.pointerType); null"
        )
        touch = page.context.new_cdp_session(page)
        points = [{"x": x, "y": y} for x, y in on_screen(page, DIGITS[7][0])]
        before = page.evaluate("scrollY")
        for number, point in enumerate(points):
            kind = "touchMove" if number else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert shown(page) == "7"
        assert page.evaluate("kinds") == ["touch"]
        assert page.evaluate("scrollY") == before
        assert unexpected(heard, playground.url) == []


@pytest.mark.parametrize("way", ["paste", "drop", "file"])
@pytest.mark.parametrize("shades", ["dark on light", "light on dark"])
def test_picture_is_taken_either_way_round(page, playground, test_images, way, shades):
    digit = first_image_of(test_images, playground.model, 3)
    png = image_png(digit if shades == "dark on light" else 255 - digit)
    if way == "file":
        picture = {"name": "digit.png", "mimeType": "image/png", "buffer": png}
        page.set_input_files("#file", picture)
    else:
        page.evaluate(HAND_OVER, [way, base64.b64encode(png).decode()])
    expect(page.locator("#source")).to_contain_text(shades)
    assert shown(page) == "3"
    assert np.corrcoef(digit.ravel(), input_of_network(page))[0, 1] > 0.8


def test_what_is_no_picture_changes_nothing(page):
    before = draw(page, 1)
    bad = {"name": "digit.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#file", bad)
    expect(page.locator("#source")).to_contain_text("That is no picture")
    assert shown(page) == before


def test_blank_picture_gets_no_answer(page):
    buffer = image_png(np.full((28, 28), 128, dtype=np.uint8))
    page.set_input_files("#file", {"name": "b.png", "mimeType": "image/png", "buffer": buffer})
    expect(page.locator("#source")).to_contain_text("No ink")
    assert shown(page) == "–"
    draw(page, 1)
    expect(page.locator("#source")).to_contain_text("Your drawing")


def test_test_digits_are_picked_with_keys_alone(page, playground):
    groups = playground.document["test_digits"]
    reached = ""
    while reached != "misclassified":
        page.keyboard.press("Tab")
        reached = page.evaluate("document.activeElement.name")
        assert page.evaluate("document.activeElement !== document.body"), "the group is not reached"
    page.keyboard.press("Space")
    for digit in groups["misclassified"][:3]:
        assert shown(page) == str(digit["predicted"])
        said = f"Test image no. {digit['index']}, a {digit['true']}: the answer is wrong."
        assert page.inner_text("#source") == said
        pixels = np.frombuffer(base64.b64decode(digit["pixels"]), np.uint8)
        assert np.array_equal(input_of_network(page), pixels), "it goes in as it is"
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert shown(page) == str(groups["recognised"][0]["predicted"])
    assert page.locator(".picks input:checked").count() == 1
    assert "the answer is right" in page.inner_text("#source")


def test_drawing_ends_the_look_at_a_test_digit(page):
    page.locator(".picks label").first.click()
    next_frame(page)
    draw_stroke(page, DIGITS[1][0])
    assert shown(page) == "1"
    assert page.locator(".picks input:checked").count() == 0


def test_page_opens_with_a_test_digit_and_its_answer(page, playground):
    opening = playground.document["test_digits"]["recognised"][0]
    assert page.inner_text("#answer") == str(opening["predicted"])
    expect(page.locator("#source")).to_contain_text(f"Test image no. {opening['index']}, a")
    assert page.evaluate(INKLESS) == []
    assert page.inner_text("#said") == "", "nobody has done anything yet"


def test_nothing_empty_is_printed(page, browser, playground):
    page.emulate_media(media="print")
    assert page.evaluate(f"{VISIBLE_CANVASES}.length") > 10
    assert page.evaluate(INKLESS) == []
    assert not page.is_visible(".buttons")
    page.emulate_media(media="screen")
    page.click("#clear")
    assert shown(page) == "–"
    page.emulate_media(media="print")
    assert page.evaluate(f"{VISIBLE_CANVASES}.length") == 0
    assert not page.is_visible("#answer")
    # Without JavaScript nothing is shown that has to be filled by it, nor printed.
    with browser.new_context(java_script_enabled=False) as context:
        still = context.new_page()
        still.goto(playground.url)
        assert not any(canvas.is_visible() for canvas in still.locator("canvas").all())
        assert still.locator(".picks img").first.is_visible()


@pytest.mark.parametrize("is_drawn", [False, True])
def test_axe_finds_no_violation_and_nothing_sticks_out(page, is_drawn):
    if is_drawn:
        draw(page, 5)
    page.evaluate(AXE)
    for width, scheme in itertools.product((360, 1280), SCHEMES):
        look(page, width, scheme)
        assert page.evaluate("probes.overflowing()") == []
        assert page.evaluate("probes.accessibility()")["violations"] == [], f"{width}, {scheme}"


def test_tab_reaches_everything_and_shows_where_it_is(page):
    for _ in range(6):
        page.keyboard.press("Tab")
        outlined = "e => getComputedStyle(e.closest('label') ?? e).outlineStyle"
        assert page.evaluate_handle("document.activeElement").evaluate(outlined) == "solid"


def test_injected_script_does_not_run(browser, playground):
    with opened(browser, playground.url) as (page, heard):
        page.evaluate(INJECT)
        assert page.evaluate("globalThis.injected") is None
        assert any("Content Security Policy" in item for item in heard)
