# === wrong: not written yet | a dict of floats
def dpo_step(policy, reference, optimizer, pairs, beta): ...


# === wrong: noise on the gradient | hidden: dpo_step
# for: loss.backward()
loss.backward()
for weight in policy.parameters():
    weight.grad += 0.01 * torch.randn_like(weight) * weight.grad.norm()


# === wrong: only the last layer moves | does not follow the gradient
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if ".h.1." not in name:
        weight.grad = None


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
