"""The claims of the tutorial, and for each a pair of recipes that tests it."""

from dataclasses import replace
from typing import NamedTuple

from bench.study.ablations import BASE, IMPROVED, Setting


class Measure(NamedTuple):
    """What is measured."""

    title: str  # with its unit
    more_is_better: bool
    matters: float | None  # the difference that would matter to a reader; None: any


MEASURES = {
    "accuracy": Measure("accuracy, %", True, 0.1),
    "loss": Measure("loss", False, 0.005),
    "calibration_error": Measure("calibration error, points", False, 0.3),
    "epochs_to_goal": Measure("epochs to 97 %", False, 0.3),
    "seconds": Measure("seconds", False, None),
}


class Claim(NamedTuple):
    """A claim, according to which the recipe that follows it does better than the other one."""

    words: str  # those of the tutorial, shortened
    contrast: str  # what is compared with what
    measure: str
    follows: Setting
    other: Setting
    note: str = ""  # what a verdict on it must not be read without


# So many epochs of the base network take as long as 10 of the improved network.
EPOCHS_AT_EQUAL_TIME = 27

_BATCH_16 = replace(BASE, batch_size=16)
_BATCH_256 = replace(BASE, batch_size=256)
# These three have as many parameters as 512-256-128, 567,434, to within half a percent.
_ONE_LAYER = replace(BASE, hidden_sizes=(714,))
_TWO_LAYERS = replace(BASE, hidden_sizes=(560, 224))
_FOUR_LAYERS = replace(BASE, hidden_sizes=(496, 256, 128, 112))
_SIGMOID = replace(BASE, activation="sigmoid")
_TANH = replace(BASE, activation="tanh")
_SGD = replace(BASE, optimizer="SGD", lr=0.01)
_L2 = replace(BASE, weight_decay=1e-3)
_IMPROVED_SLOW = replace(IMPROVED, lr=1e-3)

