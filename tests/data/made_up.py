"""A made-up data set, in the layout of any set that is known."""

import numpy as np

from common.data.catalog import MNIST, QMNIST_SPEC
from common.data.idx import encode_idx


def write_set(spec, data_dir, sizes=MNIST.sizes, train=600, test=200):
    """Write random prototypes, with noise, in a set's own layout; return the upright test part."""
    generator = np.random.default_rng(7)
    prototypes = generator.integers(0, 256, (sizes.num_classes, sizes.side, sizes.side))
    folder = data_dir / spec.folder
    folder.mkdir(parents=True)
    for part, count in (("train", train), ("test", test)):
        labels = generator.permutation(np.arange(count) % sizes.num_classes)
        noise = generator.normal(0, 60, (count, sizes.side, sizes.side))
        images = np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)
        stored = images.transpose(0, 2, 1) if spec.is_transposed else images
        columns = labels.astype(np.uint8)
        if spec is QMNIST_SPEC:
            columns = np.zeros((count, 8), dtype=">i4")
            columns[:, 0], columns[:, 1:] = labels, generator.integers(0, 60_000, (count, 7))
        for name, array in zip(spec.files[part], (stored, columns), strict=True):
            (folder / name).write_bytes(encode_idx(np.ascontiguousarray(array)))
    return images, labels
