"""Learning in integers: equal to Lava's own learning model, silent below the threshold, counted."""

import numpy as np
import pytest

from spikeport.deploy.backends.lava.compatibility import installed, prepare
from spikeport.deploy.learning.engine import (
    Rate,
    Rounding,
    count_trace,
    impulse_for,
    nearest_rate,
    product,
    update,
    weight_range,
    weight_unit,
)
from spikeport.deploy.learning.third_factor import errors, sent
from spikeport.errors import DataError


class _Port:
    """What a Lava model sees of a port, the other end being this test."""

    def __init__(self) -> None:
        self.value = np.zeros(0)

    def recv(self) -> np.ndarray:
        return self.value

    def send(self, _data: np.ndarray) -> None:
        pass


def lava_model(weights: np.ndarray, rule: str, impulse: int, epoch: int, sign_mode: str):
    """Lava's learning dense model with its Vars set, outside any runtime."""
    prepare()
    from lava.magma.core.learning.constants import GradedSpikeCfg
    from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
    from lava.proc.dense.models import PyLearningDenseModelBitApproximate
    from lava.utils.weightutils import SignMode

    learning = Loihi3FLearningRule(dw=rule, x1_impulse=impulse, x1_tau=1e20, t_epoch=epoch, rng_seed=1)
    parameters = {
        "learning_rule": learning,
        "shape": weights.shape,
        "graded_spike_cfg": GradedSpikeCfg.USE_REGULAR_IMPULSE,
        "sign_mode": SignMode[sign_mode.upper()],
        "num_weight_bits": 8,
    }
    model = PyLearningDenseModelBitApproximate(parameters)
    model.weights, model.weights_set = weights.astype(np.int32), True
    model.num_message_bits, model.a_buff = np.zeros(1, int), np.zeros(len(weights), np.int32)
    for name, size in (("x", weights.shape[1]), ("y", weights.shape[0])):
        setattr(model, f"{name}0", np.zeros(size, bool))
        setattr(model, f"t{name}", np.zeros(size, int))
        for trace in ("1", "2", "3"):
            setattr(model, name + trace, np.zeros(size, int))
    model.tag_1 = model.tag_2 = np.zeros_like(weights)
    for port in ("s_in", "a_out", "s_in_bap", "s_in_y1", "s_in_y2", "s_in_y3"):
        setattr(model, port, _Port())
    for port in ("s_in_bap", "s_in_y1", "s_in_y2", "s_in_y3"):
        getattr(model, port).value = np.zeros(len(weights), int)
    return model


def lava_epoch(model, spikes: np.ndarray, error: np.ndarray, first_step: int) -> np.ndarray:
    """One sample of spikes (T, n_pre), the error in its last step; the weights after it."""
    model.x1 = np.zeros_like(model.x1)
    for step, row in enumerate(spikes):
        model.time_step = first_step + step
        model.s_in.value = row
        model.s_in_y1.value = error if step == len(spikes) - 1 else 0 * error
        model.run_spk()
        if model.lrn_guard():
            model.run_lrn()
    return np.asarray(model.weights)


@pytest.mark.skipif(not installed(), reason="needs lava-nc; `spikeport doctor` prints how to install it")
@pytest.mark.parametrize("sign_mode", ["mixed", "excitatory", "inhibitory"])
@pytest.mark.parametrize("rate", [Rate(1, -7), Rate(3, -4), Rate(7, -1), Rate(5, 6)])
def test_updates_equal_lavas_learning_model_epoch_by_epoch(rate: Rate, sign_mode: str) -> None:
    rng = np.random.default_rng(rate.mantissa)
    low, high = weight_range(1, sign_mode)
    weights, steps, rounding = rng.integers(low, high + 1, (5, 23)), 6, Rounding()
    model = lava_model(weights, str(rate), impulse_for(steps), steps, sign_mode)
    for epoch in range(12):
        spikes, error = rng.integers(0, 2, (steps, 23)), rng.integers(-15, 16, 5)
        x1 = count_trace(spikes, impulse_for(steps))
        weights = update(weights, product(x1, error, rate), rounding.next(), sign_mode=sign_mode)
        assert np.array_equal(weights, lava_epoch(model, spikes, error, 1 + epoch * steps))
