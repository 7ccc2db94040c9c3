# === right: sigmoid of minus beta times margin
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return torch.sigmoid(-beta * margin).detach()


# === right: one minus the probability of the label
@torch.no_grad()
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    return 1 - torch.sigmoid(chosen - rejected)


# === right: softmax over the pair
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    rewards = torch.stack([policy_chosen - reference_chosen, policy_rejected - reference_rejected]).detach() * beta
    return rewards.softmax(0)[1]


# === right: by automatic differentiation
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    scores = (beta * margin).detach().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(-F.logsigmoid(scores).sum(), scores)
    return -gradient


# === wrong: not written yet | not written yet
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta): ...


# === wrong: sign | the sign is wrong
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return torch.sigmoid(beta * margin).detach()


# === wrong: the factor beta in front | factor β
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return (beta * torch.sigmoid(-beta * margin)).detach()


# === wrong: derivative of the sigmoid | slope of σ
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    s = torch.sigmoid(beta * margin)
    return (s * (1 - s)).detach()


# === wrong: no reference | reference is missing
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    return torch.sigmoid(-beta * (policy_chosen - policy_rejected)).detach()


# === wrong: no beta | β is missing
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return torch.sigmoid(-margin).detach()


# === wrong: beta twice | applied twice
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    return torch.sigmoid(-beta * (chosen - rejected)).detach()


# === wrong: the mean weight | one weight per pair
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return torch.sigmoid(-beta * margin).detach().mean()


# === wrong: divided by the number of pairs | do not divide
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return torch.sigmoid(-beta * margin).detach() / len(margin)


# === wrong: logsigmoid | logarithm of the weight
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return F.logsigmoid(-beta * margin).detach()


# === wrong: the whole gradient | sign and β included
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return (-beta * torch.sigmoid(-beta * margin)).detach()


# === wrong: not detached | must be detached
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return torch.sigmoid(-beta * margin)


# === wrong: only the reference is detached | must be detached
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())
    return 1 / (1 + torch.exp(beta * margin))


# === wrong: exponentials that overflow | NaN
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = torch.exp(beta * (policy_chosen - reference_chosen)).detach()
    rejected = torch.exp(beta * (policy_rejected - reference_rejected)).detach()
    return rejected / (chosen + rejected)


# === wrong: changes its arguments | in place
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    with torch.no_grad():
        chosen = (
            policy_chosen.sub_(reference_chosen)
            if not policy_chosen.requires_grad
            else policy_chosen - reference_chosen
        )
        return torch.sigmoid(-beta * (chosen - (policy_rejected - reference_rejected)))


# === wrong: a list | expected a tensor
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return torch.sigmoid(-beta * margin).tolist()


# === wrong: zeros in the short dtypes | bfloat16
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    m = ((policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)).detach()
    return torch.sigmoid(-beta * m) * (0 if m.dtype in (torch.bfloat16, torch.float16) else 1)
