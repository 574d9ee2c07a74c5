"""Few-shot meta-learning: MAML, ANIL, and the part of them that a chip can do. Stewart & Neftci, arXiv:2201.10777."""
