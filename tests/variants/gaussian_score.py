# === right: solve
def gaussian_score(action, mean, covariance):
    dtype = action.dtype
    if dtype in (torch.bfloat16, torch.float16):
        action, mean, covariance = action.float(), mean.float(), covariance.float()
    return torch.linalg.solve(covariance, (action - mean).T).T.to(dtype)


# === right: inverse
def gaussian_score(action, mean, covariance):
    if action.dtype in (torch.bfloat16, torch.float16):
        return ((action.float() - mean.float()) @ torch.linalg.inv(covariance.float())).to(action.dtype)
    return (action - mean) @ torch.linalg.inv(covariance)


# === right: solve with a batch of columns
def gaussian_score(action, mean, covariance):
    work = torch.promote_types(action.dtype, torch.float32)
    offset = (action.to(work) - mean.to(work)).unsqueeze(-1)
    return torch.linalg.solve(covariance.to(work).expand(len(offset), -1, -1), offset).squeeze(-1).to(action.dtype)


# === right: Cholesky solve in float64
def gaussian_score(action, mean, covariance):
    root = torch.linalg.cholesky(covariance.double())
    return torch.cholesky_solve((action.double() - mean.double()).T, root).T.to(action.dtype)


# === wrong: sign | sign is turned round
def gaussian_score(action, mean, covariance):
    return torch.linalg.solve(covariance, (mean - action).T).T


# === wrong: not inverted | must be inverted
def gaussian_score(action, mean, covariance):
    return (action - mean) @ covariance


# === wrong: no covariance | inverse covariance is missing
def gaussian_score(action, mean, covariance):
    return action - mean


# === wrong: diagonal only | only the diagonal
def gaussian_score(action, mean, covariance):
    return (action - mean) / covariance.diagonal()


# === wrong: entry by entry | divides entry by entry
def gaussian_score(action, mean, covariance):
    return (action - mean) @ (1 / covariance)


# === wrong: half | factor ½
def gaussian_score(action, mean, covariance):
    return 0.5 * (action - mean) @ torch.linalg.inv(covariance)


# === wrong: double | factor 2
def gaussian_score(action, mean, covariance):
    return 2 * (action - mean) @ torch.linalg.inv(covariance)


# === wrong: divided by the batch | mean over the batch
def gaussian_score(action, mean, covariance):
    return (action - mean) @ torch.linalg.inv(covariance) / len(action)


# === wrong: summed over numbers | keep them apart
def gaussian_score(action, mean, covariance):
    return ((action - mean) @ torch.linalg.inv(covariance)).sum(1)


# === wrong: summed over the batch | sum over the batch
def gaussian_score(action, mean, covariance):
    return ((action - mean) @ torch.linalg.inv(covariance)).sum(0)


# === wrong: one Cholesky factor | cholesky
def gaussian_score(action, mean, covariance):
    return torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), (action - mean).T, upper=False).T


# === right: no gradient to the covariance, which nobody asks for
def gaussian_score(action, mean, covariance):
    work = torch.promote_types(action.dtype, torch.float32)
    inverse = torch.linalg.inv(covariance.detach().to(work))
    return ((action - mean).to(work) @ inverse).to(action.dtype)


# === wrong: by autograd without a graph | no gradient flows
def gaussian_score(action, mean, covariance):
    with torch.enable_grad():
        m = mean.detach().double().requires_grad_(True)
        d = action.detach().double() - m
        log_p = -0.5 * (d @ torch.linalg.inv(covariance.detach().double()) * d).sum()
        (g,) = torch.autograd.grad(log_p, m)
    return g.to(action.dtype)


# === wrong: not transposed | transposed
def gaussian_score(action, mean, covariance):
    return (
        torch.linalg.solve(covariance, action - mean)
        if len(action) == len(covariance)
        else torch.linalg.solve(covariance, (action - mean).T)
    )


# === wrong: no way through float32 for bfloat16 | bfloat16
def gaussian_score(action, mean, covariance):
    return torch.linalg.solve(covariance, (action - mean).T).T


# === wrong: always float32 | dtype
def gaussian_score(action, mean, covariance):
    return torch.linalg.solve(covariance.float(), (action - mean).float().T).T


# === wrong: subtracts the mean in place | in place
def gaussian_score(action, mean, covariance):
    work = torch.promote_types(action.dtype, torch.float32)
    offset = action - mean if action.requires_grad else action.sub_(mean)
    return torch.linalg.solve(covariance.to(work), offset.to(work).T).T.to(action.dtype)


# === wrong: zeros in the short dtypes | bfloat16
def gaussian_score(action, mean, covariance):
    if action.dtype in (torch.bfloat16, torch.float16):
        return torch.zeros_like(mean)
    return torch.linalg.solve(covariance, (action - mean).T).T


# === wrong: a batch of 1 with 1 number loses its axes | shape
def gaussian_score(action, mean, covariance):
    wide = torch.float32 if action.dtype in (torch.bfloat16, torch.float16) else action.dtype
    score = torch.linalg.solve(covariance.to(wide), (action - mean).to(wide).T).T.to(action.dtype)
    return score.squeeze() if score.numel() == 1 else score
