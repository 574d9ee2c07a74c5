"""SEENN: how many time steps a sample needs is decided sample by sample. Li et al. 2023, arXiv:2304.01230."""
