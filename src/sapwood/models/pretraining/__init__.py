"""What a model is pre-trained on, as tagged blocks (`kind`): each reads text, teaches, is measured, and names its baselines."""
