"""The network of a playground's file, computed apart from the page."""

import base64

import numpy as np
import torch


def dequantized_logits(document, images):
    """Returns what the file's network answers, by arithmetic of its own."""
    network = document["network"]
    values = (images.flatten(1).double() / 255 - network["pixel_mean"]) / network["pixel_std"]
    for number, layer in enumerate(network["layers"]):
        weights, biases = weights_and_biases(layer)
        values = (values.relu() if number else values) @ weights.T + biases
    return values


def weights_and_biases(layer):
    levels, scales, biases = (
        torch.from_numpy(np.frombuffer(base64.b64decode(layer[key]), dtype).astype(np.float64))
        for key, dtype in (("levels", np.int8), ("scales", "<f4"), ("biases", "<f4"))
    )
    return levels.reshape(layer["outputs"], layer["inputs"]) * scales[:, None], biases
