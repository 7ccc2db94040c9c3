# === right: softmax and multinomial
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    greedy = logits.argmax(dim=-1)
    if temperature == 0:
        return greedy
    probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
    drawn = torch.multinomial(probabilities, num_samples=1, generator=generator)
    token = drawn.squeeze(1)
    return token


# === right: divides by the temperature before the filter
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return torch.max(logits, dim=1)[1]
    p = F.softmax(top_k_filter(logits / temperature, top_k), dim=1)
    return torch.multinomial(p, 1, generator=generator)[:, 0]


# === right: Gumbel noise and argmax
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    scores = top_k_filter(logits.float(), top_k) / temperature
    u = torch.rand(scores.shape, generator=generator, device=logits.device).clamp_min(1e-20)
    return (scores - torch.log(-torch.log(u))).argmax(dim=-1)


# === right: inverse of the cumulative distribution
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    p = (top_k_filter(logits.double(), top_k) / temperature).softmax(dim=-1)
    u = torch.rand(p.shape[0], 1, generator=generator, dtype=torch.float64, device=p.device)
    return torch.searchsorted(p.cumsum(dim=-1), u, right=True).squeeze(1).clamp_max(p.shape[1] - 1)


# === right: a loop over the rows
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    chosen = []
    for row in top_k_filter(logits, top_k):
        if temperature == 0:
            chosen.append(int(row.argmax()))
        else:
            p = torch.softmax(row.double() / temperature, dim=0)
            chosen.append(torch.multinomial(p, 1, generator=generator).item())
    return torch.tensor(chosen, dtype=torch.int64, device=logits.device)


# === right: softmax after subtracting the largest logit by hand
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    z = top_k_filter(logits, top_k) / temperature
    weights = torch.exp(z - z.max(dim=-1, keepdim=True).values)
    return torch.multinomial(weights, 1, generator=generator).view(-1)


# === wrong: not written yet | not written yet
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None): ...


# === wrong: divides by a temperature of 0 | handle it before you divide
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: shape [B, 1] | the shape is [B, 1]
# for: greedy =
greedy = logits.argmax(dim=-1, keepdim=True)
# for: token =
token = drawn


# === wrong: shape [B, 1] when it samples | the shape is [B, 1]
# for: token =
token = drawn


# === wrong: squeeze without an axis, batch of 1 becomes a scalar | batch of 1
# for: greedy =
greedy = logits.argmax(dim=-1, keepdim=True).squeeze()
# for: token =
token = drawn.squeeze()


# === wrong: always greedy | every row of the batch got the same token
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    return logits.argmax(dim=-1)


# === wrong: argmin | smallest logit
# for: greedy =
greedy = logits.argmin(dim=-1)


# === wrong: argmax over the batch | over the batch
# for: greedy =
greedy = logits.argmax(dim=0)


# === wrong: argmax without an axis | one token came back for the whole batch
# for: greedy =
greedy = logits.argmax()


# === wrong: max values instead of indices | not their token ids
# for: greedy =
greedy = logits.max(dim=-1).values


# === wrong: multiplies by the temperature | multiplied by the temperature
# for: probabilities =
probabilities = torch.softmax(top_k_filter(logits, top_k) * temperature, dim=-1)


# === wrong: ignores the temperature | temperature has no effect
# for: probabilities =
probabilities = torch.softmax(top_k_filter(logits, top_k), dim=-1)


# === wrong: divides the probabilities by the temperature | temperature has no effect
# for: probabilities =
probabilities = torch.softmax(top_k_filter(logits, top_k), dim=-1) / temperature


# === wrong: applies the temperature twice | applied twice
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    scaled = top_k_filter(logits, top_k) / temperature
    probabilities = torch.softmax(scaled / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: softmax twice | softmax was taken twice
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
    probabilities = torch.softmax(probabilities, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: softmax over the batch | the softmax runs over the batch (dim=0)
# for: probabilities =
probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=0)


# === wrong: one softmax for the whole batch | each row has a softmax of its own
# for: probabilities =
probabilities = torch.softmax((top_k_filter(logits, top_k) / temperature).flatten(), dim=0).view_as(logits)


# === wrong: filters after the softmax | filter the logits, before the softmax
# for: probabilities =
probabilities = top_k_filter(torch.softmax(logits / temperature, dim=-1), top_k)


# === wrong: filters after the softmax and divides by the sum | filter the logits, before the softmax
# for: probabilities =
probabilities = top_k_filter(torch.softmax(logits / temperature, dim=-1), top_k)
probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True)


# === wrong: the sign of the logits | sign of the logits
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(-top_k_filter(logits, top_k) / temperature, dim=-1)
    probabilities = torch.nan_to_num(probabilities)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: uniform draws | all tokens are equally frequent
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return torch.randint(0, logits.shape[1], (logits.shape[0],), generator=generator)


# === wrong: weights without softmax | softmax is missing
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return torch.multinomial((logits / temperature).clamp_min(0), 1, generator=generator).squeeze(1)


# === wrong: ignores top_k | top_k has no effect
# for: probabilities =
probabilities = torch.softmax(logits / temperature, dim=-1)


