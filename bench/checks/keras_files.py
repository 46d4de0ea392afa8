"""Checks that networks in Keras' own files are graded as Keras itself answers.

Keras trains and saves five networks of its tutorials, in an environment of its own. Then each file
is read, and both answers to the 10,000 test images are compared:

    KERAS_BACKEND=tensorflow python bench/checks/keras_files.py make FOLDER
    python -m bench.checks.keras_files compare FOLDER

The first needs keras and a backend (pip install keras tensorflow-cpu), the second what grading
needs. Both read data/.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

_RAW = Path("data/MNIST/raw")
_TRAINED_ON, _EPOCHS = 12_000, 2
_TOLERANCE = 1e-4  # of probabilities


def make(folder: Path) -> None:
    """Train the networks, and save them with what they answer."""
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    images = _read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28)[:_TRAINED_ON]
    labels = _read("train-labels-idx1-ubyte", 8)[:_TRAINED_ON].astype(np.int64)
    for name, (scale, model) in _networks(keras).items():
        keras.utils.set_random_seed(42)
        has_logits = not name.startswith(("convnet", "functional"))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=has_logits)
        model.compile("adam", loss)
        model.fit(_shaped(images, scale, model), labels, 64, _EPOCHS, verbose=0)
        model.save(folder / name)
        tested = _read("t10k-images-idx3-ubyte", 16).reshape(-1, 28, 28)
        answers = model.predict(_shaped(tested, scale, model), verbose=0)
        np.save(folder / f"{name}.npy", np.asarray(answers))
        print(f"{name}: saved by Keras {keras.__version__} on {keras.backend.backend()}")


def _read(name: str, header: int) -> np.ndarray:
    return np.frombuffer((_RAW / name).read_bytes()[header:], np.uint8)


def _shaped(images: np.ndarray, scale: int, model: Any) -> np.ndarray:  # noqa: ANN401 (of Keras)
    return (images / np.float32(scale)).reshape(-1, *model.input_shape[1:])


def _networks(keras: ModuleType) -> dict[str, tuple[int, Any]]:
    """Return what the pixels are divided by, and the network, by the name of its file."""
    layers, image = keras.layers, keras.Input((28, 28, 1))
    features = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for filters in (8, 16):
        features = layers.Conv2D(filters, 3, activation="relu", padding="same", strides=2)(features)
        features = layers.BatchNormalization()(features)
    features = layers.Dropout(0.3)(layers.Dense(64, "tanh")(layers.Flatten()(features)))
    return {
        "quickstart.keras": (255, _quickstart(keras)),
        "convnet.keras": (
            255,
            keras.Sequential(
                [
                    keras.Input((28, 28, 1)),
                    layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
                    layers.MaxPooling2D(pool_size=(2, 2)),
                    layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
                    layers.MaxPooling2D(pool_size=(2, 2)),
                    layers.Flatten(),
                    layers.Dropout(0.5),
                    layers.Dense(10, activation="softmax"),
                ]
            ),
        ),
        "rescaled.keras": (
            1,
            keras.Sequential(
                [
                    keras.Input((28, 28)),
                    layers.Rescaling(1 / 255),
                    layers.Flatten(),
                    layers.Dense(128, use_bias=False),
                    layers.BatchNormalization(),
                    layers.LeakyReLU(),
                    layers.Dense(10),
                ]
            ),
        ),
        "functional.keras": (1, keras.Model(image, layers.Softmax()(layers.Dense(10)(features)))),
        "legacy.h5": (255, _quickstart(keras)),
    }


def _quickstart(keras: ModuleType) -> Any:  # noqa: ANN401
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )


def compare(folder: Path) -> bool:
    """Print how far each file's answers are from Keras' own; tell whether all agree."""
    import torch

    from common.data.catalog import MNIST
    from grading.readers.kinds import read_file

    scales, agree = {"rescaled.keras": 1, "functional.keras": 1}, True
    pixels = torch.from_numpy(_read("t10k-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28).copy())
    for answers in sorted(folder.glob("*.npy")):
        path = answers.with_suffix("")
        file = (path.name, path.read_bytes())
        network = read_file(file, [file], MNIST.sizes, len(pixels))
        ours = torch.from_numpy(network.predict(pixels / scales.get(path.name, 255))).softmax(1)
        theirs = torch.from_numpy(np.load(answers))
        theirs = theirs if path.name.startswith(("convnet", "functional")) else theirs.softmax(1)
        furthest = (ours - theirs).abs().max().item()
        differing = (ours.argmax(1) != theirs.argmax(1)).sum().item()
        print(f"{path.name}: probabilities differ by up to {furthest:.1e}, classes of {differing}")
        agree &= furthest <= _TOLERANCE and differing == 0
    return agree


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    sys.exit(make(where) if what == "make" else not compare(where))
