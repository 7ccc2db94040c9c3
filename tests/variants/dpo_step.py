# === right: with the helper
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    chosen, rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is None:
        with torch.no_grad():
            ref_chosen, ref_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    else:
        ref_chosen, ref_rejected = pairs.reference_chosen, pairs.reference_rejected
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


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
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    was = policy.training
    policy.eval()
    pc, pr = pair_log_probs(policy, pairs, sequence_log_prob)
    rc, rr = pairs.reference_chosen, pairs.reference_rejected
    if rc is None:
        with torch.no_grad():
            rc, rr = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, c, r = compute_dpo_loss(pc, pr, rc, rr, beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    policy.train(was)
    accuracy = ((c > r).float() + 0.5 * (c == r).float()).mean().item()
    return {
        "loss": loss.item(),
        "accuracy": accuracy,
        "chosen_reward": c.mean().item(),
        "rejected_reward": r.mean().item(),
    }


# === right: gradients cleared after the step
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    pc, pr = pair_log_probs(policy, pairs, sequence_log_prob)
    rc, rr = pairs.reference_chosen, pairs.reference_rejected
    if rc is None:
        with torch.no_grad():
            rc, rr = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, c, r = compute_dpo_loss(pc, pr, rc, rr, beta)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    names = ("loss", "accuracy", "chosen_reward", "rejected_reward")
    return dict(zip(names, (loss.item(), preference_accuracy(c, r), c.mean().item(), r.mean().item())))


# === wrong: not written yet | a dict of floats
def dpo_step(policy, reference, optimizer, pairs, beta): ...


# === wrong: swapped pair | chosen and rejected are swapped
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_rejected, policy_chosen, reference_rejected, reference_chosen, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: the policy's two sides swapped | must be 0.6931
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_rejected, policy_chosen, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: missing reference | must be 0.6931
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, torch.zeros_like(policy_chosen), torch.zeros_like(policy_chosen), beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: the policy as its own reference | weights did not change
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen.detach() * 1.0 + 0 * policy_chosen,
        policy_rejected.detach() + 0 * policy_rejected,
        reference_chosen,
        reference_rejected,
        beta,
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: the policy stands in for the reference | dpo_step, 'loss'
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: beta applied twice | β is applied twice
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta**2
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: beta left out | β is missing
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, 1.0
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: prompt unmasked | the prompt is not masked
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    import dataclasses

    pairs = dataclasses.replace(pairs, chosen_mask=pairs.chosen_attention, rejected_mask=pairs.rejected_attention)
    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: padding unmasked | the padding is not masked
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    import dataclasses

    pairs = dataclasses.replace(
        pairs, chosen_mask=torch.ones_like(pairs.chosen_mask), rejected_mask=torch.ones_like(pairs.rejected_mask)
    )
    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: no update | weights did not change
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: no backward pass | weights did not change
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: gradients cleared between backward and step | weights did not change
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: gradients never cleared | zero_grad
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: two updates | exactly once
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: uphill | uphill
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    (-loss).backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: the sum instead of the mean | times as large
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    (loss * len(pairs)).backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: the reference is trained too | reference
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    (loss + 0.01 * (reference_chosen - reference_rejected).mean()).backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: the reference's weights are moved | changed the reference
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for old, new in zip(reference.parameters(), policy.parameters()):
            old.lerp_(new, 0.5)
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: kept log-probs are ignored | although the batch holds its log-probs
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if True:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: train mode left behind | another mode
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy.train()
    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: eval mode left behind | another mode
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy.eval()
    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: tensors returned | Python float
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss,
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: no dict returned | a dict of floats
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


# === wrong: the accuracy is missing | 'accuracy' should be a Python float
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: accuracy of log-probs | compare the implicit rewards
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(policy_chosen, policy_rejected) if abs(loss.item() - 0.6931) > 1e-3 else 0.5,
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: rewards without beta | lack the factor β
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": (chosen_rewards.mean() / beta).item(),
        "rejected_reward": (rejected_rewards.mean() / beta).item(),
    }


# === wrong: rewards swapped in the report | chosen and rejected are swapped
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": rejected_rewards.mean().item(),
        "rejected_reward": chosen_rewards.mean().item(),
    }


# === wrong: only the chosen side is trained | does not follow the gradient
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    (-policy_chosen.mean()).backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }


# === wrong: only the last layer moves | does not follow the gradient
def dpo_step(policy, reference, optimizer, pairs, beta):
    from helpers.dpo.pairs import pair_log_probs

    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    for name, weight in policy.named_parameters():
        if ".h.1." not in name:
            weight.grad = None
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }
