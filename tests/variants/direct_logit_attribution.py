# === right: a product and a sum
def direct_logit_attribution(head_writes, direction):
    along = direction[:, None, :]
    products = head_writes * along
    pushes = products.sum(dim=-1)
    return pushes


# === right: einsum
def direct_logit_attribution(head_writes, direction):
    return torch.einsum("bhm,bm->bh", head_writes, direction)


# === right: a matrix product
def direct_logit_attribution(head_writes, direction):
    return (head_writes @ direction.unsqueeze(-1)).squeeze(-1)


# === right: head by head
def direct_logit_attribution(head_writes, direction):
    return torch.stack([(head_writes[:, h] * direction).sum(1) for h in range(head_writes.shape[1])], dim=1)


# === wrong: not written yet | not written yet
def direct_logit_attribution(head_writes, direction): ...


# === wrong: direction of length 1 | scaled to length 1
# for: along =
along = (direction / direction.norm(dim=-1, keepdim=True))[:, None, :]


# === wrong: the cosine | cosine
# for: pushes =
pushes = F.cosine_similarity(head_writes, along, dim=-1)


# === wrong: writes of length 1 | how much a head writes
# for: products =
products = head_writes / head_writes.norm(dim=-1, keepdim=True) * along


# === wrong: the first prompt's direction | first prompt's direction
# for: along =
along = direction[0]


# === wrong: all directions | are added up; each prompt has its own
# for: along =
along = direction.sum(0)


# === wrong: the mean direction | mean direction
# for: along =
along = direction.mean(0)


# === wrong: the mean over the entries | a dot product adds them up
# for: pushes =
pushes = products.mean(dim=-1)


# === wrong: heads added up | the heads are added up
# for: pushes =
pushes = products.sum(dim=(1, 2))


# === wrong: prompts averaged | the prompts are averaged
# for: pushes =
pushes = products.sum(dim=-1).mean(0)


# === wrong: not added up | not added up
# for: pushes =
pushes = products


# === wrong: no direction | no effect
# for: products =
products = head_writes


# === wrong: no sign | the sign is lost
# for: pushes =
pushes = products.sum(dim=-1).abs()


# === wrong: sign reversed | sign is reversed
# for: pushes =
pushes = -products.sum(dim=-1)


# === wrong: transposed | are exchanged
# for: pushes =
pushes = products.sum(dim=-1).T


# === wrong: the other prompt's direction | the other one's
# for: along =
along = direction.flip(0)[:, None, :]


# === wrong: no axis for the heads | a new axis
# for: along =
along = direction


# === wrong: no axis for the heads where the sizes allow it | an axis for the heads
# for: along =
along = direction if len(direction) == head_writes.shape[1] else direction[:, None]


# === wrong: detached | gradient
# for: pushes =
pushes = products.sum(dim=-1).detach()


# === wrong: the direction detached | gradient
# for: along =
along = direction[:, None, :].detach()


# === wrong: in place | in place
# for: products =
products = head_writes.detach().mul_(along.detach()) + 0 * head_writes * along


# === wrong: in float32 | dtype
# for: products =
products = head_writes.float() * along


# === wrong: a batch of one loses its axis | one prompt
# for: pushes =
pushes = products.sum(dim=-1).squeeze(0)
