"""Deployment: everything needed to run a network on a chip and to explain how it got there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.findings import Finding
from spikeport.converters.placement import Placement
from spikeport.converters.quantization import QuantizationReport
from spikeport.deploy.codec import Codec
from spikeport.hw_profiles.profile import Profile

if TYPE_CHECKING:
    from spikeport.deploy.early_exit import EarlyExit, GivenSteps
    from spikeport.deploy.estimate import Estimate
    from spikeport.deploy.run import Run


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

    def run(
        self,
        data: NDArray[Any],
        backend: str = "auto",
        record: Collection[str] = (),
        progress: Callable[[int, int], None] | None = None,
        stop: EarlyExit | GivenSteps | None = None,
        memory: int | None = None,
    ) -> Run:
        """Encode ``data`` (B, ...), run it from the initial state, and return outputs and activity.

        Args:
            data: (B, T, *shape), or (B, *shape) where the encoder makes the time axis.
            backend: "auto": the simulator, by the engine that suits each layer; "events", "dense": by this engine;
                "reference": by the specification, slowly. All give the same bits. "lava": lava-nc's own process
                models, where it is installed.
            record: populations whose spikes are kept; "all" stands for every one.
            progress: called with (samples × steps done, in all).
            stop: ends samples early; counts then end where each sample does, and a read-out keeps its last value. Not
                for reference and lava.
            memory: bytes that the run may allocate, 2 GiB if None; larger results go into temporary files.

        Raises:
            DataError: the data do not fit the input, or a name in ``record`` or the backend does not exist.
            BackendError: Lava is not installed, failed or hung.
        """
        from spikeport.deploy.execute import execute

        return execute(self, data, backend, record, progress, stop, memory)

    def estimate(self, run: Run, profile: Profile | None = None, rate_hz: float | None = None) -> Estimate:
        """Energy, latency and power of ``run`` at the prices of ``profile`` (the deployment's own if None)."""
        from spikeport.deploy.estimate import estimate

        return estimate(self.network, self.placement, run.activity, profile or self.profile, rate_hz)

    def save(self, path: str | Path) -> None:
        """Write one ``.spk`` file, atomically.

        Raises:
            OutputError: the file cannot be written.
        """
        from spikeport.deploy.deployment_file import save

        save(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> Deployment:
        """Read a ``.spk`` file.

        Raises:
            DeploymentFileError: damaged, newer than this version, or no deployment.
        """
        from spikeport.deploy.deployment_file import load

        return load(Path(path))
