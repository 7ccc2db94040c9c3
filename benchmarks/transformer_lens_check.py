"""`python -m benchmarks.transformer_lens_check`: the hook layer beside TransformerLens 2.16 on a random GPT-2.

TransformerLens is not among the course's requirements (its releases pin other versions of transformers), so this is no
test: the tests compare with brute force instead. Install it apart: `pip install transformer-lens==2.16`.
"""

from __future__ import annotations

import torch
import transformer_lens
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

from helpers.interpretability import attribution, circuits
from tests.helpers.test_circuits import IDS, close, patch, tiny_gpt2


def main() -> None:
    """Head outputs, patterns and attributions of a random GPT-2 as TransformerLens gives them."""
    model = tiny_gpt2()
    config = transformer_lens.HookedTransformerConfig(
        n_layers=2, n_heads=3, d_model=24, d_head=8, d_mlp=96, n_ctx=16, d_vocab=50, act_fn="gelu_new",
        normalization_type="LN", eps=model.config.layer_norm_epsilon, device="cpu", seed=0,
    )  # fmt: skip
    hooked = transformer_lens.HookedTransformer(config)
    hooked.load_state_dict(convert_gpt2_weights(model, config), strict=False)
    theirs, cache = hooked.run_with_cache(IDS)
    run = circuits.record(model, IDS)
    close(run.logits, theirs, 1e-4)
    for layer in range(2):
        close(run.outputs[layer], cache["z", layer], 1e-4)
        assert run.patterns is not None
        close(run.patterns[layer], cache["pattern", layer], 1e-4)
    heads = cache.stack_head_results(pos_slice=-1)  # [L·H, B, W]
    scale = cache["ln_final.hook_scale"][:, -1]
    direction = (hooked.W_U[:, 3] - hooked.W_U[:, 4]) * hooked.ln_final.w
    direction = direction - direction.mean()
    own = attribution.attribute_logits(model, run, torch.tensor([3, 3, 3]), torch.tensor([4, 4, 4]))
    close(own.heads.flatten(1), torch.einsum("nbw,w->bn", heads / scale, direction), 1e-4)

    def silence(z: torch.Tensor, hook: object) -> torch.Tensor:
        z[:, :, 2] = 0
        return z

    silenced = hooked.run_with_hooks(IDS, fwd_hooks=[("blocks.0.attn.hook_z", silence)])[:, -1]
    zeros = torch.zeros_like(run.outputs)
    close(circuits.patched_logits(model, IDS, [(0, 2)], zeros, patch), silenced, 1e-4)
    print("head outputs, attention patterns, attributions and a knocked-out head agree to 1e-4")


if __name__ == "__main__":
    main()
