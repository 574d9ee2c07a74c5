"""The chain of passes: their order in one place, their contract checked at every door, their findings collected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from spikeport.converters.check import check_circuit
from spikeport.converters.circuit import Circuit, InputCode
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import Network
from spikeport.converters.passes.align import align
from spikeport.converters.passes.fan_in_limit import check_fan_in
from spikeport.converters.passes.fold import fold
from spikeport.converters.passes.infer import infer
from spikeport.converters.passes.lower import lower
from spikeport.converters.passes.partition import partition
from spikeport.converters.passes.place import place
from spikeport.converters.passes.quantize.calibration import Calibration
from spikeport.converters.passes.quantize.quantize import Choices, Quantized, quantize
from spikeport.converters.placement import Placement
from spikeport.hw_profiles.profile import Profile

R = TypeVar("R")
Step = Callable[[str], None]

ORDER = ("infer", "fold", "lower", "align", "quantize", "partition", "place")


@dataclass
class Chain:
    """Runs passes in `ORDER` for one chip; ``findings`` grow as they go."""

    profile: Profile
    step: Step = lambda name: None
    findings: list[Finding] = field(default_factory=list)

    def circuit(self, network: Network, code: InputCode) -> Circuit:
        """infer, fold, lower, align: from the trained network to the chip's vocabulary and clock.

        Raises:
            DoesNotFitError: a neuron hears more than a core can tell apart; it is said here, before weights are chosen.
        """
        circuit = self.aligned(self.lowered(network, code))
        check_fan_in(circuit, self.profile)
        return circuit

    def lowered(self, network: Network, code: InputCode) -> Circuit:
        """infer, fold, lower: the chip's vocabulary, on the trained network's clock."""
        inferred = self._take("infer", lambda: infer(network))
        folded = self._take("fold", lambda: fold(inferred))
        lowered = self._take("lower", lambda: lower(folded, self.profile, code))
        check_circuit(lowered)
        return lowered

    def aligned(self, lowered: Circuit) -> Circuit:
        """align: the same on the chip's clock."""
        aligned = self._take("align", lambda: align(lowered, self.profile))
        check_circuit(aligned)
        return aligned

    def integers(self, circuit: Circuit, calibration: Calibration, choices: Choices) -> Quantized:
        """quantize: from floats to the integer program."""
        return self._take("quantize", lambda: quantize(circuit, calibration, self.profile, choices, self.step))

    def placement(self, quantized: Quantized) -> Placement:
        """partition, place: onto cores and their seats."""
        cores, binding = self._take("partition", lambda: partition(quantized.network, self.profile))
        return self._take("place", lambda: place(cores, binding, quantized.network, self.profile))

    def _take(self, name: str, run: Callable[[], Outcome[R]]) -> R:
        self.step(name)
        outcome = run()
        self.findings += outcome.findings
        return outcome.result
