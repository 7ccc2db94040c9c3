# === right: abs of the difference of means
def faithfulness(circuit, full):
    return (full.mean() - circuit.mean()).abs().item()


# === right: floats
def faithfulness(circuit, full):
    return abs(float(circuit.double().mean()) - float(full.double().mean()))


# === right: mean of the difference
def faithfulness(circuit, full):
    return torch.abs(torch.mean(circuit.float() - full.float())).item()


# === right: numpy
def faithfulness(circuit, full):
    return float(np.abs(np.mean(full.double().numpy()) - np.mean(circuit.double().numpy())))


# === wrong: no absolute value | never negative
def faithfulness(circuit, full):
    return (full.mean() - circuit.mean()).item()


# === wrong: circuit minus full | never negative
def faithfulness(circuit, full):
    return (circuit.mean() - full.mean()).item()


# === wrong: absolute value first | prompt by prompt
def faithfulness(circuit, full):
    return (full - circuit).abs().mean().item()


# === wrong: mean squared | squared gap of the prompts
def faithfulness(circuit, full):
    return F.mse_loss(circuit, full).item()


# === wrong: squared | squared
def faithfulness(circuit, full):
    return ((full.mean() - circuit.mean()) ** 2).item()


# === wrong: root mean square | square root
def faithfulness(circuit, full):
    return F.mse_loss(circuit, full).sqrt().item()


# === wrong: ratio | ratio
def faithfulness(circuit, full):
    return (circuit.mean() / full.mean()).item()


# === wrong: ratio upside down | upside down
def faithfulness(circuit, full):
    return (full.mean() / circuit.mean()).item()


# === wrong: relative gap | share
def faithfulness(circuit, full):
    return abs((full.mean() - circuit.mean()) / full.mean()).item()


# === wrong: sums | added up
def faithfulness(circuit, full):
    return (full.sum() - circuit.sum()).abs().item()


# === wrong: for each prompt | each prompt
def faithfulness(circuit, full):
    return (full - circuit).abs()


# === wrong: a tensor | Python float
def faithfulness(circuit, full):
    return (full.mean() - circuit.mean()).abs()


# === wrong: medians | median
def faithfulness(circuit, full):
    return (full.median() - circuit.median()).abs().item()


# === wrong: the means are added | added; asked
def faithfulness(circuit, full):
    return (full.mean() + circuit.mean()).abs().item()


# === wrong: only where the circuit exceeds | below the whole model
def faithfulness(circuit, full):
    return max(0.0, (circuit.mean() - full.mean()).item())


# === wrong: absolute values of the means | means below 0
def faithfulness(circuit, full):
    return abs(full.mean().abs().item() * 2 - 2 * circuit.mean().abs().item()) / 2 if circuit.mean() > 0 else 0.0
