# === right: a list
def my_forecasts():
    return [0.95, 0.8, 0.75, 0.9, 0.8, 0.85, 0.25, 0.55, 0.85, 0.15, 0.35, 0.8, 0.75] + [
        0.5,
        0.6,
        0.7,
        1,
        0,
        0.5,
        0.5,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        0.2,
    ]


# === right: a tensor
def my_forecasts():
    return torch.linspace(0.1, 0.9, 26)


# === right: a tuple
def my_forecasts():
    return tuple(round(0.03 * n, 2) for n in range(26))


# === wrong: not written yet | no forecasts yet
def my_forecasts(): ...


# === wrong: one too few | 25 forecasts
def my_forecasts():
    return [0.02 * n for n in range(25)]


# === wrong: per cent | These look like percentages
def my_forecasts():
    return [3 * n for n in range(26)]


# === wrong: one of them in per cent | look at task 26
def my_forecasts():
    return [0.02 * n for n in range(25)] + [50]


# === wrong: text | list of numbers
def my_forecasts():
    return [f"{3 * n} %" for n in range(26)]


# === wrong: always 0.5 | nearly all forecasts are the same
def my_forecasts():
    return [0.5] * 26


# === wrong: one number for all tasks | list of numbers
def my_forecasts():
    return 0.5


# === wrong: a dictionary | list of numbers
def my_forecasts():
    return {n: 0.03 * n for n in range(26)}


# === wrong: yes and no | list of numbers
def my_forecasts():
    return [True, False] * 13
