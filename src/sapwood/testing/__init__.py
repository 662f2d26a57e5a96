"""Contract tests that anyone can run on their own stage, store or runner."""
