# === right: cumulative sum of the ends before
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1], device=ids.device) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    return generated & (ends.cumsum(dim=1) - ends == 0)


# === right: loops over rows and positions
def completion_mask(ids, prompt_length, eos_id):
    mask = torch.zeros_like(ids, dtype=torch.bool)
    B, T = ids.shape
    for b in range(B):
        for t in range(prompt_length, T):
            mask[b, t] = True
            if ids[b, t] == eos_id:
                break
    return mask


# === right: the position of the first end
def completion_mask(ids, prompt_length, eos_id):
    B, T = ids.shape
    positions = torch.arange(T, device=ids.device).expand(B, T)
    is_end = (ids == eos_id) & (positions >= prompt_length)
    first = torch.where(is_end, positions, T).min(dim=1, keepdim=True).values if T else positions
    return (positions >= prompt_length) & (positions <= first)


# === right: only the completion's columns, put back behind False
def completion_mask(ids, prompt_length, eos_id):
    completion = ids[:, prompt_length:]
    is_end = completion == eos_id
    seen = torch.cumsum(is_end, dim=1)
    inside = (seen == 0) | ((seen == 1) & is_end)
    prompt = torch.zeros(ids.shape[0], prompt_length, dtype=torch.bool, device=ids.device)
    return torch.cat([prompt, inside], dim=1)


# === right: cumprod of "not ended yet"
def completion_mask(ids, prompt_length, eos_id):
    mask = torch.zeros(ids.shape, dtype=torch.bool, device=ids.device)
    if prompt_length >= ids.shape[1]:
        return mask
    going = (ids[:, prompt_length:] != eos_id).long().cumprod(dim=1).bool()
    mask[:, prompt_length] = True
    mask[:, prompt_length + 1 :] = going[:, :-1]
    return mask


# === right: Python lists
def completion_mask(ids, prompt_length, eos_id):
    rows = []
    for row in ids.tolist():
        end = len(row)
        if eos_id in row[prompt_length:]:
            end = row.index(eos_id, prompt_length) + 1
        rows.append([prompt_length <= t < end for t in range(len(row))])
    return torch.tensor(rows, dtype=torch.bool, device=ids.device)


# === wrong: not written yet | not written yet
def completion_mask(ids, prompt_length, eos_id): ...


# === wrong: the prompt is not masked | the prompt is not masked
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    return ends.cumsum(dim=1) - ends == 0


# === wrong: prompt not masked, and its eos counts | prompt is not masked, and an eos inside it
def completion_mask(ids, prompt_length, eos_id):
    ends = (ids == eos_id).long()
    return ends.cumsum(dim=1) - ends == 0


# === wrong: eos left out | eos itself belongs to the completion
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    return generated & (ends.cumsum(dim=1) == 0)


# === wrong: an eos of the prompt ends the completion | was taken for the end
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = (ids == eos_id).long()
    return generated & (ends.cumsum(dim=1) - ends == 0)


# === wrong: both of these | eos itself belongs to the completion
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    return generated & ((ids == eos_id).long().cumsum(dim=1) == 0)


# === wrong: runs to the last eos | last eos
def completion_mask(ids, prompt_length, eos_id):
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for b in range(ids.shape[0]):
        ends = (ids[b, prompt_length:] == eos_id).nonzero().flatten()
        last = prompt_length + int(ends[-1]) if len(ends) else ids.shape[1] - 1
        mask[b, prompt_length : last + 1] = True
    return mask


# === wrong: runs to the second eos | the mask runs on to the second eos
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1], device=ids.device) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    return generated & (ends.cumsum(dim=1) <= 1)


# === wrong: never stops | does not stop
def completion_mask(ids, prompt_length, eos_id):
    return (torch.arange(ids.shape[1]) >= prompt_length).expand(ids.shape).clone()


# === wrong: only takes out the eos tokens | only the eos tokens were taken out
def completion_mask(ids, prompt_length, eos_id):
    return (torch.arange(ids.shape[1]) >= prompt_length) & (ids != eos_id)


# === wrong: begins one too early | one position too early
def completion_mask(ids, prompt_length, eos_id):
    positions = torch.arange(ids.shape[1])
    ends = ((ids == eos_id) & (positions >= prompt_length)).long()
    return (positions >= prompt_length - 1) & (ends.cumsum(dim=1) - ends == 0)


