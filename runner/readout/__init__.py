"""How a comparison reads as text: course, table, plot and sentences, for the CLI and the terminal app alike.

Pure: values of `runner.wire.compare` in, lines of spans out. Names and sentences come from files and models,
and are cleaned here.
"""
