# === right: a dict
def broken_steps():
    return {
        "A": "shift",
        "A run": "2",
        "A check": "noted",
        "B": "sign",
        "B run": "3",
        "B check": "best",
        "C": "zero_grad",
        "C run": "1",
        "C check": "again",
    }


# === right: runs as numbers
def broken_steps():
    return {
        "A": "shift",
        "A run": 2,
        "A check": "noted",
        "B": "sign",
        "B run": 3,
        "B check": "best",
        "C": "zero_grad",
        "C run": 1,
        "C check": "again",
    }


# === wrong: not written yet | not written yet
def broken_steps(): ...


# === wrong: a list of the answers | return a dict with the entries
def broken_steps():
    return ["shift", "2", "noted", "sign", "3", "best", "zero_grad", "1", "again"]


# === wrong: the last answer is left out | the answer to 'C check' is missing
def broken_steps():
    return {
        "A": "shift",
        "A run": "2",
        "A check": "noted",
        "B": "sign",
        "B run": "3",
        "B check": "best",
        "C": "zero_grad",
        "C run": "1",
    }


# === wrong: a question mark | the answer to 'A' is
def broken_steps():
    return {
        "A": "?",
        "A run": "2",
        "A check": "noted",
        "B": "sign",
        "B run": "3",
        "B check": "best",
        "C": "zero_grad",
        "C run": "1",
        "C check": "again",
    }


# === wrong: runs of A and B exchanged | hidden: nothing to do with the reward
def broken_steps():
    return {
        "A": "shift",
        "A run": "3",
        "A check": "noted",
        "B": "sign",
        "B run": "2",
        "B check": "best",
        "C": "zero_grad",
        "C run": "1",
        "C check": "again",
    }


# === wrong: the reward finds the missing clearing | hidden: twice the first
def broken_steps():
    return {
        "A": "shift",
        "A run": "2",
        "A check": "noted",
        "B": "sign",
        "B run": "3",
        "B check": "best",
        "C": "zero_grad",
        "C run": "1",
        "C check": "reward",
    }
