"""spikeport: compile trained spiking networks for Loihi-class chips, run them bit-exactly, know the energy first."""
