"""HTTP: one file per dialect, translation only."""
