# === right: means and a quotient
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError("nothing to restore")
    return (patched.mean() - corrupted.mean()).item() / way


# === right: means of differences
def patching_effect(clean, corrupted, patched):
    below = (clean.double() - corrupted.double()).mean()
    if below.abs() < 1e-12:
        raise ValueError("clean and corrupted do not differ")
    return float((patched.double() - corrupted.double()).mean() / below)


# === right: floats first
def patching_effect(clean, corrupted, patched):
    c, k, p = (float(x.float().mean()) for x in (clean, corrupted, patched))
    try:
        return (p - k) / (c - k)
    except ZeroDivisionError as error:
        raise ValueError("equal means") from error


# === right: sums, since all have the same length
def patching_effect(clean, corrupted, patched):
    start = corrupted.sum(dtype=torch.float64).item()
    goal = clean.sum(dtype=torch.float64).item()
    if goal == start:
        raise ValueError
    return (patched.sum(dtype=torch.float64).item() - start) / (goal - start)


# === wrong: the share still missing | still missing
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError
    return (clean.mean() - patched.mean()).item() / way


# === wrong: clean and corrupted exchanged | exchanged
def patching_effect(clean, corrupted, patched):
    way = (corrupted.mean() - clean.mean()).item()
    if way == 0:
        raise ValueError
    return (patched.mean() - clean.mean()).item() / way


# === wrong: patched over clean | corrupted run is not subtracted
def patching_effect(clean, corrupted, patched):
    if clean.mean() == corrupted.mean():
        raise ValueError
    return (patched.mean() / clean.mean()).item()


# === wrong: nothing subtracted above | above the line
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError
    return patched.mean().item() / way


# === wrong: nothing subtracted below | below the line
def patching_effect(clean, corrupted, patched):
    if clean.mean() == corrupted.mean():
        raise ValueError
    return (patched.mean() - corrupted.mean()).item() / clean.mean().item()


# === wrong: added below | added below
def patching_effect(clean, corrupted, patched):
    if clean.mean() == corrupted.mean():
        raise ValueError
    return (patched.mean() - corrupted.mean()).item() / (clean.mean() + corrupted.mean()).item()


# === wrong: prompt by prompt | prompt by prompt
def patching_effect(clean, corrupted, patched):
    if clean.mean() == corrupted.mean():
        raise ValueError
    return ((patched - corrupted) / (clean - corrupted)).mean().item()


# === wrong: upside down | upside down
def patching_effect(clean, corrupted, patched):
    if clean.mean() == corrupted.mean():
        raise ValueError
    return (clean.mean() - corrupted.mean()).item() / (patched.mean() - corrupted.mean()).item()


# === wrong: sign | sign is reversed
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError
    return (corrupted.mean() - patched.mean()).item() / way


# === wrong: no division | divide by the way
def patching_effect(clean, corrupted, patched):
    if clean.mean() == corrupted.mean():
        raise ValueError
    return (patched.mean() - corrupted.mean()).item()


# === wrong: one number for each prompt | one for each prompt
def patching_effect(clean, corrupted, patched):
    if clean.mean() == corrupted.mean():
        raise ValueError
    return (patched - corrupted) / (clean - corrupted)


# === wrong: per cent | per cent
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError
    return 100 * (patched.mean() - corrupted.mean()).item() / way


# === wrong: a tensor | Python float
def patching_effect(clean, corrupted, patched):
    way = clean.mean() - corrupted.mean()
    if way == 0:
        raise ValueError
    return (patched.mean() - corrupted.mean()) / way


# === wrong: cut off at 1 | cut the effect off at 1
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError
    return min(1.0, (patched.mean() - corrupted.mean()).item() / way)


# === wrong: cut off at 0 | cut the effect off at 0
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError
    return max(0.0, (patched.mean() - corrupted.mean()).item() / way)


# === wrong: absolute value | absolute value
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError
    return abs((patched.mean() - corrupted.mean()).item() / way)


# === wrong: no error | ValueError
def patching_effect(clean, corrupted, patched):
    return ((patched.mean() - corrupted.mean()) / (clean.mean() - corrupted.mean())).item()


# === wrong: the wrong error | ZeroDivisionError
def patching_effect(clean, corrupted, patched):
    return (patched.mean() - corrupted.mean()).item() / (clean.mean() - corrupted.mean()).item()


# === wrong: 0 instead of an error | ValueError
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    return (patched.mean() - corrupted.mean()).item() / way if way else 0.0


# === wrong: an epsilon instead of an error | ValueError
def patching_effect(clean, corrupted, patched):
    return (patched.mean() - corrupted.mean()).item() / ((clean.mean() - corrupted.mean()).item() + 1e-8)


# === wrong: median | medians
def patching_effect(clean, corrupted, patched):
    way = (clean.median() - corrupted.median()).item()
    if way == 0:
        raise ValueError
    return (patched.median() - corrupted.median()).item() / way


# === wrong: a denominator below a tenth counts as 0 | small
def patching_effect(clean, corrupted, patched):
    way = (clean.double().mean() - corrupted.double().mean()).item()
    if way == 0:
        raise ValueError("nothing to restore")
    if abs(way) < 0.1:
        way = math.copysign(0.1, way)
    return (patched.double().mean() - corrupted.double().mean()).item() / way


# === wrong: a small denominator raises | differ by little
def patching_effect(clean, corrupted, patched):
    d = float(clean.double().mean() - corrupted.double().mean())
    if abs(d) < 1e-2:
        raise ValueError("x")
    return float(patched.double().mean() - corrupted.double().mean()) / d


# === wrong: means that are nearly equal raise | differ by little
def patching_effect(clean, corrupted, patched):
    way = (clean.mean() - corrupted.mean()).item()
    if abs(way) < 1e-8:
        raise ValueError("nothing to restore")
    return (patched.mean() - corrupted.mean()).item() / way


# === wrong: torch.isclose decides whether means are equal | differ by little
def patching_effect(clean, corrupted, patched):
    if torch.isclose(clean.mean(), corrupted.mean()):
        raise ValueError("nothing to restore")
    return ((patched.mean() - corrupted.mean()) / (clean.mean() - corrupted.mean())).item()
