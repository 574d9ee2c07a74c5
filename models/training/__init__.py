"""Training that can be stopped and continued to the same result: settings, losses, checkpoints, evaluation."""
