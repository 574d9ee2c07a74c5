"""Networks that Intel's group trained and recorded (lava-dl), through the reader and the reference simulator.

pilotnet_lif was recorded in three runs of a chip. In each, layer i was reset to zero before every step i + offset,
and again a period later: period 17, offset 0 (all but what follows); period 16, offset 0 (``input-s``); period 16,
offset -1 (``fc-3``). A layer that is reset when its own first step comes is what `Population.hold_init` says. Where a
neuron spikes, the recorded v is 128: the chip's refractory counter, not a potential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_networks import one_core
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Ints, Population, Sparse, Synapses
from spikeport.converters.read.netx.read import read_netx
from spikeport.deploy.backends.simulator.reference import Simulation, simulate
from spikeport.deploy.codec import parse_encoder
from spikeport.deploy.encode import encode

REFRACTORY_MARKER = 128
LAYERS = ("input", *(f"conv-{k}" for k in range(5)), *(f"fc-{k}" for k in range(4)))
PERIOD = 17
OUTPUT_RESET = 8
"""Before which step the output was reset: it is layer 9 of the run with offset -1."""
ZERO = np.zeros((), np.int64)


@pytest.fixture(scope="module")
def lava_dl(shared_data: Path) -> Path:
    return shared_data / "lava_dl"


def channels_first(recorded: np.ndarray) -> Ints:
    """(W, H, C, ..., T) or (n, T), as Lava lays populations out, as (T, n) in C order of (C, H, W)."""
    steps = recorded.shape[-1]
    turned = recorded.transpose(*range(recorded.ndim - 2, -1, -1), -1)
    return turned.reshape(-1, steps).T.astype(np.int64)


def run(network: ChipNetwork, data: np.ndarray) -> Simulation:
    """All spikes and states of one sample (T, *shape)."""
    names = [n for n, p in network.populations.items() if p.model != "input"]
    return simulate(network, {network.inputs[0]: data[None]}, one_core(network), names, names)


def on_the_chips_clock(network: ChipNetwork, hold: Mapping[str, int] | None = None) -> ChipNetwork:
    """Every chip step is handed back; ``hold`` instead of the reader's starting times."""
    hold = hold or {n: p.hold_init for n, p in network.populations.items()}
    populations = {n: replace(p, shift=0, hold_init=hold[n]) for n, p in network.populations.items()}
    return replace(network, populations=populations)


def test_tinynets_every_spike_equals_the_recording(lava_dl: Path) -> None:
    network = read_netx(lava_dl / "tiny.net")
    image = np.load(lava_dl / "tinynet/input_bias.npy").transpose(2, 1, 0).astype(np.int64)
    spikes = run(network, np.repeat(image[None], 15, axis=0)).spikes
    for name, file in (("0 input", "input"), ("1 conv", "layer1"), ("2 conv", "output")):
        recorded = np.load(lava_dl / "tinynet" / f"{file}.npy")[0].reshape(-1, 16).T
        assert recorded.sum() > 90
        assert np.array_equal(spikes[name][0], recorded[1:])  # step 0 of the recording is empty


def test_pilotnet_sdnns_every_output_and_sigma_equals_the_recording(lava_dl: Path) -> None:
    network = read_netx(lava_dl / "pilotnet_sdnn/network.net")
    truth = np.load(lava_dl / "pilotnet_sdnn/ground_truth.npz")
    image = truth["input"][..., 0].transpose(2, 1, 0)
    sent = encode(parse_encoder("changes:steps=20,threshold=0,exp=6"), image[None], (3, 33, 100)).spikes[0]
    assert np.array_equal(sent.reshape(20, -1)[0], channels_first(truth["act0"])[0])
    seen = run(on_the_chips_clock(network), sent)
    assert np.array_equal(seen.v["9 dense"][0, :9, 0], truth["output"][0])
    for name, recorded in (("1 conv", "sigma1"), ("2 conv", "sigma2")):
        assert np.array_equal(seen.u[name][0], channels_first(truth[recorded]))


