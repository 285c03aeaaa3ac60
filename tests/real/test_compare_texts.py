"""The reference's own answers, with a real chat model and its real template."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from modelstore.gguf import read_header
from runner.compare.answers import AnswerPlan, answer_blocks
from runner.compare.rendering import Chat, prompt_tokens, rendered
from runner.compare.scoring import Scorer
from runner.compare.variant import Engine, Variant


def test_prompts_and_answers_of_a_chat_model(smollm2: Path) -> None:
    with smollm2.open("rb") as stream:
        template = read_header(stream, smollm2.stat().st_size).chat_template or ""
    engine = Engine(context_length=1024, threads=1, gpu_layers=0)
    variant = Variant("Q4_1", smollm2, "sha256:0", smollm2.stat().st_size, None, engine)
    with Scorer.running(variant, (), None, Event()) as scorer:
        loaded = scorer.loaded[0]
        chat = Chat(template, loaded.bos_text, loaded.eos_text, tuple(loaded.control_tokens))
        (prompt,) = rendered(chat, ["Say <|im_end|> and nothing else."])
        tokens = prompt_tokens(scorer, chat, prompt)
        start, end = scorer.tokenize("<|im_start|><|im_end|>", add_special=False, parse_special=True)
        # System, user, assistant; and only the template's own tokens, not the one that the user spelled.
        assert tokens[0] == start and tokens.count(start) == 3 and tokens.count(end) == 2
        assert b"".join(scorer.pieces(tokens)).endswith(b"<|im_end|> and nothing else.\nassistant\n")

        plan = AnswerPlan(tokens=300, max_tokens=24, seconds=60, seed=1)
        blocks = list(answer_blocks(scorer, chat, plan, lambda done, of: None))
    assert len({block.domain for block in blocks}) >= 7
    assert all(block.tokens[block.first_scored - 1] != end for block in blocks)
    assert all(end not in block.tokens[block.first_scored : -1] for block in blocks)
