"""Pure scores: arrays in, numbers with intervals out. No torch."""
