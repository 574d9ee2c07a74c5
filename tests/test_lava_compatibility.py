"""lava-nc 0.10.0 beside a current Python and numpy; each in a program of its own, since importing lava is for good."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from spikeport.deploy.backends.lava import compatibility
from spikeport.errors import BackendError

needs_lava = pytest.mark.skipif(
    not compatibility.installed(), reason="needs lava-nc; `spikeport doctor` prints how to install it"
)


def program(text: str) -> str:
    """Standard output of a Python program, which must end well within a minute or two."""
    start = "from spikeport.deploy.backends.lava.compatibility import prepare\n"
    done = subprocess.run(
        [sys.executable, "-c", start + text], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_lava_the_message_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compatibility, "installed", lambda: False)
    with pytest.raises(BackendError, match=r"pip install --no-deps --ignore-requires-python lava-nc==0\.10\.0"):
        compatibility.prepare.__wrapped__()


def test_the_core_never_imports_lava() -> None:
    text = "import sys, spikeport.deploy.execute, spikeport.deploy.backends.lava.run, spikeport.deploy.cli.main"
    assert program(f"{text}; print([name for name in sys.modules if name.split('.')[0] == 'lava'])") == "[]"


@needs_lava
def test_lava_imports_and_dataclasses_are_as_they_were() -> None:
    assert program("import dataclasses as d; was = d.dataclass; prepare(); print(d.dataclass is was)") == "True"


@needs_lava
def test_lava_imports_after_somebody_chose_fork() -> None:
    text = "import multiprocessing as m; m.set_start_method('fork'); prepare(); print(m.get_start_method())"
    assert program(text) == "fork"


@needs_lava
def test_another_start_method_is_refused_with_the_way_out() -> None:
    text = "import multiprocessing as m; m.set_start_method('spawn')\ntry: prepare()\nexcept Exception as e: print(e)"
    said = program(text)
    assert "chosen 'spawn'" in said
    assert "--backend lava" in said


@needs_lava
def test_ports_reshape_without_the_argument_that_numpy_dropped() -> None:
    text = (
        "prepare(); import warnings; warnings.simplefilter('error'); import numpy as np\n"
        "from lava.magma.core.process.ports.ports import ReshapePort\n"
        "port = ReshapePort(new_shape=(2, 3), old_shape=(6,))\n"
        "print(port.get_transform_func_fwd()(np.arange(6)).shape, port.get_transform_func_bwd()(np.ones((2, 3))).shape)"
    )
    assert program(text) == "(2, 3) (6,)"


@needs_lava
def test_convolution_of_a_wide_image_does_not_overflow() -> None:
    from random_networks import ZERO, one_core

    from spikeport.converters.chip_network import ChipNetwork, Conv2d, Population, Synapses
    from spikeport.deploy.backends.lava.compare import compare
    from spikeport.deploy.backends.lava.in_process import run_in_process

    conv = Conv2d(np.array([[[[2, 4, 6]]]]), (1, 2, 300), (1, 2, 150), (1, 2), (0, 1), (1, 1), 1)
    source, target = (
        Population("in", (1, 2, 300), "input", *[ZERO] * 8),
        Population("p", (1, 2, 150), "lif", *[ZERO] * 8),
    )
    net = ChipNetwork({"in": source, "p": target}, {"s": Synapses("s", "in", "p", conv)}, ("in",), ("p",), 1e-3)
    data = np.random.default_rng(0).integers(0, 2, (1, 4, 1, 2, 300))
    found = compare(net, {"in": data}, one_core(net), run_in_process)
    assert found.first is None
    assert found.spikes["p"] > 0
