"""How fast a model is here: the engine alone, and the daemon as its clients see it."""
