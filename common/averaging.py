"""A network whose weights are the running average of another one's, while that one trains."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage(AveragedModel):
    """Exponential moving average of a network's weights and of its batch statistics.

    Polyak and Juditsky 1992 (SIAM Journal on Control and Optimization 30(4)) average the iterates
    of stochastic approximation; the exponential form forgets the early ones.

    Parameters
    ----------
    model : nn.Module
        Is copied; ``module`` is the averaged network.
    decay : float
        What each step leaves of the average; 1 / (1 - decay) is how many steps it looks back on.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        self.decay = decay
