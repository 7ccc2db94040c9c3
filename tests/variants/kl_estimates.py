# === right: the three formulas
def kl_estimates(log_probs, reference_log_probs):
    difference = log_probs - reference_log_probs
    ratio = torch.exp(-difference)
    return {"k1": difference, "k2": 0.5 * difference**2, "k3": (ratio - 1) + difference}


# === right: expm1
def kl_estimates(log_probs, reference_log_probs):
    log_ratio = reference_log_probs - log_probs
    return dict(k1=-log_ratio, k2=log_ratio.square().div(2), k3=log_ratio.expm1() - log_ratio)


# === right: with the logarithm of the ratio written out
def kl_estimates(log_probs, reference_log_probs):
    r = (reference_log_probs - log_probs).exp()
    k1 = log_probs - reference_log_probs
    return {"k1": k1, "k2": torch.pow(k1, 2) / 2, "k3": (r - 1) - (reference_log_probs - log_probs)}


# === wrong: k1 the other way round | sign
def kl_estimates(log_probs, reference_log_probs):
    d = reference_log_probs - log_probs
    return {"k1": d, "k2": d**2 / 2, "k3": d.exp() - 1 - d}


# === wrong: k2 without the half | half
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": d**2, "k3": (-d).exp() - 1 + d}


# === wrong: the ratio upside down in k3 | ratio
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": d**2 / 2, "k3": d.exp() - 1 - d}


# === wrong: upside-down ratio and its own sign | ratio
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": d**2 / 2, "k3": d.exp() - 1 + d}


# === wrong: k3 without the minus one | minus 1
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": d**2 / 2, "k3": (-d).exp() + d}


# === wrong: k3 with ln r added | subtracted
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": d**2 / 2, "k3": (-d).exp() - 1 - d}


# === wrong: k3 without the logarithm | ln r
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": d**2 / 2, "k3": (-d).exp() - 1}


# === wrong: k1 made positive | absolute
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d.abs(), "k2": d**2 / 2, "k3": (-d).exp() - 1 + d}


# === wrong: k1 clamped at zero | clamp
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d.clamp(min=0), "k2": d**2 / 2, "k3": (-d).exp() - 1 + d}


# === wrong: summed over tokens | per token
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d.sum(-1), "k2": (d**2 / 2).sum(-1), "k3": ((-d).exp() - 1 + d).sum(-1)}


# === wrong: averaged to one number | per token
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d.mean(), "k2": (d**2 / 2).mean(), "k3": ((-d).exp() - 1 + d).mean()}


# === wrong: a tuple | dict
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return d, d**2 / 2, (-d).exp() - 1 + d


# === wrong: other names | k1
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"K1": d, "K2": d**2 / 2, "K3": (-d).exp() - 1 + d}


# === wrong: k3 left out | k3
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": d**2 / 2}


# === wrong: k2 and k3 swapped | swapped
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k3": d**2 / 2, "k2": (-d).exp() - 1 + d}


# === wrong: k2 of the ratio | k2
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": ((-d).exp() - 1) ** 2 / 2, "k3": (-d).exp() - 1 + d}


# === wrong: treats log-probs as probabilities | probabilities
def kl_estimates(log_probs, reference_log_probs):
    r = reference_log_probs / log_probs
    return {"k1": -r.log(), "k2": r.log() ** 2 / 2, "k3": r - 1 - r.log()}


# === wrong: weighted with the policy's probability | sample
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    p = log_probs.exp()
    return {"k1": p * d, "k2": p * d**2 / 2, "k3": p * ((-d).exp() - 1 + d)}


# === wrong: detached | gradient
def kl_estimates(log_probs, reference_log_probs):
    d = (log_probs - reference_log_probs).detach()
    return {"k1": d, "k2": d**2 / 2, "k3": (-d).exp() - 1 + d}


# === right: no gradient to the reference, which nobody asks for
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs.detach()
    return {"k1": d, "k2": d**2 / 2, "k3": (-d).exp() - 1 + d}


# === wrong: changes its argument | in place
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs
    d -= reference_log_probs
    return {"k1": d, "k2": d**2 / 2, "k3": (-d).exp() - 1 + d}


# === wrong: nothing returned | return
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    {"k1": d, "k2": d**2 / 2, "k3": (-d).exp() - 1 + d}


# === wrong: log-probs clamped at -100 | -9000
def kl_estimates(log_probs, reference_log_probs):
    d = log_probs.clamp(min=-100) - reference_log_probs.clamp(min=-100)
    return {"k1": d, "k2": d**2 / 2, "k3": torch.exp(-d) - 1 + d}


# === wrong: the ratio of probabilities | -9000
def kl_estimates(log_probs, reference_log_probs):
    ratio = reference_log_probs.double().exp() / log_probs.double().exp()
    d = log_probs - reference_log_probs
    return {"k1": d, "k2": d**2 / 2, "k3": (ratio - 1 - ratio.log()).to(d.dtype)}


# === right: more entries than are asked for
def kl_estimates(log_probs, reference_log_probs):
    log_ratio = log_probs - reference_log_probs
    r = torch.exp(-log_ratio)
    return {"r": r, "k1": log_ratio, "k2": 0.5 * log_ratio**2, "k3": r - 1 + log_ratio, "a_mean": log_ratio.mean()}
