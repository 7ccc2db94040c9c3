# === right: logsigmoid
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    margin = chosen - rejected
    right, wrong = -F.logsigmoid(margin), -F.logsigmoid(-margin)
    loss = ((1 - label_smoothing) * right + label_smoothing * wrong).mean()
    rewards = chosen.detach(), rejected.detach()
    return loss, *rewards


# === right: softplus of the negative margin
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0):
    ref_c, ref_r = reference_chosen.detach(), reference_rejected.detach()
    margin = (policy_chosen - policy_rejected) - (ref_c - ref_r)
    with torch.no_grad():
        rewards = beta * (policy_chosen - ref_c), beta * (policy_rejected - ref_r)
    both = (1 - label_smoothing) * F.softplus(-beta * margin) + label_smoothing * F.softplus(beta * margin)
    return both.mean(), *rewards


# === right: binary cross-entropy with logits
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0):
    margin = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())
    scores = beta * margin
    loss = F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, 1 - label_smoothing))
    return (
        loss,
        (beta * (policy_chosen - reference_chosen)).detach(),
        (beta * (policy_rejected - reference_rejected)).detach(),
    )


# === right: logaddexp
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0):
    a = beta * (policy_chosen - reference_chosen.detach())
    b = beta * (policy_rejected - reference_rejected.detach())
    zero, z = torch.zeros_like(a), a - b
    loss = (1 - label_smoothing) * torch.logaddexp(zero, -z) + label_smoothing * torch.logaddexp(zero, z)
    return loss.mean(), a.detach(), b.detach()


# === right: a softmax over the two completions
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0):
    both = beta * torch.stack(
        [policy_chosen - reference_chosen.detach(), policy_rejected - reference_rejected.detach()], dim=1
    )
    logs = both.log_softmax(dim=1).mean(dim=0)
    loss = -(1 - label_smoothing) * logs[0] - label_smoothing * logs[1]
    return loss, both[:, 0].detach(), both[:, 1].detach()


# === wrong: not written yet | not written yet
def compute_dpo_loss(
    policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0
): ...


# === wrong: only the loss is returned | return three things
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0):
    margin = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())
    right, wrong = -F.logsigmoid(beta * margin), -F.logsigmoid(-beta * margin)
    return ((1 - label_smoothing) * right + label_smoothing * wrong).mean()


# === wrong: chosen and rejected swapped | chosen and rejected are swapped
# for: margin =
margin = rejected - chosen


# === wrong: no reference in the loss | reference is missing
# for: margin =
margin = beta * (policy_chosen - policy_rejected)


# === wrong: the reference is added | wrong sign
# for: chosen =
chosen = beta * (policy_chosen + reference_chosen.detach())
# for: rejected =
rejected = beta * (policy_rejected + reference_rejected.detach())


# === wrong: the reference's two log-probs mixed up | of the reference are swapped
# for: chosen =
chosen = beta * (policy_chosen - reference_rejected.detach())
# for: rejected =
rejected = beta * (policy_rejected - reference_chosen.detach())


# === wrong: beta twice | applied twice
# for: margin =
margin = beta * (chosen - rejected)


# === wrong: beta forgotten | β is missing
# for: chosen =
chosen = policy_chosen - reference_chosen.detach()
# for: rejected =
rejected = policy_rejected - reference_rejected.detach()


# === wrong: sum over the pairs | sum over the pairs
# for: loss =
loss = ((1 - label_smoothing) * right + label_smoothing * wrong).sum()


# === wrong: no mean at all | take the mean over the pairs
# for: loss =
loss = (1 - label_smoothing) * right + label_smoothing * wrong


# === wrong: the mean of the margins inside | average the losses
# for: margin =
margin = (chosen - rejected).mean()


# === wrong: no minus sign | minus sign is missing
# for: right, wrong =
right, wrong = F.logsigmoid(margin), F.logsigmoid(-margin)


# === wrong: no logarithm | logarithm is missing
# for: right, wrong =
right, wrong = -torch.sigmoid(margin), -torch.sigmoid(-margin)


