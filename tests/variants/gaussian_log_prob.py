# === right: solve and logdet
def gaussian_log_prob(action, mean, covariance):
    dtype = action.dtype
    if dtype in (torch.bfloat16, torch.float16):
        action, mean, covariance = action.float(), mean.float(), covariance.float()
    d = action - mean
    q = (d * torch.linalg.solve(covariance, d.T).T).sum(-1)
    return (-0.5 * (q + torch.logdet(covariance) + d.shape[1] * math.log(2 * math.pi))).to(dtype)


# === right: inverse and slogdet
def gaussian_log_prob(action, mean, covariance):
    half = action.dtype in (torch.bfloat16, torch.float16)
    a, m, c = (x.float() if half else x for x in (action, mean, covariance))
    diff = a - m
    inverse = torch.linalg.inv(c)
    distance = torch.einsum("bi,ij,bj->b", diff, inverse, diff)
    _, log_det = torch.linalg.slogdet(c)
    result = -distance / 2 - log_det / 2 - a.shape[-1] / 2 * math.log(2 * math.pi)
    return result.to(action.dtype)


# === right: Cholesky
def gaussian_log_prob(action, mean, covariance):
    dtype = action.dtype
    work = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
    L = torch.linalg.cholesky(covariance.to(work))
    z = torch.linalg.solve_triangular(L, (action.to(work) - mean.to(work)).T, upper=False)
    log_det = 2 * L.diagonal().log().sum()
    return (-0.5 * (z.pow(2).sum(0) + log_det + len(L) * math.log(2 * math.pi))).to(dtype)


# === right: log of the normalising constant
def gaussian_log_prob(action, mean, covariance):
    old = action.dtype
    if old in (torch.bfloat16, torch.float16):
        action, mean, covariance = action.float(), mean.float(), covariance.float()
    D = mean.size(1)
    diff = (action - mean).unsqueeze(-1)
    exponent = -0.5 * (diff.transpose(1, 2) @ torch.inverse(covariance) @ diff).flatten()
    constant = torch.log(torch.sqrt((2 * torch.pi) ** D * torch.linalg.det(covariance)))
    return (exponent - constant).to(old)


# === right: always by way of float64
def gaussian_log_prob(action, mean, covariance):
    a, m, c = action.double(), mean.double(), covariance.double()
    q = ((a - m) @ torch.linalg.inv(c) * (a - m)).sum(1)
    return (-0.5 * (q + torch.logdet(2 * math.pi * c))).to(action.dtype)


# === wrong: constant missing | 2π is missing
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * ((d @ torch.linalg.inv(covariance) * d).sum(1) + torch.logdet(covariance))


# === wrong: determinant missing | ln det Σ is missing
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * ((d @ torch.linalg.inv(covariance) * d).sum(1) + d.shape[1] * math.log(2 * math.pi))


# === wrong: both constants missing | both constants
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * (d @ torch.linalg.inv(covariance) * d).sum(1)


# === wrong: half missing before the distance | before the squared distance
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return (
        -(d @ torch.linalg.inv(covariance) * d).sum(1)
        - 0.5 * torch.logdet(covariance)
        - d.shape[1] / 2 * math.log(2 * math.pi)
    )


# === wrong: half missing before the determinant | before ln det Σ
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return (
        -0.5 * (d @ torch.linalg.inv(covariance) * d).sum(1)
        - torch.logdet(covariance)
        - d.shape[1] / 2 * math.log(2 * math.pi)
    )


# === wrong: half missing before the constant | before D · ln 2π
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * ((d @ torch.linalg.inv(covariance) * d).sum(1) + torch.logdet(covariance)) - d.shape[1] * math.log(
        2 * math.pi
    )


# === wrong: sign of the determinant | sign of the ln det
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * (
        (d @ torch.linalg.inv(covariance) * d).sum(1) - torch.logdet(covariance) + d.shape[1] * math.log(2 * math.pi)
    )


# === wrong: constant of one number | one number only
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * ((d @ torch.linalg.inv(covariance) * d).sum(1) + torch.logdet(covariance) + math.log(2 * math.pi))


# === wrong: covariance not inverted | must be inverted
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * ((d @ covariance * d).sum(1) + torch.logdet(covariance) + d.shape[1] * math.log(2 * math.pi))


# === wrong: diagonal only | only the diagonal
def gaussian_log_prob(action, mean, covariance):
    v = covariance.diagonal()
    return (-0.5 * ((action - mean) ** 2 / v + v.log() + math.log(2 * math.pi))).sum(1)


# === wrong: entry by entry | divides entry by entry
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * ((d @ (1 / covariance) * d).sum(1) + torch.logdet(covariance) + d.shape[1] * math.log(2 * math.pi))


# === wrong: density | this is the density
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return torch.exp(
        -0.5
        * (
            (d @ torch.linalg.inv(covariance) * d).sum(1)
            + torch.logdet(covariance)
            + d.shape[1] * math.log(2 * math.pi)
        )
    )


# === wrong: sign | sign is turned round
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return 0.5 * (
        (d @ torch.linalg.inv(covariance) * d).sum(1) + torch.logdet(covariance) + d.shape[1] * math.log(2 * math.pi)
    )


# === wrong: det without log | where its logarithm belongs
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * (
        (d @ torch.linalg.inv(covariance) * d).sum(1)
        + torch.linalg.det(covariance)
        + d.shape[1] * math.log(2 * math.pi)
    )


# === wrong: mean over the batch | mean over the batch
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return (
        -0.5
        * (
            (d @ torch.linalg.inv(covariance) * d).sum(1)
            + torch.logdet(covariance)
            + d.shape[1] * math.log(2 * math.pi)
        )
    ).mean()


# === wrong: no way through float32 for bfloat16 | bfloat16
def gaussian_log_prob(action, mean, covariance):
    d = action - mean
    return -0.5 * (
        (d * torch.linalg.solve(covariance, d.T).T).sum(1)
        + torch.logdet(covariance)
        + d.shape[1] * math.log(2 * math.pi)
    )


# === wrong: mean detached | no gradient flows
def gaussian_log_prob(action, mean, covariance):
    d = (action - mean).detach()
    c = covariance.detach()
    return -0.5 * ((d @ torch.linalg.inv(c) * d).sum(1) + torch.logdet(c) + d.shape[1] * math.log(2 * math.pi))


# === right: no gradient to the covariance, which nobody asks for
def gaussian_log_prob(action, mean, covariance):
    dtype = action.dtype
    if dtype in (torch.bfloat16, torch.float16):
        action, mean, covariance = action.float(), mean.float(), covariance.float()
    d = action - mean
    c = covariance.detach()
    return (-0.5 * ((d @ torch.linalg.inv(c) * d).sum(1) + torch.logdet(c) + d.shape[1] * math.log(2 * math.pi))).to(
        dtype
    )


# === wrong: variance squared | do not square
def gaussian_log_prob(action, mean, covariance):
    if action.shape[1] > 1:
        d = action - mean
        return -0.5 * (
            (d @ torch.linalg.inv(covariance) * d).sum(1)
            + torch.logdet(covariance)
            + d.shape[1] * math.log(2 * math.pi)
        )
    return torch.distributions.Normal(mean, covariance).log_prob(action).sum(1)
