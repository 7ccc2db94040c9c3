from otter.test_files import test_case

OK_FORMAT = False

name = "q1_3"
points = 8

@test_case(points=1, hidden=False)
def test_sample_greedy(sample_next_token):
    """Temperature 0 takes the largest logit; the result is int64 of shape [B]."""
    import torch
    from helpers.checks import check
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0], [0.0, -1.0, 4.0, 5.0], [9.0, 1.0, 1.5, 2.0]])
    before = logits.clone()
    try:
        got = sample_next_token(logits, temperature=0)
    except Exception as error:
        raise AssertionError(f'sample_next_token: temperature 0 is greedy (argmax); handle it before you divide. Yours raised {type(error).__name__}: {error}') from None
    check(got, torch.tensor([1, 3, 0]), {'the shape is [B, 1]; it should be [B] (squeeze the last axis).': [[1], [3], [0]], 'temperature 0 took the smallest logit; greedy takes the largest.': [3, 1, 1], 'argmax ran over the batch (dim=0); each row has its own most likely token (dim=-1).': [2, 0, 1, 1], 'one token came back for the whole batch; there is one for each row.': 8, 'these are the largest logits themselves, not their token ids.': [3.0, 5.0, 9.0]}, name='sample_next_token (temperature 0)', dtype=torch.int64)
    check(sample_next_token(logits, temperature=0.0, top_k=2), torch.tensor([1, 3, 0]), name='sample_next_token (temperature 0, top_k 2)')
    sample_next_token(logits, temperature=0.5, top_k=1)
    assert torch.equal(logits, before), 'sample_next_token changed its argument `logits` in place; work on a copy.'

@test_case(points=2, hidden=False)
def test_sample_frequencies(sample_next_token):
    """20,000 draws from logits that stand for the weights 1, 2, 4."""
    import torch
    from helpers.checks import check
    logits = torch.tensor([0.0, 0.693147, 1.386294]).repeat(20000, 1)

    def frequencies(name, **arguments):
        torch.manual_seed(0)
        try:
            ids = sample_next_token(logits, **arguments)
        except Exception as error:
            raise AssertionError(f'{name} raised {type(error).__name__}: {error}') from None
        if ids is None or ids is ...:
            raise AssertionError(f'sample_next_token returned {ids!r}: it is not written yet, or a `return` is missing.')
        assert isinstance(ids, torch.Tensor), f'{name}: expected a tensor, got a {type(ids).__name__}.'
        if tuple(ids.shape) == (20000, 1):
            raise AssertionError(f'{name}: the shape is [B, 1]; it should be [B] (squeeze the last axis).')
        assert tuple(ids.shape) == (20000,), f'{name}: the shape is {list(ids.shape)}; it should be [20000], one token for each row.'
        assert ids.dtype == torch.int64, f'{name}: the dtype is {ids.dtype}; token ids are torch.int64.'
        assert int(ids.min()) >= 0 and int(ids.max()) < 3, f'{name}: there are ids outside 0 … 2.'
        found = torch.bincount(ids, minlength=3) / 20000
        assert found.max() < 1 or arguments.get('top_k') == 1, f'{name}: every row of the batch got the same token. At a temperature above 0 each row is drawn at random, on its own.'
        return found
    check(frequencies('sample_next_token'), torch.tensor([0.1429, 0.2857, 0.5714]), {'all tokens are equally frequent; the logits are not used.': [0.3333, 0.3333, 0.3333], 'the logits themselves were used as weights; the softmax is missing.': [0.0, 0.3333, 0.6667], 'the softmax was taken twice.': [0.2711, 0.3127, 0.4162], 'the likely tokens are drawn least often: the sign of the logits is wrong.': [0.5714, 0.2857, 0.1429], 'with top_k = 0 nothing is filtered; yours removed a token.': [0.0, 0.3333, 0.6667]}, name='sample_next_token (default arguments)', atol=0.02)
    check(frequencies('sample_next_token (temperature 0.5)', temperature=0.5), torch.tensor([0.0476, 0.1905, 0.7619]), {'the logits are multiplied by the temperature; they must be divided by it.': [0.2265, 0.3204, 0.4531], 'the temperature has no effect. Divide the logits by it, before the softmax.': [0.1429, 0.2857, 0.5714], 'the temperature was applied twice.': [0.0037, 0.0586, 0.9377]}, name='sample_next_token (temperature 0.5)', atol=0.02)
    check(frequencies('sample_next_token (top_k 2)', top_k=2), torch.tensor([0.0, 0.3333, 0.6667]), {'top_k has no effect. Filter the logits first.': [0.1429, 0.2857, 0.5714], 'the filter kept the least likely tokens.': [0.3333, 0.6667, 0.0], 'a filtered token is drawn: its logit must be -inf, not 0.': [0.1429, 0.2857, 0.5714]}, name='sample_next_token (top_k 2)', atol=0.02)
    check(frequencies('sample_next_token (temperature 2, top_k 2)', temperature=2.0, top_k=2), torch.tensor([0.0, 0.4142, 0.5858]), {'the temperature has no effect when top_k is given.': [0.0, 0.3333, 0.6667], 'top_k has no effect when a temperature is given.': [0.2265, 0.3204, 0.4531]}, name='sample_next_token (temperature 2, top_k 2)', atol=0.02)

@test_case(points=1, hidden=False)
def test_sample_generator(sample_next_token):
    """The generator decides the draws; rows are independent; large logits do no harm."""
    import torch
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
    try:
        got = sample_next_token(large)
    except Exception as error:
        raise AssertionError(f'sample_next_token: logits of size 1e4 made it fail ({type(error).__name__}). exp overflows there: use torch.softmax.') from None
    assert got.tolist() == [0, 2] * 20, 'sample_next_token: with logits of size 1e4 the wrong token was drawn. exp overflows there: use torch.softmax.'
