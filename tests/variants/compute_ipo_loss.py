# === right: squared distances
def compute_ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau):
    chosen = policy_chosen - reference_chosen.detach()
    rejected = policy_rejected - reference_rejected.detach()
    margin = chosen - rejected
    target = 1 / (2 * tau)
    loss = (margin - target) ** 2
    result = loss.mean()
    return result


# === right: mse_loss
def compute_ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau):
    margin = policy_chosen - policy_rejected - (reference_chosen - reference_rejected).detach()
    return F.mse_loss(margin, torch.full_like(margin, 0.5 / tau))


# === right: sum of squares over their number
def compute_ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau):
    with torch.no_grad():
        reference = reference_chosen - reference_rejected
    distances = (policy_chosen - policy_rejected) - reference - 1 / tau / 2
    return distances.square().sum() / len(distances)


# === right: the halves of the pair one after the other
def compute_ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau):
    pairs = zip(policy_chosen, policy_rejected, reference_chosen.detach(), reference_rejected.detach())
    losses = [((pc - rc) - (pr - rr) - 1 / (2 * tau)).pow(2) for pc, pr, rc, rr in pairs]
    return torch.stack(losses).mean()


# === wrong: not written yet | not written yet
def compute_ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau): ...


# === wrong: one over tau | not 1/τ
# for: target =
target = 1 / tau


# === wrong: half of tau | not τ/2
# for: target =
target = 1 / 2 * tau


# === wrong: twice tau | not 2τ
# for: target =
target = 2 * tau


# === wrong: tau itself | not τ
# for: target =
target = tau


# === wrong: no target | target is missing
# for: target =
target = 0


# === wrong: no reference | reference is missing
# for: margin =
margin = policy_chosen - policy_rejected


# === wrong: chosen and rejected swapped | chosen and rejected are swapped
# for: margin =
margin = rejected - chosen


# === wrong: target added | target is added
# for: loss =
loss = (margin + target) ** 2


# === wrong: reference added | wrong sign
# for: chosen =
chosen = policy_chosen + reference_chosen.detach()
# for: rejected =
rejected = policy_rejected + reference_rejected.detach()


# === wrong: reference swapped | of the reference are swapped
# for: chosen =
chosen = policy_chosen - reference_rejected.detach()
# for: rejected =
rejected = policy_rejected - reference_chosen.detach()


# === wrong: no policy | policy is missing
# for: margin =
margin = reference_rejected.detach() - reference_chosen.detach() + 0 * policy_chosen


# === wrong: mean before the square | the mean must come last
# for: margin =
margin = (chosen - rejected).mean()


# === wrong: sum over the pairs | sum over the pairs
# for: loss =
loss = ((margin - target) ** 2).sum()


# === wrong: one number a pair | take the mean over the pairs
# for: result =
result = loss


# === wrong: distances | their squares
# for: loss =
loss = (margin - target).abs()


# === wrong: half the square | half the squared distance
# for: loss =
loss = 0.5 * (margin - target) ** 2


# === wrong: the root | the root of
# for: result =
result = loss.mean().sqrt()


# === wrong: scaled by tau | scaled by τ
# for: loss =
loss = (tau * margin - 0.5) ** 2


# === wrong: not squared | square it
# for: loss =
loss = margin - target


# === wrong: DPO's loss | DPO's loss
# for: loss =
loss = -F.logsigmoid(margin)


# === wrong: a margin above the target costs nothing | on both sides
# for: loss =
loss = (margin - target).clamp(max=0) ** 2


# === wrong: the reference carries gradients | reference carries a gradient
# for: chosen =
chosen = policy_chosen - reference_chosen
# for: rejected =
rejected = policy_rejected - reference_rejected


# === wrong: only the rejected reference carries gradients | reference carries a gradient
# for: rejected =
rejected = policy_rejected - reference_rejected


# === wrong: detached | carries no gradient
# for: result =
result = loss.mean().detach()


# === wrong: a Python float | carries no gradient
# for: result =
result = loss.mean().item()


# === wrong: the rejected completion gets no gradient | no gradient reaches
# for: rejected =
rejected = (policy_rejected - reference_rejected).detach()


# === wrong: margins clamped | clamped
# for: margin =
margin = (chosen - rejected).clamp(-100, 100)


# === wrong: in place | in place
# for: chosen =
chosen = policy_chosen.detach().sub_(reference_chosen.detach()) + policy_chosen - policy_chosen.detach()


# === wrong: in float32 | dtype
# for: margin =
margin = (chosen - rejected).float()


# === wrong: a new tensor | gradient
# for: margin =
margin = torch.tensor((chosen - rejected).tolist(), requires_grad=True)
