"""What a whole answer takes: time and energy for a prompt and so many generated tokens. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.compare import spread
from runner.wire.compare import Energy, Estimate, Speed, VariantResult


def with_answer(speed: Speed, energy: Energy, answer_tokens: float) -> tuple[Speed, Energy]:
    """Both with the figures for an answer of `answer_tokens` to a prompt of `speed.prompt_tokens`.

    The time counts from the request to the last token; the energy is gross, since that is what it takes.
    """
    timed = spread.plus(_first_token(speed), spread.duration(answer_tokens, speed.depths[0].decode_tps))
    joules = spread.plus(
        spread.times(speed.prompt_tokens, energy.prompt_joules_gross),
        spread.times(answer_tokens, energy.generated_joules_gross),
    )
    return (
        speed.model_copy(update={"time_to_answer_s": timed}),
        energy.model_copy(update={"answer_joules": joules}),
    )


def with_speed_ups(rows: Sequence[VariantResult]) -> Iterator[tuple[str, Speed]]:
    """By name, with how many times as fast as the reference's the answers are: who writes faster, but more,
    gains less."""
    reference = next((each.speed for each in rows if each.is_reference), None)
    for row in rows:
        if reference and row.speed and row.answers and not row.is_reference:
            faster = spread.quotient(row.speed.depths[0].decode_tps, reference.depths[0].decode_tps)
            speed_up = spread.quotient(faster, row.answers.token_ratio)
            yield row.name, row.speed.model_copy(update={"speed_up": speed_up})


def _first_token(speed: Speed) -> Estimate:
    """As the client sees it; the engine's part alone where the daemon did not serve the variant."""
    if speed.client_ttft_s.value is not None:
        return speed.client_ttft_s
    return spread.duration(speed.prompt_tokens, speed.depths[0].prefill_tps)
