"""The zoo on the chip: deploying what was trained, and reproducing the papers' claims there."""
