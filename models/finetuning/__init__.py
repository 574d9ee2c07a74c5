"""Quantization-aware fine-tuning of deployed networks."""

from spikeport.models.finetuning.finetune import Epoch, TuningOptions, best_epoch, finetune, parted, target_met

__all__ = ["Epoch", "TuningOptions", "best_epoch", "finetune", "parted", "target_met"]
