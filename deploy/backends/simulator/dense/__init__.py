"""The time-batched engine: matrix products over all steps of a layer, on a processor or a GPU, exact by proof."""
