"""vLLM in process: the default on GPUs. The same template, limits and statuses as the transformers engine.

Results are *conditional*: the same on the same hardware and versions.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from primum.engine.protocol import Conversation, Report, Response, clean, conversation_seed
from primum.engine.render import answer_text, context_length, end_tokens, load_tokenizer, prompt_limit, prompts_within
from primum.errors import PrimumError
from primum.experiment.types import Sampling

# Read by vLLM and huggingface_hub when they are imported: nothing is asked of, or told to, the network, and there is no
# second process for the scheduler, so that batches form the same way in every run (and starting takes 5 s, not 19).
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class VLLMEngine:
    """A causal language model from a folder, on ``tensor_parallel`` GPUs or on the CPU."""

    def __init__(self, folder: Path, dtype: str, max_length: int, tensor_parallel: int) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from vllm import LLM, SamplingParams
            from vllm.platforms import current_platform
        except ImportError as error:
            raise PrimumError(f"vllm does not import ({type(error).__name__}): install it from envs/'s lock") from None
        self.surrogates = 0
        self.identifiers: Counter[str] = Counter()
        self._folder, self._max_length = folder, max_length
        self._sampling_params = SamplingParams
        self._tokenizer = load_tokenizer(folder)
        self._ends = end_tokens(self._tokenizer, folder)
        try:
            model = LLM(
                model=str(folder),
                dtype=dtype,
                tensor_parallel_size=tensor_parallel,
                max_model_len=context_length(folder, max_length),
                # Not the sampling defaults of the model's own generation_config.json.
                generation_config="vllm",
                load_format="safetensors",
                seed=0,
                # On a CPU, compiling takes longer than it saves on small models.
                enforce_eager=current_platform.is_cpu(),
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise PrimumError(f"{folder}: vLLM cannot start ({type(error).__name__}): see its lines above") from None
        self._model: Any = model

    def chat(
        self, conversations: Sequence[Conversation], sampling: Sampling, seed: int, report: Report
    ) -> list[Response]:
        """See :class:`primum.engine.Engine`. A prompt that leaves no room for max_tokens is not cut but refused."""
        limit = prompt_limit(self._folder, self._max_length, sampling.max_tokens)
        prompts, responses = prompts_within(self._tokenizer, conversations, limit)
        fitting = list(prompts)
        if fitting:
            params = [self._params(sampling, conversation_seed(seed, conversations[index])) for index in fitting]
            self._model.enqueue([{"prompt_token_ids": prompts[index]} for index in fitting], params, use_tqdm=False)
            tokens = sum(response.prompt_tokens for response in responses.values())
            for index, output in zip(fitting, self._outputs(report, len(responses), tokens), strict=True):
                responses[index] = self._response(prompts[index], output)
        report(len(responses), sum(r.prompt_tokens + r.completion_tokens for r in responses.values()))
        return [responses[index] for index in range(len(conversations))]

    def _params(self, sampling: Sampling, seed: int) -> Any:
        return self._sampling_params(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=seed if sampling.temperature > 0 else None,
            stop_token_ids=self._ends,
            # Decoded here, by the same tokenizer and rules as the transformers engine.
            detokenize=False,
        )

    def _outputs(self, report: Report, done: int, tokens: int) -> list[Any]:
        """The completions of what is in the queue, in the order of their going in; reports as they finish."""
        finished = []
        while self._model.llm_engine.has_unfinished_requests():
            for output in self._model.llm_engine.step():
                if output.finished:
                    finished.append(output)
                    tokens += len(output.prompt_token_ids) + len(output.outputs[0].token_ids)
                    report(done + len(finished), tokens)
        return [output.outputs[0] for output in sorted(finished, key=lambda output: int(output.request_id))]

    def _response(self, prompt: Sequence[int], output: Any) -> Response:
        count = len(output.token_ids)
        if output.finish_reason not in ("stop", "length"):
            return Response("", "error", len(prompt), count, f"vllm-{output.finish_reason}")
        text, replaced = clean(answer_text(self._tokenizer, output.token_ids, self._ends, prompt)[0])
        self.surrogates += replaced
        return Response(text, output.finish_reason, len(prompt), count)
