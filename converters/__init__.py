"""From a trained network to the chip's integer program: readers, representations and passes."""
