"""The hook layer of Part 5 against plain brute force; TransformerLens: `benchmarks/transformer_lens_check.py`."""

from __future__ import annotations

import copy
import itertools

import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from helpers.interpretability import attribution, circuits, ioi

IDS = torch.randint(0, 50, (3, 7), generator=torch.Generator().manual_seed(5))
OTHER = torch.randint(0, 50, (3, 7), generator=torch.Generator().manual_seed(6))


def tiny_gpt2() -> GPT2LMHeadModel:
    """Two layers of three heads, with weights large enough that every head matters."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50,
        n_positions=16,
        n_embd=24,
        n_layer=2,
        n_head=3,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("weight", "bias")) and "ln" not in name:
                weight.normal_(0, 0.25)
            elif "ln" in name:
                weight.add_(0.3 * torch.randn_like(weight))
    return model


def tiny_llama() -> LlamaForCausalLM:
    """Two layers of four heads that share two sets of keys and values; a head is not as wide as width / heads."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, tie_word_embeddings=True, attn_implementation="eager",
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.25)
            else:
                weight.add_(0.3 * torch.randn_like(weight))
    return model


@pytest.fixture(params=[tiny_gpt2, tiny_llama], ids=["gpt2", "llama"])
def model(request: pytest.FixtureRequest):
    return request.param()


def logits(model, ids=IDS):
    with torch.no_grad():
        return model(ids, use_cache=False).logits


def silence_in_weights(model, heads):
    """Zero ablation without hooks: the rows of the output projection that belong to the heads are set to 0."""
    changed = copy.deepcopy(model)
    parts = circuits.anatomy(changed)
    for layer, head in heads:
        weight = parts.output_projection(layer).weight
        columns = slice(head * parts.width, (head + 1) * parts.width)
        with torch.no_grad():
            if parts.is_gpt2:
                weight[columns] = 0
            else:
                weight[:, columns] = 0
    return changed


