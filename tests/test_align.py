"""Clocks and delays of a circuit."""

import numpy as np
import pytest

from spikeport.converters.circuit import Circuit, Connection, DenseMap, FloatPopulation
from spikeport.converters.passes.align import align
from spikeport.errors import DoesNotFitError
from spikeport.hw_profiles.profile import load_profile

ZERO, ONE = np.zeros(()), np.ones(())
LOIHI2 = load_profile("loihi2")


def population(model: str = "lif") -> FloatPopulation:
    return FloatPopulation(
        (2,), model, ZERO, ZERO, ONE, ">", ZERO, ZERO, 1, 0, None, ZERO, ZERO, ZERO  # type: ignore[arg-type]
    )  # fmt: skip


def circuit(*edges: tuple[str, str, int]) -> Circuit:
    names = dict.fromkeys(n for a, b, _ in edges for n in (a, b))
    connections = {f"{a}->{b}": Connection(a, b, DenseMap(np.eye(2)), lag) for a, b, lag in edges}
    populations = {n: population("input" if n == "in" else "lif") for n in names}
    return Circuit(populations, connections, ("in",), (list(names)[-1],), 1e-3)


def shifts(c: Circuit) -> dict[str, int]:
    return {n: p.shift for n, p in c.populations.items()}


def test_every_population_of_a_chain_is_one_step_later() -> None:
    aligned = align(circuit(("in", "a", 0), ("a", "b", 0)), LOIHI2).result
    assert shifts(aligned) == {"in": 0, "a": 1, "b": 2}
    assert all(c.delay == 0 for c in aligned.connections.values())


def test_a_skip_waits_for_the_longer_branch() -> None:
    aligned = align(circuit(("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("a", "c", 0)), LOIHI2).result
    assert aligned.connections["a->c"].delay == 1


def test_a_loop_of_one_step_needs_no_delay() -> None:
    aligned = align(circuit(("in", "a", 0), ("a", "a", 1)), LOIHI2).result
    assert aligned.connections["a->a"].delay == 0


def test_a_lag_of_three_is_a_delay_of_three_less_the_synapse() -> None:
    aligned = align(circuit(("in", "a", 0), ("a", "a", 3)), LOIHI2).result
    assert aligned.connections["a->a"].delay == 2


def test_a_loop_through_two_populations_is_lengthened_and_said() -> None:
    outcome = align(circuit(("in", "a", 0), ("a", "b", 0), ("b", "a", 1)), LOIHI2)
    assert [f.code for f in outcome.findings] == ["loop-lengthened"]
    assert outcome.result.connections["b->a"].lag == 2
    assert all(np.min(c.delay) >= 0 for c in outcome.result.connections.values())


def test_a_delay_beyond_the_chip_passes_through_relays_and_keeps_its_length() -> None:
    outcome = align(circuit(("in", "a", 0), ("a", "b", 150)), LOIHI2)
    chain = [c for n, c in outcome.result.connections.items() if n != "in->a"]
    limit = LOIHI2.limits.max_delay.value
    assert [f.code for f in outcome.findings] == ["relay-inserted"]
    assert all(c.delay <= limit for c in chain)
    populations = outcome.result.populations
    assert sum(c.delay + 1 for c in chain) == 150 + populations["b"].shift - populations["a"].shift


def test_per_neuron_delays_beyond_the_chip_are_refused_with_both_numbers() -> None:
    c = circuit(("in", "a", 0))
    late = Connection("in", "a", DenseMap(np.eye(2)), np.array([0, 99]))
    with pytest.raises(DoesNotFitError, match=r"in->a: a delay of 99 steps; loihi2 holds 63"):
        align(Circuit(c.populations, {"in->a": late}, c.inputs, c.outputs, c.dt), LOIHI2)
