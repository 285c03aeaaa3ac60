"""Reading of chat templates and grammars, which are not trusted, under limits of memory and time."""
