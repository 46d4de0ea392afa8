"""What tests of grading share."""

import numpy as np
import pytest

from common.data.idx import encode_idx


@pytest.fixture(scope="session")
def private_set(tmp_path_factory, test_images):
    """A small set of images that nobody else has: the last 300 test images, upside down."""
    folder = tmp_path_factory.mktemp("private")
    images = test_images.images[-300:, ::-1]
    labels = test_images.targets[-300:].astype(np.uint8)
    (folder / "own-images-idx3-ubyte").write_bytes(encode_idx(images))
    (folder / "own-labels-idx1-ubyte").write_bytes(encode_idx(labels))
    return folder
