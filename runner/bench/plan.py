"""What a benchmark measures. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelstore.errors import UserError


@dataclass(frozen=True, slots=True)
class Test:
    """Prefill of `prompt_tokens` or decode of `generate_tokens`, the other being 0, behind `depth` tokens."""

    prompt_tokens: int
    generate_tokens: int
    depth: int

    @property
    def name(self) -> str:
        """As llama-bench has it: "pp512", "tg128 @ d2048"."""
        kind = f"pp{self.prompt_tokens}" if self.prompt_tokens else f"tg{self.generate_tokens}"
        return f"{kind} @ d{self.depth}" if self.depth else kind

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.generate_tokens


@dataclass(frozen=True, slots=True)
class Plan:
    """Every measurement is repeated `repetitions` times. `clients` are numbers of simultaneous requests, and
    may be none."""

    prompt_tokens: int = 512
    generate_tokens: int = 128
    depths: tuple[int, ...] = (0, 2048)
    clients: tuple[int, ...] = (1, 2, 4, 8)
    repetitions: int = 5

    @property
    def tests(self) -> list[Test]:
        """What the engine does alone."""
        prefill, decode = (self.prompt_tokens, 0), (0, self.generate_tokens)
        return [Test(*counts, depth) for depth in self.depths for counts in (prefill, decode)]

    @property
    def context_length(self) -> int:
        """Tokens that the longest test needs."""
        return max(test.depth + test.tokens for test in self.tests)

    def within(self, context_length: int) -> Plan:
        """Without the depths that a context of this length is too short for.

        Raises UserError if none is left, or a client's request does not fit."""
        longest = max(self.prompt_tokens, self.generate_tokens)
        depths = tuple(depth for depth in self.depths if depth + longest <= context_length)
        of_clients = self.prompt_tokens + self.generate_tokens if self.clients else 0
        least = max(min(self.depths) + longest, of_clients)
        if least > context_length:
            raise UserError(
                f"{least} tokens are too many for a context of {context_length}",
                hint="--prompt-tokens, --generate-tokens and --depths take smaller numbers",
            )
        return replace(self, depths=depths)


QUICK = Plan(prompt_tokens=128, generate_tokens=32, depths=(0,), clients=(1, 4), repetitions=3)
