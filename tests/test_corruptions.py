"""Changed images: of the same form, the same each time, and changed as far as is said."""

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as tv

from own_runs.corruptions import CORRUPTIONS

CHANGES = {corruption.name: corruption.apply for corruption in CORRUPTIONS}


def square(side, place=14, size=28):
    """A square of ink, ``side`` pixels wide, for each of four images."""
    images = np.zeros((4, size, size), np.uint8)
    images[:, place : place + side, place : place + side] = 255
    return images


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("side", [28, 16])
def test_images_keep_their_form_and_the_originals_stay(train_images, name, side):
    images = train_images.images[:100, :side, :side].copy()
    before = images.copy()
    changed = CHANGES[name](images)
    assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
    assert np.array_equal(images, before)
    assert np.array_equal(changed, CHANGES[name](images)), "the same each time"
    assert np.array_equal(changed, images) == (name == "no change")
    assert not np.shares_memory(changed, images)


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_shift_moves_a_quarter_in_each_direction(pixels):
    moved = CHANGES[f"shift by {pixels} pixel{'s' * (pixels > 1)}"](square(1))
    places = {(int(y) - 14, int(x) - 14) for _, y, x in zip(*moved.nonzero(), strict=True)}
    assert places == {(0, pixels), (pixels, 0), (0, -pixels), (-pixels, 0)}


def test_shift_lets_background_in():
    assert CHANGES["shift by 3 pixels"](square(2, place=0, size=8)).sum() < square(2).sum()


@pytest.mark.parametrize("degrees", [15, 30])
def test_rotation_agrees_with_torchvision(train_images, degrees):
    images = train_images.images[:20]
    turned = CHANGES[f"rotation by {degrees}°"](images).astype(float)
    for number, (image, mine) in enumerate(zip(images, turned, strict=True)):
        angle = -degrees if number % 2 else degrees
        theirs = tv.rotate(torch.tensor(image)[None].float(), angle, tv.InterpolationMode.BILINEAR)
        assert np.abs(mine - theirs[0].numpy()).mean() < 1


@pytest.mark.parametrize(("name", "side"), [("thicker strokes", 7), ("thinner strokes", 5)])
def test_strokes_change_by_a_pixel(name, side):
    assert (CHANGES[name](square(6)) == 255).sum() == 4 * side**2


def test_blur_keeps_the_ink_and_spreads_it_as_far_as_it_says():
    blurred = CHANGES["blur"](square(5, place=12))[0].astype(float)
    assert blurred.sum() == pytest.approx(square(5)[0].sum(), rel=0.02)
    across = blurred.sum(axis=0) / blurred.sum()
    variance = (across * (np.arange(28) - 14) ** 2).sum()
    assert variance == pytest.approx(1.5**2 + (5**2 - 1) / 12, rel=0.03)


def test_noise_and_salt_and_pepper_are_as_strong_as_they_say():
    grey = np.full((100, 28, 28), 128, np.uint8)
    noisy = CHANGES["noise"](grey).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=1)
    assert noisy.std() == pytest.approx(49.3, abs=0.5)  # a hundredth beyond 0 and 255 is cut off
    peppered = CHANGES["salt and pepper"](grey)
    assert [(peppered == value).mean() for value in (0, 255)] == pytest.approx([0.1] * 2, abs=0.005)


def test_greys_change_as_they_say():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.array_equal(CHANGES["grey background"](values), np.clip(values, 30, None))
    assert np.array_equal(CHANGES["inverted greys"](values), 255 - values)
