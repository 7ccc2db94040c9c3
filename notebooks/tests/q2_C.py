from otter.test_files import test_case

OK_FORMAT = False

name = "q2_C"
points = 3

@test_case(points=0, hidden=False,
    success_message="Question 2.C has nine answers, each of them one of its choices.")
def test_broken_steps_form(broken_steps):
    """Question 2.C has nine answers, each of them one of its choices."""
    from helpers.checks import check_choices
    mistakes = ('baseline', 'detached', 'mask', 'shift', 'sign', 'zero_grad')
    choices = {}
    for step in 'ABC':
        choices |= {step: mistakes, f'{step} run': '123', f'{step} check': ('again', 'best', 'noted', 'reward')}
    check_choices(broken_steps(), choices, name='broken_steps')
