# === right: gather
def logit_difference(logits, io_ids, s_ids):
    return (logits.gather(1, io_ids.unsqueeze(1)) - logits.gather(1, s_ids.unsqueeze(1))).squeeze(1)


# === right: indexing with arange
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(logits.shape[0], device=logits.device)
    return logits[rows, io_ids] - logits[rows, s_ids]


# === right: a loop
def logit_difference(logits, io_ids, s_ids):
    return torch.stack([logits[b, io_ids[b]] - logits[b, s_ids[b]] for b in range(len(logits))])


# === right: take_along_dim
def logit_difference(logits, io_ids, s_ids):
    pair = torch.stack([io_ids, s_ids], dim=1)
    both = torch.take_along_dim(logits, pair, dim=1)
    return both[:, 0] - both[:, 1]


# === right: difference of log-probabilities, which is the same
def logit_difference(logits, io_ids, s_ids):
    pair = logits.gather(1, torch.stack([io_ids, s_ids], 1))
    return -torch.diff(pair, dim=1)[:, 0]


# === wrong: sign reversed | sign is reversed
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(len(logits))
    return logits[rows, s_ids] - logits[rows, io_ids]


# === wrong: IO alone | IO alone
def logit_difference(logits, io_ids, s_ids):
    return logits.gather(1, io_ids[:, None])[:, 0]


# === wrong: probabilities | probabilities
def logit_difference(logits, io_ids, s_ids):
    p = logits.softmax(-1)
    rows = torch.arange(len(p))
    return p[rows, io_ids] - p[rows, s_ids]


# === wrong: all ids for all rows | own names
def logit_difference(logits, io_ids, s_ids):
    return logits[:, io_ids] - logits[:, s_ids]


# === wrong: first row for all | first row
def logit_difference(logits, io_ids, s_ids):
    return logits[0, io_ids] - logits[0, s_ids]


# === wrong: first names for all | first prompt's names
def logit_difference(logits, io_ids, s_ids):
    return logits[:, io_ids[0]] - logits[:, s_ids[0]]


# === wrong: mean | mean
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(len(logits))
    return (logits[rows, io_ids] - logits[rows, s_ids]).mean()


# === wrong: sum | sum
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(len(logits))
    return (logits[rows, io_ids] - logits[rows, s_ids]).sum()


# === wrong: an axis too many | [B, 1]
def logit_difference(logits, io_ids, s_ids):
    return logits.gather(1, io_ids[:, None]) - logits.gather(1, s_ids[:, None])


# === wrong: absolute value | with its sign
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(len(logits))
    return (logits[rows, io_ids] - logits[rows, s_ids]).abs()


# === wrong: highest logit minus S | highest logit
def logit_difference(logits, io_ids, s_ids):
    return logits.max(-1).values - logits.gather(1, s_ids[:, None])[:, 0]


# === wrong: detached | gradient
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(len(logits))
    return (logits[rows, io_ids] - logits[rows, s_ids]).detach()


# === wrong: a list of floats | tensor
def logit_difference(logits, io_ids, s_ids):
    return [(logits[b, io_ids[b]] - logits[b, s_ids[b]]).item() for b in range(len(logits))]


# === wrong: clamps large logits | cut off
def logit_difference(logits, io_ids, s_ids):
    logits = logits.clamp(-100, 100)
    rows = torch.arange(len(logits))
    return logits[rows, io_ids] - logits[rows, s_ids]


# === wrong: in float64 always | dtype
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(len(logits))
    return logits.double()[rows, io_ids] - logits.double()[rows, s_ids]


# === wrong: centres the logits in place | in place
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(len(logits))
    with torch.no_grad():
        logits -= logits.mean(-1, keepdim=True).clone()
    return logits[rows, io_ids] - logits[rows, s_ids]


# === wrong: ids above 2,048 are clamped | large vocabulary
def logit_difference(logits, io_ids, s_ids):
    rows = torch.arange(len(logits))
    return logits[rows, io_ids.clamp(max=2_047)] - logits[rows, s_ids.clamp(max=2_047)]
