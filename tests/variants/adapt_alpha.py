# === right: min and max
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl / target_kl - 1))
    return float(alpha * (1 + error * steps / horizon))


# === right: numpy's clip
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    return float(alpha * (1.0 + np.clip(observed_kl / target_kl - 1.0, -0.2, 0.2) * steps / horizon))


# === right: torch, in float64
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = torch.tensor(observed_kl / target_kl - 1, dtype=torch.float64).clamp(-0.2, 0.2).item()
    return float(alpha + alpha * error * (steps / horizon))


# === wrong: no clip | clip
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    return float(alpha * (1 + (observed_kl / target_kl - 1) * steps / horizon))


# === wrong: clipped from above only | below
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = min(0.2, observed_kl / target_kl - 1)
    return float(alpha * (1 + error * steps / horizon))


# === wrong: clipped from below only | above
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, observed_kl / target_kl - 1)
    return float(alpha * (1 + error * steps / horizon))


# === wrong: never falls | fall
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(0.0, min(0.2, observed_kl / target_kl - 1))
    return float(alpha * (1 + error * steps / horizon))


# === wrong: the wrong direction | wrong direction
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl / target_kl - 1))
    return float(alpha * (1 - error * steps / horizon))


# === wrong: target over observed | upside down
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, target_kl / max(observed_kl, 1e-9) - 1))
    return float(alpha * (1 + error * steps / horizon))


# === wrong: clip after the multiplication | before
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, (observed_kl / target_kl - 1) * steps / horizon))
    return float(alpha * (1 + error))


# === wrong: a difference instead of a ratio | ratio
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl - target_kl))
    return float(alpha * (1 + error * steps / horizon))


# === wrong: forgot the minus one | minus 1
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl / target_kl))
    return float(alpha * (1 + error * steps / horizon))


# === wrong: only the factor | factor
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl / target_kl - 1))
    return float(1 + error * steps / horizon)


# === wrong: added instead of multiplied | multipl
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl / target_kl - 1))
    return float(alpha + error * steps / horizon)


# === wrong: only the change | change
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl / target_kl - 1))
    return float(alpha * error * steps / horizon)


# === wrong: horizon over steps | horizon
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl / target_kl - 1))
    return float(alpha * (1 + error * horizon / steps))


# === wrong: steps and horizon ignored | horizon
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, observed_kl / target_kl - 1))
    return float(alpha * (1 + error))


# === wrong: the factor clipped with the wrong border | 0.2
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.5, min(0.5, observed_kl / target_kl - 1))
    return float(alpha * (1 + error * steps / horizon))


# === wrong: numpy's float | float
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    return np.float32(alpha) * (1 + np.clip(np.float32(observed_kl / target_kl - 1), -0.2, 0.2) * steps / horizon)


# === wrong: a tensor | float
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = torch.tensor(observed_kl / target_kl - 1).clamp(-0.2, 0.2)
    return alpha * (1 + error * steps / horizon)


# === wrong: refuses a negative estimate | negative
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    error = max(-0.2, min(0.2, math.sqrt(observed_kl / target_kl) ** 2 - 1))
    return float(alpha * (1 + error * steps / horizon))


# === wrong: not written yet | not written yet
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps): ...


# === wrong: the absolute value of the KL estimate | hidden: negative
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    e = min(max(abs(observed_kl) / target_kl - 1, -0.2), 0.2)
    return float(alpha * (1 + e * steps / horizon))
