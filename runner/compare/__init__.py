"""Which quantization to run: quality, speed, memory and energy of a model's variants, measured side by side.

The whole comparison runs in a child of the daemon (`python -m runner.compare`), which starts children of its
own for everything native. docs/compare.md says what is measured and how. Begin to read with `conduct`, which
calls everything else in this order:

* **What is compared.** `order` (what the daemon wants) → `selection`, from `shelf` (local models), the files
  of a hub (`fetched`), and `vary` (settings). Each is an `entry` until `workshop` has made it a `variant`: a
  file, and how it is run.
* **On what.** `reference` asks the reference alone. `passages` chooses the texts: `answers` (which the
  reference writes, to prompts of `rendering`), `corpus` (which come with nybble) or `own_text`, cut by
  `blocks`. `questions` and `exercises` are what is answered greedily.
* **Quality.** `quality_run` has blocks scored by `scoring` (the child), as many models at once as `plan` has
  room for, and answers written by `greedy`; `foreign` takes other vocabularies. `scoreboard` has the scores
  (`stored_scores` on disk). `quality`, in words of `tiers`, and `forks` say what they come to, with errors by
  `clusters` and `survival`; `ties` says which variants can be told apart.
* **Speed, memory, energy.** `resources` → `speed`, which loads variants side by side (`timed`: the child) and
  has `rounds` measure them in turn, as `speed_plan` and `attention` say; `first_token` and `speculation` ask
  the daemon. `spread` has the errors, `memory` and `hardware` the bytes, `metering` and `energy` what
  `sensors` count, `disturbance` what disturbed, `answering` what a whole answer takes.
* **The decision.** `plausible` names broken files, and `recommend` makes a `lineup` of the rows, from which
  `decide` chooses by a `wish`; `reasons` says why.

Meanwhile `task` has the rows as far as they are known, `outlook` says how long the rest takes, and `evidence`
keeps it all. Behind a comparison come `joining` and `export`. `selftest_run`
tests the ruler (`selftest`, beside llama-perplexity: `peer`), and `fit` makes a better mixture.
"""
