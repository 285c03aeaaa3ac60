"""Which quantization to run: quality, speed, memory and energy of a model's variants, measured side by side.

The whole comparison runs in a child of the daemon (`python -m runner.compare`), which starts children of its
own for everything native. docs/compare.md says what is measured and how.
"""
