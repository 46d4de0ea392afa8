"""Photos in Python: any size and mode, fifteen kinds, and the README's example on one of them.

tests/browser/test_playground_photos.py compares with what the page makes of them.
"""

import re

import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.photo_kinds import KINDS, encoded, in_blue, photos_of, scan
from common.data.catalog import Normalization
from common.data.photos import prepare_photo
from common.support.errors import UserError
from common.transforms import photo_transform, train_transform
from tests.conftest import REPO

A_ZERO, A_SEVEN = 3, 0  # test images


@pytest.fixture(scope="module")
def seven(test_images):
    return test_images.images[A_SEVEN]


@pytest.fixture(scope="module")
def photo(seven):
    """Black on white, in greys."""
    return scan(seven, None).convert("L")


def likeness(form, image):
    """Returns how they correlate, but for a pixel by which one of them may be shifted."""
    shifts = [np.roll(form, (y, x), axis=(0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return max(np.corrcoef(shifted.ravel(), image.ravel())[0, 1] for shifted in shifts)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_photo_becomes_the_digit_that_is_on_it(test_images, kind):
    digits = test_images.images[[A_ZERO, A_SEVEN]]
    for digit, photo in zip(digits, photos_of(kind, digits, seed=0), strict=True):
        form = prepare_photo(photo)
        assert (form.shape, form.dtype, form.max()) == ((28, 28), np.uint8, 255)
        likenesses = [likeness(form, image) for image in digits]
        assert likeness(form, digit) == max(likenesses) > 0.7


def transparent(photo):
    ink = Image.new("RGBA", photo.size, (25, 25, 30, 255))
    ink.putalpha(ImageOps.invert(photo))
    return ink


def lying(photo):
    """Returns it as a camera saves what it took on its side."""
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # to be turned right when shown
    return turned


def deep(photo):
    return np.asarray(photo).astype(np.uint16) * 257


OTHER_WAYS = {
    "light on dark": ImageOps.invert,
    "colours": lambda photo: photo.convert("RGB"),
    "a palette": lambda photo: photo.convert("P"),
    "for print": lambda photo: photo.convert("CMYK"),
    "transparent": transparent,
    "greys and opacity": lambda photo: photo.convert("LA"),
    "16 bits": lambda photo: Image.fromarray(deep(photo)),
    "32 bits, as PIL before version 11 read 16": lambda photo: Image.fromarray(
        deep(photo).astype(np.int32)
    ),
    "on its side": lying,
    "an array": np.asarray,
    "an array of 16 bits": deep,
    "an array of colours": lambda photo: np.asarray(photo.convert("RGB")),
    "an array of colours and opacity": lambda photo: np.asarray(transparent(photo)),
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_the_same_photo_in_another_way_becomes_the_same(photo, way):
    other = OTHER_WAYS[way](photo)
    difference = np.abs(prepare_photo(other).astype(int) - prepare_photo(photo))
    assert difference.max() <= 8, "rounding alone"


@pytest.mark.parametrize("size", [(28, 21), (280, 210), (1000, 750), (3000, 2250)])
def test_any_size_will_do(photo, seven, size):
    assert likeness(prepare_photo(photo.resize(size)), seven) > 0.9


@pytest.mark.parametrize("blank", [(1, 1), (3, 500), (300, 200)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_photo_without_ink_is_refused(blank, grey):
    with pytest.raises(UserError, match=r"^no ink was found in the photo: .*$"):
        prepare_photo(np.full(blank, grey, np.uint8))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((28, 28)),
        np.zeros((3, 28, 28), np.uint8),
        np.zeros(784, np.uint8),
        np.zeros((0, 28), np.uint8),
        np.zeros((1, 28, 28, 3), np.uint16),
    ],
)
def test_array_that_is_no_picture_is_refused(array):
    with pytest.raises(ValueError, match=rf"not {array.dtype.name} of shape \[") as refused:
        prepare_photo(array)
    assert "\n" not in str(refused.value)


def test_network_gets_what_it_was_trained_on(photo):
    assert photo_transform(photo).equal(train_transform(prepare_photo(photo)))
    other = photo_transform(photo, Normalization(0.5, 0.25)).numpy()[0]
    np.testing.assert_allclose(other, (prepare_photo(photo) / 255 - 0.5) / 0.25, atol=1e-6)


def test_example_of_the_readme_answers_a_photo(finished, seven, tmp_path, monkeypatch, capsys):
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Use a trained network\n")[2].partition("\n## ")[0]
    example = "\n".join(re.findall(r"^    (.*)", section, re.M))
    (tmp_path / "runs").symlink_to(finished.folder / "runs")
    photo = in_blue(seven, None)
    (tmp_path / "digit.jpg").write_bytes(encoded(photo, "JPEG"))
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert capsys.readouterr().out == "7\n"
