"""The demo's work: the shipped digits network on the float backend and on two chips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from spikeport.converters.network import Network
from spikeport.converters.read.nir import read_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.codec import Codec
from spikeport.deploy.compile import codec_for, compile_network
from spikeport.deploy.report.deployment_record import deployment_record
from spikeport.deploy.report.run_record import accuracy
from spikeport.deploy.report.tables import columns, facts, si
from spikeport.hw_profiles.profile import Profile, load_profile
from spikeport.models import digits

CALIBRATION = 64
LENDER = "loihi1"
RATE_HZ = 100.0
Labels = NDArray[np.int64]


def demo_record(step: Callable[[str], None]) -> dict[str, Any]:
    """Run the demo; everything it prints and more, as plain JSON values."""
    network = read_nir(digits.network_path(), digits.DIALECT)
    images, labels = digits.load_test()
    codec = codec_for(network, digits.ENCODER)
    step("the trained network")
    right = _float_accuracy(network, codec, images, labels)
    chips = [_chip(network, load_profile(name), codec, (images, labels), step) for name in ("loihi1", "loihi2")]
    return {
        "network": {"source_hash": network.source_hash, "dialect": network.dialect, "encoder": digits.ENCODER},
        "data": {"name": "scikit-learn digits, test part", "samples": len(labels)},
        "float_accuracy": right,
        "chips": chips,
    }


def _float_accuracy(network: Network, codec: Codec, images: NDArray[np.float32], labels: Labels) -> float | None:
    inputs = codec.encode(images, network.shapes[network.inputs[0]]).floats
    output = run_float(network, inputs).outputs[network.outputs[0]]
    return accuracy(codec.decode(np.asarray(output)).classes, labels)


def _chip(
    network: Network,
    profile: Profile,
    codec: Codec,
    test: tuple[NDArray[np.float32], Labels],
    step: Callable[[str], None],
) -> dict[str, Any]:
    images, labels = test
    step(f"compiling for {profile.name}")
    deployment = compile_network(network, profile, digits.load_train()[0][:CALIBRATION], codec)
    step(f"running {len(images)} images on {profile.name}")
    run = deployment.run(images)
    own = deployment.estimate(run, rate_hz=RATE_HZ).as_dict()
    assumed = None
    if own["energy_j"] is None or own["latency_s"] is None:
        assumed = deployment.estimate(run, profile.with_prices_of(load_profile(LENDER)), RATE_HZ).as_dict()
    activity = run.activity
    return {
        "profile": profile.name,
        "accuracy": accuracy(deployment.codec.decode(run.output).classes, labels),
        "spikes_per_image": sum(p.payload for p in activity.populations.values()) / len(images),
        "synops_per_image": sum(int(s.sum()) for s in activity.synops.values()) / len(images),
        "estimate": own,
        "estimate_at_assumed_prices": assumed,
        "deployment": deployment_record(deployment),
    }


def demo_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The demo for the terminal: one column per chip, and a sentence where prices are assumed."""
    chips = record["chips"]
    shown = [chip["estimate_at_assumed_prices"] or chip["estimate"] for chip in chips]
    rows = [
        _row("accuracy, trained network", [f"{record['float_accuracy']:.2%}" for _ in chips]),
        _row("accuracy, chip", [f"{chip['accuracy']:.2%}" for chip in chips]),
        _row("spikes per image, with input", [f"{chip['spikes_per_image']:,.0f}" for chip in chips]),
        _row("SynOps per image", [f"{chip['synops_per_image']:,.0f}" for chip in chips]),
        _row("cores", [str(e["cores"]) for e in shown]),
        _row("energy per image", [_priced(chip, "energy_j", "J") for chip in chips]),
        _row("  of it dynamic", [_priced(chip, "dynamic_j", "J") for chip in chips]),
        _row("latency per image", [_priced(chip, "latency_s", "s") for chip in chips]),
        _row("power at full speed", [_priced(chip, "power_w", "W") for chip in chips]),
        _row(f"power at {RATE_HZ:g} images/s", [_priced(chip, "power_at_rate_w", "W") for chip in chips]),
        _row("prices", [e["profile"] for e in shown]),
        _row("weakest evidence", [e["evidence"] for e in shown]),
    ]
    title = f"digits: {record['data']['samples']} real test images"
    heads = {"what": "", **{str(i): chip["profile"] for i, chip in enumerate(chips)}}
    return [columns(title, rows, heads), *(_missing(chip) for chip in chips if chip["estimate_at_assumed_prices"])]


def _row(what: str, cells: list[str]) -> dict[str, str]:
    return {"what": what, **{str(i): cell for i, cell in enumerate(cells)}}


def _priced(chip: Mapping[str, Any], key: str, unit: str) -> str:
    """A figure at the chip's own prices; at lent ones it bears the word."""
    lent = chip["estimate_at_assumed_prices"]
    return si(chip["estimate"][key], unit) if lent is None else f"{si(lent[key], unit)} (assumed)"


def _missing(chip: Mapping[str, Any]) -> RenderableType:
    own, lent = chip["estimate"], chip["estimate_at_assumed_prices"]
    events = [line for line in own["lines"] if line["name"] != "static"]
    known = sum(line["energy_j"] is not None for line in events)
    published = f"for {known} of {len(events)} kinds of events" if known else "for any event"
    (static,) = (line for line in lent["lines"] if line["name"] == "static")
    return facts(
        f"{chip['profile']}: what is assumed",
        {
            "unknown": f"no published energy or time {published}; so its own prices give no total",
            "shown instead": f"its counts at the prices of {LENDER}, likely too high",
            "mostly static": f"{lent['static_j'] / lent['energy_j']:.0%} of the energy is {_static(static)}",
        },
    )


def _static(line: Mapping[str, Any]) -> str:
    where = line["source"].partition(",")[0]
    return f"latency × static power, {line['price']:g} mW per chip ({where})"
