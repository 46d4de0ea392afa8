"""Temperature scaling: one number that makes a network's confidence match its hit rate."""

import torch
import torch.nn.functional as F
from torch import Tensor


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return the temperature T > 0 that minimises the cross entropy of ``logits / T``.

    Guo et al. 2017 (ICML, section 4.2). T above 1 says that the network was too confident, T below
    1 that it was too timid. It never changes which class is largest, so accuracy stays the same.

    Parameters
    ----------
    logits : Tensor of float, shape [N, 10]
        Of images that the network was not trained on.
    targets : Tensor of int64, shape [N]
    """
    logits = logits.double()
    # Optimising log T keeps T positive without a constraint.
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / log_temperature.exp(), targets)
        loss.backward()
        return loss

    optimizer.step(closure)
    return log_temperature.exp().item()
