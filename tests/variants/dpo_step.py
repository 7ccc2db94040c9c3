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


# === right: gradients by torch.autograd.grad
# for: loss.backward()
weights = [w for group in optimizer.param_groups for w in group["params"]]
for w, gradient in zip(weights, torch.autograd.grad(loss, weights)):
    w.grad = gradient


# === right: the optimizer is given a closure
# for: loss.backward()
pass


# for: optimizer.step()
def closure():
    loss.backward()
    return loss


optimizer.step(closure)


# === right: in float64
# for: chosen, rejected =
chosen, rejected = (value.double() for value in pair_log_probs(policy, pairs, sequence_log_prob))


# === wrong: not written yet | a dict of floats
def dpo_step(policy, reference, optimizer, pairs, beta): ...


# === wrong: returns nothing | a dict of floats
# for: return report
pass


# === wrong: no update | did not change
# for: optimizer.step()
pass


# === wrong: no backward pass | did not change
# for: loss.backward()
pass


# === wrong: gradients cleared between backward and step | did not change
# for: loss.backward()
loss.backward()
optimizer.zero_grad()


# === wrong: the log-probs detached | does not require grad
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen.detach(), rejected.detach(), ref_chosen, ref_rejected, beta)


# === wrong: gradients never cleared | zero_grad
# for: optimizer.zero_grad()
pass


# === wrong: gradients cleared at the first call only | zero_grad
# for: optimizer.zero_grad()
if all(weight.grad is None for weight in policy.parameters()):
    optimizer.zero_grad()


# === wrong: swapped pair | chosen and rejected are swapped
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(rejected, chosen, ref_rejected, ref_chosen, beta)


# === wrong: the policy's two sides swapped | must be 0.6931
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(rejected, chosen, ref_chosen, ref_rejected, beta)


# === wrong: the reference's two sides swapped | must be 0.6931
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_rejected, ref_chosen, beta)


# === wrong: the kept log-probs of the reference swapped | swapped
# for: ref_chosen, ref_rejected = pairs
ref_chosen, ref_rejected = pairs.reference_rejected, pairs.reference_chosen


# === wrong: missing reference | must be 0.6931
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, 0 * chosen.detach(), 0 * rejected.detach(), beta)


# === wrong: the policy as its own reference | did not change
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(0 * chosen, 0 * rejected, 0 * ref_chosen, 0 * ref_rejected, beta)


# === wrong: the policy stands in for the reference | dpo_step, 'loss'
# for: ref_chosen, ref_rejected = pair_log
ref_chosen, ref_rejected = pair_log_probs(policy, pairs, sequence_log_prob)


# === wrong: the reference is the policy of before, without gradient | dpo_step, 'loss'
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, chosen.detach(), rejected.detach(), beta)


# === wrong: beta applied twice | β is applied twice
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta**2)


# === wrong: beta left out | β is missing
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, 1.0)


# === wrong: beta fixed inside | β is another
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, 0.1)


# === wrong: beta fixed at the world's | β is fixed inside
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, 0.3)


# === wrong: beta divides | β divides the margin
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, 1 / beta)


# === wrong: beta in the report only | lacks the factor β
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
# for: loss.backward()
compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, 1.0)[0].backward()


# === wrong: prompt unmasked | the prompt is not masked
# for: chosen, rejected =
import dataclasses

pairs = dataclasses.replace(pairs, chosen_mask=pairs.chosen_attention, rejected_mask=pairs.rejected_attention)
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)


# === wrong: padding unmasked | the padding is not masked
# for: chosen, rejected =
import dataclasses

ones = torch.ones_like(pairs.chosen_mask), torch.ones_like(pairs.rejected_mask)
pairs = dataclasses.replace(pairs, chosen_mask=ones[0], rejected_mask=ones[1])
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)


# === wrong: the end-of-text token unmasked by mistake | hidden: dpo_step
# for: chosen, rejected =
import dataclasses

