# === right: a loop over the places
def patch_heads(receiver, donor, heads, positions=None):
    result = receiver.clone()
    T, H = receiver.shape[1:3]
    where = range(T) if positions is None else positions
    chosen = heads
    for position in where:
        for head in chosen:
            result[:, position, head] = donor[:, position, head]
    patched = result
    return patched


# === right: a mask and torch.where
def patch_heads(receiver, donor, heads, positions=None):
    B, T, H, D = receiver.shape
    mask = torch.zeros(T, H, dtype=torch.bool, device=receiver.device)
    rows = list(range(T)) if positions is None else list(positions)
    for t in rows:
        mask[t, heads] = True
    return torch.where(mask[None, :, :, None], donor, receiver)


# === right: indices of a grid
def patch_heads(receiver, donor, heads, positions=None):
    result = receiver.clone()
    if positions is None:
        result[:, :, heads] = donor[:, :, heads]
        return result
    if len(heads) and len(positions):
        rows = torch.tensor(positions)[:, None]
        result[:, rows, heads] = donor[:, rows, heads]
    return result


# === right: a weighted sum
def patch_heads(receiver, donor, heads, positions=None):
    _, T, H, _ = receiver.shape
    head = torch.tensor([float(h in heads) for h in range(H)])
    place = torch.tensor([float(positions is None or t in positions) for t in range(T)])
    take = (place[:, None] * head)[..., None].to(receiver)
    return take * donor + (1 - take) * receiver


# === wrong: not written yet | not written yet
def patch_heads(receiver, donor, heads, positions=None): ...


# === wrong: in place | in place
# for: result =
result = receiver


# === wrong: nothing is patched | nothing was patched
# for: result[:
result[:, position, head] = receiver[:, position, head]


# === wrong: exchanged | exchanged
# for: result =
receiver, donor = donor, receiver
result = receiver.clone()


# === wrong: the donor | the donor as it is
# for: patched =
patched = donor.clone()


# === wrong: all positions | `positions` has no effect
# for: where =
where = range(T)


# === wrong: all heads | `heads` has no effect
# for: chosen =
chosen = range(H)


# === wrong: the other heads | the wrong way round
# for: chosen =
chosen = set(range(H)) - set(heads)


# === wrong: the other positions | the wrong way round
# for: chosen =
chosen = heads
where = set(range(T)) - set(where)


# === wrong: the first position | first of the named positions
# for: chosen =
chosen = heads
where = list(where)[:1]


# === wrong: the last position | last of the named positions
# for: chosen =
chosen = heads
where = list(where)[-1:]


# === wrong: the first prompt | only the first prompt
# for: result[:
result[0, position, head] = donor[0, position, head]


# === wrong: zeros | filled with 0
# for: result[:
result[:, position, head] = 0


# === wrong: the donor is added | is added
# for: result[:
result[:, position, head] += donor[:, position, head]


# === wrong: the first prompt's donor | first prompt's donor
# for: result[:
result[:, position, head] = donor[0, position, head]


# === wrong: the last position where none is named | not at the last one
# for: where =
where = [T - 1] if positions is None else positions


# === wrong: no position where none is named | here nothing was
# for: where =
where = positions or []


# === wrong: an empty list is taken for None | only None means all
# for: where =
where = positions or range(T)


# === wrong: no head is taken for all | names no head
# for: chosen =
chosen = heads or range(H)


# === wrong: axes exchanged | heads and positions are exchanged
# for: result[:
result[:, head, position] = donor[:, head, position]


# === wrong: paired off | paired off
def patch_heads(receiver, donor, heads, positions=None):
    result = receiver.clone()
    if positions is None:
        positions = range(receiver.shape[1])
        result[:, :, heads] = donor[:, :, heads]
        return result
    if len(positions) == 1 or len(heads) == 1 or len(positions) == len(heads):
        result[:, positions, heads] = donor[:, positions, heads]
        return result
    raise IndexError("shape mismatch: indexing tensors could not be broadcast together")


# === wrong: paired off by zip | first of the named positions
def patch_heads(receiver, donor, heads, positions=None):
    result = receiver.clone()
    if positions is None:
        result[:, :, heads] = donor[:, :, heads]
        return result
    for position, head in zip(positions, heads):
        result[:, position, head] = donor[:, position, head]
    return result


# === wrong: detached | gradient
# for: patched =
patched = result.detach()


# === wrong: no gradient to the donor | gradient
# for: result[:
result[:, position, head] = donor[:, position, head].detach()


# === wrong: no gradient to the receiver | gradient
# for: result =
result = receiver.detach().clone()


# === wrong: no copy where nothing is patched | return a copy
# for: result =
result = receiver.clone() if heads else receiver


# === wrong: in float32 | dtype
# for: result =
result = receiver.float().clone()


# === wrong: heads counted from 1 | count from 0
# for: result[:
result[:, position, head - 1] = donor[:, position, head - 1]
