# === right: a dict
def bar_numbers():
    return {
        "share": 0.25,
        "speed": 0.6667,
        "left": 18,
        "fifth": 0.58,
        "last": 0.525,
        "completions": 11520,
        "seconds": 432,
    }


# === right: rounded to three digits
def bar_numbers():
    return {
        "share": 0.25,
        "speed": 0.667,
        "left": 18,
        "fifth": 0.58,
        "last": 0.53,
        "completions": 11500.0,
        "seconds": 432,
    }


# === wrong: not written yet | not written yet
def bar_numbers(): ...


# === wrong: a list of the answers | return a dict with the entries
def bar_numbers():
    return [0.25, 0.6667, 18, 0.58, 0.525, 11520, 432]


# === wrong: the last answer is left out | the answer to 'seconds' is missing
def bar_numbers():
    return {"share": 0.25, "speed": 0.6667, "left": 18, "fifth": 0.58, "last": 0.525, "completions": 11520}


# === wrong: a question mark | the answer to 'share' is
def bar_numbers():
    return {
        "share": "?",
        "speed": 0.6667,
        "left": 18,
        "fifth": 0.58,
        "last": 0.525,
        "completions": 11520,
        "seconds": 432,
    }


# === wrong: the bar shows the last batch | hidden: mean of all batches so far
def bar_numbers():
    return {"share": 0.25, "speed": 0.6667, "left": 18, "fifth": 0.9, "last": 0.9, "completions": 11520, "seconds": 432}


# === wrong: six times as many | hidden: 36 times the completions
def bar_numbers():
    return {
        "share": 0.25,
        "speed": 0.6667,
        "left": 18,
        "fifth": 0.58,
        "last": 0.525,
        "completions": 1920,
        "seconds": 72,
    }
