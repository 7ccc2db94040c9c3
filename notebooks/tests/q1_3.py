from otter.test_files import test_case

OK_FORMAT = False

name = "q1_3"
points = 8

@test_case(points=1, hidden=False,
    success_message="Temperature 0 takes the most likely token of each row.")
def test_sample_greedy(sample_next_token):
    """Temperature 0 takes the most likely token of each row."""
    import torch
    from helpers.checks import check, trying
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0], [0.0, -1.0, 4.0, 5.0], [9.0, 1.0, 1.5, 2.0]])
    before = logits.clone()
    with trying('sample_next_token: temperature 0 is greedy (argmax); handle it before you divide'):
        got = sample_next_token(logits, temperature=0)
    check(got, torch.tensor([1, 3, 0]), {'the shape is [B, 1]; it should be [B] (squeeze the last axis).': [[1], [3], [0]], 'temperature 0 took the smallest logit; greedy takes the largest.': [3, 1, 1], 'argmax ran over the batch (dim=0); each row has its own most likely token (dim=-1).': [2, 0, 1, 1], 'one token came back for the whole batch; there is one for each row.': 8, 'these are the largest logits themselves, not their token ids.': [3.0, 5.0, 9.0]}, name='sample_next_token (temperature 0)', dtype=torch.int64)
    check(sample_next_token(logits, temperature=0.0, top_k=2), torch.tensor([1, 3, 0]), name='sample_next_token (temperature 0, top_k 2)')
    with trying('sample_next_token: it must work at temperature 0.5'):
        sample_next_token(logits, temperature=0.5)
    assert torch.equal(logits, before), 'sample_next_token changed its argument `logits` in place; work on a copy.'

@test_case(points=2, hidden=False,
    success_message="Tokens are drawn as often as temperature and top_k say.")
def test_sample_frequencies(sample_next_token):
    """Tokens are drawn as often as temperature and top_k say."""
    import torch
    from helpers.checks import check, trying
    logits = torch.tensor([0.0, 0.693147, 1.386294]).repeat(20000, 1)
    before = logits.clone()
    two = torch.tensor([[0.0, 2.197225], [0.0, 0.0]]).repeat(10000, 1)
    late = {'probability tensor': 'filter the logits, before the softmax. After it they are probabilities, and -inf is no probability.'}

    def frequencies(name, logits=logits, **arguments):
        torch.manual_seed(0)
        with trying(f'{name} must give 20,000 tokens', late if 'top_k' in arguments else None):
            ids = sample_next_token(logits, **arguments)
        if ids is None or ids is ...:
            raise AssertionError(f'sample_next_token returned {ids!r}: it is not written yet, or a `return` is missing.')
        assert isinstance(ids, torch.Tensor), f'{name}: expected a tensor, got a {type(ids).__name__}.'
        if tuple(ids.shape) == (20000, 1):
            raise AssertionError(f'{name}: the shape is [B, 1]; it should be [B] (squeeze the last axis).')
        assert tuple(ids.shape) == (20000,), f'{name}: the shape is {list(ids.shape)}; it should be [20000], one token for each row.'
        assert ids.dtype == torch.int64, f'{name}: the dtype is {ids.dtype}; token ids are torch.int64.'
        assert int(ids.min()) >= 0 and int(ids.max()) < 3, f'{name}: there are ids outside 0 … 2.'
        assert ids.unique().numel() > 1, f'{name}: every row of the batch got the same token. At a temperature above 0 each row is drawn at random, on its own.'
        return torch.bincount(ids, minlength=3) / 20000
    check(frequencies('sample_next_token'), torch.tensor([0.1429, 0.2857, 0.5714]), {'the softmax runs over the batch (dim=0); it must run over the vocabulary, the last axis (dim=-1).': lambda got: bool(got.max() < 0.36) and 0.57 < frequencies('sample_next_token', two)[0] < 0.62, 'all tokens are equally frequent; the logits are not used.': [0.3333, 0.3333, 0.3333], 'the logits themselves were used as weights; the softmax is missing.': [0.0, 0.3333, 0.6667], 'the softmax was taken twice.': [0.2711, 0.3127, 0.4162], 'the likely tokens are drawn least often: the sign of the logits is wrong.': [0.5714, 0.2857, 0.1429], 'these frequencies belong to another temperature; without an argument it is 1.': lambda got: 0.9 < got[0] * got[2] / got[1] ** 2 < 1.1}, name='sample_next_token (default arguments)', atol=0.02)
    check(frequencies('sample_next_token (temperature 0.5)', temperature=0.5), torch.tensor([0.0476, 0.1905, 0.7619]), {'the logits are multiplied by the temperature; they must be divided by it.': [0.2265, 0.3204, 0.4531], 'the temperature has no effect. Divide the logits by it, before the softmax.': [0.1429, 0.2857, 0.5714], 'the temperature was applied twice.': [0.0037, 0.0586, 0.9377]}, name='sample_next_token (temperature 0.5)', atol=0.02)
    check(frequencies('sample_next_token (top_k 2)', top_k=2), torch.tensor([0.0, 0.3333, 0.6667]), {'top_k has no effect. Filter the logits first (a removed logit is -inf, not 0).': [0.1429, 0.2857, 0.5714], 'the filter kept the least likely tokens.': [0.3333, 0.6667, 0.0], 'a removed token is drawn: filter the logits with -inf before the softmax, not the probabilities with 0.': [0.2438, 0.3244, 0.4317]}, name='sample_next_token (top_k 2)', atol=0.02)
    check(frequencies('sample_next_token (temperature 2, top_k 2)', temperature=2.0, top_k=2), torch.tensor([0.0, 0.4142, 0.5858]), {'the temperature has no effect when top_k is given.': [0.0, 0.3333, 0.6667], 'top_k has no effect when a temperature is given.': [0.2265, 0.3204, 0.4531]}, name='sample_next_token (temperature 2, top_k 2)', atol=0.02)
    assert torch.equal(logits, before), 'sample_next_token changed its argument `logits` in place; work on a copy.'

