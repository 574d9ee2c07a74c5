"""Lava as a backend: deployments as lava-nc Processes, run by Lava's own fixed-point models.

Nothing in this folder imports lava at the top except what runs inside Lava: `run` starts a child process that does.
"""
