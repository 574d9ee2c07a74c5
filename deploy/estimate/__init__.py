"""Estimates: counts of a run times prices of a profile."""

from spikeport.deploy.estimate.energy import Line
from spikeport.deploy.estimate.record import Estimate, Part
from spikeport.deploy.estimate.totals import estimate

__all__ = ["Estimate", "Line", "Part", "estimate"]
