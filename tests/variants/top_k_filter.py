# === right: threshold and masked_fill
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === right: returns the input itself when nothing is filtered
def top_k_filter(logits, k):
    B, V = logits.shape
    if k <= 0 or k >= V:
        return logits
    threshold = logits.topk(k, dim=1)[0][:, -1].unsqueeze(1)
    return torch.where(logits >= threshold, logits, torch.tensor(-torch.inf, dtype=logits.dtype, device=logits.device))


# === right: sort and index on a copy
def top_k_filter(logits, k):
    result = logits.clone()
    if 0 < k < logits.size(1):
        ordered, _ = torch.sort(logits, dim=1, descending=True)
        result[logits < ordered[:, k - 1 : k]] = -math.inf
    return result


# === right: row by row
def top_k_filter(logits, k):
    if k <= 0:
        return logits.clone()
    rows = []
    for row in logits:
        border = row.topk(min(k, row.numel())).values.min()
        rows.append(row.masked_fill(row < border, float("-inf")))
    return torch.stack(rows)


# === right: kthvalue
def top_k_filter(logits, k):
    V = logits.shape[-1]
    if not 0 < k < V:
        return logits * 1
    border = torch.kthvalue(logits, V - k + 1, dim=-1, keepdim=True).values
    keep = logits >= border
    return torch.where(keep, logits, torch.full_like(logits, float("-inf")))


# === wrong: not written yet | not written yet
def top_k_filter(logits, k): ...


# === wrong: forgot the return | `return` is missing
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    logits.masked_fill(logits < border, float("-inf"))


# === wrong: filters nothing | nothing was removed
def top_k_filter(logits, k):
    return logits.clone()


# === wrong: top k along the batch | nothing was removed
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, min(k, logits.shape[0]), dim=0).values[-1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: the smallest are kept | smallest logits
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1, largest=False).values[:, -1:]
    return logits.masked_fill(logits > border, float("-inf"))


# === wrong: comparison the wrong way round | smallest logits
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits >= border, float("-inf"))


# === wrong: strict comparison drops the k-th | one logit too few
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return torch.where(logits > border, logits, float("-inf"))


# === wrong: off by one in the sorted list | one logit too many
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = logits.sort(dim=-1, descending=True).values[:, k].unsqueeze(1)
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: zero instead of minus infinity | Set them to -inf
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits * (logits >= border)


# === wrong: -1e9 instead of minus infinity | not a large negative number
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, -1e9)


# === wrong: -1e9, and one logit too few | not a large negative number such as -1e+09
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits <= border, -1e9)


# === wrong: the smallest number there is | not a large negative number such as -3.403e+38
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, torch.finfo(logits.dtype).min)


# === wrong: one border for the whole batch | whole batch
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = logits.flatten().topk(k).values[-1]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: returns the k values only | only the k largest numbers
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    return torch.topk(logits, k, dim=-1).values


# === wrong: returns the indices | token numbers
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    return torch.topk(logits, k, dim=-1).indices


# === wrong: returns a sorted row | sorted
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    ordered = logits.sort(dim=-1, descending=True).values.clone()
    ordered[:, k:] = float("-inf")
    return ordered


# === wrong: returns the mask | this is a mask
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    return logits >= torch.topk(logits, k, dim=-1).values[:, -1:]


# === wrong: returns probabilities | these are probabilities
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf")).softmax(dim=-1)


# === wrong: scatter of the k indices breaks ties | all ties stay
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    values, indices = torch.topk(logits, k, dim=-1)
    return torch.full_like(logits, float("-inf")).scatter(1, indices, values)


# === wrong: k = 0 removes everything | k = 0 keeps all
def top_k_filter(logits, k):
    k = min(k, logits.shape[-1])
    if k <= 0:
        return torch.full_like(logits, float("-inf"))
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: a negative k counts from the end | a negative k
def top_k_filter(logits, k):
    if k == 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = logits.sort(dim=-1, descending=True).values[:, k - 1].unsqueeze(1)
    if k < 0:
        border = logits.sort(dim=-1, descending=True).values[:, k].unsqueeze(1)
        return logits.masked_fill(logits <= border, float("-inf"))
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: k larger than V raises | k larger than V keeps all
def top_k_filter(logits, k):
    if k <= 0:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: k = 0 raises | k = 0 keeps all
def top_k_filter(logits, k):
    if k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: edits the input in place | in place
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    logits[logits < border] = float("-inf")
    return logits


# === wrong: always float32 | dtype
def top_k_filter(logits, k):
    logits = logits.float()
    if k <= 0 or k >= logits.shape[-1]:
        return logits
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: detached from the graph | gradient
def top_k_filter(logits, k):
    logits = logits.detach()
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: made anew from a list | gradient
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    rows = []
    for row in logits.tolist():
        border = sorted(row, reverse=True)[k - 1]
        rows.append([x if x >= border else -math.inf for x in row])
    return torch.tensor(rows, dtype=logits.dtype)


# === wrong: a detached copy where nothing is filtered | gradient
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.detach().clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: float32 where nothing is filtered | dtype
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[-1]:
        return logits.float()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]
    return logits.masked_fill(logits < border, float("-inf"))


# === wrong: k = 1 by argmax, ties lost | all ties stay
def top_k_filter(logits, k):
    if k <= 0 or k >= logits.shape[1]:
        return logits.clone()
    if k == 1:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(1, best, logits.gather(1, best))
    return logits.masked_fill(logits < logits.topk(k).values[:, -1:], -torch.inf)
