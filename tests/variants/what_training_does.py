# === right: a dict
def what_training_does():
    return {"start": 0.6931, "gap": "B", "margin": 9, "loss": 0.3412, "change": -0.9163}


# === right: three digits
def what_training_does():
    return {"start": 0.693, "gap": "B", "margin": 9, "loss": 0.341, "change": -0.916}


# === wrong: not written yet | not written yet
def what_training_does(): ...


# === wrong: a list of the answers | return a dict with the entries
def what_training_does():
    return [0.6931, "B", 9, 0.3412, -0.9163]


# === wrong: the last answer is left out | the answer to 'change' is missing
def what_training_does():
    return {"start": 0.6931, "gap": "B", "margin": 9, "loss": 0.3412}


# === wrong: a question mark | the answer to 'start' is
def what_training_does():
    return {"start": "?", "gap": "B", "margin": 9, "loss": 0.3412, "change": -0.9163}


# === wrong: the margin of the other sign | hidden: it has fallen although
def what_training_does():
    return {"start": 0.6931, "gap": "B", "margin": -9, "loss": 1.241, "change": -0.9163}


# === wrong: the change of the sum | hidden: never above 0
def what_training_does():
    return {"start": 0.6931, "gap": "B", "margin": 9, "loss": 0.3412, "change": -1.8326}
