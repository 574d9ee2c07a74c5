"""Layers on a GPU. Without one, Triton's interpreter runs the same kernel where Triton is installed."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
import torch
from random_networks import Case, random_case, same

from spikeport.deploy.backends.simulator.dense.engine import DenseEngine, on_device
from spikeport.deploy.backends.simulator.engine import Engine, Layer, Runner
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.backends.simulator.simulation import Choice
from spikeport.deploy.backends.simulator.simulator import Simulator
from spikeport.errors import BackendError

GPU = torch.cuda.is_available()
if not GPU:
    os.environ["TRITON_INTERPRET"] = "1"


class Interpreted:
    """What runs on a GPU, on the processor."""

    name = "cuda"
    undivided = True

    def ready(self, layer: Layer) -> Runner:
        return on_device(layer, torch.device("cpu"), Choice("cuda", "interpreted"))


def differs(case: Case, engine: Engine) -> list[str]:
    names = list(case.network.populations)
    inside = [name for name, p in case.network.populations.items() if p.model != "input"]
    truth = simulate(case.network, case.inputs, case.placement, names, inside)
    found = Simulator(case.network, case.placement, engine).run(case.inputs, names, inside)
    return [f for f in ("spikes", "u", "v", "activity") if not same(getattr(found, f), getattr(truth, f))]


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
@pytest.mark.skipif(GPU, reason="there is a GPU for it")
@pytest.mark.parametrize("seed", range(4))
def test_the_gpu_kernel_equals_the_reference_when_interpreted(seed: int) -> None:
    assert differs(random_case(seed, sigma_delta=seed % 4 == 3), Interpreted()) == []


@pytest.mark.skipif(not GPU, reason="needs a GPU")
@pytest.mark.parametrize("seed", range(12))
def test_a_gpu_equals_the_reference(seed: int) -> None:
    assert differs(random_case(seed, sigma_delta=seed % 4 == 3), DenseEngine("cuda")) == []


@pytest.mark.parametrize("seed", range(2))
def test_sums_on_a_device_with_neurons_on_the_processor_equal_the_reference(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeport.deploy.backends.simulator.dense.engine.find_spec", lambda name: None)
    assert differs(random_case(seed), Interpreted()) == []


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(BackendError, match="needs a GPU that torch can use"):
        DenseEngine("cuda")
