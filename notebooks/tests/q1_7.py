from otter.test_files import test_case

OK_FORMAT = False

name = "q1_7"
points = 5

@test_case(points=1.5, hidden=False,
    success_message="The loss of three forecasts is right, whatever type the outcomes have.")
def test_log_loss_values(forecast_log_loss):
    """The loss of three forecasts is right, whatever type the outcomes have."""
    import torch
    from helpers.checks import check, is_float, trying
    p, y = (torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 0]))
    mistakes = {'this is the sum over the forecasts; the definition takes the mean.': 2.071473, 'the minus sign is missing: a loss is positive.': -0.690491, 'this is the logarithm to base 2; the definition takes the natural one.': 0.996168, 'this is the logarithm to base 10; the definition takes the natural one.': 0.299876, 'p and 1 - p are swapped: ln p belongs to outcome 1.': 1.243234, 'the term for outcome 0, (1 - y)·ln(1 - p), is missing.': 0.03512, 'the term for outcome 1, y·ln p, is missing.': 0.655371, 'this is the Brier score, the mean of (p - y)²; here the logarithm is asked for.': 0.246667, 'this is the accuracy; here the log loss is asked for.': 0.666667, 'this is the mean of |p - y|; here the logarithm is asked for.': 0.4, 'this is the loss of each forecast; return their mean.': [0.1053605, 1.6094379, 0.3566749], 'this is ln p whatever the outcome was.': 0.510826, 'this is the exponential of the loss (the perplexity); return the loss.': 1.994695, 'the forecasts were rounded to 0 or 1; use them as they are.': 3.07018, 'a small number seems to be added inside the logarithm; clip p instead.': lambda got: bool(0.68 < got < 0.6904)}
    for outcomes, kind in [(y, 'int'), (y.float(), 'float'), (y.bool(), 'bool')]:
        with trying(f'forecast_log_loss: outcomes of type {kind} must work (convert them first, outcomes.double())'):
            got = forecast_log_loss(p, outcomes)
        check(got, 0.690491, mistakes, name=f'forecast_log_loss (outcomes as {kind})')
        assert is_float(got), f'forecast_log_loss: return a plain Python float, not a {type(got).__name__} (tensor.item() makes one).'

@test_case(points=0.5, hidden=False,
    success_message="Forecasts of 0 and 1 are clipped to [1e-4, 1 - 1e-4] in float64, and stay as they are.")
def test_log_loss_clipping(forecast_log_loss):
    """Forecasts of 0 and 1 are clipped to [1e-4, 1 - 1e-4] in float64, and stay as they are."""
    import torch
    from helpers.checks import check
    p = torch.tensor([0.0, 1.0])
    inf, nan = (float('inf'), float('nan'))
    check(forecast_log_loss(p, torch.tensor([1, 0])), 9.2103404, {'a forecast of 0 or 1 that is wrong costs infinitely much: clip p to [1e-4, 1 - 1e-4] first.': inf, 'the loss is nan: clip p to [1e-4, 1 - 1e-4] before the logarithm.': nan, 'the loss was computed in float32, where 1 - 1e-4 is too coarse: convert to float64 first.': 9.210257, "the loss of each forecast is cut at 100, as torch's binary_cross_entropy does; clip p instead.": 100.0, 'clipped at another border than 1e-4, or a small number is added inside the logarithm.': lambda got: bool(1 < got < 700)}, name='forecast_log_loss (sure and wrong)', ordinary=(forecast_log_loss(torch.tensor([0.9, 0.8]), torch.tensor([1, 0])), 0.857399), rtol=1e-06, atol=1e-06)
    check(forecast_log_loss(p, torch.tensor([0, 1])), 0.000100005, {'the loss is nan: 0·ln 0 is not a number. Clip p to [1e-4, 1 - 1e-4] first.': nan, 'a forecast of exactly 1 is clipped to 1 - 1e-4, so even a right one costs a little.': 0.0, 'a small number is added inside the logarithm, so a right forecast costs less than 0; clip p instead.': lambda got: bool(got < 0)}, name='forecast_log_loss (sure and right)', rtol=0.001, atol=1e-08)
    assert p.tolist() == [0.0, 1.0], 'forecast_log_loss changed its argument `probabilities` in place (clamp_ instead of clamp).'
