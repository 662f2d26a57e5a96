"""Torch science: architectures, objectives, the one training loop, checkpoints, compression."""
