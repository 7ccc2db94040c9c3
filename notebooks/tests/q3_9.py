from otter.test_files import test_case

OK_FORMAT = False

name = "q3_9"
points = 1

@test_case(points=0.25, hidden=False,
    success_message="The line is right, falling and rising.")
def test_anneal_line(anneal_alpha):
    """The line is right, falling and rising."""
    from helpers.checks import check
    check(anneal_alpha(5, 20, 0.4, 0.1), 0.325, {'start and end are swapped': 0.175, 'the end is reached one step early: the line ends at step total_steps': 0.3210526, 'step 0 must give start: the line is one step ahead': 0.31, 'the result stays at start: is there an integer division, or is the line not linear?': 0.4, 'this is geometric (equal factors); the definition is linear (equal differences)': 0.2828427, 'this is a cosine; the definition is linear': 0.356066, '`end` is not used on the way: the line goes to 0': 0.3, 'this is not linear: it is already at the end': 0.1}, name='anneal_alpha(5, 20, 0.4, 0.1)')
    check(anneal_alpha(5, 20, 0.1, 0.5), 0.2, {'a schedule that should rise jumps to its end: start may be smaller than end': 0.5, 'a schedule that should rise stays at its start': 0.1}, name='anneal_alpha(5, 20, 0.1, 0.5)')

@test_case(points=0.25, hidden=False,
    success_message="The line begins at `start`, ends at `end`, and stays there.")
def test_anneal_ends(anneal_alpha):
    """The line begins at `start`, ends at `end`, and stays there."""
    from helpers.checks import check, is_float, trying
    check(anneal_alpha(0, 20, 0.4, 0.1), 0.4, name='anneal_alpha at step 0')
    check(anneal_alpha(20, 20, 0.4, 0.1), 0.1, name='anneal_alpha at step total_steps')
    check(anneal_alpha(30, 20, 0.4, 0.1), 0.1, {'after total_steps α must stay at end; here it goes on': -0.05}, name='anneal_alpha after the end')
    with trying('anneal_alpha: total_steps = 0 means at the end, so do not divide by zero'):
        got = anneal_alpha(0, 0, 0.4, 0.1)
    check(got, 0.1, {'total_steps = 0 means at the end, not at the start': 0.4}, name='anneal_alpha with total_steps = 0')
    got = anneal_alpha(9, 4, 3, 1)
    assert is_float(got), f'anneal_alpha must return a Python float, also when start and end are ints; got a {type(got).__name__}'

@test_case(points=0, hidden=False,
    success_message="A schedule may begin or end at 0, and its steps may be floats.")
def test_anneal_zero_and_floats(anneal_alpha):
    """A schedule may begin or end at 0, and its steps may be floats."""
    from helpers.checks import check
    for start, end in [(0.0, 1.0), (1.0, 0.0)]:
        check(anneal_alpha(5, 10, start, end), 0.5, {'the schedule stays at its start; 0 is a number like any other, and the line is straight': start, 'the schedule jumps to its end; 0 is a number like any other, and the line is straight': end}, name=f'anneal_alpha(5, 10, {start}, {end})', ordinary=(anneal_alpha(5, 20, start + 0.5, end + 0.5), 0.5 + 0.75 * start + 0.25 * end))
    check(anneal_alpha(2.5, 10, 0.0, 1.0), 0.25, {'steps that are floats are rounded': 0.2}, name='anneal_alpha(2.5, 10, 0.0, 1.0)')
