"""Methods: which weights train. Each is a tagged block (`kind`) that wraps a model before training and unwraps it after."""
