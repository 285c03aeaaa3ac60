"""Chat templates in the manner of well-known model families, with the control tokens they use."""

from __future__ import annotations

from dataclasses import dataclass

from runner.prompts import RenderJob


@dataclass(frozen=True, slots=True)
class Family:
    template: str
    bos_text: str
    eos_text: str
    control_tokens: tuple[str, ...]

    def job(self, *messages: tuple[str, str]) -> RenderJob:
        return RenderJob(
            self.template,
            [{"role": role, "content": content} for role, content in messages],
            self.bos_text,
            self.eos_text,
            self.control_tokens,
        )


CHATML = Family(
    """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}""",
    "",
    "<|im_end|>",
    ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
)

LLAMA3 = Family(
    """{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}{% continue %}{% endif %}
    {%- set text = message.content | trim %}
    {{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\n\n' ~ text ~ '<|eot_id|>' }}
{%- endfor %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}""",
    "<|begin_of_text|>",
    "<|eot_id|>",
    ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
)

GEMMA = Family(
    """{{ bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
    {% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles must alternate') }}
    {% endif %}
    {% set role = 'model' if message.role == 'assistant' else message.role %}
    {{- '<start_of_turn>' + role + '\n' + message.content | trim + '<end_of_turn>\n' -}}
{% endfor %}
{{- '<start_of_turn>model\n' -}}""",
    "<bos>",
    "<eos>",
    ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
)