def hook_count(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def patch(receiver, donor, heads, positions=None):
    """As the exercise `patch_heads` asks for it."""
    changed = receiver.clone()
    for head in heads:
        for position in range(receiver.shape[1]) if positions is None else positions:
            changed[:, position, head] = donor[:, position, head]
    return changed


def close(left, right, tolerance=2e-5):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def test_recording_changes_nothing_and_leaves_no_hook(model):
    plain = logits(model)
    run = circuits.record(model, IDS)
    close(run.logits, plain)
    close(logits(model), plain)
    before = hook_count(model)  # transformers keeps hooks of its own from the first request for attention patterns on
    circuits.record(model, IDS)
    circuits.path_patch(model, IDS, run, run, patch, [(0, 0)], [(1, 0)], "key")
    assert hook_count(model) == before


def test_hooks_are_removed_after_an_error(model):
    def fail(layer, outputs):
        raise RuntimeError("broken edit")

    with pytest.raises(RuntimeError, match="broken edit"):
        circuits.run_with_heads(model, IDS, fail)
    assert hook_count(model) == 0


def test_head_outputs_are_pattern_times_values(model):
    """Computed by hand from the queries, keys and values of the first layer."""
    run = circuits.record(model, IDS)
    parts = circuits.anatomy(model)
    block = parts.blocks[0]
    with torch.no_grad():
        if parts.is_gpt2:
            value = parts.attention(0).c_attn(block.ln_1(run.before[0])).chunk(3, dim=-1)[2]
        else:
            value = parts.attention(0).v_proj(block.input_layernorm(run.before[0]))
    value = value.unflatten(-1, (parts.key_heads, parts.width)).repeat_interleave(parts.heads // parts.key_heads, dim=2)
    close(run.outputs[0], torch.einsum("bhqk,bkhd->bqhd", run.patterns[0], value))
    close(run.patterns.sum(-1), torch.ones_like(run.patterns[..., 0]))


def test_zero_ablation_is_what_zero_weights_do(model):
    for heads in ([(0, 0)], [(1, 2)], [(0, 1), (1, 0), (1, 1)], circuits.anatomy(model).all_heads()):
        zeros = torch.zeros_like(circuits.record(model, IDS).outputs)
        close(circuits.patched_logits(model, IDS, heads, zeros, patch), logits(silence_in_weights(model, heads))[:, -1])


def test_patching_all_heads_of_a_run_with_its_own_outputs_changes_nothing(model):
    run = circuits.record(model, IDS)
    close(
        circuits.patched_logits(model, IDS, circuits.anatomy(model).all_heads(), run.outputs, patch), run.logits[:, -1]
    )


def test_patching_at_one_position_of_each_text(model):
    """Against a loop over single texts in which the whole tensor is written out."""
    source = circuits.record(model, OTHER).outputs
    positions = torch.tensor([1, 4, 6])
    got = circuits.patched_logits(model, IDS, [(0, 1)], source, patch, positions)
    for row, position in enumerate(positions.tolist()):

        def edit(layer, outputs, row=row, position=position):
            if layer == 0:
                outputs = outputs.clone()
                outputs[0, position, 1] = source[0, row, position, 1]
            return outputs

        close(got[row], circuits.run_with_heads(model, IDS[row : row + 1], edit)[0, -1])


def test_a_patched_stream_before_the_first_layer_is_another_word_there(model):
    """Nothing but the word (and its place) is in the stream that enters layer 0; a run's own stream changes nothing."""
    where = torch.tensor([0, 3, 6])
    other, own = circuits.record(model, OTHER), circuits.record(model, IDS)
    exchanged = IDS.clone()
    exchanged[torch.arange(3), where] = OTHER[torch.arange(3), where]
    got = circuits.stream_patched_logits(model, IDS, 0, other.before, where)
    torch.testing.assert_close(got, circuits.record(model, exchanged).logits[:, -1])
    for layer in (0, 1):
        unchanged = circuits.stream_patched_logits(model, IDS, layer, own.before, where)
        torch.testing.assert_close(unchanged, own.logits[:, -1])
    late = circuits.stream_patched_logits(model, IDS, 1, other.before, torch.full((3,), 6))
    assert not torch.allclose(late, own.logits[:, -1])


def test_direct_logit_attribution_adds_up_and_each_part_is_right(model):
    run = circuits.record(model, IDS)
    plus, minus = torch.tensor([3, 7, 11]), torch.tensor([4, 8, 12])
    parts = attribution.attribute_logits(model, run, plus, minus)
    last = run.logits[:, -1]
    difference = last.gather(1, plus[:, None])[:, 0] - last.gather(1, minus[:, None])[:, 0]
    close(parts.total(), difference, 1e-4)
    # One head by brute force: take what it wrote out of the final residual stream, its scale held.
    shape = circuits.anatomy(model)
    norm, stream = shape.final_norm, run.last[:, -1]
    written = run.outputs[1][:, -1, 2] @ shape.head_matrices(1)[2]

    def read(x):
        if isinstance(norm, torch.nn.LayerNorm):
            scale = (stream.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
            x = norm.weight * (x - x.mean(-1, keepdim=True)) / scale + norm.bias
        else:
            x = norm.weight * x / (stream.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).sqrt()
        scores = x @ shape.unembedding.T
        return scores.gather(1, plus[:, None])[:, 0] - scores.gather(1, minus[:, None])[:, 0]

    with torch.no_grad():
        close(parts.heads[:, 1, 2], read(stream) - read(stream - written), 1e-4)


def test_path_patching_to_the_logits_from_the_last_layer_is_activation_patching(model):
    """Between the last layer's heads and the logits there is no other head that could be held."""
    clean, other = circuits.record(model, IDS), circuits.record(model, OTHER)
    got = circuits.path_patch(model, IDS, clean, other, patch, [(1, 0)])
    close(got, circuits.patched_logits(model, IDS, [(1, 0)], other.outputs, patch))


def test_path_patching_with_no_sender_or_the_same_run_changes_nothing(model):
    clean, other = circuits.record(model, IDS), circuits.record(model, OTHER)
    close(circuits.path_patch(model, IDS, clean, other, patch, []), clean.logits[:, -1])
    for through in ("query", "key", "value"):
        close(circuits.path_patch(model, IDS, clean, clean, patch, [(0, 0)], [(1, 1)], through), clean.logits[:, -1])


def by_hand(model, clean, other, sender, receiver, through):
    """Path patching from a head of layer 0 to a head of layer 1, written out without the library's functions."""
    parts = circuits.anatomy(model)
    block = parts.blocks[1]
    index = ("query", "key", "value").index(through)
    with torch.no_grad():
        change = (other.outputs[0][:, :, sender] - clean.outputs[0][:, :, sender]) @ parts.head_matrices(0)[sender]
        middle = clean.middle[0] + change
        norm = parts.blocks[0].ln_2 if parts.is_gpt2 else parts.blocks[0].post_attention_layernorm
        stream = middle + parts.blocks[0].mlp(norm(middle))
        first = block.ln_1 if parts.is_gpt2 else block.input_layernorm
        if parts.is_gpt2:
            new = parts.attention(1).c_attn(first(stream)).chunk(3, dim=-1)[index]
            target = parts.attention(1).c_attn
        else:
            target = getattr(parts.attention(1), ("q_proj", "k_proj", "v_proj")[index])
            new = target(first(stream))
        shared = 1 if through == "query" else parts.heads // parts.key_heads
        columns = slice(receiver // shared * parts.width, (receiver // shared + 1) * parts.width)
        start = index * parts.heads * parts.width if parts.is_gpt2 else 0

        def put(module, inputs, output):
            output = output.clone()
            output[..., start + columns.start : start + columns.stop] = new[..., columns]
            return output

        handle = target.register_forward_hook(put)
        try:
            return model(IDS, use_cache=False).logits[:, -1]
        finally:
            handle.remove()


@pytest.mark.parametrize("through", ["query", "key", "value"])
def test_path_patching_one_step_back_by_hand(model, through):
    clean, other = circuits.record(model, IDS), circuits.record(model, OTHER)
    for sender, receiver in itertools.product((0, 2), (0, 1, 2)):
        got = circuits.path_patch(model, IDS, clean, other, patch, [(0, sender)], [(1, receiver)], through)
        close(got, by_hand(model, clean, other, sender, receiver, through))
        assert (got - clean.logits[:, -1]).abs().max() > 1e-4  # the path carries something


def test_path_patching_refuses_an_unknown_input(model):
    run = circuits.record(model, IDS)
    with pytest.raises(ValueError, match="through"):
        circuits.path_patch(model, IDS, run, run, patch, [(0, 0)], [(1, 0)], "output")


def test_other_architectures_are_refused():
    with pytest.raises(TypeError, match="neither"):
        circuits.anatomy(torch.nn.Linear(2, 2))


def test_shifting_a_constant_into_the_bias_keeps_the_function_but_not_zero_ablation():
    """`with_shifted_head`: the demonstration against zero ablation computes exactly the same function."""
    model, _ = ioi.load_ioi_model()
    tokenizer = ioi.load_ioi_model()[1]
    batch = ioi.load_batch(tokenizer, each=1)
    shifted = circuits.with_shifted_head(model, (0, 1), size=3.0, seed=0)
    close(logits(shifted, batch.ids), logits(model, batch.ids), 1e-3)

    def zero(outputs, heads, mean=None):
        result = outputs.clone()
        result[:, :, heads] = 0 if mean is None else mean[:, heads]
        return result

    same = ioi.ablated_logits(model, batch, [(0, 1)], zero, ioi.template_means(model, batch))
    close(ioi.ablated_logits(shifted, batch, [(0, 1)], zero, ioi.template_means(shifted, batch)), same, 1e-3)
    difference = ioi.ablated_logits(shifted, batch, [(0, 1)], zero) - ioi.ablated_logits(model, batch, [(0, 1)], zero)
    assert difference.abs().max() > 1


def test_ioi_prompts_have_the_promised_structure():
    model, tokenizer = ioi.load_ioi_model()
    batch = ioi.load_batch(tokenizer, each=3)
    rows = torch.arange(len(batch))
    assert len(batch) == 12 * 2 * 3
    assert torch.equal(batch.ids[rows, batch.positions["IO"]], batch.io_ids)
    for name in ("S1", "S2"):
        assert torch.equal(batch.ids[rows, batch.positions[name]], batch.s_ids)
    assert bool((batch.positions["S1"] < batch.positions["S2"]).all())
    assert bool((batch.positions["IO"] < batch.positions["S2"]).all())
    first = batch.positions["IO"] < batch.positions["S1"]
    assert [("BABA", "ABBA")[flag] for flag in first.tolist()] == batch.orders
    differs = batch.ids != batch.swapped_ids
    assert torch.equal(differs.sum(1), torch.ones(len(batch), dtype=torch.long))
    assert torch.equal(batch.swapped_ids[rows, batch.positions["S2"]], batch.io_ids)
    for ids in (batch.io_ids, batch.s_ids):
        assert not bool((batch.unrelated_ids == ids[:, None]).any())
    unknown = tokenizer.unk_token_id
    assert not any(bool((x == unknown).any()) for x in (batch.ids, batch.swapped_ids, batch.unrelated_ids))
    assert len(batch.in_order("ABBA")) == len(batch) // 2
    with torch.no_grad():
        right = ioi.last_logits(model, batch.ids).argmax(-1) == batch.io_ids
    assert right.float().mean() > 0.98


def test_counting_sentences_tell_the_last_name_from_the_repeated_one():
    """Each order has IO, S and S where it says, with names never trained on; one name is due, and the model knows it."""
    model, tokenizer = ioi.load_ioi_model()
    batch = ioi.load_batch(tokenizer, "counting")
    assert set(batch.orders) == {"S S IO", "S IO S", "IO S S"}
    places = {who: [batch.positions[who][row].item() for row in range(len(batch))] for who in ("IO", "S1", "S2")}
    for row, order in enumerate(batch.orders):
        found = sorted((places[who][row], who[:2].rstrip("12")) for who in places)
        assert " ".join(who for _, who in found) == order
    with torch.no_grad():
        assert (ioi.last_logits(model, batch.ids).argmax(-1) == batch.io_ids).float().mean() > 0.98
        # in the swapped sentence IO stands twice, and S is the answer
        assert (ioi.last_logits(model, batch.swapped_ids).argmax(-1) == batch.s_ids).float().mean() > 0.9


def test_a_recording_of_an_edited_run_is_the_edited_run():
    """What `record` keeps under an edit are the edited head outputs, and its logits are those of `run_with_heads`."""
    model, tokenizer = ioi.load_ioi_model()
    batch = ioi.load_batch(tokenizer, each=1)

    def silence(layer: int, outputs: torch.Tensor) -> torch.Tensor:
        return outputs * (layer != 1)

    seen = circuits.record(model, batch.ids, edit=silence)
    assert not bool(seen.outputs[1].any())
    assert torch.equal(seen.logits, circuits.run_with_heads(model, batch.ids, silence))
    assert not torch.equal(seen.logits, circuits.record(model, batch.ids).logits)


def test_training_and_test_name_pairs_are_disjoint():
    from helpers.assets.recipes.ioi import counting_prompts, name_pairs, prompts

    training, held_out = name_pairs()
    assert not set(training) & set(held_out)
    rows = prompts() + counting_prompts()
    assert {(row["io"], row["s"]) for row in rows if row["split"] in ("test", "counting")} <= set(held_out)
    assert rows == pd.read_parquet(ioi.PROMPTS).to_dict("records"), "the recipe no longer makes the committed table"


def test_the_history_and_the_checkpoints_show_the_transition():
    history = ioi.load_history().set_index("step")["accuracy"]
    assert history.loc[0] < 0.1 < 0.97 < history.iloc[-1]
    models = ioi.load_checkpoints()
    _, tokenizer = ioi.load_ioi_model()
    batch = ioi.load_batch(tokenizer, each=20)
    for step, model in models.items():
        right = (ioi.last_logits(model, batch.ids).argmax(-1) == batch.io_ids).float().mean().item()
        assert abs(right - history.loc[step]) < 0.02, step


def test_an_accuracy_comes_with_an_interval_at_its_ends_too():
    """Wilson's, by its formula; all right is no certainty, and 0 is never printed with a sign."""
    p, n, z = 0.8, 40, 1.959964
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    found = ioi.accuracy_with_interval(torch.tensor([1.0] * 32 + [0.0] * 8))
    assert found == pytest.approx((p, middle - half, middle + half), abs=1e-5)
    share, low, high = ioi.accuracy_with_interval(torch.ones(40, dtype=torch.bool))
    assert (share, high) == (1.0, 1.0)
    assert 0.9 < low < 0.93
    assert ioi.in_words((-0.001, -0.02, 0.004)) == "0.00 (-0.02 to 0.00)"


def test_a_share_comes_with_its_interval():
    """Beside the delta method of the ratio of two means; the same figures twice; nothing uncertain, no interval."""
    generator = torch.Generator().manual_seed(1)
    whole = 7 + torch.randn(200, generator=generator, dtype=torch.float64)
    part = 0.4 * whole + torch.randn(200, generator=generator, dtype=torch.float64)
    share, low, high = ioi.share_with_interval(part, whole)
    assert share == pytest.approx(float(part.mean() / whole.mean()))
    half = 1.96 * float((part - share * whole).std() / whole.mean()) / 200**0.5
    assert low == pytest.approx(share - half, abs=half / 5)
    assert high == pytest.approx(share + half, abs=half / 5)
    assert ioi.share_with_interval(part, whole) == (share, low, high)
    assert ioi.share_with_interval(0.25 * whole, whole) == pytest.approx((0.25, 0.25, 0.25))
