"""What llama.cpp can refuse. Anything worse aborts the process: that is why it runs in children."""

from __future__ import annotations


class LlamaError(Exception):
    """llama.cpp reported a failure; the message carries its last error lines where it gave any."""


class NotFinite(Exception):
    """Logits that are no numbers: what was picked by them would mean nothing."""