@test_case(points=1, hidden=False,
    success_message="The generator alone decides the draws, and logits of ±10,000 do no harm.")
def test_sample_generator(sample_next_token):
    """The generator alone decides the draws, and logits of ±10,000 do no harm."""
    import torch
    from helpers.checks import check, trying
    logits = torch.zeros(500, 10)

    def draw(seed, seed_of_others):
        torch.manual_seed(seed_of_others)
        ids = sample_next_token(logits, generator=torch.Generator().manual_seed(seed))
        assert isinstance(ids, torch.Tensor), 'sample_next_token returned no tensor: it is not written yet, or a `return` is missing.'
        return ids
    assert torch.equal(draw(1, 5), draw(1, 6)), 'sample_next_token: two generators with one seed gave different draws. Is `generator` handed on to the function that draws?'
    assert not torch.equal(draw(1, 5), draw(2, 5)), 'sample_next_token: generators with different seeds gave the same draws. Is `generator` handed on to the function that draws?'
    generator = torch.Generator().manual_seed(3)
    first, second = (sample_next_token(logits, generator=generator) for _ in range(2))
    assert not torch.equal(first, second), 'sample_next_token: two calls in a row gave the same draws. Do not seed inside the function.'
    assert len(set(first.flatten().tolist())) > 5, 'sample_next_token: all rows of the batch got nearly the same token; each row needs a random number of its own.'
    large = torch.tensor([[10000.0, 0.0, -10000.0], [-10000.0, 10000.0 - 50, 10000.0]]).repeat(20, 1)
    with trying('sample_next_token: it must work for logits of size 1e4 (exp overflows there, torch.softmax does not)'):
        got = sample_next_token(large)
    differ = torch.tensor([[30.0, 0.0, -30.0], [-230.0, -200.0, -170.0]]).repeat(20, 1)
    with trying('sample_next_token: it must work for rows that differ by 200', {'sum of probabilities': 'each row has a softmax of its own, over the vocabulary (dim=-1), and none over the batch.'}):
        apart = sample_next_token(differ)
    check(apart, torch.tensor([0, 2] * 20), {"every row was drawn from the first row's distribution; each row has its own.": [0] * 40}, name='sample_next_token (rows that differ)')
    check(got, torch.tensor([0, 2] * 20), {'exp overflows for logits of this size: use torch.softmax.': lambda got: True}, name='sample_next_token (logits of size 1e4)')

@test_case(points=0, hidden=False,
    success_message="A batch of one, ties at the border and neighbouring rows are drawn as they should be.")
def test_sample_small_and_independent(sample_next_token):
    """A batch of one, ties at the border and neighbouring rows are drawn as they should be."""
    import torch
    from helpers.checks import check
    for arguments in ({'temperature': 0}, {'top_k': 1}):
        check(sample_next_token(torch.tensor([[1.0, 3.0, 2.0]]), **arguments), torch.tensor([1]), {'a batch of 1 keeps its axis: the shape is [1] (squeeze one axis alone, squeeze(1)).': 1}, name=f'sample_next_token, a batch of 1, {arguments}')
    for way in ({}, {'temperature': 2.0, 'top_k': 2}):
        first, second = (sample_next_token(torch.zeros(2000, 2), **way) for _ in range(2))
        assert not torch.equal(first, second), f'sample_next_token, {way}: two calls without a generator gave the same draws: is a seed set inside?'
        together = [(first[at:-1:2] == first[at + 1::2]).float().mean() for at in (0, 1)]
        assert all((0.4 < share < 0.6 for share in together)), f'sample_next_token, {way}: neighbouring rows are not drawn independently; each needs a random number of its own.'
        third, fourth = (sample_next_token(torch.zeros(2000, 2), generator=torch.Generator().manual_seed(4), **way) for _ in range(2))
        assert torch.equal(third, fourth), f'sample_next_token, {way}: two generators with one seed gave different draws. Is `generator` handed on wherever something is drawn?'
    drawn = {int(sample_next_token(torch.tensor([[2.0, 2.0, 1.0]]), top_k=1)) for _ in range(60)}
    assert drawn == {0, 1}, f'sample_next_token: with top_k 1, ties at the border all stay: 0 and 1 are drawn from the logits 2, 2, 1; yours drew {sorted(drawn)}.'
