"""What tests of grading share."""

from dataclasses import replace
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
import torch

import evaluate
from common.data.idx import encode_idx
from common.loops import Batches
from own_runs.measure import measure_run
from tests.grading.corpus import NUM_IMAGES


@pytest.fixture(scope="session")
def few_images(test_images):
    """The first of the test images."""
    images, targets = test_images.images[:NUM_IMAGES], test_images.targets[:NUM_IMAGES]
    return replace(test_images, images=images, targets=targets)


@pytest.fixture(scope="module")
def on_few_images(few_images):
    """Lets evaluate.py grade on the first of the test images, for many rows in little time.

    Given as ``--test-set`` they would be private, and rows say less of those.
    """
    with mock.patch.object(evaluate, "load_test_set", lambda *_: few_images):
        yield


@pytest.fixture(scope="session")
def own_row(finished, few_images):
    """The row of the base network's run, measured as one's own."""
    batches = Batches(few_images, 1000, torch.device("cpu"))
    return measure_run(finished.folder / "runs/base", few_images, batches, Fraction(80)).row


@pytest.fixture(scope="session")
def private_set(tmp_path_factory, test_images):
    """A small set of images that nobody else has: the last 300 test images, upside down."""
    folder = tmp_path_factory.mktemp("private")
    images = test_images.images[-300:, ::-1]
    labels = test_images.targets[-300:].astype(np.uint8)
    (folder / "own-images-idx3-ubyte").write_bytes(encode_idx(images))
    (folder / "own-labels-idx1-ubyte").write_bytes(encode_idx(labels))
    return folder
