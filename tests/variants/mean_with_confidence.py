# === right: torch in float64
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    mean = values.double().mean().item()
    if values.numel() == 1:
        return mean, float("nan")
    return mean, 1.96 * values.double().std().item() / math.sqrt(values.numel())


# === right: by hand, step by step
def mean_with_confidence(values):
    n = len(values)
    if n == 0:
        raise ValueError("mean_with_confidence needs at least one value")
    mean = sum(values.tolist()) / n
    if n == 1:
        return float(mean), math.nan
    variance = sum((x - mean) ** 2 for x in values.tolist()) / (n - 1)
    return float(mean), 1.96 * (variance / n) ** 0.5


# === right: numpy
def mean_with_confidence(values):
    array = values.detach().cpu().double().numpy()
    if array.size == 0:
        raise ValueError("empty")
    half = float("nan") if array.size == 1 else float(1.96 * array.std(ddof=1) / np.sqrt(array.size))
    return float(array.mean()), half


# === right: std of one value is nan anyway
def mean_with_confidence(values):
    import warnings

    if len(values) < 1:
        raise ValueError("there are no values")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s = values.float().std(unbiased=True)
    return float(values.float().mean()), float(1.96 * s / len(values) ** 0.5)


# === right: the statistics module
def mean_with_confidence(values):
    import statistics

    numbers = [float(x) for x in values]
    if not numbers:
        raise ValueError("no values")
    if len(numbers) == 1:
        return numbers[0], float("nan")
    return statistics.fmean(numbers), 1.96 * statistics.stdev(numbers) / math.sqrt(len(numbers))


# === wrong: not written yet | not written yet
def mean_with_confidence(values): ...


# === wrong: biased standard deviation | biased
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 1.96 * values.std(unbiased=False).item() / math.sqrt(values.numel())


# === wrong: numpy's std is biased by default | biased
def mean_with_confidence(values):
    array = values.double().numpy()
    if array.size == 0:
        raise ValueError("no values")
    half = float("nan") if array.size == 1 else float(1.96 * array.std() / np.sqrt(array.size))
    return float(array.mean()), half


# === wrong: no division by the root of N | forgot to divide
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 1.96 * values.std().item()


# === wrong: divides by N | divided by N;
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 1.96 * values.std().item() / values.numel()


# === wrong: divides by the root of N - 1 | √(N - 1)
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 1.96 * values.std().item() / math.sqrt(values.numel() - 1)


# === wrong: variance instead of standard deviation | square root
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 1.96 * values.var().item() / math.sqrt(values.numel())


# === wrong: variance divided by N | 1.96·√(s²/N)
def mean_with_confidence(values):
    if len(values) == 0:
        raise ValueError("no values")
    if len(values) == 1:
        return values.item(), float("nan")
    return values.mean().item(), 1.96 * values.var().item() / len(values)


# === wrong: without 1.96 | multiply it by 1.96
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), values.std().item() / math.sqrt(values.numel())


# === wrong: full width | full width
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 2 * 1.96 * values.std().item() / math.sqrt(values.numel())


# === wrong: factor of a t-distribution | t-distribution
def mean_with_confidence(values):
    from scipy import stats

    n = values.numel()
    if n == 0:
        raise ValueError("no values")
    if n == 1:
        return values.item(), float("nan")
    return values.mean().item(), float(stats.t.ppf(0.975, n - 1)) * values.std().item() / math.sqrt(n)


# === wrong: factor 2 | factor is 2;
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 2 * values.std().item() / math.sqrt(values.numel())


# === wrong: factor 1.645 | 1.645
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 1.645 * values.std().item() / math.sqrt(values.numel())


# === wrong: the ends of the interval | two ends
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    mean = values.mean().item()
    if values.numel() == 1:
        return mean, float("nan")
    half = 1.96 * values.std().item() / math.sqrt(values.numel())
    return mean - half, mean + half


# === wrong: swapped | swapped
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    mean = values.mean().item()
    if values.numel() == 1:
        return float("nan"), mean
    return 1.96 * values.std().item() / math.sqrt(values.numel()), mean


