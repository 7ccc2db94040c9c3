# === wrong: the log-probs detached | does not require grad
# for: loss, good, bad =
loss, good, bad = compute_dpo_loss(chosen.detach(), rejected.detach(), ref_chosen, ref_rejected, beta)


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


# === wrong: the sum instead of the mean, then cut to norm 1 | sum over the batch is clipped
# for: loss.backward()
(loss * len(pairs)).backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)


# === wrong: the gradient scaled to norm 1 | short gradients are made longer
# for: loss.backward()
loss.backward()
norm = torch.nn.utils.get_total_norm([weight.grad for weight in policy.parameters()])
for weight in policy.parameters():
    weight.grad /= norm


# === wrong: the gradient cut value by value | does not follow
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_value_(policy.parameters(), 0.05)


# === wrong: a tenth of the gradient | every number is 0.1
# for: loss.backward()
(0.1 * loss).backward()


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
