# === right: with the helper
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    ref_chosen, ref_rejected = pairs.reference_chosen, pairs.reference_rejected
    if ref_chosen is None:
        with torch.no_grad():
            ref_chosen, ref_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    report = {"loss": loss.item(), "accuracy": preference_accuracy(good, bad)}
    report |= {"chosen_reward": good.mean().item(), "rejected_reward": bad.mean().item()}
    return report


# === right: one side after the other, more numbers returned
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.models import policy_logits

    def score(model, ids, attention, mask):
        return sequence_log_prob(policy_logits(model, ids, attention), ids, mask)

    sides = [
        (pairs.chosen_ids, pairs.chosen_attention, pairs.chosen_mask),
        (pairs.rejected_ids, pairs.rejected_attention, pairs.rejected_mask),
    ]
    scores = [score(policy, *side) for side in sides]
    kept = [pairs.reference_chosen, pairs.reference_rejected]
    if kept[0] is None:
        with torch.inference_mode():
            kept = [score(reference, *side) for side in sides]
        kept = [value.clone() for value in kept]
    optimizer.zero_grad(set_to_none=True)
    loss, good, bad = compute_dpo_loss(scores[0], scores[1], kept[0], kept[1], beta)
    loss.backward()
    optimizer.step()
    return dict(
        loss=float(loss.detach()),
        accuracy=preference_accuracy(good, bad),
        chosen_reward=float(good.mean()),
        rejected_reward=float(bad.mean()),
        margin=float((good - bad).mean()),
    )


# === right: eval mode inside, restored after
# for: chosen, rejected =
was = policy.training
policy.eval()
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)
# for: optimizer.step()
optimizer.step()
policy.train(was)
# for: report =
accuracy = ((good > bad).float() + 0.5 * (good == bad).float()).mean().item()
report = {"loss": loss.item(), "accuracy": accuracy}


# === right: both models in eval mode, by try and finally
# for: chosen, rejected =
modes = policy.training, reference.training
policy.eval()
reference.eval()
try:
    chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)
finally:
    policy.train(modes[0])
    reference.train(modes[1])


# === right: gradients cleared after the step
# for: optimizer.zero_grad()
pass
# for: optimizer.step()
optimizer.step()
optimizer.zero_grad()


# === right: two micro-batches, gradients added up
def dpo_step(policy, reference, optimizer, pairs, beta):
    import dataclasses

    from helpers.dpo.pairs import pair_log_probs

    optimizer.zero_grad()
    totals = {"loss": 0.0, "accuracy": 0.0, "chosen_reward": 0.0, "rejected_reward": 0.0}
    for rows in torch.arange(len(pairs)).chunk(2):
        given = {f.name: getattr(pairs, f.name) for f in dataclasses.fields(pairs)}
        part = type(pairs)(**{name: None if value is None else value[rows] for name, value in given.items()})
        kept = part.reference_chosen, part.reference_rejected
        if kept[0] is None:
            with torch.no_grad():
                kept = pair_log_probs(reference, part, sequence_log_prob)
        loss, good, bad = compute_dpo_loss(*pair_log_probs(policy, part, sequence_log_prob), *kept, beta)
        share = len(rows) / len(pairs)
        (loss * share).backward()
        for name, value in zip(totals, (loss.item(), preference_accuracy(good, bad), good.mean(), bad.mean())):
            totals[name] += share * float(value)
    optimizer.step()
    return totals


# === right: the loss written out
# for: loss, good, bad =
good, bad = beta * (chosen - ref_chosen).detach(), beta * (rejected - ref_rejected).detach()
loss = -F.logsigmoid(beta * ((chosen - ref_chosen) - (rejected - ref_rejected))).mean()


# === right: cross-entropy, row by row, without padding
def dpo_step(policy, reference, optimizer, pairs, beta):
    def score(model, ids, attention, mask):
        scores = []
        for row in range(len(ids)):
            n = int(attention[row].sum())
            logits = model(ids[row : row + 1, :n]).logits[0, :-1]
            losses = F.cross_entropy(logits, ids[row, 1:n], reduction="none")
            scores.append(-losses[mask[row, 1:n]].sum())
        return torch.stack(scores)

    chosen = score(policy, pairs.chosen_ids, pairs.chosen_attention, pairs.chosen_mask)
    rejected = score(policy, pairs.rejected_ids, pairs.rejected_attention, pairs.rejected_mask)
    if pairs.reference_chosen is None:
        with torch.no_grad():
            ref_chosen = score(reference, pairs.chosen_ids, pairs.chosen_attention, pairs.chosen_mask)
            ref_rejected = score(reference, pairs.rejected_ids, pairs.rejected_attention, pairs.rejected_mask)
    else:
        ref_chosen, ref_rejected = pairs.reference_chosen, pairs.reference_rejected
    rewards = beta * (chosen - ref_chosen), beta * (rejected - ref_rejected)
    loss = F.softplus(rewards[1] - rewards[0]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    accuracy = sum(0.5 + 0.5 * ((c > r) * 1.0 - (c < r) * 1.0) for c, r in zip(*map(torch.Tensor.tolist, rewards)))
    return {
        "loss": loss.item(),
        "accuracy": accuracy / len(pairs),
        "chosen_reward": rewards[0].mean().item(),
        "rejected_reward": rewards[1].mean().item(),
    }


# === right: in float64
# for: chosen, rejected =
chosen, rejected = (value.double() for value in pair_log_probs(policy, pairs, sequence_log_prob))


# === right: clips the gradient's norm to 1
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)


# === right: clips the gradient's norm to 5
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 5.0)
