"""Deployment: everything needed to run a network on a chip and to explain how it got there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.findings import Finding
from spikeport.converters.placement import Placement
from spikeport.converters.quantization import QuantizationReport
from spikeport.deploy.codec import Codec
from spikeport.hw_profiles.profile import Profile


@dataclass(frozen=True)
class Provenance:
    """Where a deployment came from.

    Attributes:
        source_hash: SHA-256 of the model file, "" for a network made in memory.
        dialect: the full dialect it was read under.
        calibration_hash: SHA-256 over dtype, shape and bytes of the calibration input, "" without calibration.
        options: compile options, as plain JSON values.
        versions: name to version of spikeport and of the libraries whose arithmetic matters.
    """

    source_hash: str
    dialect: str
    calibration_hash: str
    options: Mapping[str, str | int | float | bool | None]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Deployment:
    """A compiled network: program, seats, chip, coding, history."""

    network: ChipNetwork
    placement: Placement
    profile: Profile
    codec: Codec
    provenance: Provenance
    findings: tuple[Finding, ...]
    quantization: QuantizationReport
