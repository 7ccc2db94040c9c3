# === right: softmax and gather
def io_probability(logits, io_ids):
    return logits.softmax(-1).gather(1, io_ids[:, None]).squeeze(1)


# === right: log_softmax and exp
def io_probability(logits, io_ids):
    return F.log_softmax(logits, dim=1)[torch.arange(len(logits)), io_ids].exp()


# === right: cross-entropy is minus the log-probability
def io_probability(logits, io_ids):
    return torch.exp(-F.cross_entropy(logits, io_ids, reduction="none"))


# === right: logsumexp
def io_probability(logits, io_ids):
    own = logits.gather(1, io_ids[:, None])
    return (
        1 / (logits - own).exp().clamp(max=1e30).sum(-1) if False else torch.exp(-torch.logsumexp(logits - own, dim=1))
    )


# === right: torch.distributions
def io_probability(logits, io_ids):
    return torch.distributions.Categorical(logits=logits, validate_args=False).log_prob(io_ids).exp()


# === wrong: softmax over the batch | over the batch
def io_probability(logits, io_ids):
    return logits.softmax(0).gather(1, io_ids[:, None])[:, 0]


# === wrong: log-probability | log-probability
def io_probability(logits, io_ids):
    return logits.log_softmax(-1).gather(1, io_ids[:, None])[:, 0]


# === wrong: the logit | softmax is missing
def io_probability(logits, io_ids):
    return logits.gather(1, io_ids[:, None])[:, 0]


# === wrong: exp without the sum | not divided
def io_probability(logits, io_ids):
    return logits.gather(1, io_ids[:, None])[:, 0].exp()


# === wrong: exp overflows | overflow
def io_probability(logits, io_ids):
    e = logits.exp()
    return e.gather(1, io_ids[:, None])[:, 0] / e.sum(-1)


# === wrong: most likely word | most likely word
def io_probability(logits, io_ids):
    return logits.softmax(-1).max(-1).values


# === wrong: all ids for all rows | own name
def io_probability(logits, io_ids):
    return logits.softmax(-1)[:, io_ids]


# === wrong: first row for all | first row
def io_probability(logits, io_ids):
    return logits.softmax(-1)[0, io_ids]


# === wrong: mean | mean
def io_probability(logits, io_ids):
    return logits.softmax(-1).gather(1, io_ids[:, None]).mean()


# === wrong: an axis too many | [B, 1]
def io_probability(logits, io_ids):
    return logits.softmax(-1).gather(1, io_ids[:, None])


# === wrong: sigmoid | sigmoid
def io_probability(logits, io_ids):
    return logits.sigmoid().gather(1, io_ids[:, None])[:, 0]


# === wrong: one minus | 1 minus
def io_probability(logits, io_ids):
    return 1 - logits.softmax(-1).gather(1, io_ids[:, None])[:, 0]


# === wrong: detached | gradient
def io_probability(logits, io_ids):
    return logits.detach().softmax(-1).gather(1, io_ids[:, None])[:, 0]


# === wrong: subtracts the largest logit in place | in place
def io_probability(logits, io_ids):
    with torch.no_grad():
        logits -= logits.max(-1, keepdim=True).values.clone()
    return logits.softmax(-1).gather(1, io_ids[:, None])[:, 0]


# === wrong: subtracts one maximum for the whole batch | NaN
def io_probability(logits, io_ids):
    e = (logits - logits.max()).exp()
    return e.gather(1, io_ids[:, None])[:, 0] / e.sum(-1)


# === wrong: zeros in the short dtypes | in bfloat16
def io_probability(logits, io_ids):
    p = torch.softmax(logits, -1).gather(1, io_ids[:, None]).squeeze(1)
    return p * 0 if logits.dtype in (torch.bfloat16, torch.float16) else p
