"""Learning on a chip: plasticity of a last dense layer in the integers of Loihi's learning engine."""
