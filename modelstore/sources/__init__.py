"""Places a model can come from: each resolves a name to files and opens them."""
