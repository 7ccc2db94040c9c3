from otter.test_files import test_case

OK_FORMAT = False

name = "q3_F"
points = 2

@test_case(points=0, hidden=False,
    success_message="Question 3.F has three words and two letters, each one of its choices.")
def test_negative_estimates_form(negative_estimates):
    """Question 3.F has three words and two letters, each one of its choices."""
    from helpers.checks import check_choices
    check_choices(negative_estimates(), dict.fromkeys('abc', ('fault', 'chance')) | dict.fromkeys('de', 'ABCD'), name='negative_estimates')
