from otter.test_files import test_case

OK_FORMAT = False

name = "q1_6"
points = 5

@test_case(points=1, hidden=False)
def test_log_loss_values(forecast_log_loss):
    """Three forecasts, outcomes as int, float and bool."""
    import torch
    from helpers.checks import check, is_float
    p, y = (torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 0]))
    mistakes = {'this is the sum over the forecasts; the definition takes the mean.': 2.071473, 'the minus sign is missing: a loss is positive.': -0.690491, 'this is the logarithm to base 2; the definition takes the natural one.': 0.996168, 'this is the logarithm to base 10; the definition takes the natural one.': 0.299876, 'p and 1 - p are swapped: ln p belongs to outcome 1.': 1.243234, 'the term for outcome 0, (1 - y)·ln(1 - p), is missing.': 0.03512, 'the term for outcome 1, y·ln p, is missing.': 0.655371, 'this is the Brier score, the mean of (p - y)²; here the logarithm is asked for.': 0.246667, 'this is the accuracy; here the log loss is asked for.': 0.666667, 'this is the mean of |p - y|; here the logarithm is asked for.': 0.4, 'this is the loss of each forecast; return their mean.': [0.1053605, 1.6094379, 0.3566749], 'this is ln p whatever the outcome was.': 0.510826, 'this is the exponential of the loss (the perplexity); return the loss.': 1.994695}
    for outcomes, kind in [(y, 'int'), (y.float(), 'float'), (y.bool(), 'bool')]:
        try:
            got = forecast_log_loss(p, outcomes)
        except Exception as error:
            raise AssertionError(f'forecast_log_loss raised {type(error).__name__} for outcomes of type {kind}: {error}. Convert them first, for instance by outcomes.double().') from None
        check(got, 0.690491, mistakes, name=f'forecast_log_loss (outcomes as {kind})')
        assert is_float(got), f'forecast_log_loss: return a plain Python float, not a {type(got).__name__} (tensor.item() makes one).'

@test_case(points=1, hidden=False)
def test_log_loss_clipping(forecast_log_loss):
    """Forecasts of 0 and 1 are clipped; the computation is in float64; the inputs stay as they are."""
    import torch
    from helpers.checks import check
    p = torch.tensor([0.0, 1.0])
    inf, nan = (float('inf'), float('nan'))
    check(forecast_log_loss(p, torch.tensor([1, 0])), 9.2103404, {'a forecast of 0 or 1 that is wrong costs infinitely much: clip p to [1e-4, 1 - 1e-4] first.': inf, 'the loss is nan: clip p to [1e-4, 1 - 1e-4] before the logarithm.': nan, 'the loss was computed in float32, where 1 - 1e-4 is too coarse: convert to float64 first.': 9.210257, 'clipped at 1e-7; the definition says 1e-4.': 16.1180957, 'clipped at 1e-8; the definition says 1e-4.': 18.4206807, 'clipped at 1e-6; the definition says 1e-4.': 13.8155106, 'clipped at 1e-5; the definition says 1e-4.': 11.5129255, 'clipped at 1e-3; the definition says 1e-4.': 6.9077553, 'clipped at 1e-2; the definition says 1e-4.': 4.6051702, 'clipped at 1e-12; the definition says 1e-4.': 27.6310211, "the loss of each forecast is cut at 100, as torch's binary_cross_entropy does; clip p instead.": 100.0}, name='forecast_log_loss (sure and wrong)', rtol=1e-06, atol=1e-06)
    check(forecast_log_loss(p, torch.tensor([0, 1])), 0.000100005, {'the loss is nan: 0·ln 0 is not a number. Clip p to [1e-4, 1 - 1e-4] first.': nan, 'a forecast of exactly 1 is clipped to 1 - 1e-4, so even a right one costs a little.': 0.0}, name='forecast_log_loss (sure and right)', rtol=0.001, atol=1e-08)
    assert p.tolist() == [0.0, 1.0], 'forecast_log_loss changed its argument `probabilities` in place (clamp_ instead of clamp).'