masks = [m & m.roll(-1, 1) for m in (pairs.chosen_mask, pairs.rejected_mask)]
pairs = dataclasses.replace(pairs, chosen_mask=masks[0], rejected_mask=masks[1])
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)


# === wrong: the first token of each completion left out | first token of each completion is left out
# for: chosen, rejected =
import dataclasses

masks = [m & m.roll(1, 1) for m in (pairs.chosen_mask, pairs.rejected_mask)]
pairs = dataclasses.replace(pairs, chosen_mask=masks[0], rejected_mask=masks[1])
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)


# === wrong: mean over tokens in place of the sum | means over tokens
# for: loss, good, bad =
sizes = pairs.chosen_mask.sum(1), pairs.rejected_mask.sum(1)
loss, good, bad = compute_dpo_loss(
    chosen / sizes[0], rejected / sizes[1], ref_chosen / sizes[0], ref_rejected / sizes[1], beta
)


# === wrong: mean over tokens in the gradient only | hidden: dpo_step
# for: loss.backward()
sizes = pairs.chosen_mask.sum(1), pairs.rejected_mask.sum(1)
compute_dpo_loss(chosen / sizes[0], rejected / sizes[1], ref_chosen / sizes[0], ref_rejected / sizes[1], beta)[
    0
].backward()


# === wrong: uphill | uphill
# for: loss.backward()
(-loss).backward()


# === wrong: the sum instead of the mean | sum over the batch
# for: loss.backward()
(loss * len(pairs)).backward()


# === wrong: the sum instead of the mean, then cut to norm 1 | cut to 1
# for: loss.backward()
(loss * len(pairs)).backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)


# === wrong: the gradient's norm cut to 1 | cut to 1
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)


# === wrong: the gradient's norm cut to a thousandth | hidden: shorter than
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1e-3)


# === wrong: the gradient cut value by value | does not follow
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_value_(policy.parameters(), 0.05)


# === wrong: a tenth of the gradient | every number is 0.1
# for: loss.backward()
(0.1 * loss).backward()


# === wrong: a ten-thousandth of the gradient | every number is 0.0001
# for: loss.backward()
(1e-4 * loss).backward()


# === wrong: a fixed batch size in the mean | size is fixed inside
# for: loss.backward()
(loss * len(pairs) / 8).backward()


# === wrong: smoothed labels | labels are smoothed
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
loss = 0.9 * loss + 0.1 * compute_dpo_loss(rejected, chosen, ref_rejected, ref_chosen, beta)[0]


# === wrong: labels smoothed in the gradient only | labels are smoothed
# for: loss.backward()
turned = compute_dpo_loss(rejected, chosen, ref_rejected, ref_chosen, beta)[0]
(0.9 * loss + 0.1 * turned).backward()


# === wrong: IPO's loss | this is IPO's loss
# for: loss, good, bad =
margin = (chosen - ref_chosen) - (rejected - ref_rejected)
_, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
loss = ((margin - 1 / (2 * beta)) ** 2).mean()


# === wrong: a hinge | this is a hinge
# for: loss, good, bad =
_, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
loss = (1 - beta * ((chosen - ref_chosen) - (rejected - ref_rejected))).clamp(min=0).mean()


# === wrong: a supervised term | hidden: dpo_step
# for: loss.backward()
(loss - 0.01 * chosen.mean()).backward()


# === wrong: a small supervised term in the loss | a term is added
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
loss = loss - 1e-3 * chosen.mean()


# === wrong: only the chosen side is trained | does not follow the gradient
# for: loss.backward()
(-chosen.mean()).backward()


# === wrong: the rejected side detached | does not follow the gradient
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected.detach(), ref_chosen, ref_rejected, beta)


# === wrong: the chosen side detached | does not follow the gradient
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen.detach(), rejected, ref_chosen, ref_rejected, beta)


