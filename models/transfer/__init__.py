"""Knowledge transfer from static images to events. He et al., arXiv:2303.13077 (AAAI 2024)."""
