"""Neurons to compose with plain ``torch.nn``: each a module that acts on all time steps at once and names its own
exact discrete form for the chip.
"""

from spikeport.models.neurons.cuba_lif import CubaLIF
from spikeport.models.neurons.da_lif import DALIF, PerStepDALIF
from spikeport.models.neurons.integrator import Integrator
from spikeport.models.neurons.lif import LIF
from spikeport.models.neurons.plif import PLIF
from spikeport.models.neurons.stepped import Constants, SteppedNeuron

__all__ = ["DALIF", "LIF", "PLIF", "Constants", "CubaLIF", "Integrator", "PerStepDALIF", "SteppedNeuron"]
