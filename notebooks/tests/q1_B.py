from otter.test_files import test_case

OK_FORMAT = False

name = "q1_B"
points = 2

@test_case(points=0, hidden=False,
    success_message="Question 1.B has seven answers, and each of them is a plain number.")
def test_bar_numbers_form(bar_numbers):
    """Question 1.B has seven answers, and each of them is a plain number."""
    from helpers.checks import check_choices
    entries = ('share', 'speed', 'left', 'fifth', 'last', 'completions', 'seconds')
    check_choices(bar_numbers(), dict.fromkeys(entries), name='bar_numbers')
