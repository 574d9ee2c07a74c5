"""SEENN: when answers are first right, what a policy learns, and the claim on real recordings (slow)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikeport.deploy.early_exit import EarlyExit, exit_steps
from spikeport.deploy.zoo.deployed import PRICES, deploy_run
from spikeport.deploy.zoo.reproduction import trained
from spikeport.deploy.zoo.seenn import FIXED, _judged, earliest, point, reproduce, synops_share
from spikeport.errors import DataError
from spikeport.models.seenn.policy import Policy, expected_cost
from spikeport.models.seenn.recipe import PENALTIES, parts, trained_policy

SMALL: dict[str, Any] = {
    "epochs": 2,
    "steps": 4,
    "hidden": 24,
    "held_out": 20,
    "calibration": 20,
    "folds": 2,
    "policy_epochs": 2,
}


def test_earliest_times_of_a_hand_made_table() -> None:
    right = np.array([[True, True, True], [False, True, True], [False, False, False], [True, False, True]])
    nested, empirical = earliest(right)
    assert nested == (2 + 2 * 0 + 3 * 1 + 3 * 1) / 4
    assert empirical == (1 + 2 + 3 + 1) / 4


def test_expected_cost_pays_early_answers_more() -> None:
    right = torch.tensor([[1.0, 1.0, 1.0]])
    costs = [expected_cost(torch.eye(3)[k : k + 1], right, 1.0).item() for k in range(3)]
    assert costs == [-1.0, -0.5, -0.25]
    assert expected_cost(torch.eye(3)[:1], 0 * right, 5.0).item() == 5.0


def test_policy_counts_steps_from_one() -> None:
    torch.manual_seed(0)
    policy = Policy(8, 5)
    steps = policy.steps(np.random.default_rng(0).random((20, 5, 2, 2, 2)))
    assert steps.min() >= 1
    assert steps.max() <= 5
    assert policy.operations == 8 * 64 + 64 * 5


def test_run_that_stops_costs_what_the_table_says(tiny_nmnist: Path, tmp_path: Path) -> None:
    run, recipe, _ = trained("seenn", SMALL, tiny_nmnist, tmp_path / "run")
    deployed, test = deploy_run(run, recipe, "loihi2"), parts(run).test
    best = np.sort(deployed.run.output, -1)
    rule = EarlyExit("margin", float(np.median(best[..., -1] - best[..., -2])))
    steps = exit_steps(deployed.run.output, rule)
    stopped = deployed.deployment.run(test.frames, stop=rule)
    assert stopped.steps_used is not None
    assert 1 < stopped.steps_used.mean() < deployed.run.activity.steps
    np.testing.assert_array_equal(stopped.steps_used, steps + deployed.deployment.network.depth)
    counted = sum(float(c.sum()) for c in stopped.activity.synops.values())
    whole = sum(float(c.sum()) for c in deployed.run.activity.synops.values())
    assert counted / whole == pytest.approx(synops_share(deployed.run.activity, stopped.steps_used))
    classes = deployed.deployment.codec.decode(stopped.output).classes
    assert point(deployed.run.output, test, steps, deployed.run.activity).accuracy == np.mean(classes == test.labels)


def test_samples_that_stop_cost_less_energy_and_time_at_every_price(tiny_nmnist: Path, tmp_path: Path) -> None:
    run, recipe, _ = trained("seenn", SMALL, tiny_nmnist, tmp_path / "run")
    seed = _judged(run, deploy_run(run, recipe, "loihi2"))
    for rule, point_of in seed.points.items():
        for prices in PRICES:
            for what in ("energy_j", "latency_s"):
                cost, whole = (getattr(seed.costs[name][prices], what) for name in (rule, FIXED))
                assert cost is not None
                assert whole is not None
                assert (cost < whole) == (point_of.share < 1)


def test_every_penalty_has_its_policy(tiny_nmnist: Path, tmp_path: Path) -> None:
    run, _, _ = trained("seenn", SMALL, tiny_nmnist, tmp_path / "run")
    assert len({trained_policy(run, penalty).layers[1].weight.sum().item() for penalty in PENALTIES}) == len(PENALTIES)


def test_calibration_that_leaves_nothing_to_learn_from_is_refused(tiny_nmnist: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leaves too few"):
        trained("seenn", SMALL | {"calibration": 100}, tiny_nmnist, tmp_path / "run")


@pytest.mark.slow
def test_half_of_the_steps_are_enough(shared_data: Path, tmp_path: Path) -> None:
    found = reproduce(shared_data, tmp_path, (0, 1, 2, 3, 4, 5), lambda what: None)
    held = {claim.text: claim.holds for claim in found.claims if claim.text.startswith("SEENN-I, margin")}
    assert len(held) == 3
    assert all(held.values())