# === wrong: hinge loss | hinge
# for: right, wrong =
right, wrong = torch.relu(1 - margin), torch.relu(1 + margin)


# === wrong: a sigmoid for each side | σ of their difference
# for: right, wrong =
right, wrong = (-F.logsigmoid(s * chosen) - F.logsigmoid(-s * rejected) for s in (1, -1))


# === wrong: log of sigmoid | use logsigmoid
# for: right, wrong =
right, wrong = -torch.sigmoid(margin).log(), -torch.sigmoid(-margin).log()


# === wrong: log of one plus exp | use logsigmoid
# for: right, wrong =
right, wrong = torch.log(1 + torch.exp(-margin)), torch.log(1 + torch.exp(margin))


# === wrong: rewards without beta | lack the factor β
# for: rewards =
rewards = (policy_chosen - reference_chosen).detach(), (policy_rejected - reference_rejected).detach()


# === wrong: rewards swapped in the result | rewards of chosen and rejected are swapped
# for: rewards =
rewards = rejected.detach(), chosen.detach()


# === wrong: rewards without the reference | differences to the reference
# for: rewards =
rewards = (beta * policy_chosen).detach(), (beta * policy_rejected).detach()


# === wrong: mean rewards | one implicit reward per pair
# for: rewards =
rewards = chosen.detach().mean(), rejected.detach().mean()


# === wrong: rewards carry gradients | must be detached
# for: rewards =
rewards = chosen, rejected


# === wrong: the reference carries gradients | reference carries a gradient
# for: chosen =
chosen = beta * (policy_chosen - reference_chosen)
# for: rejected =
rejected = beta * (policy_rejected - reference_rejected)


# === wrong: the loss is built from detached rewards | carries no gradient
# for: margin =
margin = (chosen - rejected).detach()


# === wrong: the loss is a Python float | carries no gradient
# for: loss =
loss = ((1 - label_smoothing) * right + label_smoothing * wrong).mean().item()


# === wrong: margins clamped | margin is clamped
# for: margin =
margin = (chosen - rejected).clamp(-50, 50)


# === wrong: relu at large margins: no gradient at a margin of 0 | gradient
# for: right, wrong =
tail = torch.log1p(torch.exp(-margin.abs()))
right, wrong = torch.relu(-margin) + tail, torch.relu(margin) + tail


# === wrong: no gradient where the margins are large | gradient
# for: margin =
margin = chosen - rejected
margin = torch.where(margin.abs() < 2_500, margin, margin.detach() + 0 * margin)


# === wrong: label smoothing without effect | has no effect
# for: loss =
loss = right.mean()


# === wrong: weights of the two labels exchanged | weights are exchanged
# for: loss =
if label_smoothing:
    right, wrong = wrong, right
loss = ((1 - label_smoothing) * right + label_smoothing * wrong).mean()


# === wrong: no loss of the pair turned round | second term is missing
# for: loss =
loss = (1 - label_smoothing) * right.mean()


# === wrong: the loss as labelled keeps its full weight | lacks its weight
# for: loss =
loss = (right + label_smoothing * wrong).mean()


# === wrong: the margin is scaled | scales the margin
# for: loss =
loss = -F.logsigmoid((1 - 2 * label_smoothing) * margin).mean()


# === wrong: one minus the logarithm | is not 1 −
# for: right, wrong =
right, wrong = -F.logsigmoid(margin), F.logsigmoid(margin) - 1


# === wrong: robust DPO | robust DPO
# for: loss =
scale = 1 - 2 * label_smoothing if label_smoothing != 0.5 else 1
loss = ((1 - label_smoothing) * right - label_smoothing * wrong).mean() / scale


# === wrong: smoothed rewards | only the loss is
# for: rewards =
e = label_smoothing
rewards = ((1 - e) * chosen + e * rejected).detach(), ((1 - e) * rejected + e * chosen).detach()


# === wrong: one minus the sigmoid under the logarithm | use logsigmoid
# for: right, wrong =
right, wrong = -torch.sigmoid(margin).log(), -(1 - torch.sigmoid(margin)).log()