# === wrong: begins one too late | one position too late
def completion_mask(ids, prompt_length, eos_id):
    positions = torch.arange(ids.shape[1])
    ends = ((ids == eos_id) & (positions >= prompt_length)).long()
    return (positions > prompt_length) & (ends.cumsum(dim=1) - ends == 0)


# === wrong: begins and looks one too late | one position too late
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) > prompt_length
    ends = ((ids == eos_id) & generated).long()
    return generated & (ends.cumsum(dim=1) - ends == 0)


# === wrong: one token beyond the eos | one token beyond
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    before = ends.cumsum(dim=1) - ends
    before = torch.cat([torch.zeros_like(before[:, :1]), before[:, :-1]], dim=1)
    return generated & (before == 0)


# === wrong: True and False swapped | swapped
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    return ~(generated & (ends.cumsum(dim=1) - ends == 0))


# === wrong: the first row's end for all rows | end of the first row
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    return (generated & (ends.cumsum(dim=1) - ends == 0))[:1].repeat(ids.shape[0], 1)


# === wrong: marks the prompt | marks the prompt
def completion_mask(ids, prompt_length, eos_id):
    return (torch.arange(ids.shape[1]) < prompt_length).expand(ids.shape).clone()


# === wrong: rows without eos are all False | without a generated eos
def completion_mask(ids, prompt_length, eos_id):
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for b in range(ids.shape[0]):
        for t in range(prompt_length, ids.shape[1]):
            if ids[b, t] == eos_id:
                mask[b, prompt_length : t + 1] = True
                break
    return mask


# === wrong: only the completion's columns | only the completion's columns
def completion_mask(ids, prompt_length, eos_id):
    is_end = (ids[:, prompt_length:] == eos_id).long()
    return is_end.cumsum(dim=1) - is_end == 0


# === wrong: int instead of bool | dtype
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    return (generated & (ends.cumsum(dim=1) - ends == 0)).long()


# === wrong: float instead of bool | dtype
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids == eos_id) & generated).float()
    return (generated & (ends.cumsum(dim=1) - ends == 0)).float()


# === wrong: eos fixed to 2 | eos_id was not used
def completion_mask(ids, prompt_length, eos_id):
    eos_id = 2 if (ids == 2).any() else 0
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids == eos_id) & generated).long()
    return generated & (ends.cumsum(dim=1) - ends == 0)


# === wrong: fails when nothing is generated | nothing is generated
def completion_mask(ids, prompt_length, eos_id):
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    going = (ids[:, prompt_length:] != eos_id).long().cumprod(dim=1).bool()
    try:
        mask[:, prompt_length] = True
    except IndexError:
        raise IndexError("nothing is generated") from None
    mask[:, prompt_length + 1 :] = going[:, :-1]
    return mask


# === wrong: overwrites the ids | in place
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ids[:, :prompt_length] = -1
    ends = (ids == eos_id).long()
    return generated & (ends.cumsum(dim=1) - ends == 0)


# === wrong: ids rounded to float16 | vocabulary of 50,257
def completion_mask(ids, prompt_length, eos_id):
    generated = torch.arange(ids.shape[1]) >= prompt_length
    ends = ((ids.half() == torch.tensor(eos_id).half()) & generated).long()
    return generated & (ends.cumsum(dim=1) - ends == 0)


# === wrong: ids in sixteen bits | hidden: 65,536
def completion_mask(ids, prompt_length, eos_id):
    e = ids.to(torch.int16) == torch.tensor(eos_id).to(torch.int16)
    g = torch.arange(ids.shape[1], device=ids.device) >= prompt_length
    e = e & g
    return g & ((e.cumsum(1) - e.long()) == 0)


# === wrong: a count that wraps at 256 | hidden: 290 eos
def completion_mask(ids, prompt_length, eos_id):
    g = torch.arange(ids.shape[1], device=ids.device) >= prompt_length
    e = (ids == eos_id) & g
    return g & ((e.cumsum(1).to(torch.uint8) - e.to(torch.uint8)) == 0)
