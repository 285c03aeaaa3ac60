"""A mixture of quantizations for a given size: which matrix may be coarse, and which must not.

Runs in a child of the daemon (`python -m runner.compare.fit`). docs/compare.md says what is measured and how.
"""
