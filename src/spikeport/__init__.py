"""spikeport: compile trained spiking networks for Loihi-class chips, run them bit-exactly, know the energy first.

network = spikeport.read("model.nir", dialect="snntorch:reset=zero,reset_delay=0")
deployment = spikeport.compile(network, "loihi2", calibration=samples)
run = deployment.run(samples)
estimate = deployment.estimate(run)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeport.converters.read.source import read
    from spikeport.converters.write.nir import write_nir as write
    from spikeport.deploy.backends.float import run_float
    from spikeport.deploy.codec import Codec
    from spikeport.deploy.compare.compare import compare
    from spikeport.deploy.compile import CompileOptions, codec_for
    from spikeport.deploy.compile import compile_network as compile
    from spikeport.deploy.conversion.convert import convert
    from spikeport.deploy.conversion.options import ConvertOptions
    from spikeport.deploy.data import load_data
    from spikeport.deploy.deployment import Deployment
    from spikeport.hw_profiles.profile import Profile, list_profiles, load_profile

__all__ = [
    "Codec",
    "CompileOptions",
    "ConvertOptions",
    "Deployment",
    "Profile",
    "codec_for",
    "compare",
    "compile",
    "convert",
    "list_profiles",
    "load_data",
    "load_profile",
    "read",
    "run_float",
    "write",
]

# Loaded on first use: torch and scipy take seconds that `spikeport --help` should not.
_HOMES = {
    "Codec": ("deploy.codec", "Codec"),
    "CompileOptions": ("deploy.compile", "CompileOptions"),
    "ConvertOptions": ("deploy.conversion.options", "ConvertOptions"),
    "Deployment": ("deploy.deployment", "Deployment"),
    "Profile": ("hw_profiles.profile", "Profile"),
    "codec_for": ("deploy.compile", "codec_for"),
    "compare": ("deploy.compare.compare", "compare"),
    "compile": ("deploy.compile", "compile_network"),
    "convert": ("deploy.conversion.convert", "convert"),
    "list_profiles": ("hw_profiles.profile", "list_profiles"),
    "load_data": ("deploy.data", "load_data"),
    "load_profile": ("hw_profiles.profile", "load_profile"),
    "read": ("converters.read.source", "read"),
    "run_float": ("deploy.backends.float", "run_float"),
    "write": ("converters.write.nir", "write_nir"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spikeport' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"spikeport.{module}"), attribute)


def __dir__() -> list[str]:
    return __all__
