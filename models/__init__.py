"""Trained and trainable networks that ship with spikeport, and fine-tuning of deployed ones."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeport.models.finetuning.finetune import finetune

__all__ = ["finetune"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: numba and torch take seconds that a command line should not.
    if name == "finetune":
        from spikeport.models.finetuning.finetune import finetune

        return finetune
    raise AttributeError(f"module 'spikeport.models' has no attribute {name!r}")
