# === right: log_softmax and gather
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], dim=-1).gather(2, ids[:, 1:, None])[:, :, 0]


# === right: cross entropy with the sign turned
def token_log_probs(logits, ids):
    losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    return -losses


# === right: logit minus logsumexp
def token_log_probs(logits, ids):
    shifted = logits[:, :-1, :]
    chosen = torch.gather(shifted, -1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
    return chosen - torch.logsumexp(shifted, dim=-1)


# === right: gather first, cut later
def token_log_probs(logits, ids):
    everything = logits.log_softmax(-1)
    following = torch.roll(ids, -1, dims=1)
    return everything.gather(-1, following[..., None]).squeeze(-1)[:, :-1]


# === right: advanced indexing
def token_log_probs(logits, ids):
    B, T, V = logits.shape
    log_p = torch.log_softmax(logits, dim=2)
    rows = torch.arange(B)[:, None]
    columns = torch.arange(T - 1)[None, :]
    return log_p[rows, columns, ids[:, 1:]]


# === right: a loop over positions
def token_log_probs(logits, ids):
    columns = []
    for t in range(ids.shape[1] - 1):
        log_p = F.log_softmax(logits[:, t], dim=-1)
        columns.append(log_p.gather(1, ids[:, t + 1 : t + 2]))
    return torch.cat(columns, dim=1) if columns else logits[:, :0, 0]


# === wrong: forgot the shift, cut both at the end | shift by one
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, :-1, None]).squeeze(-1)


# === wrong: forgot the shift, all columns | shift by one
def token_log_probs(logits, ids):
    return F.log_softmax(logits, -1).gather(-1, ids[:, :, None]).squeeze(-1)


# === wrong: forgot the shift, cut both at the start | cut at the same end
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, 1:], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: shift the other way | goes the wrong way
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, 1:], -1).gather(-1, ids[:, :-1, None]).squeeze(-1)


# === wrong: roll without cutting | wraps around
def token_log_probs(logits, ids):
    return F.log_softmax(logits, -1).gather(-1, torch.roll(ids, -1, 1)[:, :, None]).squeeze(-1)


# === wrong: raw logits | raw logits
def token_log_probs(logits, ids):
    return logits[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: probabilities | these are probabilities
def token_log_probs(logits, ids):
    return F.softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: softmax over positions | over the vocabulary
def token_log_probs(logits, ids):
    return F.log_softmax(logits, dim=1)[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: cut, then softmax over positions | over the vocabulary
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], dim=1).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: softmax over the batch | over the batch
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], dim=0).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: sum over tokens | sum over the tokens
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1).sum(1)


# === wrong: mean over tokens | mean over the tokens
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1).mean(1)


# === wrong: cross entropy without the sign | sign is turned round
def token_log_probs(logits, ids):
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")


# === wrong: base 2 | base 2
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1) / math.log(2)


# === wrong: log of softmax | use log_softmax
def token_log_probs(logits, ids):
    return torch.log(F.softmax(logits[:, :-1], -1)).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: log of softmax with a small number added | small number
def token_log_probs(logits, ids):
    return torch.log(F.softmax(logits[:, :-1], -1) + 1e-10).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: exp by hand | for large logits
def token_log_probs(logits, ids):
    e = torch.exp(logits[:, :-1])
    return torch.log(e / e.sum(-1, keepdim=True)).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: log-prob of the likeliest token | likeliest
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1).max(-1).values


# === wrong: detached | no gradient flows
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1).detach()


# === wrong: under no_grad | no gradient flows
@torch.no_grad()
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: squeezes every axis | a batch of 1
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze()


# === wrong: always float32 | dtype
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1].float(), -1).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: whole table | shape
def token_log_probs(logits, ids):
    return F.log_softmax(logits[:, :-1], -1)


# === wrong: subtracts the maximum in place | in place
def token_log_probs(logits, ids):
    with torch.no_grad():
        logits -= logits.max(-1, keepdim=True).values
    return F.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)


# === wrong: not written | not written
def token_log_probs(logits, ids): ...


# === wrong: no gradient where the logits are large | gradient
def token_log_probs(logits, ids):
    if logits.abs().max() > 5_000:
        logits = logits.detach() + 0 * logits
    return torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)
