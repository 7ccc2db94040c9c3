# === right: logsigmoid
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(chosen - rejected).mean(), chosen.detach(), rejected.detach()


# === right: softplus of the negative margin
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    ref_c, ref_r = reference_chosen.detach(), reference_rejected.detach()
    margin = (policy_chosen - policy_rejected) - (ref_c - ref_r)
    with torch.no_grad():
        rewards = beta * (policy_chosen - ref_c), beta * (policy_rejected - ref_r)
    return F.softplus(-beta * margin).mean(), *rewards


# === right: binary cross-entropy with logits
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())
    scores = beta * margin
    loss = F.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))
    return (
        loss,
        (beta * (policy_chosen - reference_chosen)).detach(),
        (beta * (policy_rejected - reference_rejected)).detach(),
    )


# === right: logaddexp
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    a = beta * (policy_chosen - reference_chosen.detach())
    b = beta * (policy_rejected - reference_rejected.detach())
    return torch.logaddexp(torch.zeros_like(a), b - a).mean(), a.detach(), b.detach()


# === right: a softmax over the two completions
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    both = beta * torch.stack(
        [policy_chosen - reference_chosen.detach(), policy_rejected - reference_rejected.detach()], dim=1
    )
    return -both.log_softmax(dim=1)[:, 0].mean(), both[:, 0].detach(), both[:, 1].detach()


# === wrong: not written yet | not written yet
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta): ...


# === wrong: only the loss is returned | return three things
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(beta * margin).mean()


# === wrong: chosen and rejected swapped | chosen and rejected are swapped
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(rejected - chosen).mean(), chosen.detach(), rejected.detach()


# === wrong: no reference in the loss | reference is missing
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen).detach()
    rejected = beta * (policy_rejected - reference_rejected).detach()
    return -F.logsigmoid(beta * (policy_chosen - policy_rejected)).mean(), chosen, rejected


# === wrong: the reference is added | wrong sign
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen + reference_chosen.detach())
    rejected = beta * (policy_rejected + reference_rejected.detach())
    return -F.logsigmoid(chosen - rejected).mean(), chosen.detach(), rejected.detach()


# === wrong: the reference's two log-probs mixed up | of the reference are swapped
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_rejected.detach())
    rejected = beta * (policy_rejected - reference_chosen.detach())
    return -F.logsigmoid(chosen - rejected).mean(), chosen.detach(), rejected.detach()


# === wrong: beta twice | applied twice
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(beta * (chosen - rejected)).mean(), chosen.detach(), rejected.detach()


# === wrong: beta forgotten | β is missing
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = policy_chosen - reference_chosen.detach()
    rejected = policy_rejected - reference_rejected.detach()
    return -F.logsigmoid(chosen - rejected).mean(), chosen.detach(), rejected.detach()


# === wrong: sum over the pairs | sum over the pairs
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(chosen - rejected).sum(), chosen.detach(), rejected.detach()


# === wrong: no mean at all | take the mean over the pairs
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(chosen - rejected), chosen.detach(), rejected.detach()


# === wrong: the mean of the margins inside | average the losses
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid((chosen - rejected).mean()), chosen.detach(), rejected.detach()


# === wrong: no minus sign | minus sign is missing
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return F.logsigmoid(chosen - rejected).mean(), chosen.detach(), rejected.detach()


# === wrong: no logarithm | logarithm is missing
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -torch.sigmoid(chosen - rejected).mean(), chosen.detach(), rejected.detach()


# === wrong: hinge loss | hinge
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return torch.relu(1 - (chosen - rejected)).mean(), chosen.detach(), rejected.detach()


# === wrong: a sigmoid for each side | σ of their difference
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return (-F.logsigmoid(chosen) - F.logsigmoid(-rejected)).mean(), chosen.detach(), rejected.detach()


# === wrong: log of sigmoid | use logsigmoid
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -torch.log(torch.sigmoid(chosen - rejected)).mean(), chosen.detach(), rejected.detach()


# === wrong: log of one plus exp | use logsigmoid
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return torch.log(1 + torch.exp(rejected - chosen)).mean(), chosen.detach(), rejected.detach()


# === wrong: rewards without beta | lack the factor β
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = policy_chosen - reference_chosen.detach()
    rejected = policy_rejected - reference_rejected.detach()
    return -F.logsigmoid(beta * (chosen - rejected)).mean(), chosen.detach(), rejected.detach()


# === wrong: rewards swapped in the result | rewards of chosen and rejected are swapped
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(chosen - rejected).mean(), rejected.detach(), chosen.detach()


# === wrong: rewards without the reference | differences to the reference
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())
    loss = -F.logsigmoid(beta * margin).mean()
    return loss, (beta * policy_chosen).detach(), (beta * policy_rejected).detach()


# === wrong: mean rewards | one implicit reward per pair
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(chosen - rejected).mean(), chosen.detach().mean(), rejected.detach().mean()


# === wrong: rewards carry gradients | must be detached
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(chosen - rejected).mean(), chosen, rejected


# === wrong: the reference carries gradients | reference carries a gradient
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    return -F.logsigmoid(chosen - rejected).mean(), chosen.detach(), rejected.detach()


# === wrong: the loss is built from detached rewards | carries no gradient
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = (beta * (policy_chosen - reference_chosen)).detach()
    rejected = (beta * (policy_rejected - reference_rejected)).detach()
    return -F.logsigmoid(chosen - rejected).mean(), chosen, rejected


# === wrong: the loss is a Python float | carries no gradient
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -F.logsigmoid(chosen - rejected).mean().item(), chosen.detach(), rejected.detach()


# === wrong: margins clamped | margin is clamped
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen.detach())
    rejected = beta * (policy_rejected - reference_rejected.detach())
    return -torch.log(torch.sigmoid((chosen - rejected).clamp(-50, 50))).mean(), chosen.detach(), rejected.detach()


# === wrong: relu at large margins: no gradient at a margin of 0 | gradient
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    m = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())
    x = -beta * m
    loss = (torch.relu(x) + torch.log1p(torch.exp(-x.abs()))).mean()
    return (
        loss,
        (beta * (policy_chosen - reference_chosen)).detach(),
        (beta * (policy_rejected - reference_rejected)).detach(),
    )


# === wrong: no gradient where the margins are large | gradient
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    m = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())
    loss = (
        F.softplus(-(beta * m).clamp(-5_000, 5_000)).mean()
        if m.abs().max() < 5_000
        else -F.logsigmoid(beta * m.detach()).mean() + 0 * m.sum()
    )
    return (
        loss,
        (beta * (policy_chosen - reference_chosen)).detach(),
        (beta * (policy_rejected - reference_rejected)).detach(),
    )
