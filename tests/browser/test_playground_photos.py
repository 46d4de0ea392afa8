"""Photos in the playground: which ink is the digit, and which is not."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from bench.checks.photos import (
    MORE_THAN_ONE,
    answer_to,
    centred,
    coloured,
    cropped,
    picture,
    scan,
    strokes,
    two_digits,
    with_table,
)
from common.transforms import normalize

PAPER = (245, 245, 242)


@pytest.fixture(scope="module")
def digits(playground, test_images):
    """The first test image of each digit that the network recognises without doubt."""
    images = torch.tensor(test_images.images[:2000])
    with torch.inference_mode():
        confidence, answers = playground.model(normalize(images)).softmax(dim=1).max(dim=1)
    sure = (answers.numpy() == test_images.targets[:2000]) & (confidence.numpy() > 0.8)
    return [
        test_images.images[np.flatnonzero(sure & (test_images.targets[:2000] == digit))[0]]
        for digit in range(10)
    ]


def answers(page, photos):
    return [answer_to(page, photo) for photo in photos]


def right(answered):
    return sum(answer == str(digit) for digit, (answer, _) in enumerate(answered))


def doubts(answered):
    return sum(MORE_THAN_ONE in note for _, note in answered)


def test_table_beside_the_paper_is_no_ink(page, digits):
    chances = [np.random.default_rng(number) for number in range(10)]
    photos = [with_table(*both) for both in zip(digits, chances, strict=True)]
    answered = answers(page, photos)
    assert right(answered) >= 9, answered
    assert doubts(answered) == 0, answered


def test_of_two_digits_the_middle_one_is_answered_with_a_doubt(page, digits):
    photos = [
        two_digits(digit, digits[(number + 3) % 10], np.random.default_rng(number))
        for number, digit in enumerate(digits)
    ]
    answered = answers(page, photos)
    assert right(answered) >= 9, answered
    assert doubts(answered) >= 9, answered


def test_doubt_is_spoken(page, digits):
    answer_to(page, two_digits(digits[3], digits[7], np.random.default_rng(0)))
    expect(page.locator("#said")).to_contain_text(MORE_THAN_ONE)


def test_digit_in_pieces_is_one_digit(page, digits):
    photos = []
    for digit in digits:
        photo = scan(digit, np.random.default_rng(0))
        # As a pen that skips: a gap across the strokes at mid-height.
        ImageDraw.Draw(photo).rectangle((0, 236, photo.width, 242), fill=PAPER)
        photos.append(photo)
    answered = answers(page, photos)
    assert doubts(answered) <= 1, answered
    assert right(answered) >= 9, answered


def test_digit_that_fills_the_picture_stays(page, digits):
    answered = answers(page, [cropped(digit, np.random.default_rng(0)) for digit in digits])
    assert right(answered) >= 9, answered
    assert doubts(answered) == 0, answered


def test_finger_at_the_border_and_specks_are_left_out(page, digits):
    photos = []
    for digit in digits:
        photo = picture(coloured(centred(strokes(digit, 240))))
        draw = ImageDraw.Draw(photo)
        draw.ellipse((560, 380, 700, 520), fill=(60, 50, 50))
        for x, y in ((60, 60), (580, 90), (90, 400)):
            draw.rectangle((x, y, x + 5, y + 5), fill=(25, 25, 30))
        photos.append(photo)
    answered = answers(page, photos)
    assert right(answered) >= 9, answered
    assert doubts(answered) == 0, answered


def test_picture_of_a_photo_of_nothing_gets_no_answer(page):
    answer, note = answer_to(page, Image.new("RGB", (640, 480), PAPER))
    assert answer == "–"
    assert "No ink" in note