CLAIMS = (
    Claim(
        "Normalised inputs converge faster",
        "mean 0 and variance 1, against pixels in [0, 1]",
        "epochs_to_goal",
        BASE,
        replace(BASE, normalize=False),
    ),
    Claim(
        "Batches of 64 are a good balance: smaller ones have noisier gradients",
        "batches of 64, against 16",
        "accuracy",
        BASE,
        _BATCH_16,
    ),
    Claim(
        "Batches of 64 are a good balance: smaller ones are slow",
        "batches of 64, against 16",
        "seconds",
        BASE,
        _BATCH_16,
    ),
    Claim(
        "Batches of 64 are a good balance: larger ones bring no more",
        "batches of 64, against 256",
        "accuracy",
        BASE,
        _BATCH_256,
    ),
    Claim(
        "Shuffling generalises better",
        "a new order each epoch, against one order",
        "accuracy",
        BASE,
        replace(BASE, shuffle=False),
    ),
    Claim(
        "Layers that narrow step by step extract higher features",
        "three hidden layers, against one, with as many parameters",
        "accuracy",
        BASE,
        _ONE_LAYER,
    ),
    Claim(
        "Layers that narrow step by step extract higher features",
        "three hidden layers, against two, with as many parameters",
        "accuracy",
        BASE,
        _TWO_LAYERS,
    ),
    Claim(
        "A deeper network can learn more complex patterns",
        "four hidden layers, against three, with as many parameters",
        "accuracy",
        _FOUR_LAYERS,
        BASE,
    ),
    Claim(
        "Dropout prevents overfitting",
        "dropout of 0.3, against none",
        "accuracy",
        BASE,
        replace(BASE, dropout_rate=0.0),
    ),
    Claim(
        "Dropout prevents overfitting",
        "dropout of 0.3, against none",
        "loss",
        BASE,
        replace(BASE, dropout_rate=0.0),
    ),
    Claim(
        "Dropout of 0.3 is not too aggressive",
        "dropout of 0.3, against 0.5",
        "accuracy",
        BASE,
        replace(BASE, dropout_rate=0.5),
    ),
    Claim(
        "Dropout belongs after the activation",
        "dropout after the sigmoid, against before it",
        "accuracy",
        _SIGMOID,
        replace(_SIGMOID, dropout_first=True),
    ),
    Claim(
        "ReLU does not saturate as the sigmoid does",
        "ReLU, against the sigmoid",
        "accuracy",
        BASE,
        _SIGMOID,
    ),
    Claim("ReLU does not saturate as tanh does", "ReLU, against tanh", "accuracy", BASE, _TANH),
    Claim(
        "Xavier initialisation converges faster",
        "Xavier, against PyTorch's default",
        "epochs_to_goal",
        BASE,
        replace(BASE, initialization="default"),
    ),
    Claim(
        "Xavier initialisation converges faster",
        "Xavier, against Kaiming",
        "epochs_to_goal",
        BASE,
        replace(BASE, initialization="kaiming"),
    ),
    Claim(
        "Xavier initialisation is better than one that ignores the layer",
        "Xavier, against equal weights",
        "accuracy",
        BASE,
        replace(BASE, initialization="equal"),
    ),
    Claim(
        "Adam works well with default settings, SGD needs tuning",
        "Adam at 0.001, against SGD at 0.01",
        "accuracy",
        BASE,
        _SGD,
    ),
    Claim(
        "Adam works well with default settings, SGD needs tuning",
        "Adam at 0.001, against SGD at 0.01 with momentum 0.9",
        "accuracy",
        BASE,
        replace(_SGD, optimizer="momentum"),
        "This SGD is tuned: it has momentum and ten times Adam's rate. That SGD needs tuning is "
        "not contradicted.",
    ),
    Claim(
        "RMSprop is Adam's predecessor and lacks its bias correction",
        "Adam, against RMSprop",
        "accuracy",
        BASE,
        replace(BASE, optimizer="RMSprop"),
    ),
    Claim(
        "AdamW generalises better than Adam with L2",
        "AdamW, against Adam, weight decay 0.001 in both",
        "accuracy",
        replace(_L2, optimizer="AdamW"),
        _L2,
    ),
    Claim(
        "Weight decay of 0.0001 prevents overfitting",
        "weight decay of 0.0001, against none",
        "accuracy",
        BASE,
        replace(BASE, weight_decay=0.0),
    ),
    Claim(
        "Weight decay of 0.0001 is small enough not to hamper learning",
        "weight decay of 0.0001, against 0.001",
        "accuracy",
        BASE,
        _L2,
    ),
    Claim(
        "Smaller steps at the end converge more precisely",
        "StepLR, against a constant rate",
        "accuracy",
        BASE,
        replace(BASE, schedule="constant"),
    ),
    Claim(
        "OneCycle reaches a higher accuracy",
        "OneCycle up to 0.01, against StepLR from 0.001, in the improved network",
        "accuracy",
        IMPROVED,
        replace(_IMPROVED_SLOW, schedule="StepLR"),
    ),
    Claim(
        "Batch normalisation allows higher learning rates",
        "with batch normalisation, against without, up to 0.01",
        "accuracy",
        IMPROVED,
        replace(IMPROVED, batch_norm=False),
    ),
    Claim(
        "Batch normalisation converges faster",
        "with batch normalisation, against without, up to 0.001",
        "epochs_to_goal",
        _IMPROVED_SLOW,
        replace(_IMPROVED_SLOW, batch_norm=False),
    ),
    Claim(
        "Label smoothing improves calibration",
        "label smoothing of 0.1, against none, in the improved network",
        "calibration_error",
        IMPROVED,
        replace(IMPROVED, label_smoothing=0.0),
    ),
    Claim(
        "Label smoothing improves generalisation",
        "label smoothing of 0.1, against none, in the improved network",
        "accuracy",
        IMPROVED,
        replace(IMPROVED, label_smoothing=0.0),
    ),
    Claim(
        "The improved network is better than the base network",
        "the improved network, against the base network, at equal epochs",
        "accuracy",
        IMPROVED,
        BASE,
    ),
    Claim(
        "The improved network is better than the base network",
        f"the improved network for 10 epochs, against the base network for {EPOCHS_AT_EQUAL_TIME}, "
        "which takes as long",
        "accuracy",
        IMPROVED,
        replace(BASE, epochs=EPOCHS_AT_EQUAL_TIME),
    ),
)
