"""Photos of digits: what else is in the picture is left out, and the digit stays whole.

Each is compared with a plain photo of the same test image. The network of the small training errs
at some, so that what counts is that it is fed the same.
"""

import base64
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import ImageOps
from playwright.sync_api import expect
from scipy import ndimage

from bench.checks.photos import MORE_THAN_ONE, answer_to
from bench.photo_kinds import (
    HEIGHT,
    KINDS,
    TABLES,
    WIDTH,
    blank,
    centred,
    coloured,
    cropped,
    photos_of,
    picture,
    scan,
    strokes,
    trimmed,
    two_digits,
    with_table,
    write,
)
from common.data.photos import prepare_photo
from common.transforms import photo_transform
from tests.browser.browsing import visit
from tests.browser.pad import draw_stroke, first_image_of, input_of_network
from tests.conftest import REPO

# Test images of a 4, 5, 7, 8 or 9 whose ink is in two pieces or more.
IN_PIECES = [59, 155, 471, 509, 654, 827, 1274, 1357, 1911, 1942, 2262, 3468]


# What the page makes of a picture that has the size of the pad.
FORM = """([rgba, width]) => {
  const { ink } = inkOf(decodeBytes(rgba), width);
  return [...toMnistForm(middleDigit(ink, width).ink, width)];
}"""
SCALED = ((280, 210), (210, 280))


@pytest.fixture(scope="module")
def digits(test_images, playground):
    """One test image of each digit."""
    return [first_image_of(test_images, playground.model, digit) for digit in range(10)]


@pytest.fixture(scope="module")
def scanned(tab, playground, digits):
    """What the network is fed of a plain photo of each digit."""
    page, _ = visit(tab, playground.url)
    return [shot(page, scan(digit, None))[1] for digit in digits]


@pytest.fixture
def chance():
    return np.random.default_rng(0)


def shot(page, image):
    """Returns the note on a picture, and what the network is fed."""
    _, note = answer_to(page, image)
    return note, input_of_network(page)


def is_like(form, other):
    """Whether they correlate, but for a pixel by which the rounded middle of the ink can differ."""
    assert form.size == other.size, "no digit was found"
    shifts = (np.roll(form.reshape(28, 28), shift, axis=(0, 1)) for shift in np.ndindex(3, 3))
    centred = np.roll(other.reshape(28, 28), (1, 1), axis=(0, 1)).ravel()
    return max(np.corrcoef(shifted.ravel(), centred)[0, 1] for shifted in shifts) > 0.9


def is_seen_as_one(page, image, expected):
    note, form = shot(page, image)
    return MORE_THAN_ONE not in note and is_like(form, expected)


@pytest.mark.parametrize("is_inverted", [False, True])
def test_table_beyond_the_paper_is_left_out(page, digits, scanned, chance, is_inverted):
    for digit, form in zip(digits, scanned, strict=True):
        image = with_table(digit, chance)
        assert is_seen_as_one(page, ImageOps.invert(image) if is_inverted else image, form)


@pytest.mark.parametrize("table", [*TABLES, (255, 255, 255)])
def test_pencil_is_seen_beside_a_table_of_any_shade(page, digits, scanned, table):
    colours = coloured(centred(strokes(digits[4])), (190, 190, 190), (120, 120, 120))
    colours[:, :60] = table
    assert is_seen_as_one(page, picture(colours), scanned[4])


def test_middle_one_of_two_digits_is_answered(page, digits, scanned, chance):
    for number, digit in enumerate(digits):
        note, form = shot(page, two_digits(digit, digits[number - 1], chance))
        assert MORE_THAN_ONE in note
        assert is_like(form, scanned[number])


@pytest.mark.parametrize("is_inverted", [False, True])
def test_middle_one_of_three_digits_is_answered(page, digits, scanned, is_inverted):
    sheet = blank()
    for place, digit in enumerate((3, 7, 2)):
        write(sheet, strokes(digits[digit], 160), WIDTH * (place + 1) / 4, HEIGHT / 2)
    image = picture(coloured(sheet))
    note, form = shot(page, ImageOps.invert(image) if is_inverted else image)
    assert MORE_THAN_ONE in note
    assert is_like(form, scanned[7])


