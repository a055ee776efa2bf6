"""A look at the whole chain for people: the CLI and its login (`chain`), the machine, the running server."""
