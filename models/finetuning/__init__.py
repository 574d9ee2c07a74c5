"""Quantization-aware fine-tuning of deployed networks."""

from spikeport.models.finetuning.finetune import Epoch, TuningOptions, finetune

__all__ = ["Epoch", "TuningOptions", "finetune"]