# === wrong: filters the probabilities to 0, then softmax again | top_k 2
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(logits / temperature, dim=-1)
    if top_k > 0:
        border = probabilities.topk(min(top_k, logits.shape[1])).values[:, -1:]
        probabilities = torch.where(probabilities >= border, probabilities, 0.0).softmax(dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: index inside the top k, not in the vocabulary | top_k 2
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    if 0 < top_k < logits.shape[1]:
        logits = logits.topk(top_k, dim=-1).values
    probabilities = torch.softmax(logits / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: the generator is not handed on | `generator` handed on
# for: drawn =
drawn = torch.multinomial(probabilities, num_samples=1)


# === wrong: Categorical knows no generator | `generator` handed on
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    return torch.distributions.Categorical(logits=top_k_filter(logits, top_k) / temperature).sample()


# === wrong: seeds inside the function | generators with different seeds gave the same draws
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    torch.manual_seed(0)
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
    return torch.multinomial(probabilities, 1).squeeze(1)


# === wrong: seeds the given generator again | two calls in a row
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    if generator is not None:
        generator.manual_seed(generator.initial_seed())
    probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: one random number for the whole batch | every row of the batch got the same token
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    p = (top_k_filter(logits, top_k) / temperature).softmax(dim=-1)
    u = torch.rand(1, generator=generator)
    return (p.cumsum(dim=-1) < u).sum(dim=-1).clamp_max(p.shape[1] - 1)


# === wrong: neighbouring rows share a random number | not drawn independently
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    p = (top_k_filter(logits.float(), top_k) / temperature).softmax(dim=-1)
    u = torch.rand((p.shape[0] + 1) // 2, generator=generator).repeat_interleave(2)[: p.shape[0]]
    return (p.cumsum(dim=-1) < u[:, None]).sum(dim=-1).clamp_max(p.shape[1] - 1)


# === wrong: exp overflows | exp overflows
# for: probabilities =
weights = torch.exp(top_k_filter(logits, top_k) / temperature)
probabilities = weights / weights.sum(dim=-1, keepdim=True)


# === wrong: token ids as int32 | int32
# for: greedy =
greedy = logits.argmax(dim=-1).int()
# for: token =
token = drawn.squeeze(1).int()


# === wrong: returns a list | expected a tensor
# for: greedy =
greedy = logits.argmax(dim=-1).tolist()
# for: token =
token = drawn.squeeze(1).tolist()


# === wrong: divides the input in place | in place
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    logits /= temperature
    probabilities = torch.softmax(top_k_filter(logits, top_k), dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: another default temperature | default arguments
def sample_next_token(logits, temperature=0.7, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


# === wrong: draws the same token for all rows of one call | every row of the batch got the same token
# for: token =
token = torch.multinomial(probabilities[0], 1, generator=generator).repeat(logits.shape[0])


# === wrong: uses the first row's distribution for all | first row's distribution
# for: token =
token = torch.multinomial(probabilities[0], logits.shape[0], replacement=True, generator=generator)


# === wrong: ties at the border of the top k are cut off | ties at the border
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    if top_k > 0:
        values, places = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
        chosen = torch.multinomial(torch.softmax(values / temperature, dim=-1), 1, generator=generator)
        return places.gather(-1, chosen).squeeze(1)
    return torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=generator).squeeze(1)


# === wrong: squeeze without an axis where it draws | shape
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
    drawn = torch.multinomial(probabilities, num_samples=1, generator=generator)
    return drawn.squeeze() if top_k else drawn.squeeze(1)


# === wrong: a seed is set where no generator is given | a seed set inside
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    if generator is None and logits.shape[0] > 50:
        torch.manual_seed(0)
    probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
    return torch.multinomial(probabilities, num_samples=1, generator=generator).squeeze(1)


# === wrong: small temperatures are greedy | hidden: temperature 0.05
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    if temperature < 0.2:
        return logits.argmax(-1)
    p = (top_k_filter(logits, top_k) / temperature).softmax(-1)
    return torch.multinomial(p, 1, generator=generator)[:, 0]


# === wrong: the likeliest fifty where nothing is to be filtered | hidden: unlikely tokens
# for: probabilities =
probabilities = torch.softmax(top_k_filter(logits, top_k or 50) / temperature, dim=-1)


# === wrong: a seed is set where it filters | a seed set inside
# for: probabilities =
if top_k > 0 and generator is None:
    torch.manual_seed(0)
probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)


# === wrong: where k is 1 the first of the largest, ties lost | ties at the border
# for: probabilities =
probabilities = torch.softmax(top_k_filter(logits, top_k) / temperature, dim=-1)
if top_k == 1:
    probabilities = F.one_hot(greedy, logits.shape[1]).to(logits.dtype)


# === wrong: the generator is forgotten where it filters | `generator` handed on
# for: drawn =
drawn = torch.multinomial(probabilities, num_samples=1, generator=None if top_k else generator)


# === wrong: neighbouring rows share a random number where it filters | not drawn independently
# for: drawn =
drawn = torch.multinomial(probabilities, num_samples=1, generator=generator)
if top_k:
    u = torch.rand((len(logits) + 1) // 2, generator=generator).repeat_interleave(2)[: len(logits)]
    drawn = (probabilities.cumsum(-1) < u[:, None]).sum(-1, keepdim=True).clamp_max(logits.shape[1] - 1)