@pytest.fixture(scope="module")
def pilotnet(lava_dl: Path) -> tuple[ChipNetwork, np.ndarray, Mapping[str, np.ndarray]]:
    """The network, its image as input currents (3, 66, 200), and the recordings."""
    truth = np.load(lava_dl / "pilotnet_lif/ground_truth.npz")
    image = truth["image"].transpose(2, 1, 0).astype(np.int64)
    return read_netx(lava_dl / "pilotnet_lif/network.net"), image, dict(truth)


def recorded(truth: Mapping[str, np.ndarray], layer: str) -> tuple[Ints, Ints | None, Ints | None]:
    """Spikes, u, v of a layer, each (T, n); v at zero where a neuron spiked."""
    spikes = channels_first(truth["fc-3-s" if layer == "fc-3" else layer])
    if layer == "input":
        return spikes, None, None
    v = channels_first(truth[f"{layer}-v"])
    assert (v[spikes > 0] == REFRACTORY_MARKER).all()
    return spikes, channels_first(truth[f"{layer}-u"]), np.where(spikes > 0, 0, v)


def assert_equal(seen: Simulation, name: str, steps: slice, wanted: tuple[Ints, Ints | None, Ints | None]) -> None:
    for quantity, values in zip((seen.spikes, seen.u, seen.v), wanted, strict=True):
        if values is not None:
            assert np.array_equal(quantity[name][0, steps], values)


def test_pilotnet_lifs_every_spike_u_and_v_equals_the_recording(pilotnet) -> None:  # type: ignore[no-untyped-def]
    network, image, truth = pilotnet
    seen = run(network, np.repeat(image[None], PERIOD, axis=0))
    for i, (name, layer) in enumerate(zip(seen.spikes, LAYERS[:-1], strict=False)):
        wanted = recorded(truth, layer)
        for start in (i, i + PERIOD):  # the first sample, and as much of the second as was recorded
            window = tuple(None if x is None else x[start : start + PERIOD] for x in wanted)
            assert_equal(seen, name, slice(0, len(window[0])), window)  # type: ignore[arg-type]


def test_pilotnet_lif_before_its_first_reset_equals_the_recording(pilotnet) -> None:  # type: ignore[no-untyped-def]
    network, image, truth = pilotnet
    at_once = on_the_chips_clock(network, dict.fromkeys(network.populations, 1) | {"values": 0})
    seen = run(at_once, np.repeat(image[None], 12, axis=0))
    for i, (name, layer) in enumerate(zip(seen.spikes, LAYERS, strict=True)):
        first = i if layer != "fc-3" else OUTPUT_RESET
        window = tuple(None if x is None else x[:first] for x in recorded(truth, layer))
        assert_equal(seen, name, slice(1, 1 + first), window)  # type: ignore[arg-type]  # the image comes one step late


def test_pilotnet_lifs_output_equals_its_own_recording(pilotnet) -> None:  # type: ignore[no-untyped-def]
    network, image, truth = pilotnet
    early = {n: max(p.shift - 1, 0) for n, p in network.populations.items()}
    seen = run(on_the_chips_clock(network, early), np.repeat(image[None], 25, axis=0))
    wanted = recorded(truth, "fc-3")
    for start, steps in ((OUTPUT_RESET, 16), (OUTPUT_RESET + 16, 1)):
        window = tuple(None if x is None else x[start : start + steps] for x in wanted)
        assert_equal(seen, "10 dense", slice(OUTPUT_RESET + 1, OUTPUT_RESET + 1 + steps), window)  # type: ignore[arg-type]


