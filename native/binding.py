"""llama.cpp's functions as the low-level API of llama-cpp-python has them, and nothing else of that package.

Its `__init__` imports the high-level class as well, and with it numpy, jinja2 and a disk cache: 0.13 s and
20 MB that every worker would pay for and none uses.
"""

from __future__ import annotations

import importlib.util
import sys


def _without_init() -> None:
    """Makes `llama_cpp` importable as a package whose `__init__` did not run."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is not None and "llama_cpp" not in sys.modules:
        sys.modules["llama_cpp"] = importlib.util.module_from_spec(spec)


_without_init()

import llama_cpp.llama_cpp as api  # noqa: E402

# Other libraries (llguidance) look for the functions where `__init__` would have put them.
vars(sys.modules["llama_cpp"]).update(
    {name: value for name, value in vars(api).items() if not name.startswith("_")}
)

__all__ = ["api"]
