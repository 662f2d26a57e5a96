"""What a score is held against: baselines."""
