"""The whole product in seconds: train nothing, write NIR, read, compile, save, load, run, estimate."""

from pathlib import Path

import numpy as np
import pytest

import spikeport
from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Conv, Flatten, Linear, Network, Pool

STEPS = 20


def tiny() -> Network:
    rng = np.random.default_rng(7)
    kernel = rng.normal(0.1, 0.4, (4, 1, 3, 3)).astype(np.float32)
    layers = [
        ("conv", Conv(kernel, rng.normal(0, 0.1, 4).astype(np.float32), (1, 1), (1, 1), (1, 1))),
        ("lif1", leaky(0.9)),
        ("pool", Pool("average", (2, 2), (2, 2), (0, 0))),
        ("flat", Flatten(0, -1)),
        ("fc", Linear(rng.normal(0.05, 0.3, (6, 64)).astype(np.float32))),
        ("lif2", leaky(0.8, alpha=0.5)),
    ]
    loop = [("lif2", "rec", Linear(rng.normal(0, 0.2, (6, 6)).astype(np.float32), np.full(6, 0.05, np.float32)))]
    return sequential(layers, (1, 8, 8), 1e-3, "snntorch:reset=zero,reset_delay=0", loop)


def spikes(samples: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((samples, STEPS, 1, 8, 8)) < 0.3).astype(np.uint8)


@pytest.fixture(scope="module")
def deployment() -> spikeport.Deployment:
    return spikeport.compile(tiny(), "loihi2", spikes(8))


def test_nir_carries_the_network_and_its_dialect(tmp_path: Path) -> None:
    spikeport.write(tiny(), tmp_path / "tiny.nir")
    again = spikeport.read(tmp_path / "tiny.nir")
    first, second = (spikeport.run_float(n, spikes(2)).outputs["output"] for n in (tiny(), again))
    assert np.array_equal(first, second)
    assert first.sum() > 0


def test_the_chip_spikes_as_the_trained_network() -> None:
    data = spikes(8, seed=1)
    run = spikeport.compile(tiny(), "loihi2", spikes(8), options=spikeport.CompileOptions(split="always")).run(
        data, record=["all"]
    )
    truth = spikeport.run_float(tiny(), data, record=["lif1", "lif2"]).spikes
    for layer, least in (("lif1", 0.99), ("lif2", 0.85)):
        common = np.minimum(run.spikes[layer], truth[layer]).sum()
        assert common / max(run.spikes[layer].sum(), truth[layer].sum()) > least
    assert run.output.shape == (8, STEPS, 6)
    assert run.activity.steps == STEPS + 2


def test_the_first_step_is_not_ahead_of_its_input(deployment: spikeport.Deployment) -> None:
    silent = deployment.run(np.zeros((1, STEPS, 1, 8, 8), np.uint8), record=["all"])
    truth = spikeport.run_float(tiny(), np.zeros((1, STEPS, 1, 8, 8)), record=["lif1", "lif2"]).spikes
    assert all(np.array_equal(silent.spikes[n], truth[n]) for n in truth)


def test_batches_do_not_change_a_run(deployment: spikeport.Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    data = spikes(5, seed=2)
    whole = deployment.run(data)
    monkeypatch.setattr("spikeport.deploy.execute.BATCH", 2)
    cut = deployment.run(data)
    assert np.array_equal(whole.output, cut.output)
    assert np.array_equal(whole.activity.traffic, cut.activity.traffic)
    assert {k: c.tolist() for k, c in whole.activity.core_synops.items()} == {
        k: c.tolist() for k, c in cut.activity.core_synops.items()
    }


def test_a_saved_deployment_runs_as_before_and_its_bytes_repeat(
    deployment: spikeport.Deployment, tmp_path: Path
) -> None:
    deployment.save(tmp_path / "a.spk")
    loaded = spikeport.Deployment.load(tmp_path / "a.spk")
    spikeport.compile(tiny(), "loihi2", spikes(8)).save(tmp_path / "b.spk")
    assert np.array_equal(loaded.run(spikes(3)).output, deployment.run(spikes(3)).output)
    assert (tmp_path / "a.spk").read_bytes() == (tmp_path / "b.spk").read_bytes()


def test_the_same_counts_have_a_price_on_loihi1_and_none_on_loihi2(deployment: spikeport.Deployment) -> None:
    run = deployment.run(spikes(4))
    loihi1, loihi2 = spikeport.load_profile("loihi1"), spikeport.load_profile("loihi2")
    assert deployment.estimate(run, loihi2).energy_j is None
    priced = deployment.estimate(run, loihi1)
    assert priced.energy_j is not None
    assert priced.energy_j > 0
    assumed = deployment.estimate(run, loihi2.with_prices_of(loihi1))
    assert assumed.evidence == "assumed"


@pytest.mark.parametrize("target", ["loihi1", "loihi1-sanafe", "loihi2"])
def test_every_chip_takes_it(target: str) -> None:
    run = spikeport.compile(tiny(), target, spikes(4)).run(spikes(2))
    assert run.activity.traffic.sum() > 0


def test_the_passes_run_in_their_order() -> None:
    from spikeport.converters.chain import ORDER

    steps: list[str] = []
    options = spikeport.CompileOptions(scales=1)
    spikeport.compile(tiny(), "loihi1", spikes(2), options=options, progress=steps.append)
    assert tuple(dict.fromkeys(step.split()[0] for step in steps)) == ORDER
