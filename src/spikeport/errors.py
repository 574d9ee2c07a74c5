"""Every error spikeport raises on purpose, on one page.

A message says who (the user's own layer, file or option), what (the number found), the limit, and what to do.
Each class carries the exit code of the command line, so that a script can tell the cases apart:

====  ==========================================================
code  meaning
====  ==========================================================
0     fine
2     the input is unusable: file, data, option, model
3     the network does not fit the chip
4     the network fits but is over the budget that was asked for
====  ==========================================================
"""


class SpikeportError(Exception):
    """The root: whatever spikeport refuses, it refuses with one of these."""

    exit_code = 2


class ModelError(SpikeportError):
    """A model file or graph that cannot be read, or whose meaning is not clear."""


class UnsupportedNodeError(ModelError):
    """A node of a type that spikeport does not know; the message names the node, the type and the way out."""


class DialectError(ModelError):
    """A dialect that does not exist, is misspelt, or does not fit the file."""


class DataError(SpikeportError):
    """Input data (spikes, labels, calibration sets) that are missing, malformed or of the wrong shape."""


class DeploymentFileError(SpikeportError):
    """A ``.spk`` file that is damaged, of a newer version, or no deployment at all."""


class ProfileError(SpikeportError):
    """A hardware profile that does not exist or does not validate."""


class OutputError(SpikeportError):
    """A result that cannot be written where it was asked for."""


class UnsupportedOnChipError(SpikeportError):
    """The chip has no word for what the network does, and no honest substitute exists."""

    exit_code = 3


class DoesNotFitError(SpikeportError):
    """The network needs more of some resource than the chip has; the message names the binding limit."""

    exit_code = 3


class OverBudgetError(SpikeportError):
    """The estimate exceeds a budget that the user set."""

    exit_code = 4


class BackendError(SpikeportError):
    """A backend that is not installed, that failed, or that made no step for too long; the message says which."""