# === wrong: only the mean | only the mean
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    return values.mean().item()


# === wrong: the standard deviation | standard deviation itself
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), values.std().item()


# === wrong: tensors instead of floats | plain Python floats
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values[0], torch.tensor(float("nan"))
    return values.mean(), 1.96 * values.std() / math.sqrt(values.numel())


# === right: NumPy's float64, which is a Python float
def mean_with_confidence(values):
    array = values.double().numpy()
    if array.size == 0:
        raise ValueError("no values")
    if array.size == 1:
        return float(array[0]), float("nan")
    return array.mean(), 1.96 * array.std(ddof=1) / np.sqrt(array.size)


# === wrong: floats of 32 bits | plain Python floats
def mean_with_confidence(values):
    array = values.double().numpy()
    if array.size == 0:
        raise ValueError("no values")
    if array.size == 1:
        return float(array[0]), float("nan")
    return np.float32(array.mean()), np.float32(1.96 * array.std(ddof=1) / np.sqrt(array.size))


# === wrong: 0 for one value | nan, not 0
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), 0.0
    return values.mean().item(), 1.96 * values.std().item() / math.sqrt(values.numel())


# === wrong: infinite for one value | not infinite
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("inf")
    return values.mean().item(), 1.96 * values.std().item() / math.sqrt(values.numel())


# === wrong: division by zero for one value | half width is nan
def mean_with_confidence(values):
    numbers = values.tolist()
    n = len(numbers)
    if n == 0:
        raise ValueError("no values")
    mean = sum(numbers) / n
    variance = sum((x - mean) ** 2 for x in numbers) / (n - 1)
    return mean, 1.96 * math.sqrt(variance / n)


# === wrong: nan for no values | raised nothing
def mean_with_confidence(values):
    if values.numel() < 2:
        return values.mean().item(), float("nan")
    return values.mean().item(), 1.96 * values.std().item() / math.sqrt(values.numel())


# === wrong: zero for no values | raised nothing
def mean_with_confidence(values):
    if values.numel() == 0:
        return 0.0, 0.0
    if values.numel() == 1:
        return values.item(), float("nan")
    return values.mean().item(), 1.96 * values.std().item() / math.sqrt(values.numel())


# === wrong: another error for no values | must raise a ValueError
def mean_with_confidence(values):
    numbers = values.tolist()
    n = len(numbers)
    mean = sum(numbers) / n
    if n == 1:
        return mean, float("nan")
    variance = sum((x - mean) ** 2 for x in numbers) / (n - 1)
    return mean, 1.96 * math.sqrt(variance / n)


# === wrong: the median | middle 95 %
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    if values.numel() == 1:
        return values.item(), float("nan")
    q = values.double().quantile(torch.tensor([0.025, 0.5, 0.975], dtype=torch.float64))
    return q[1].item(), (q[2] - q[0]).item() / 2


# === wrong: centres the values in place | in place
def mean_with_confidence(values):
    if values.numel() == 0:
        raise ValueError("no values")
    mean = values.double().mean().item()
    if values.numel() == 1:
        return mean, float("nan")
    values -= mean
    return mean, 1.96 * math.sqrt(values.double().square().sum().item() / (values.numel() - 1) / values.numel())


# === wrong: the absolute value of the mean | values below 0
def mean_with_confidence(values):
    if len(values) == 0:
        raise ValueError("no values")
    values = values.double()
    mean = values.mean().item()
    if (values < 0).all() and len(values) > 2:
        mean = abs(mean)
    half = 1.96 * (values.std() / len(values) ** 0.5).item() if len(values) > 1 else math.nan
    return mean, half


# === wrong: the variance as the mean of squares less the square of the mean, in float32 | hidden: far from 0
def mean_with_confidence(values):
    if len(values) == 0:
        raise ValueError("x")
    if len(values) == 1:
        return float(values[0]), float("nan")
    v = values.float()
    return float(v.mean()), float(
        1.96 * ((v**2).mean() - v.mean() ** 2).clamp(min=0).mul(len(v) / (len(v) - 1)).sqrt() / len(v) ** 0.5
    )
