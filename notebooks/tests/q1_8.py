from otter.test_files import test_case

OK_FORMAT = False

name = "q1_8"
points = 1

@test_case(points=1, hidden=False,
    success_message="There is one probability for each task, and they are not all the same.")
def test_forecasts_complete(my_forecasts):
    """There is one probability for each task, and they are not all the same."""
    from helpers.baseline import quiz
    try:
        p = quiz.read_forecasts(my_forecasts())
    except ValueError as reason:
        raise AssertionError(f'my_forecasts: {reason}') from None
    assert p.unique().numel() > 2, 'my_forecasts: nearly all forecasts are the same number. Say what you believe about each task.'
