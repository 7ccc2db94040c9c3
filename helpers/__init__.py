"""What the notebooks of the course import: no formula that an exercise asks for, and nothing of `autograder`.

For every part
    presets         which models, which text and which hyper-parameters
    sizes           how many steps, prompts and repetitions a notebook takes
    hub             where a model or a data set comes from: the embedded assets, a cache, the Hugging Face hub
    hub_errors      what an error of the hub or the disk means, and what to do
    fitting         whether a model of somebody's own choice fits
    devices         device, threads, seeds, memory
    models          load the policy and the reward models; logits of padded texts
    data            prompts, rated snippets, recorded files; the order of batches
    generation      sample completions in batches
    evaluation      mean reward over many prompts
    training        the loop around a student's step
    runs            what training leaves: history, checkpoints, weights, points of the frontier

To show things
    plots           figures in one style, with alternative text
    diagrams        boxes and arrows
    concepts        the drawn idea of a part
    display         coloured tokens and tables of samples
    widgets         panels of fields, with a plain form beside them

To check things
    checks          compare with small literal values and name the mistake
    parts           the five parts of the course, and where it lies

For one part
    baseline        1: the picture of a transformer, the quiz
    reinforce       2: figures, a policy for control tasks
    kl              3: figures, several runs in one call
    dpo             4: figures, preference pairs, TRL beside
    interpretability  5: figures, heads and circuits, explanations of texts

Behind the scenes
    notebook        from a notebook's first cell to its last: start, check, carry over, hand in
    worlds          where a training step is run and recorded, so that it can be judged elsewhere
    assets          models and data, and how they were made
"""