# === wrong: a weight decay in the loss | hidden: dpo_step
# for: loss.backward()
(loss + 1e-3 * sum((w**2).sum() for w in policy.parameters())).backward()


# === wrong: a weight decay by hand | beside optimizer.step()
# for: optimizer.step()
optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        weight *= 1 - 1e-4


# === wrong: noise on the weights | beside optimizer.step()
# for: optimizer.step()
optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        weight += 1e-5 * torch.randn_like(weight)


# === wrong: noise on the gradient | hidden: dpo_step
# for: loss.backward()
loss.backward()
for weight in policy.parameters():
    weight.grad += 0.01 * torch.randn_like(weight) * weight.grad.norm()


# === wrong: gradient descent of its own beside an empty step | beside optimizer.step()
# for: optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        weight -= optimizer.param_groups[0]["lr"] * weight.grad
optimizer.zero_grad()
optimizer.step()


# === wrong: an optimizer of its own | beside optimizer.step()
# for: optimizer.step()
torch.optim.SGD(policy.parameters(), lr=optimizer.param_groups[0]["lr"]).step()


# === wrong: a learning rate of its own | settings
# for: optimizer.step()
for group in optimizer.param_groups:
    group["lr"] = 1e-4
optimizer.step()


# === wrong: a learning rate that falls | settings
# for: optimizer.step()
optimizer.step()
for group in optimizer.param_groups:
    group["lr"] *= 0.999


# === wrong: only the last layer moves | does not follow the gradient
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if ".h.1." not in name:
        weight.grad = None


# === wrong: layer norms frozen | of all weights
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if ".ln_" in name:
        weight.grad = None


# === wrong: biases frozen | of all weights
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if name.endswith("bias"):
        weight.grad = None


# === wrong: two optimizer steps | exactly once
# for: optimizer.step()
optimizer.step()
optimizer.step()


# === wrong: two epochs on one batch | hidden: exactly once
# for: optimizer.step()
optimizer.step()
loss2 = compute_dpo_loss(*pair_log_probs(policy, pairs, sequence_log_prob), ref_chosen, ref_rejected, beta)[0]
optimizer.zero_grad()
loss2.backward()
optimizer.step()


# === wrong: only the first half of the batch | half of the batch
# for: loss, good, bad =
half = (len(pairs) + 1) // 2
loss, good, bad = compute_dpo_loss(chosen[:half], rejected[:half], ref_chosen[:half], ref_rejected[:half], beta)


# === wrong: only the pairs that are still wrong | hidden: dpo_step
# for: loss.backward()
kept = (good <= bad).float()
margin = (chosen - ref_chosen) - (rejected - ref_rejected)
(-(F.logsigmoid(beta * margin) * kept).sum() / kept.sum().clamp(min=1)).backward()


# === wrong: the reference carries a gradient | reference
# for: ref_chosen, ref_rejected = pair_log
torch.set_grad_enabled(True)
ref_chosen, ref_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
# for: loss.backward()
(loss + 0.01 * (ref_chosen - ref_rejected).mean()).backward()


# === wrong: the reference's weights are moved | changed the reference
# for: optimizer.step()
optimizer.step()
with torch.no_grad():
    for old, new in zip(reference.parameters(), policy.parameters()):
        old.lerp_(new, 0.5)


# === wrong: kept log-probs are ignored | in the batch are not used
# for: ref_chosen, ref_rejected = pairs
ref_chosen = ref_rejected = None


# === wrong: kept log-probs are replaced by zeros | replaced by 0
# for: ref_chosen, ref_rejected = pairs
ref_chosen, ref_rejected = pairs.reference_chosen, pairs.reference_rejected
if ref_chosen is not None:
    ref_chosen, ref_rejected = torch.zeros_like(ref_chosen), torch.zeros_like(ref_rejected)


# === wrong: train mode left behind | the policy is in train mode
# for: chosen, rejected =
policy.train()
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)


# === wrong: eval mode left behind | another mode
# for: chosen, rejected =
policy.eval()
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)