def test_pilotnet_lifs_second_recording_of_its_input_has_another_period(pilotnet) -> None:  # type: ignore[no-untyped-def]
    network, image, truth = pilotnet
    spikes = run(network, np.repeat(image[None], 16, axis=0)).spikes["0 input"][0]
    wanted = channels_first(truth["input-s"])
    assert np.array_equal(spikes, wanted[:16])
    assert np.array_equal(spikes[:8], wanted[16:])


class TestTinynetSdnn:
    """Single blocks, each with threshold 20 and twice 6 fractional bits (lava-dl's tests/netx/test_blocks.py)."""

    @staticmethod
    def chain(model: str, connectivity: object, source: tuple[int, ...], shape: tuple[int, ...], bias: Ints = ZERO):  # type: ignore[no-untyped-def]
        start = Population("in", source, "input", *[ZERO] * 8)
        unit = Population(
            "out", shape, model, ZERO, ZERO, np.asarray(20), ZERO, bias, ZERO, ZERO, ZERO,
            shift=1, spike_exp=6, state_exp=6,
        )  # type: ignore[arg-type]  # fmt: skip
        synapses = Synapses("s", "in", "out", connectivity, sign_mode="mixed", graded=True)  # type: ignore[arg-type]
        return ChipNetwork({"in": start, "out": unit}, {"s": synapses}, ("in",), ("out",), 1e-3)

    def test_the_delta_unit_on_the_chip_and_the_encoder_send_what_was_recorded(self, lava_dl: Path) -> None:
        image = np.load(lava_dl / "tinynet_sdnn/input_bias.npy")[..., None]
        waves = (image * np.sin(2 * np.pi * np.arange(15) / 15)).astype(np.int64)
        data, wanted = channels_first(waves), channels_first(np.load(lava_dl / "tinynet_sdnn/input.npy"))
        one_each = Sparse(csr_array(np.eye(data.shape[1], dtype=np.int64)))
        network = self.chain("delta", one_each, (data.shape[1],), (data.shape[1],))
        assert np.array_equal(run(network, data).spikes["out"][0], wanted)
        encoder = parse_encoder("changes:threshold=20,exp=6")
        assert np.array_equal(encode(encoder, data[None], data.shape[1:]).spikes[0], wanted)

    def test_the_convolution_sends_what_was_recorded(self, lava_dl: Path) -> None:
        flipped = np.load(lava_dl / "tinynet_sdnn/layer1_kernel.npy")[:, ::-1, ::-1].transpose(0, 3, 2, 1)
        conv = Conv2d(np.ascontiguousarray(flipped), (3, 16, 16), (24, 6, 6), (2, 2), (0, 0), (1, 1), 1)
        bias = np.repeat(np.load(lava_dl / "tinynet_sdnn/layer1_bias.npy"), 36)
        network = on_the_chips_clock(self.chain("sigma_delta", conv, (3, 16, 16), (24, 6, 6), bias))
        data = channels_first(np.load(lava_dl / "tinynet_sdnn/input.npy"))
        wanted = channels_first(np.load(lava_dl / "tinynet_sdnn/layer1.npy"))
        assert np.count_nonzero(wanted[0]) > 100
        assert not wanted[1:].any()  # the recording is of one step
        assert np.array_equal(run(network, data[:1]).spikes["out"][0], wanted[:1])

    def test_the_sigma_readout_adds_up_what_was_recorded(self, lava_dl: Path) -> None:
        weight = np.load(lava_dl / "tinynet_sdnn/layer2_weight.npy")
        sent = np.load(lava_dl / "tinynet_sdnn/layer1.npy").reshape(-1, 16).T.astype(np.int64)
        plain = on_the_chips_clock(self.chain("sigma", Dense(weight), (864,), (100,)))
        # Recorded with plain spikes: lava-dl's block takes payloads only where it is told how many bits they have.
        network = replace(plain, synapses={"s": replace(plain.synapses["s"], graded=False)})
        wanted = np.load(lava_dl / "tinynet_sdnn/layer2.npy").T
        assert np.array_equal(run(network, sent).v["out"][0], wanted)
