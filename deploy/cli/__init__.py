"""The command line: one file per command, imports inside the commands so that ``--help`` is quick."""
