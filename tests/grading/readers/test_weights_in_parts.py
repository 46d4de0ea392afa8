"""Weights as torch keeps them while training: the network they are, or what to save instead."""

import collections
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.optim.swa_utils import AveragedModel

from common.models import MNISTClassifier
from common.support.errors import SubmissionError
from grading.readers.weights.checkpoint import parse_checkpoint
from tests.grading.corpus import SEED, saved

LAYERS = ("fc1", "fc2", "fc3")
SIZES = [784, 24, 20, 10]
IMAGES = torch.randn(9, 1, 28, 28, generator=torch.Generator().manual_seed(SEED))


def network(seed=SEED, change=lambda layer: layer):
    """A network of ours with other weights in every layer, changed by a function of torch's."""
    torch.manual_seed(seed)
    made = MNISTClassifier(hidden_sizes=SIZES[1:3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old weight_norm, which most tutorials have
        for name in LAYERS:
            change(getattr(made, name))
    made.train()(IMAGES)  # spectral_norm iterates
    return made.eval()


class Holder(nn.Module):
    """A module that keeps others under the names given."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def layers_of(made, kind=nn.ModuleList, count=3):
    return kind([getattr(made, name) for name in LAYERS[:count]])


def answers(model):
    with torch.inference_mode():
        return model.eval()(IMAGES)


def refusal(content):
    with pytest.raises(SubmissionError) as caught:
        parse_checkpoint(saved(content))
    reason = str(caught.value)
    assert 10 < len(reason) <= 600
    assert reason.isprintable()
    return reason


def pruned_weight_norm(layer):
    prune.random_unstructured(weight_norm(layer), "weight_v", amount=0.3)


def pruned_parametrization(layer):
    parametrizations.weight_norm(layer)
    prune.random_unstructured(layer.parametrizations.weight, "original1", amount=0.3)


CHANGES = {
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", amount=0.3),
    "pruned bias": lambda layer: prune.l1_unstructured(layer, "bias", amount=0.3),
    "pruned rows": lambda layer: prune.ln_structured(layer, "weight", amount=0.3, n=2, dim=0),
    "weight_norm": weight_norm,
    "weight_norm by column": lambda layer: weight_norm(layer, dim=1),
    "weight_norm of all": lambda layer: weight_norm(layer, dim=None),
    "weight_norm, new": parametrizations.weight_norm,
    "weight_norm of all, new": lambda layer: parametrizations.weight_norm(layer, dim=None),
    "spectral_norm": spectral_norm,
    "spectral_norm, new": parametrizations.spectral_norm,
    "both": lambda layer: parametrizations.spectral_norm(parametrizations.weight_norm(layer)),
    "weight_norm, pruned": pruned_weight_norm,
    "weight_norm, new, pruned": pruned_parametrization,
}


@pytest.mark.parametrize("name", CHANGES)
def test_weights_in_parts_are_the_network_that_torch_makes_of_them(name):
    made = network(change=CHANGES[name])
    found = parse_checkpoint(saved({"model_state_dict": made.state_dict()}))
    assert torch.equal(answers(found.model), answers(made))
    assert found.architecture == "MNISTClassifier"
    said = {"pruned": "pruning", "both": "spectral_norm"}.get(name.split()[0], name.split(",")[0])
    assert any(said.split()[0] in note for note in found.notes)


def test_length_of_the_direction_means_nothing():
    made = network(change=weight_norm)
    plain = answers(made)
    for name in LAYERS:
        getattr(made, name).weight_v.data *= 3
    torch.testing.assert_close(answers(parse_checkpoint(saved(made.state_dict())).model), plain)


def lacking(name):
    state_dict = network(change=weight_norm).state_dict()
    del state_dict[name]
    return state_dict


def with_part(change, name, tensor):
    return {**network(change=change).state_dict(), name: tensor}


def zero(name):
    return torch.zeros_like(network(change=weight_norm).state_dict()[name])


HOSTILE = {
    "no length": (lambda: lacking("fc1.weight_g"), "'fc1.weight_v' is one part of a weight"),
    "no direction": (lambda: lacking("fc2.weight_v"), "prune.remove(layer, 'weight')"),
    "length": (
        lambda: with_part(weight_norm, "fc1.weight_g", torch.ones(3, 1)),
        "'fc1.weight_g' and the other parts of its weight do not fit each other",
    ),
    "length of a square": (
        lambda: with_part(weight_norm, "fc1.weight_g", torch.ones(24, 784)),
        "do not fit each other",
    ),
    "zero direction": (
        lambda: with_part(weight_norm, "fc1.weight_v", zero("fc1.weight_v")),
        "fc1.weight holds values that are NaN",
    ),
    "mask": (
        lambda: with_part(CHANGES["pruned"], "fc1.weight_mask", torch.ones(1)),
        "'fc1.weight_mask' and the other parts",
    ),
    "vector": (
        lambda: with_part(spectral_norm, "fc1.weight_u", torch.ones(24, 1)),
        "'fc1.weight_orig' and the other parts",
    ),
    "flat weight": (
        lambda: with_part(spectral_norm, "fc1.weight_orig", torch.ones(24)),
        "do not fit each other",
    ),
    "zero vector": (
        lambda: with_part(spectral_norm, "fc1.weight_u", torch.zeros(24)),
        "fc1.weight holds values that are NaN or infinite",
    ),
    "endless vector": (
        lambda: with_part(spectral_norm, "fc1.weight_u", torch.ones(1).expand(10**12)),
        "do not fit MNISTClassifier",
    ),
    "own parametrization": (
        lambda: network(
            change=lambda layer: parametrize.register_parametrization(layer, "weight", nn.Tanh())
        ).state_dict(),
        "remove_parametrizations(layer, 'weight')",
    ),
    "orthogonal": (
        lambda: network(change=parametrizations.orthogonal).state_dict(),
        "'fc1.parametrizations.weight.original' is one part",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_parts_that_make_no_weight_are_refused(name):
    make, part = HOSTILE[name]
    assert part in refusal(make())


def averaged(made):
    average = AveragedModel(made)
    average.update_parameters(made)
    return average


class Named(nn.Module):
    """Layers that are named each, and listed."""

    def __init__(self, made, is_first=False, count=3, **options):
        super().__init__()
        if is_first:
            self.layers = layers_of(made, **options)
        for name in LAYERS:
            setattr(self, name, getattr(made, name))
        self.layers = layers_of(made, count=count, **options)


ONE_NETWORK = {
    "average": lambda made: averaged(made).state_dict(),
    "average, class named": lambda made: {
        "model_state_dict": averaged(made).state_dict(),
        "model_architecture": "MNISTClassifier",
    },
    "Lightning's average": lambda made: {
        "state_dict": Holder(model=made).state_dict(),
        "current_model_state": Holder(model=network(1)).state_dict(),
        "averaging_state": {"n_averaged": torch.tensor(3)},
    },
    "loss": lambda made: Holder(
        model=made, criterion=nn.CrossEntropyLoss(weight=torch.ones(10))
    ).state_dict(),
    "loss within": lambda made: Holder(
        model=made, losses=Holder(bce=nn.BCEWithLogitsLoss(pos_weight=torch.ones(10)))
    ).state_dict(),
    "named and listed": lambda made: Named(made).state_dict(),
    "listed and named": lambda made: Named(made, is_first=True).state_dict(),
    "some are listed": lambda made: Named(made, count=2).state_dict(),
    "in another's module": lambda made: Holder(model=Named(made)).state_dict(),
    "equal copies": lambda made: {k: v.clone() for k, v in Named(made).state_dict().items()},
    "average of a frozen network": lambda made: Holder(a=made, b=averaged(made)).state_dict(),
    "what else is kept": lambda made: {
        "model": made.state_dict(),
        "rng_state": torch.get_rng_state(),
        "class_weights": torch.ones(10),
        "history": {"loss": torch.ones(3)},
    },
    "containers": lambda made: {
        "model": made.state_dict(),
        "history": collections.defaultdict(list, loss=[1.0]),
        "last": collections.deque([1, 2], maxlen=4),
    },
}


@pytest.mark.parametrize("name", ONE_NETWORK)
def test_one_network_with_more_beside_it_is_that_network(name):
    made = network()
    found = parse_checkpoint(saved(ONE_NETWORK[name](made)))
    assert torch.equal(answers(found.model), answers(made))


def test_what_was_left_out_is_noted():
    for name, part in (
        ("loss", "criterion.weight is of a loss"),
        ("named and listed", "used once"),
    ):
        notes = parse_checkpoint(saved(ONE_NETWORK[name](network()))).notes
        assert any(part in note for note in notes), notes


def test_layers_of_one_list_that_are_equal_are_used_as_often_as_they_stand_there():
    shared = nn.Linear(24, 24)
    made = nn.Sequential(nn.Flatten(), nn.Linear(784, 24), nn.ReLU())
    made.extend([shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(24, 10)])
    found = parse_checkpoint(saved(made.state_dict())).model
    torch.testing.assert_close(answers(found), answers(made))


def once_or_twice():
    middle = nn.Linear(24, 24)
    parts = {"first": nn.Linear(784, 24), "hidden": middle, "again": middle}
    return Holder(**parts, last=nn.Linear(24, 10))


SEVERAL = {
    "two sets": (Holder(online_model=network(), ema_model=network(1)), "'online_model' and 'ema_m"),
    "in a module": (
        Holder(model=Holder(net=network(), ema=averaged(network(1)))),
        "under 'model.net' and 'model.ema'",
    ),
    "one within the other": (Holder(ema=network(1), **dict(network().named_children())), "'ema'"),
    "no chains": (
        Holder(
            a=Holder(x=nn.Conv2d(1, 2, 3), y=nn.Linear(9, 10)),
            b=Holder(x=nn.Conv2d(1, 2, 3), y=nn.Linear(9, 10)),
        ),
        "under 'a' and 'b'",
    ),
    "once or twice": (once_or_twice(), "does not tell whether it is used once or twice"),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_meanings_are_named(name):
    module, part = SEVERAL[name]
    assert part in refusal(module.state_dict())


def test_averaging_alone_and_a_loss_alone_are_no_network():
    assert "no weights" in refusal({"n_averaged": torch.tensor([3])})
    assert "another network" in refusal({"criterion.weight": torch.ones(10)})
