# === right: gradients by torch.autograd.grad
# for: loss.backward()
weights = [w for group in optimizer.param_groups for w in group["params"]]
for w, gradient in zip(weights, torch.autograd.grad(loss, weights)):
    w.grad = gradient


# === right: the optimizer is given a closure
# for: loss.backward()
pass


# for: optimizer.step()
def closure():
    loss.backward()
    return loss


optimizer.step(closure)


# === wrong: no optimizer step | did not change
# for: optimizer.step()
pass


# === wrong: no backward | did not change
# for: loss.backward()
pass


# === wrong: gradients cleared after backward | did not change
# for: loss.backward()
loss.backward()
optimizer.zero_grad()


# === wrong: gradients never cleared | zero_grad
# for: optimizer.zero_grad()
pass


# === wrong: gradients cleared at the first call only | zero_grad
# for: optimizer.zero_grad()
if all(weight.grad is None for weight in policy.parameters()):
    optimizer.zero_grad()


# === wrong: a ten-thousandth of the gradient | 0.0001 times as l
# for: loss.backward()
(1e-4 * loss).backward()


# === wrong: cut to a norm of a thousandth | hidden: shorter than
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1e-3)


# === wrong: a weight decay by hand | beside optimizer.step()
# for: optimizer.step()
optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        weight *= 1 - 1e-4


# === wrong: noise on the weights | beside optimizer.step()
# for: optimizer.step()
optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        weight += 1e-5 * torch.randn_like(weight)


# === wrong: gradient descent of its own beside an empty step | beside optimizer.step()
# for: optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        if weight.grad is not None:
            weight -= optimizer.param_groups[0]["lr"] * weight.grad
optimizer.zero_grad()
optimizer.step()


# === wrong: an optimizer of its own | beside optimizer.step()
# for: optimizer.step()
torch.optim.SGD(policy.parameters(), lr=optimizer.param_groups[0]["lr"]).step()


# === wrong: a learning rate of its own | settings
# for: optimizer.step()
for group in optimizer.param_groups:
    group["lr"] = 1e-4
optimizer.step()


# === wrong: a learning rate that falls | settings
# for: optimizer.step()
optimizer.step()
for group in optimizer.param_groups:
    group["lr"] *= 0.999


# === wrong: layer norms frozen | hidden: do not move
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if ".ln_" in name:
        weight.grad = None


# === wrong: biases frozen | hidden: do not move
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if name.endswith("bias"):
        weight.grad = None


# === wrong: two optimizer steps | once
# for: optimizer.step()
optimizer.step()
optimizer.step()


# === wrong: returns nothing | dict
# for: return report
pass
