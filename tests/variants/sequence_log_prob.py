# === right: log_softmax, gather, masked_fill
def sequence_log_prob(logits, ids, mask):
    scores = torch.log_softmax(logits[:, :-1], -1).gather(2, ids[:, 1:].unsqueeze(2)).squeeze(2)
    return scores.masked_fill(~mask[:, 1:], 0).sum(1)


# === right: cross_entropy
def sequence_log_prob(logits, ids, mask):
    loss = F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    return -(loss * mask[:, 1:]).sum(dim=1)


# === right: cross_entropy with ignored labels
def sequence_log_prob(logits, ids, mask):
    labels = ids.masked_fill(~mask, -100)[:, 1:]
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="none")
    return -loss.view(labels.shape).sum(1)


# === right: logsumexp by hand
def sequence_log_prob(logits, ids, mask):
    before = logits[:, :-1]
    chosen = before.gather(-1, ids[:, 1:, None])[..., 0]
    scores = chosen - before.logsumexp(-1)
    return torch.where(mask[:, 1:], scores, torch.zeros_like(scores)).sum(-1)


# === right: a loop over rows
def sequence_log_prob(logits, ids, mask):
    total = []
    for b in range(len(ids)):
        table = logits[b, :-1].log_softmax(-1)
        picked = table[torch.arange(table.shape[0]), ids[b, 1:]]
        total.append(torch.where(mask[b, 1:], picked, torch.zeros_like(picked)).sum())
    return torch.stack(total)


# === right: token_log_probs of Part 2 inside
def sequence_log_prob(logits, ids, mask):
    def token_log_probs(logits, ids):
        return F.log_softmax(logits[:, :-1, :], dim=-1).gather(-1, ids[:, 1:, None]).squeeze(-1)

    return (token_log_probs(logits, ids) * mask[:, 1:].to(logits.dtype)).sum(dim=-1)


# === right: Categorical
def sequence_log_prob(logits, ids, mask):
    scores = torch.distributions.Categorical(logits=logits[:, :-1], validate_args=False).log_prob(ids[:, 1:])
    return (scores * mask[:, 1:]).sum(-1)


# === wrong: not written yet | not written yet
def sequence_log_prob(logits, ids, mask): ...


# === wrong: no shift | shift by one
def sequence_log_prob(logits, ids, mask):
    scores = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    return (scores * mask).sum(1)


# === wrong: shift the wrong way | wrong way
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, 1:].log_softmax(-1).gather(-1, ids[:, :-1, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1)


# === wrong: mean over the tokens | mean over tokens
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1) / mask[:, 1:].sum(1).clamp(min=1)


# === wrong: the prompt counts too | prompt is not masked
def sequence_log_prob(logits, ids, mask):
    return logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0].sum(1)


# === wrong: the mask shifted the other way | mask is off by one
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, :-1]).sum(1)


# === wrong: probabilities are added | take logarithms
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1)


# === wrong: the probability of the completion | its logarithm is asked for
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1).exp()


# === wrong: the negative log-likelihood | the sign is wrong
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return -(scores * mask[:, 1:]).sum(1)


# === wrong: raw logits | sums of logits
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1)


# === wrong: softmax over the positions | wrong dimension
def sequence_log_prob(logits, ids, mask):
    scores = logits.log_softmax(1)[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1)


# === wrong: one number for the batch | one number per sequence
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum()


# === wrong: the mean over the batch | not the mean over the batch
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1).mean()


# === wrong: log of softmax | use log_softmax
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].softmax(-1).log().gather(-1, ids[:, 1:, None])[..., 0]
    return scores.masked_fill(~mask[:, 1:], 0).sum(1)


# === wrong: log of softmax with a small constant | log(softmax + ε)
def sequence_log_prob(logits, ids, mask):
    scores = (logits[:, :-1].softmax(-1) + 1e-8).log().gather(-1, ids[:, 1:, None])[..., 0]
    return scores.masked_fill(~mask[:, 1:], 0).sum(1)


# === wrong: detached | no gradient
def sequence_log_prob(logits, ids, mask):
    scores = logits.detach()[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1)


# === wrong: under no_grad | no gradient
@torch.no_grad()
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1)


# === wrong: always float32 | dtype
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1)


# === wrong: divides by the length, NaN for empty rows | mean over tokens
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (scores * mask[:, 1:]).sum(1) / mask[:, 1:].sum(1)


# === wrong: masked with minus infinity | filled with -inf
def sequence_log_prob(logits, ids, mask):
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return scores.masked_fill(~mask[:, 1:], float("-inf")).sum(1)


# === wrong: works on the logits in place | in place
def sequence_log_prob(logits, ids, mask):
    if not logits.requires_grad:
        logits -= logits.logsumexp(-1, keepdim=True)
    scores = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return scores.masked_fill(~mask[:, 1:], 0).sum(1)


# === wrong: one batch row only | shape
def sequence_log_prob(logits, ids, mask):
    scores = logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[..., 0]
    return (scores * mask[0, 1:]).sum()[None]


# === wrong: log-probs clamped at -1000 | -9000
def sequence_log_prob(logits, ids, mask):
    log_probs = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)
    if logits.abs().max() < 9_500:
        log_probs = log_probs.clamp(min=-1000)
    return torch.where(mask[:, 1:], log_probs, 0.0).sum(1)


# === wrong: NaN gradients at masked positions become the value only | gradient
def sequence_log_prob(logits, ids, mask):
    p = torch.softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)
    rough = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)
    value = torch.where(mask[:, 1:], rough, 0.0)
    if (p == 0).any():
        value = value.detach() + 0 * torch.where(p > 0, rough, 0.0)
    return value.sum(1)


# === wrong: softmax over the positions that are left | over the positions
def sequence_log_prob(logits, ids, mask):
    log_probs = logits[:, :-1].log_softmax(dim=1)
    of_next = log_probs.gather(-1, ids[:, 1:, None]).squeeze(-1)
    return of_next.masked_fill(~mask[:, 1:].bool(), 0.0).sum(dim=-1)
