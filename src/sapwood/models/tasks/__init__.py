"""Tasks: what a fine-tuned model answers. Each is a tagged block (`kind`) that reads examples, teaches, answers and is measured."""
