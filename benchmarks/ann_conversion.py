"""Four conventional networks on MNIST, from training to both chips' codes: ANN, converted, on the simulated chip.

Trained on 5,000 images, exported by torch as ONNX, read back, converted by rates and by sigma-delta, compiled for
loihi2. The time steps that are enough are found on 1,000 test images; what is reported comes from others.
Run: ``python benchmarks/ann_conversion.py --data ../shared/data --cache CACHE``; about 20 CPU minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ann_networks import NETWORKS, accuracy, export, pixels, train
from data_folder import data_file
from torch import nn

from spikeport.converters.read.onnx.read import read_onnx
from spikeport.deploy.compile import CompileOptions, codec_for, compile_network
from spikeport.deploy.conversion.convert import Conversion, convert
from spikeport.deploy.conversion.curve import run_encoded
from spikeport.deploy.conversion.observe import answers
from spikeport.deploy.conversion.options import ConvertOptions
from spikeport.deploy.deployment import Deployment

CALIBRATION, STEP_SEARCH = 512, 1000
ALLOWED = 0.5
"""Points that the conversion may cost where steps are searched: what is enough there should be on other images."""


def trained(name: str, data: Any, cache: Path, seed: int) -> tuple[nn.Module, Path]:
    """The network, from the cache where it is there, and its ONNX file."""
    weights, onnx = cache / f"{name}-{seed}.pt", cache / f"{name}-{seed}.onnx"
    net = NETWORKS[name]().eval()
    if weights.is_file() and onnx.is_file():
        net.load_state_dict(torch.load(weights, weights_only=True))
        return net, onnx
    net = train(name, pixels(data["train"]), data["train_y"], seed)
    torch.save(net.state_dict(), weights)
    export(net, onnx)
    return net, onnx


def converted(onnx: Path, data: Any, to: str, steps: int) -> Conversion:
    """The conversion, its steps chosen on the last `STEP_SEARCH` test images."""
    calibration, labels = pixels(data["train"][:CALIBRATION]), data["train_y"][:CALIBRATION].astype(np.int64)
    search, known = pixels(data["test"][-STEP_SEARCH:]), data["test_y"][-STEP_SEARCH:].astype(np.int64)
    options = ConvertOptions(steps=steps, points=ALLOWED)
    return convert(read_onnx(onnx), calibration, to, labels, search, known, options)  # type: ignore[arg-type]


def measured(onnx: Path, conversion: Conversion, data: Any, samples: int) -> dict[str, Any]:
    """Scores of ANN, converted network and chip on the first ``samples`` test images."""
    images, labels = pixels(data["test"][:samples]), data["test_y"][:samples].astype(np.int64)
    network = conversion.network
    codec = codec_for(network)
    began = time.perf_counter()
    deployment = compile_network(network, "loihi2", pixels(data["train"][:32]), options=CompileOptions(samples=32))
    compiled = time.perf_counter()
    run = deployment.run(images)
    ran = time.perf_counter()
    floats = codec.decode(run_encoded(network, codec.encoder, images, run.input_steps)).classes
    chip = deployment.codec.decode(run.output).classes
    ann = answers(read_onnx(onnx), images).reshape(samples, -1).argmax(1)
    return {
        "to": conversion.to,
        "steps": run.input_steps,
        "chip_steps": run.activity.steps,
        "ann": float(np.mean(ann == labels)),
        "float": float(np.mean(floats == labels)),
        "chip": float(np.mean(chip == labels)),
        "neurons": conversion.operations.neurons,
        "cores": len(deployment.placement.cores),
        "synops": sum(int(c.sum()) for c in run.activity.synops.values()) / samples,
        "macs": conversion.operations.multiply_accumulates,
        "messages": _messages(deployment, run.activity) / samples,
        "max_pools": None if conversion.max_pools is None else conversion.max_pools.treatment,
        "warm_up": conversion.warm_up,
        "points": [(p.steps, p.score) for p in conversion.from_start],
        "late_points": [(p.steps, p.score) for p in conversion.points],
        "compile_s": compiled - began,
        "run_s": ran - compiled,
    }


def _messages(deployment: Deployment, activity: Any) -> int:
    return sum(int(p.spikes.sum()) for n, p in activity.populations.items() if n not in deployment.network.inputs)


COLUMNS = (
    "net",
    "to",
    "steps",
    "warm_up",
    "chip_steps",
    "ann",
    "float",
    "chip",
    "neurons",
    "cores",
    "macs",
    "messages",
    "synops",
)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2%}" if value <= 1 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """A row per network and code."""
    parser = argparse.ArgumentParser(description="conventional networks on MNIST: ANN, converted, chip")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with mnist/")
    parser.add_argument("--nets", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--to", nargs="+", default=["spiking", "sigma-delta"], choices=["spiking", "sigma-delta"])
    parser.add_argument("--samples", type=int, default=500, help="test images on the chip, 4000 at most")
    parser.add_argument("--steps", type=int, default=96, help="most time steps tried")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(), help="folder for trained weights and ONNX files")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    with np.load(data_file(options.data, "mnist/mnist.npz")) as archive:
        data = {name: archive[name] for name in ("train", "train_y", "test", "test_y")}
    for name in options.nets:
        net, onnx = trained(name, data, options.cache, options.seed)
        whole = accuracy(net, pixels(data["test"]), data["test_y"])
        for to in options.to:
            row = measured(onnx, converted(onnx, data, to, options.steps), data, options.samples)
            rows.append({"net": name, "ann_5000": whole, **row})
            print("| " + " | ".join(_cell(rows[-1][column]) for column in COLUMNS) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
