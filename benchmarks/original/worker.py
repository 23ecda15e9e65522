"""The original's modelling code behind a pipe: run by its own Python, with its own transformers; no part of ours.

It stands alone in its folder, which is where that Python looks for modules first. A line of JSON in, a line of JSON
out. `load` takes the checkout's path, `read` a context, `decode` a query on top of the memory that was read, which is
put back afterwards. Times are taken here, around the model alone.
"""

from __future__ import annotations

import copy
import importlib
import json
import pathlib
import sys
import time
import types
from typing import Any

import torch

DTYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}


class Original:
    """One model and what its memory was after reading."""

    def load(self, checkout: str, checkpoint: str, threads: int, device: str) -> dict[str, Any]:
        torch.set_num_threads(threads)
        [source] = [
            path.parents[1]
            for path in pathlib.Path(checkout).rglob("qwen2/modeling_qwen2.py")
            if (path.parents[1] / "modeling_beacon.py").is_file()
        ]
        package = types.ModuleType("original")  # beside its own __init__, which asks for training libraries
        package.__path__ = [str(source)]
        sys.modules["original"] = package
        modelling = importlib.import_module("original.qwen2.modeling_qwen2")
        self.model = modelling.Qwen2ForCausalLM.from_pretrained(
            checkpoint, torch_dtype=DTYPES[device], attn_implementation="sdpa"
        )
        self.model.eval().to(device)
        return {"transformers": importlib.import_module("transformers").__version__, "torch": torch.__version__}

    def read(self, ids: list[int]) -> dict[str, Any]:
        self.model.memory.reset()
        started = time.perf_counter()
        self.model(input_ids=torch.tensor([ids], device=self.model.device))
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
        taken = time.perf_counter() - started
        self.after_reading = copy.deepcopy(self.model.memory)
        return {"seconds": taken, "sizes": list(self.model.memory.get_memory_size())}

    def decode(self, query: list[int], new: int) -> dict[str, Any]:
        self.model.memory = copy.deepcopy(self.after_reading)
        chosen = (
            self.model(input_ids=torch.tensor([query], device=self.model.device)).logits[:, -1].argmax(-1, keepdim=True)
        )
        ids, started = [int(chosen)], time.perf_counter()
        for _ in range(new - 1):
            chosen = self.model(input_ids=chosen).logits[:, -1].argmax(-1, keepdim=True)
            ids.append(int(chosen))
        return {"seconds": time.perf_counter() - started, "ids": ids}


def main() -> None:
    original, replies = Original(), sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        order = json.loads(line)
        with torch.no_grad():
            reply = getattr(original, order.pop("do"))(**order)
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
