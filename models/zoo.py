"""The zoo: published methods as trainable networks, each in a package of its own, all in this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from spikeport.errors import ModelError

if TYPE_CHECKING:
    from spikeport.models.recipe import Recipe


@dataclass(frozen=True)
class Method:
    """What there is to say about a method without loading it.

    Attributes:
        name: on the command line.
        title: in words.
        paper: authors, year, arXiv number.
        data: what it learns from here.
        published: the paper's headline figures.
        reproduced: what `spikeport zoo reproduce` found at small scale; empty until it was run.
        home: the module that holds its ``RECIPE``.
    """

    name: str
    title: str
    paper: str
    data: str
    published: str
    reproduced: str
    home: str


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="da-lif",
            title="Dual adaptive LIF: a learnt decay and a learnt input weight per layer",
            paper="Zhang et al. 2025, arXiv:2502.10422",
            data="any event recordings; here N-MNIST",
            published="better than LIF and PLIF at few time steps (no table was available)",
            reproduced="5 seeds: T=8 89.0 % (LIF 88.9, PLIF 88.9); late decision 85.1 % (LIF 68.7, PLIF 75.1, best "
            "fixed decay 85.1); on the chip 89.1 and 85.6 %",
            home="spikeport.models.da_lif.recipe",
        ),
        Method(
            name="seenn",
            title="SEENN: early exit in time, by confidence or by a learnt policy",
            paper="Li et al. 2023, arXiv:2304.01230",
            data="any event recordings; here N-MNIST",
            published="CIFAR-10, ResNet-19: 96.1 % at 1.08 steps on average (SEENN-II)",
            reproduced="6 seeds, T=10, on the chip: 84.1 % at 4.35 steps and 53 % of the SynOps (all steps: 84.4 %); "
            "SEENN-II 81.9 % at 6.7 steps",
            home="spikeport.models.seenn.recipe",
        ),
        Method(
            name="transfer",
            title="Static-to-event knowledge transfer: shared layers, aligned domains, sliding training",
            paper="He et al. 2023, arXiv:2303.13077",
            data="recordings and images in one folder: N-MNIST and MNIST; CIFAR10-DVS and CIFAR-10; N-Caltech101 and "
            "Caltech101. Here N-MNIST",
            published="N-Caltech101, VGG-SNN: 92.6 % with transfer, 79.7 % without",
            reproduced="3 seeds, 20 / 50 / 100 labelled recordings: events only 60.7 / 74.2 / 80.5 %, the full method "
            "71.0 / 79.5 / 82.2; it aligns them (CKA 0.4 to 0.6), but plain pre-training wins: 77.5 / 82.1 / 84.7",
            home="spikeport.models.transfer.recipe",
        ),
        Method(
            name="meta",
            title="Few-shot meta-learning: MAML and ANIL, their inner loop on the chip",
            paper="Stewart & Neftci 2022, arXiv:2201.10777",
            data="Omniglot (or pairs of N-MNIST recordings: --set set=double-digits)",
            published="Double N-MNIST, 5-way 1-shot: matches or exceeds MAML on conventional networks",
            reproduced="3 seeds, unseen alphabets, 1 / 5 shots: last layer in floats 67.7 / 85.8 %, learnt on the chip "
            "66.9 / 85.5 (8 bits), 66.5 / 83.5 (4 bits); imprinting 69.0 / 86.2; digit pairs 74.0 / 81.4 on chip",
            home="spikeport.models.meta.recipe",
        ),
        Method(
            name="skips",
            title="Skip connections: added or concatenated, swept and searched on the chip's own objectives",
            paper="Benmeziane et al. 2023, arXiv:2303.13563",
            data="scikit-learn's digits; any event recordings (--set data_set=events), here N-MNIST",
            published="+8 % accuracy on average on CIFAR10-DVS and DVS128 Gesture by optimised skips",
            reproduced="3 seeds: digits 97.6 % with DSC n=4, 97.1 with ASC n=4, plain 95.1; N-MNIST 87.9, 88.0, 81.3; "
            "chip = integer twin in every logit, without delays over 99 % of them change; a search ties with random",
            home="spikeport.models.skips.recipe",
        ),
    )
}


def method(name: str) -> Method:
    """The entry of that name.

    Raises:
        ModelError: there is none; the message lists those there are.
    """
    if name not in METHODS:
        raise ModelError(f"no method {name!r} in the zoo; there are {', '.join(METHODS)}")
    return METHODS[name]


def recipe(name: str) -> Recipe[Any]:
    """The recipe of that method; loads torch.

    Raises:
        ModelError: no such method.
    """
    found: Recipe[Any] = import_module(method(name).home).RECIPE
    return found
