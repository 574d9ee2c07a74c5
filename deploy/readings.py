"""How much a guessed reset rule matters: the same file read the other ways, on the data at hand.

A NIR file does not carry its framework's reset rule. Where the user has not named it, the default is used, and this
counts the output spikes that would differ under the others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Network
from spikeport.converters.read.dialects import Dialect, parse_dialect
from spikeport.converters.read.nir import read_nir
from spikeport.deploy.backends.float import run_float

SAMPLES, STEPS = 8, 100
"""What is looked at: enough to see a difference, little enough not to be waited for."""
RULES: tuple[dict[str, object], ...] = (
    {"reset": "zero", "reset_delay": 0},
    {"reset": "zero", "reset_delay": 1},
    {"reset": "subtract", "reset_delay": 0},
    {"reset": "subtract", "reset_delay": 1},
)


def other_readings(path: Path, network: Network, inputs: NDArray[np.float32]) -> tuple[Finding, ...]:
    """What other reset rules would give for ``inputs`` (B, T, *shape), where ``network`` was read with a guess."""
    guessed = {f.code for f in network.findings} & {"reset-rule-assumed", "reset-delay-assumed"}
    if not guessed:
        return ()
    shown = inputs[:SAMPLES, :STEPS]
    spoken = parse_dialect(network.dialect).dialect
    mine = _output(network, shown)
    open_rules = [rule for rule in RULES if "reset-rule-assumed" in guessed or rule["reset"] == _reset(spoken)]
    counts = {
        _text(rule): _differing(path, spoken, rule, shown, mine) for rule in open_rules if not _same(spoken, rule)
    }
    most = max(counts.values())
    if not mine.any() and not most:
        return (_silent(len(shown), shown.shape[1]),)
    listed = ", ".join(f"{count:,} with {rule}" for rule, count in counts.items())
    message = (
        f"on the first {len(shown)} sample(s), {shown.shape[1]} steps, of {mine.size:,} outputs ({int(mine.sum()):,} "
        f"spikes) these would differ under another reset rule: {listed}."
    )
    advice = "Name the rule the model was trained with." if most else "On these data the rule does not matter."
    return (Finding("reset-readings", "warning" if most else "info", "", message, advice),)


def _silent(samples: int, steps: int) -> Finding:
    message = f"the output never fires on the first {samples} sample(s), {steps} steps, whatever the reset rule."
    advice = (
        "Check the dialect (its name, dt, norm_input, tau_syn) and the thresholds with `spikeport inspect`, the "
        "encoder, and the data's scale."
    )
    return Finding("silent-output", "warning", "", message, advice)


def _same(spoken: Dialect, rule: dict[str, object]) -> bool:
    return {"reset": _reset(spoken), "reset_delay": spoken.reset_delay} == rule


def _reset(spoken: Dialect) -> str:
    return "zero" if spoken.reset == "value" else spoken.reset


def _text(rule: dict[str, object]) -> str:
    return ",".join(f"{key}={value}" for key, value in rule.items())


def _differing(
    path: Path, spoken: Dialect, rule: dict[str, object], inputs: NDArray[np.float32], mine: NDArray[np.float32]
) -> int:
    other = replace(spoken, cuba_reset_delay=None, **rule)  # type: ignore[arg-type]  # RULES hold Dialect's own values
    return int(np.count_nonzero(_output(read_nir(path, str(other)), inputs) != mine))


def _output(network: Network, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return run_float(network, inputs).outputs[network.outputs[0]]
