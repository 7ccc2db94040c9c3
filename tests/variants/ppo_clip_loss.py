# === right: ratio of masked differences
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    difference = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0)
    ratio = difference.exp()
    weight = advantages.detach()[:, None]
    gain = torch.min(ratio * weight, ratio.clamp(1 - clip, 1 + clip) * weight)
    return -(gain * mask).sum(dim=1).mean()


# === right: where
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    zeros = torch.zeros_like(log_probs)
    ratio = torch.exp(torch.where(mask, log_probs, zeros) - torch.where(mask, old_log_probs, zeros).detach())
    a = advantages.detach().unsqueeze(1).expand_as(ratio)
    terms = torch.minimum(ratio * a, torch.clip(ratio, 1 - clip, 1 + clip) * a)
    return -torch.where(mask, terms, zeros).sum() / log_probs.size(0)


# === right: selected tokens only
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    rows = advantages.detach().view(-1, 1).expand(mask.shape)[mask]
    ratio = (log_probs[mask] - old_log_probs[mask].detach()).exp()
    losses = torch.max(-ratio * rows, -torch.clamp(ratio, 1 - clip, 1 + clip) * rows)
    return losses.sum() / mask.shape[0]


# === right: the two signs of the advantage apart
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    a = advantages.detach().unsqueeze(1)
    ratio = torch.where(mask, log_probs - old_log_probs.detach(), 0.0).exp()
    limited = torch.where(a > 0, ratio.clamp(max=1 + clip), ratio.clamp(min=1 - clip))
    return -(limited * a * mask).sum(1).mean()


# === wrong: the larger of the two | min
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    return -(torch.max(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: the sign | sign
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    return (torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: no clip | nothing is clipped
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    return -(ratio * advantages.detach()[:, None] * mask).sum(1).mean()


# === wrong: only the clipped term | unclipped
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    return -(ratio.clamp(1 - clip, 1 + clip) * advantages.detach()[:, None] * mask).sum(1).mean()


# === wrong: the ratio upside down | upside down
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (old_log_probs.detach() - log_probs).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: mean over the tokens | mean over the tokens
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    gain = torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask
    return -gain.sum() / mask.sum().clamp(min=1)


# === wrong: mean within each sequence | mean over the tokens
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    gain = torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask
    return -(gain.sum(1) / mask.sum(1).clamp(min=1)).mean()


# === wrong: mean over everything | mean over the tokens
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).mean()


# === wrong: sum over the batch | divide
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum()


# === wrong: no mask at all | mask
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).exp()
    a = advantages.detach()[:, None]
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).sum(1).mean()


# === wrong: masked after the exponential | before
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).exp()
    a = advantages.detach()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: where after the exponential, NaN in the gradient | before
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).exp()
    a = advantages.detach()[:, None]
    gain = torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    return -torch.where(mask, gain, torch.zeros_like(gain)).sum(1).mean()


# === wrong: the log-ratio taken for the ratio | exp
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0)
    a = advantages.detach()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: the log-ratio clipped | log-ratio
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    d = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0)
    a = advantages.detach()[:, None]
    return -(torch.min(d.exp() * a, d.clamp(-clip, clip).exp() * a) * mask).sum(1).mean()


# === wrong: the product clipped instead of the ratio | product
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    gain = ratio * advantages.detach()[:, None]
    return -(torch.min(gain, gain.clamp(1 - clip, 1 + clip)) * mask).sum(1).mean()


# === wrong: one ratio for the sequence | token
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).sum(1).exp()
    a = advantages.detach()
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


# === wrong: advantages along the tokens | row
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()
    a = a[None, :] if log_probs.shape[0] == log_probs.shape[1] else a[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: advantages unsqueezed at the front | the advantages run along the tokens
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach().unsqueeze(0)
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: absolute advantages | absolute
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach().abs()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: the old log-probs carry a gradient | old
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: the advantages carry a gradient | advantage
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: the ratio detached | no gradient
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0).exp().detach()
    a = advantages.detach()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) * mask).sum(1).mean()


# === wrong: clip range fixed at 0.2 | clip range is 0.2
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0).exp()
    a = advantages.detach()[:, None]
    return -(torch.min(ratio * a, ratio.clamp(0.8, 1.2) * a) * mask).sum(1).mean()


# === wrong: not written yet | not written yet
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip): ...


# === wrong: log-probs clamped at -1000 | -9000
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    d = torch.where(mask, log_probs.clamp(min=-1000) - old_log_probs.detach().clamp(min=-1000), 0.0)
    ratio, A = d.exp(), advantages.detach()[:, None]
    gain = torch.min(ratio * A, ratio.clamp(1 - clip, 1 + clip) * A)
    return -torch.where(mask, gain, 0.0).sum() / len(mask)
