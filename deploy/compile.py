"""compile: a trained network, a chip and some data in; a Deployment out."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chain import Chain
from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.circuit import Circuit, InputCode
from spikeport.converters.connectivity import fan_in
from spikeport.converters.findings import Finding
from spikeport.converters.network import Network, SigmaDelta
from spikeport.converters.passes.quantize.calibration import Calibration
from spikeport.converters.passes.quantize.quantize import Choices, Quantized, Split
from spikeport.converters.placement import Placement
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.codec import Codec, kind_of, parse_decoder, parse_encoder
from spikeport.deploy.compile_program import check_payload, compile_program, program_codec
from spikeport.deploy.data import data_hash
from spikeport.deploy.decode import Decoder
from spikeport.deploy.deployment import Deployment, Provenance
from spikeport.deploy.encode import Encoded, Spikes, largest, unit
from spikeport.deploy.encode_values import Changes, Values
from spikeport.errors import DataError, DoesNotFitError, ModelError
from spikeport.hw_profiles.profile import Profile, load_profile

Progress = Callable[[str], None]

FRAME_BUDGET = 1 << 20
"""Neurons of the largest layer × steps × samples that calibration looks at: more costs time, not accuracy."""
NO_DATA_STEPS, NO_DATA_RATE, NO_DATA_PAYLOAD = 64, 0.1, 1 << 16


@dataclass(frozen=True)
class CompileOptions:
    """Choices of a compilation.

    Attributes:
        split: whether a connection may use two synapse groups (coarse and fine) where 8 bits are too few:
            "auto" where calibration asks for it and the cores allow it, "never", "always".
        scales: how many scales are simulated per population.
        samples: calibration samples used at most.
        seed: of the random input that stands in where there are no calibration data.
        weight_bits: bits per weight, 1 .. 8; None for all that the chip has. Fewer save synaptic memory.
    """

    split: Split = "auto"
    scales: int = 8
    samples: int = 16
    seed: int = 0
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        if self.weight_bits is not None and not 1 <= self.weight_bits <= 8:
            raise DataError(f"weight_bits={self.weight_bits} must be 1 .. 8")
        if self.split not in get_args(Split):
            raise DataError(f"split={self.split!r}; there are {', '.join(get_args(Split))}")
        for name, least in (("scales", 1), ("samples", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise DataError(f"{name}={getattr(self, name)} must be {least} or more")


def compile_network(
    network: Network | ChipNetwork,
    target: str | Path | Profile,
    calibration: NDArray[Any] | None = None,
    codec: Codec | None = None,
    options: CompileOptions | None = None,
    progress: Progress | None = None,
) -> Deployment:
    """Compile a network for a chip.

    Args:
        network: as a reader returns it; of one that is an integer program, only the seats are found.
        target: a profile, its name, or the path of its .toml file.
        calibration: data (B, T, *shape), or (B, *shape) where the encoder makes the time axis; programs need none.
        codec: how data are encoded and outputs decoded; spikes in, and spike counts (or the membrane of an
            integrator) out, if None.
        options: see `CompileOptions`; programs have none to choose.
        progress: called with what is being done.

    Raises:
        SpikeportError: the network, the data or the chip do not go together; the subclass and message say why.
    """
    options = options or CompileOptions()
    profile = target if isinstance(target, Profile) else load_profile(target)
    chain = Chain(profile, progress or (lambda name: None))
    check_single_ends(network)
    codec = codec or codec_for(network)
    if isinstance(network, ChipNetwork):
        given = [("calibration data", calibration is not None), ("compile options", options != CompileOptions())]
        return compile_program(network, profile, codec, chain.step, [what for what, is_given in given if is_given])
    check_code(codec, network)
    code = InputCode(unit(codec.encoder), largest(codec.encoder))
    circuit = chain.circuit(network, code)
    check_payload(codec, profile)
    encoded = _calibration_input(network, circuit, calibration, codec, options, chain.findings)
    recorded = _record(network, circuit, encoded)
    quantized, placement = _fit(chain, circuit, recorded, options)
    provenance = Provenance(
        source_hash=network.source_hash,
        dialect=network.dialect,
        calibration_hash="" if calibration is None else data_hash(np.ascontiguousarray(calibration)),
        options=asdict(options),
        versions={name: version(name) for name in ("spikeport", "numpy", "torch")}
        | {"python": platform.python_version()},
    )
    findings = tuple(dict.fromkeys((*network.findings, *chain.findings)))
    return Deployment(quantized.network, placement, profile, codec, provenance, findings, quantized.report)


def codec_for(network: Network | ChipNetwork, encode: str | None = None, decode: str | None = None) -> Codec:
    """The codec written ``encode`` and ``decode``, for example "current:steps=16,low=0,high=255" and "first-spike".

    Without them: what the network was made for; else spikes in, and spike counts out, or the mean membrane where the
    output is no spiking neuron.

    Raises:
        DataError: no such code.
    """
    if isinstance(network, ChipNetwork):
        return program_codec(network, encode, decode)
    sources = [network.nodes[e.source] for name in network.outputs for e in network.into(name)]
    spiking = all(getattr(node, "spiking", False) for node in sources)
    usual = Decoder("count" if spiking else "membrane")
    encode, decode = encode or network.encode, decode or network.decode
    return Codec(parse_encoder(encode) if encode else Spikes(), parse_decoder(decode) if decode else usual)


def check_single_ends(network: Network | ChipNetwork) -> None:
    """Raises ModelError where there is more than one input or output."""
    for what, names in (("input", network.inputs), ("output", network.outputs)):
        if len(names) != 1:
            raise ModelError(
                f"the network has {len(names)} {what}s ({', '.join(names)}); a deployment has one. "
                "Join them into one node, or cut the network."
            )


def check_code(codec: Codec, network: Network) -> None:
    """Changes go into networks whose first units add them up, values into others.

    Raises:
        DataError: an encoder that sends what the network does not take.
    """
    sums = [node.sums for node in network.nodes.values() if isinstance(node, SigmaDelta)]
    adds_up = bool(sums) and all(sums)
    if isinstance(codec.encoder, Values) or (isinstance(codec.encoder, Changes) and not adds_up):
        raise DataError(
            "the encoders values and changes belong to integer programs (lava-dl .net files) and sigma-delta networks; "
            "this network takes graded, current, rate, latency or spikes."
        )
    if adds_up and not isinstance(codec.encoder, Changes | Spikes):
        made_for = network.encode if network.encode.startswith("changes") else "changes:steps=1,gain=255"
        raise DataError(
            f"this sigma-delta network adds up changes, and {kind_of(codec.encoder)} sends values; "
            f"use --encode {made_for}."
        )


def _calibration_input(
    network: Network,
    circuit: Circuit,
    data: NDArray[Any] | None,
    codec: Codec,
    options: CompileOptions,
    findings: list[Finding],
) -> Encoded:
    shape = network.shapes[network.inputs[0]]
    if data is None:
        findings.append(
            Finding(
                "no-calibration",
                "warning",
                "",
                f"no calibration data: scales are chosen on random spikes at a rate of {NO_DATA_RATE:.0%}.",
                "Give --data with a few real samples.",
            )
        )
        rng = np.random.default_rng(options.seed)
        draws = rng.random((2, NO_DATA_STEPS, *shape)) < NO_DATA_RATE
        payloads = rng.integers(1, min(largest(codec.encoder), NO_DATA_PAYLOAD) + 1, draws.shape)
        return Encoded(draws * payloads, unit(codec.encoder))
    encoded = codec.encode(data[: options.samples], shape)
    findings += encoded.findings
    return _within_budget(encoded, circuit)


def _within_budget(encoded: Encoded, circuit: Circuit) -> Encoded:
    """As many samples, and if one is too long as many of its steps, as the frame budget allows."""
    frames = max(FRAME_BUDGET // max(p.size for p in circuit.populations.values()), 64)
    steps = min(encoded.spikes.shape[1], frames)
    samples = max(frames // steps, 1)
    return Encoded(encoded.spikes[:samples, :steps], encoded.unit)


def _record(network: Network, circuit: Circuit, encoded: Encoded) -> Calibration:
    """What the float network does with the calibration input, per population."""
    run = run_float(network, encoded.floats, record=(*network.neurons, *network.units))
    batch, steps = encoded.spikes.shape[:2]
    readouts = dict(zip(circuit.outputs, network.outputs, strict=True))
    targets: dict[str, NDArray[np.float64]] = {}
    for name in circuit.populations:
        if name in readouts:
            seen = run.outputs[readouts[name]]
        elif name in network.neurons:
            seen = run.spikes[name]
        elif name in network.units:
            seen = run.membranes[name]
        else:
            continue
        targets[name] = np.asarray(seen, dtype=np.float64).reshape(batch, steps, -1)
        if not np.isfinite(targets[name]).all():
            raise ModelError(f"{name}: the float network's values grow without bound on the calibration data.")
    (source,) = network.inputs
    return Calibration({source: encoded.spikes.astype(np.int64).reshape(batch, steps, -1)}, targets)


def _fit(chain: Chain, circuit: Circuit, recorded: Calibration, options: CompileOptions) -> tuple[Quantized, Placement]:
    """Quantize and place; layers whose weights were split by free choice go back to one group until all fit."""
    choices = Choices(options.split, options.scales, weight_bits=options.weight_bits)
    before = len(chain.findings)
    while True:
        quantized = chain.integers(circuit, recorded, choices)
        try:
            return quantized, chain.placement(quantized)
        except DoesNotFitError as error:
            largest_split = _largest_split(circuit, quantized)
            if options.split != "auto" or largest_split is None:
                raise
            del chain.findings[before:]
            message = f"its weights stay one 8-bit group: split, the network would not fit ({error})."
            advice = "Use a chip with more synaptic memory."
            chain.findings.append(Finding("split-given-up", "warning", largest_split, message, advice))
            before += 1
            choices = replace(choices, whole=choices.whole | {largest_split})


def _largest_split(circuit: Circuit, quantized: Quantized) -> str | None:
    """The population whose split weights take the most synapses."""
    synapses: dict[str, int] = {}
    for name, error in quantized.report.synapses.items():
        if len(error.groups) > 1:
            target = circuit.connections[name].target
            connectivity = quantized.network.synapses[error.groups[0]].connectivity
            synapses[target] = synapses.get(target, 0) + int(fan_in(connectivity).sum())
    return max(synapses, key=lambda n: synapses[n], default=None)
