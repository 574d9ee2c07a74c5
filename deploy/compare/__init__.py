"""Float against chip: where the two part, layer by layer, and how much each property of the hardware costs."""