def test_doubt_and_blank_pictures_are_spoken(page, digits, chance):
    answer, note = answer_to(page, two_digits(digits[2], digits[6], chance))
    expect(page.locator("#said")).to_have_text(f"{answer}, {page.inner_text('#sure')}. {note}")
    _, note = answer_to(page, picture(coloured(blank())))
    expect(page.locator("#said")).to_have_text(note)


@pytest.mark.parametrize("number", IN_PIECES)
def test_pieces_of_one_digit_stay_together(page, test_images, number):
    image = test_images.images[number]
    _, pieces = ndimage.label(strokes(image) > 0.5)
    assert pieces > 1
    note, form = shot(page, scan(image, None))
    assert MORE_THAN_ONE not in note
    assert is_like(form, image.ravel())


def test_broken_stroke_stays_one_digit(page, digits, scanned):
    for digit, form in zip(digits, scanned, strict=True):
        ink = strokes(digit)
        ink[190:204] = 0
        assert is_seen_as_one(page, picture(coloured(centred(ink))), form)


def test_digit_that_touches_all_borders_stays(page, digits, scanned):
    for digit, form in zip(digits, scanned, strict=True):
        assert is_seen_as_one(page, cropped(digit, None), form)
        rows, columns = (slice(where.min(), where.max() + 1) for where in np.nonzero(digit))
        assert is_seen_as_one(page, picture(coloured(digit[rows, columns] / 255)), form)


@pytest.mark.parametrize("side", range(4))
def test_digit_that_is_cut_off_at_one_border_stays(page, digits, scanned, side):
    for digit, form in zip(digits, scanned, strict=True):
        ink = np.rot90(np.pad(trimmed(strokes(digit)), 60), side)[64:]
        assert is_seen_as_one(page, picture(coloured(np.rot90(ink, -side))), form)


def test_digit_that_reaches_a_corner_stays(page, digits, scanned):
    ink = trimmed(strokes(digits[7]))
    ink[:20, :60] = 1
    assert is_seen_as_one(page, picture(coloured(ink)), scanned[7])


def test_specks_are_no_digits(page, digits, scanned, chance):
    for digit, form in zip(digits, scanned, strict=True):
        sheet = centred(strokes(digit, 200))
        for x in range(20, WIDTH, 60):
            for y in (20, 80, HEIGHT - 20):
                sheet[y : y + chance.integers(12), x : x + chance.integers(24)] = 1
        assert is_seen_as_one(page, picture(coloured(sheet)), form)


def test_neighbour_that_is_cut_off_is_left_out(page, digits, scanned):
    sheet = centred(strokes(digits[5], 200))
    half = trimmed(strokes(digits[0], 200))
    half = half[:, : half.shape[1] // 2]
    sheet[170 : 170 + len(half), -half.shape[1] :] = half
    assert is_seen_as_one(page, picture(coloured(sheet)), scanned[5])


def test_drawing_is_taken_whole(page):
    draw_stroke(page, [(20, 20), (20, 60)])
    draw_stroke(page, [(260, 20), (260, 60)])
    form = input_of_network(page).reshape(28, 28)
    assert np.ptp(np.nonzero(form)[1]) + 1 == 20
    expect(page.locator("#source")).to_contain_text("Your drawing")


@pytest.mark.parametrize("kind", KINDS)
def test_python_answers_as_the_page_does(page, playground, digits, kind):
    chosen = np.stack(digits)[[3, 7]]
    for photo in photos_of(kind, chosen, seed=0):
        answer, _ = answer_to(page, photo)
        with torch.inference_mode():
            logits = playground.model(photo_transform(photo).unsqueeze(0))
        assert str(logits.argmax().item()) == answer
        small = photo.resize(SCALED[photo.width < photo.height])
        rgba = base64.b64encode(small.convert("RGBA").tobytes()).decode()
        form = page.evaluate(FORM, [rgba, small.width])
        assert np.array_equal(prepare_photo(small).ravel(), form), "the same pixels"


def test_check_needs_a_page(tmp_path):
    command = [sys.executable, "-m", "bench.checks.photos", tmp_path / "missing.html"]
    completed = subprocess.run(command, cwd=REPO, capture_output=True, encoding="utf-8")
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert "missing.html: no such file: " in line
