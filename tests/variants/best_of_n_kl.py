# === right: as written
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


# === right: numpy
def best_of_n_kl(n):
    return float(np.log(n) - 1 + 1 / n)


# === right: torch in float64
def best_of_n_kl(n):
    n = torch.tensor(n, dtype=torch.float64)
    return (n.log() - (n - 1) / n).item()


# === wrong: the logarithm alone | second term is missing
def best_of_n_kl(n):
    return math.log(n)


# === wrong: bits | base 2
def best_of_n_kl(n):
    return math.log2(n) - (n - 1) / n


# === wrong: base ten | base 10
def best_of_n_kl(n):
    return math.log10(n) - (n - 1) / n


# === wrong: 1/n subtracted | 1/n is subtracted
def best_of_n_kl(n):
    return math.log(n) - 1 / n


# === wrong: added | is added
def best_of_n_kl(n):
    return math.log(n) + (n - 1) / n


# === wrong: not divided | not divided
def best_of_n_kl(n):
    return math.log(n) - (n - 1)


# === wrong: upside down | upside down
def best_of_n_kl(n):
    return math.log(n) - n / max(n - 1, 1) if n > 1 else 0.0


# === wrong: negative | sign is turned round
def best_of_n_kl(n):
    return (n - 1) / n - math.log(n)


# === wrong: a tensor | a Python float is asked for
def best_of_n_kl(n):
    return torch.tensor(math.log(n) - (n - 1) / n)


# === wrong: integer division | second term is missing
def best_of_n_kl(n):
    return math.log(n) - (n - 1) // n
