"""Networks and their weights as people write, train and save them."""

import pathlib

import torch
from torch import nn

from tests.grading.corpus import SEED

RECIPE = (0.1307, 0.3081)

MODELS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 5, stride=4)
        self.last = nn.Linear(4 * 6 * 6, 10)

    def forward(self, x):
        return self.last(torch.tanh(self.conv1(x)).flatten(1))

class NeedsArguments(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Flatten(), nn.Linear(784, width), nn.Tanh(), nn.Linear(width, 10))

class MNISTClassifier(nn.Module):  # another one than the project's
    def __init__(self, width):
        super().__init__()
"""


class Loud:
    """Its class is imported, and its ``__repr__`` run, by whoever is careless."""

    canary = None

    def __repr__(self):
        pathlib.Path(self.canary).mkdir()
        return "loud"


def for_pixels(weights, largest=1):
    """The same network for pixels from 0 on: the recipe's normalisation goes into its weights."""
    mean, std = RECIPE[0] * largest, RECIPE[1] * largest
    weight = weights["fc1.weight"].double() / std
    bias = weights["fc1.bias"].double() - mean * weight.sum(1)
    return {**weights, "fc1.weight": weight.float(), "fc1.bias": bias.float()}


def for_transposed(weights):
    """The same network for images that are stored on their side, as torchvision's EMNIST is."""
    weight = weights["fc1.weight"]
    turned = weight.view(-1, 28, 28).transpose(1, 2).reshape(weight.shape)
    return {**weights, "fc1.weight": turned}


def renamed(weights, names):
    """The layers fc1, fc2, ... under other names."""
    layers = dict(zip(sorted({name.split(".")[0] for name in weights}), names, strict=True))
    return {
        f"{layers[name.split('.')[0]]}.{name.split('.')[1]}": tensor
        for name, tensor in weights.items()
    }


def trained_with_tanh(images):
    """A network of the base's shape that learned with tanh, and what it recognises as it is."""
    torch.manual_seed(SEED)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10)
    )
    inputs = (torch.tensor(images.images[:6000]).float() / 255 - RECIPE[0]) / RECIPE[1]
    targets = torch.tensor(images.targets[:6000])
    for _ in range(3):
        for batch, labels in zip(inputs.split(64), targets.split(64), strict=True):
            loss = nn.functional.cross_entropy(network(batch), labels)
            parameters = [*network.parameters()]
            # By hand: the first optimizer of a process would load torch's compiler.
            with torch.no_grad():
                for parameter, gradient in zip(
                    parameters, torch.autograd.grad(loss, parameters), strict=True
                ):
                    parameter -= 0.1 * gradient
    return network.state_dict()


def cnn():
    torch.manual_seed(SEED)
    scope = {"__name__": "assignment"}
    exec(MODELS, scope)
    return scope["Net"]()


def needing(model_args):
    torch.manual_seed(SEED)
    scope = {"__name__": "assignment"}
    exec(MODELS, scope)
    weights = scope["NeedsArguments"](width=24).state_dict()
    return {
        "model_state_dict": weights,
        "model_architecture": "NeedsArguments",
        "model_args": model_args,
    }
