# === right: clamp and logs in float64
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === right: the probability of what happened
def forecast_log_loss(probabilities, outcomes):
    p = torch.clip(probabilities.to(torch.float64), 1e-4, 1 - 1e-4)
    of_what_happened = torch.where(outcomes.bool(), p, 1 - p)
    return float(-torch.log(of_what_happened).mean())


# === right: torch's own loss on clipped forecasts
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(min=0.0001, max=0.9999)
    return F.binary_cross_entropy(p, outcomes.double()).item()


# === right: numpy
def forecast_log_loss(probabilities, outcomes):
    p = np.clip(probabilities.detach().cpu().double().numpy(), 1e-4, 1 - 1e-4)
    y = outcomes.cpu().double().numpy()
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))


# === right: a loop in plain Python
def forecast_log_loss(probabilities, outcomes):
    total = 0.0
    for p, y in zip(probabilities.tolist(), outcomes.tolist()):
        p = max(1e-4, min(1 - 1e-4, p))
        total += -math.log(p) if y else -math.log(1 - p)
    return total / len(probabilities)


# === wrong: not written yet | not written yet
def forecast_log_loss(probabilities, outcomes): ...


# === wrong: the sum | sum over the forecasts
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).sum().item()


# === wrong: no minus sign | minus sign
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return (y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === wrong: base 2 | base 2
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -(y * p.log2() + (1 - y) * (1 - p).log2()).mean().item()


# === wrong: base 10 | base 10
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -(y * p.log10() + (1 - y) * (1 - p).log10()).mean().item()


# === wrong: p and 1 - p swapped | swapped
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -((1 - y) * p.log() + y * (1 - p).log()).mean().item()


# === wrong: only the term for outcome 1 | outcome 0
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    return -(outcomes.double() * p.log()).mean().item()


# === wrong: only the term for outcome 0 | outcome 1
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    return -((1 - outcomes.double()) * (1 - p).log()).mean().item()


# === wrong: the Brier score | Brier
def forecast_log_loss(probabilities, outcomes):
    return (probabilities.double() - outcomes.double()).square().mean().item()


# === wrong: the accuracy | accuracy
def forecast_log_loss(probabilities, outcomes):
    return ((probabilities > 0.5) == outcomes.bool()).double().mean().item()


# === wrong: the mean error | mean of |p - y|
def forecast_log_loss(probabilities, outcomes):
    return (probabilities.double() - outcomes.double()).abs().mean().item()


# === wrong: no mean at all | loss of each forecast
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log())


# === wrong: ignores the outcomes | whatever the outcome
def forecast_log_loss(probabilities, outcomes):
    return -probabilities.double().clamp(1e-4, 1 - 1e-4).log().mean().item()


# === wrong: the perplexity | perplexity
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return math.exp(-(y * p.log() + (1 - y) * (1 - p).log()).mean().item())


# === wrong: no clipping | clip p
def forecast_log_loss(probabilities, outcomes):
    p, y = probabilities.double(), outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === wrong: no clipping, but only the log that is needed | infinitely much
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double()
    return -torch.where(outcomes.bool(), p, 1 - p).log().mean().item()


# === wrong: torch's loss without clipping | cut at 100
def forecast_log_loss(probabilities, outcomes):
    return F.binary_cross_entropy(probabilities.double(), outcomes.double()).item()


# === wrong: clipped from below only | clip p
def forecast_log_loss(probabilities, outcomes):
    p, y = probabilities.double().clamp(min=1e-4), outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === wrong: clipped at 1e-7 | another border than 1e-4
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-7, 1 - 1e-7)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === wrong: clipped at 0.01 | another border than 1e-4
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(0.01, 0.99)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === wrong: clipped at 1e-3 | another border than 1e-4
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-3, 1 - 1e-3)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === wrong: a small number inside the logarithm instead | seems to be added inside the logarithm
def forecast_log_loss(probabilities, outcomes):
    p, y = probabilities.double(), outcomes.double()
    return -(y * (p + 1e-4).log() + (1 - y) * (1 - p + 1e-4).log()).mean().item()


# === wrong: float32 | float32
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.float().clamp(1e-4, 1 - 1e-4)
    y = outcomes.float()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === wrong: bool outcomes fail | Convert them first
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    return -(outcomes * p.log() + (1 - outcomes) * (1 - p).log()).mean().item()


# === wrong: a tensor instead of a float | plain Python float
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


# === wrong: clips the input in place | in place
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)
    probabilities.clamp_(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()


# === wrong: rounds the forecasts first | rounded to 0 or 1
def forecast_log_loss(probabilities, outcomes):
    p = probabilities.double().round().clamp(1e-4, 1 - 1e-4)
    y = outcomes.double()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean().item()
