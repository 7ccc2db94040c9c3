# === right: clone and a loop
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
    return result


# === right: clone and list indexing
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    result[:, :, heads, :] = 0.0 if mean_outputs is None else mean_outputs[:, heads, :].unsqueeze(0)
    return result


# === right: torch.where with a bool mask
def ablate_heads(head_outputs, heads, mean_outputs=None):
    out = torch.zeros(head_outputs.shape[2], dtype=torch.bool, device=head_outputs.device)
    out[heads] = True
    instead = torch.zeros_like(head_outputs) if mean_outputs is None else mean_outputs.expand_as(head_outputs)
    return torch.where(out[:, None], instead, head_outputs)


# === right: a product with a mask
def ablate_heads(head_outputs, heads, mean_outputs=None):
    keep = head_outputs.new_ones(head_outputs.shape[2], 1)
    for h in heads:
        keep[h] = 0
    result = head_outputs * keep
    if mean_outputs is not None:
        result = result + mean_outputs * (1 - keep)
    return result


# === right: masked_fill and index_copy
def ablate_heads(head_outputs, heads, mean_outputs=None):
    if len(heads) == 0:
        return head_outputs.clone()
    index = torch.tensor(heads, device=head_outputs.device)
    if mean_outputs is None:
        return head_outputs.index_fill(2, index, 0)
    source = mean_outputs[:, index].unsqueeze(0).repeat(head_outputs.shape[0], 1, 1, 1)
    return head_outputs.index_copy(2, index, source)


# === wrong: in place | in place
def ablate_heads(head_outputs, heads, mean_outputs=None):
    for h in heads:
        head_outputs[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
    return head_outputs


# === wrong: does nothing | nothing was replaced
def ablate_heads(head_outputs, heads, mean_outputs=None):
    return head_outputs.clone()


# === wrong: the others | other way round
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in range(result.shape[2]):
        if h not in heads:
            result[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
    return result


# === wrong: only the first head | first of the named heads
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads[:1]:
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
    return result


# === wrong: a new copy for each head | only the last
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result = head_outputs.clone()
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
    return result


# === wrong: returns inside the loop | first of the named heads
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
        return result
    return result


# === wrong: all heads | all heads
def ablate_heads(head_outputs, heads, mean_outputs=None):
    if mean_outputs is None:
        return torch.zeros_like(head_outputs)
    return mean_outputs.expand_as(head_outputs).clone()


# === wrong: last position only | last position only
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, -1, h] = 0 if mean_outputs is None else mean_outputs[-1, h]
    return result


# === wrong: first prompt only | first prompt only
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[0, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
    return result


# === wrong: ones | not 1
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h] = 1 if mean_outputs is None else mean_outputs[:, h]
    return result


# === wrong: the mean over this batch where none is given | mean over this batch
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    if mean_outputs is None:
        mean_outputs = head_outputs.mean(0)
    for h in heads:
        result[:, :, h] = mean_outputs[:, h]
    return result


# === wrong: the mean over this batch although one is given | mean of this batch
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h] = 0 if mean_outputs is None else head_outputs.mean(0)[:, h]
    return result


# === wrong: heads are taken out | taken out
def ablate_heads(head_outputs, heads, mean_outputs=None):
    keep = [h for h in range(head_outputs.shape[2]) if h not in heads]
    return head_outputs[:, :, keep]


# === wrong: counts heads from 1 | count from 0
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h - 1] = 0 if mean_outputs is None else mean_outputs[:, h - 1]
    return result


# === wrong: position axis | position axis
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        if h < result.shape[1]:
            result[:, h] = 0 if mean_outputs is None else mean_outputs[h]
    return result


# === wrong: batch axis | batch axis
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        if h < result.shape[0]:
            result[h] = 0 if mean_outputs is None else mean_outputs
    return result


# === wrong: last axis | last axis
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        if h < result.shape[3]:
            result[..., h] = 0 if mean_outputs is None else mean_outputs[..., h]
    return result


# === wrong: mean is ignored | zero ablation
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    result[:, :, heads] = 0
    return result


# === wrong: mean axes exchanged | exchanged
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs.transpose(0, 1)[:, h]
    return result


# === wrong: first position's mean for all | first position's
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs[0, h]
    return result


# === wrong: mean over positions | averaged over the positions
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h].mean(0)
    return result


# === wrong: subtracts the mean | subtracted
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        if mean_outputs is None:
            result[:, :, h] = 0
        else:
            result[:, :, h] -= mean_outputs[:, h]
    return result


# === wrong: adds the mean | added
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.clone()
    for h in heads:
        if mean_outputs is None:
            result[:, :, h] = 0
        else:
            result[:, :, h] += mean_outputs[:, h]
    return result


# === wrong: detached | gradient
def ablate_heads(head_outputs, heads, mean_outputs=None):
    result = head_outputs.detach().clone()
    for h in heads:
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
    return result


# === wrong: an empty list means all | empty list
def ablate_heads(head_outputs, heads, mean_outputs=None):
    heads = heads or range(head_outputs.shape[2])
    result = head_outputs.clone()
    for h in heads:
        result[:, :, h] = 0 if mean_outputs is None else mean_outputs[:, h]
    return result


# === wrong: a detached copy where no head is named | gradient
def ablate_heads(head_outputs, heads, mean_outputs=None):
    if not heads:
        return head_outputs.detach().clone()
    result = head_outputs.clone()
    for head in heads:
        result[:, :, head] = 0 if mean_outputs is None else mean_outputs[:, head]
    return result


# === wrong: float32 where no head is named | dtype
def ablate_heads(head_outputs, heads, mean_outputs=None):
    if not heads:
        return head_outputs.float()
    result = head_outputs.clone()
    for head in heads:
        result[:, :, head] = 0 if mean_outputs is None else mean_outputs[:, head]
    return result
