"""Estimates by several price lists, with unknown prices lent where the user asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from spikeport.converters.findings import Finding
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.estimate.record import Estimate
from spikeport.deploy.run import Run
from spikeport.hw_profiles.profile import Profile

USUAL_LENDER = "loihi1"


def estimates_of(
    deployment: Deployment, run: Run, lists: Sequence[Profile], lender: Profile | None, rate: float | None
) -> tuple[list[Estimate], list[Finding]]:
    """One estimate of ``run`` per price list (the deployment's own where none is given).

    A list that lacks no price it needs is left as it is; where it does lack one, ``lender`` fills it, and without a
    lender the finding says that one could.
    """
    found: list[Estimate] = []
    said: list[Finding] = []
    for profile in lists or [deployment.profile]:
        estimate = deployment.estimate(run, profile, rate)
        if estimate.missing and lender is not None:
            estimate = deployment.estimate(run, profile.with_prices_of(lender), rate)
        elif estimate.missing:
            said.append(_unknown(profile))
        elif lender is not None:
            said.append(_without_effect(profile, lender))
        found.append(estimate)
    return found, said


def _unknown(profile: Profile) -> Finding:
    message = f"{profile.name} has no price for some of what happened."
    advice = f"--assume-prices {USUAL_LENDER} fills in another chip's; the result says that it is assumed."
    return Finding("prices-unknown", "info", "", message, advice)


def _without_effect(profile: Profile, lender: Profile) -> Finding:
    message = f"--assume-prices {lender.name} changes nothing: {profile.name} has a price for all that happened."
    return Finding("assume-prices-idle", "info", "", message)
