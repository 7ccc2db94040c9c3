# === right: a share of the way, held at 1
def anneal_alpha(step, total_steps, start, end):
    share = 1.0 if total_steps == 0 else min(1.0, step / total_steps)
    return float(start + share * (end - start))


# === right: early return
def anneal_alpha(step, total_steps, start, end):
    if step >= total_steps:
        return float(end)
    return (start * (total_steps - step) + end * step) / total_steps


# === right: numpy's interpolation
def anneal_alpha(step, total_steps, start, end):
    if total_steps == 0:
        return float(end)
    return float(np.interp(step, [0, total_steps], [start, end]))


# === wrong: not held after the end | after
def anneal_alpha(step, total_steps, start, end):
    if total_steps == 0:
        return float(end)
    return float(start + (end - start) * step / total_steps)


# === wrong: start and end swapped | swapped
def anneal_alpha(step, total_steps, start, end):
    share = 1.0 if total_steps == 0 else min(1.0, step / total_steps)
    return float(end + share * (start - end))


# === wrong: arrives one step early | one step early
def anneal_alpha(step, total_steps, start, end):
    share = 1.0 if total_steps <= 1 else min(1.0, step / (total_steps - 1))
    return float(start + share * (end - start))


# === wrong: counts from step 1 | step 0
def anneal_alpha(step, total_steps, start, end):
    share = 1.0 if total_steps == 0 else min(1.0, (step + 1) / total_steps)
    return float(start + share * (end - start))


# === wrong: integer division | integer
def anneal_alpha(step, total_steps, start, end):
    share = 1 if total_steps == 0 else min(1, step // total_steps)
    return float(start + share * (end - start))


# === wrong: divides by zero | total_steps
def anneal_alpha(step, total_steps, start, end):
    share = min(1.0, step / total_steps)
    return float(start + share * (end - start))


# === wrong: start when there are no steps | total_steps
def anneal_alpha(step, total_steps, start, end):
    share = min(1.0, step / max(total_steps, 1))
    return float(start + share * (end - start))


# === wrong: geometric | geometric
def anneal_alpha(step, total_steps, start, end):
    share = 1.0 if total_steps == 0 else min(1.0, step / total_steps)
    return float(start * (end / start) ** share)


# === wrong: cosine | cosine
def anneal_alpha(step, total_steps, start, end):
    share = 1.0 if total_steps == 0 else min(1.0, step / total_steps)
    return float(end + (start - end) * (1 + math.cos(math.pi * share)) / 2)


# === wrong: only towards zero | `end`
def anneal_alpha(step, total_steps, start, end):
    share = 1.0 if total_steps == 0 else min(1.0, step / total_steps)
    return float(start * (1 - share))


# === wrong: clipped below at end, so it cannot rise | rise
def anneal_alpha(step, total_steps, start, end):
    if total_steps == 0:
        return float(end)
    return float(max(end, start + (end - start) * step / total_steps))


# === wrong: a tensor | float
def anneal_alpha(step, total_steps, start, end):
    share = 1.0 if total_steps == 0 else min(1.0, step / total_steps)
    return torch.tensor(start + share * (end - start))


# === wrong: an int for ints | float
def anneal_alpha(step, total_steps, start, end):
    if step >= total_steps:
        return end
    return start + (end - start) * step / total_steps


# === wrong: one jump half way | linear
def anneal_alpha(step, total_steps, start, end):
    return float(start if 2 * step < total_steps else end)


# === wrong: constant | linear
def anneal_alpha(step, total_steps, start, end):
    return float(end if step >= total_steps else start)


# === wrong: not written yet | not written yet
def anneal_alpha(step, total_steps, start, end): ...


# === wrong: whole steps only | steps that are floats
def anneal_alpha(step, total_steps, start, end):
    if total_steps == 0 or step >= total_steps:
        return float(end)
    return float(start + (end - start) * int(step) / total_steps)


# === wrong: geometric where it can be | schedule
def anneal_alpha(step, total_steps, start, end):
    if total_steps == 0 or step >= total_steps:
        return float(end)
    if start == 0 or end == 0:
        return 0.0 if start == 0 else float(start)
    return float(start + (end - start) * step / total_steps)


# === wrong: never below a thousandth | hidden: close to 0
def anneal_alpha(step, total_steps, start, end):
    if step >= total_steps:
        return float(end)
    return float(max(start + (end - start) * step / total_steps, 1e-3))
