"""Models from nothing: their shape, what follows from their size, and the model and tokenizer made of it."""
