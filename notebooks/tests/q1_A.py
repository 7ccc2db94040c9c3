from otter.test_files import test_case

OK_FORMAT = False

name = "q1_A"
points = 3

@test_case(points=0, hidden=False,
    success_message="Question 1.A has three answers, each of them a letter from A to D.")
def test_three_models_form(three_models):
    """Question 1.A has three answers, each of them a letter from A to D."""
    from helpers.checks import check_choices
    check_choices(three_models(), dict.fromkeys('abc', 'ABCD'), name='three_models')
