"""compile for networks that are integer programs already: nothing is quantized, only seats are found."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version

from spikeport.converters.chain import Chain
from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.circuit import READOUTS
from spikeport.converters.findings import Finding
from spikeport.converters.passes.quantize.quantize import Quantized
from spikeport.converters.quantization import QuantizationReport
from spikeport.deploy.codec import Codec, parse_decoder, parse_encoder
from spikeport.deploy.consistency import check_program
from spikeport.deploy.decode import Decoder
from spikeport.deploy.deployment import Deployment, Provenance
from spikeport.deploy.encode import Spikes, largest
from spikeport.deploy.records import NonsenseError
from spikeport.errors import ModelError, UnsupportedOnChipError
from spikeport.hw_profiles.profile import Profile

_NOTHING = QuantizationReport({}, {})


def compile_program(
    network: ChipNetwork, profile: Profile, codec: Codec, step: Callable[[str], None], unused: Sequence[str] = ()
) -> Deployment:
    """partition, place: an integer program onto cores.

    Args:
        network: the program.
        profile: the chip.
        codec: how data are encoded and outputs decoded.
        step: called with the name of each pass.
        unused: what the user gave for a quantization that does not take place.

    Raises:
        ModelError: its parts do not fit each other.
        SpikeportError: the chip does not offer what it needs, or has too little of it.
    """
    try:
        check_program(network, profile.limits)
    except NonsenseError as error:
        raise ModelError(f"the program does not hold together: {error}") from error
    chain = Chain(profile, step)
    bare = replace(network, encode="", decode="", source_hash="", findings=())
    placement = chain.placement(Quantized(bare, _NOTHING))
    check_payload(codec, profile)
    versions = {"spikeport": version("spikeport"), "numpy": version("numpy"), "python": platform.python_version()}
    provenance = Provenance(network.source_hash, "", "", {}, versions)
    message = "its numbers are the chip's integers already: nothing is quantized, {} not used."
    dropped = [Finding("not-quantized", "info", "", message.format(f"{what} are")) for what in unused]
    findings = tuple(dict.fromkeys((*network.findings, *dropped, *chain.findings)))
    return Deployment(bare, placement, profile, codec, provenance, findings, _NOTHING)


def program_codec(network: ChipNetwork, encode: str | None = None, decode: str | None = None) -> Codec:
    """See `spikeport.deploy.compile.codec_for`."""
    encode, decode = encode or network.encode, decode or network.decode
    spiking = all(network.populations[name].model not in READOUTS for name in network.outputs)
    usual = Decoder("count" if spiking else "membrane")
    return Codec(parse_encoder(encode) if encode else Spikes(), parse_decoder(decode) if decode else usual)


def check_payload(codec: Codec, profile: Profile) -> None:
    """Whether the chip takes what the encoder sends.

    Raises:
        UnsupportedOnChipError: payloads are too large for it.
    """
    most, bits = largest(codec.encoder), profile.limits.graded_spike_bits.value
    if most > 1 and most >= 2**bits:
        holds = f"payloads below 2^{bits}" if bits else "plain spikes only"
        raise UnsupportedOnChipError(
            f"the encoder sends payloads up to {most}, {profile.name} takes {holds}; "
            "use --encode current, rate or latency, or spikes:clamp=true."
        )