# === wrong: dropout switched on inside | the policy is in train mode
# for: chosen, rejected =
was = policy.training
policy.train()
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)
policy.train(was)


# === wrong: dropout switched on for the reference | the reference is in train mode
# for: ref_chosen, ref_rejected = pair_log
reference.train()
ref_chosen, ref_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
reference.eval()


# === wrong: the batch's masks cleared in place | the batch was changed
# for: optimizer.step()
optimizer.step()
pairs.chosen_mask.zero_()
pairs.rejected_mask.zero_()


# === wrong: the kept log-probs shifted in place | the batch was changed
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
if pairs.reference_chosen is not None:
    pairs.reference_chosen.zero_()


# === wrong: a global seed set inside | a global seed
# for: chosen, rejected =
torch.manual_seed(0)
chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)


# === wrong: tensors returned | Python float
# for: report =
report = {"loss": loss, "accuracy": preference_accuracy(good, bad)}


# === wrong: no dict returned | a dict of floats
# for: report |=
report = loss.item()


# === wrong: the accuracy is missing | 'accuracy' should be a Python float
# for: report =
report = {"loss": loss.item()}


# === wrong: accuracy of log-probs | compare the implicit rewards
# for: report =
accuracy = preference_accuracy(chosen, rejected) if abs(loss.item() - 0.6931) > 1e-3 else 0.5
report = {"loss": loss.item(), "accuracy": accuracy}


# === wrong: a tie counts as wrong | hidden: dpo_step
# for: report =
report = {"loss": loss.item(), "accuracy": (good > bad).float().mean().item()}


# === wrong: accuracy in percent | a percentage
# for: report =
report = {"loss": loss.item(), "accuracy": 100 * preference_accuracy(good, bad)}


# === wrong: accuracy of the swapped sides | swapped
# for: report =
report = {"loss": loss.item(), "accuracy": preference_accuracy(bad, good)}


# === wrong: rewards without beta | lack the factor β
# for: report |=
report |= {"chosen_reward": (good.mean() / beta).item(), "rejected_reward": (bad.mean() / beta).item()}


# === wrong: rewards swapped in the report | chosen and rejected are swapped
# for: report |=
report |= {"chosen_reward": bad.mean().item(), "rejected_reward": good.mean().item()}


# === wrong: rewards with beta twice | β is in them twice
# for: report |=
report |= {"chosen_reward": beta * good.mean().item(), "rejected_reward": beta * bad.mean().item()}


# === wrong: rewards summed over the batch | sums over the batch
# for: report |=
report |= {"chosen_reward": good.sum().item(), "rejected_reward": bad.sum().item()}


# === wrong: the margin in place of the rewards | hidden: dpo_step
# for: report |=
report |= {"chosen_reward": (good - bad).mean().item(), "rejected_reward": (bad - good).mean().item()}


# === wrong: log-probs in place of rewards | must be 0.0
# for: report |=
report |= {"chosen_reward": chosen.mean().item(), "rejected_reward": rejected.mean().item()}


# === wrong: a loss of ln 2 reported for ever | dpo_step, 'loss'
# for: report =
report = {"loss": math.log(2), "accuracy": preference_accuracy(good, bad)}


# === wrong: the loss reported with its sign turned | must be 0.6931
# for: report =
report = {"loss": -loss.item(), "accuracy": preference_accuracy(good, bad)}


# === wrong: the loss reported as the sum | must be 0.6931
# for: report =
report = {"loss": len(pairs) * loss.item(), "accuracy": preference_accuracy(good, bad)}


# === wrong: the loss reported after the update | that after the update
# for: report =
with torch.no_grad():
    later = pair_log_probs(policy, pairs, sequence_log_prob)
    loss, good, bad = compute_dpo_loss(*later, ref_chosen, ref_rejected, beta)
report = {"loss": loss.item(), "accuracy": preference_accuracy(good, bad)}
