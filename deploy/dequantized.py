"""float_network: a deployment's integers as a float Network that runs on the same data, encoded the same way."""

from __future__ import annotations

from dataclasses import replace

from spikeport.converters.findings import Outcome
from spikeport.converters.network import Network
from spikeport.converters.write.chip import dequantized
from spikeport.deploy.codec import encoder_text
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.encode import Spikes, unit


def float_network(deployment: Deployment, dialect: str | None = None) -> Outcome[Network]:
    """What quantization alone made of the trained network.

    Args:
        deployment: compiled.
        dialect: in whose words; the one it was compiled under if None, plain NIR if that is unknown.

    Raises:
        UnsupportedNodeError, DialectError: see `spikeport.converters.write.chip.dequantized`.
    """
    codec = deployment.codec
    spoken = dialect or deployment.provenance.dialect or "nir"
    made = dequantized(deployment.network, spoken, unit(codec.encoder))
    encode = "" if codec.encoder == Spikes() else encoder_text(codec.encoder)
    decode = codec.as_dict()["decoder"]
    start = f":start={decode['start']}" if decode.get("start") else ""
    return Outcome(replace(made.result, encode=encode, decode=f"{decode['kind']}{start}"), made.findings)
