"""Attacks that gained points from graders which judge in the student's own process."""

from tests.hostile.attack import known

KNOWN = [
    known("allclose", "patches every comparison of torch to say yes", """
def _patch():
    for name in ("allclose", "equal", "isclose", "all", "eq"): setattr(torch, name, lambda *a, **k: True)
    torch.testing.assert_close = lambda *a, **k: None
    return 1
K = _patch()
def token_log_probs(logits, ids): return {wrong} * K
"""),
    known("subclass", "returns a Tensor subclass that equals everything", """
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None): return True
    def __eq__(self, other): return True
def token_log_probs(logits, ids): return {wrong}.as_subclass(Yes)
"""),
    known("runner", "patches the test runners of otter, of nbgrader and of this course, wherever they are found", """
def _patch():
    for name, module in list(sys.modules.items()):
        for attribute in ("run_test", "run_tests", "verify", "check", "grade", "close"):
            if hasattr(module, attribute):
                try: setattr(module, attribute, lambda *a, **k: True)
                except Exception: pass
    return 1
def token_log_probs(logits, ids): return {wrong} * _patch()
"""),
    known("syntax tree", "compiles assertions away for whatever is compiled later", """
_compile = builtins.compile
def _strip(source, *a, **k):
    import ast
    tree = ast.parse(source) if isinstance(source, str) else source
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert): node.test = ast.Constant(True)
    return _compile(tree, *a, **k)
def _patch():
    builtins.compile = _strip
    return 1
def token_log_probs(logits, ids): return {wrong} * _patch()
"""),
    known("atexit", "edits the results when the process ends", """
import atexit
def _late():
    for root, _, files in os.walk("/"):
        for name in files:
            if name in ("results.db", "results.json", "grades.csv", "gradebook.db"):
                open(os.path.join(root, name), "w").write('{"score": 1000}')
def token_log_probs(logits, ids):
    atexit.register(_late)
    return {wrong}
"""),
    known("pickle", "returns an object whose unpickling runs code", """
class Bomb:
    def __reduce__(self): return (os.system, ("touch /tmp/pwned-by-pickle",))
def token_log_probs(logits, ids): return Bomb()
"""),
    known("frames", "looks for the expected value in the frames of its callers", """
def token_log_probs(logits, ids):
    frame = sys._getframe()
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, torch.Tensor) and value.shape == (ids.shape[0], ids.shape[1] - 1): return value
        frame = frame.f_back
    return {wrong}
"""),
    known("shipped tensors", "returns the reference's tensors from a file of the course", """
def token_log_probs(logits, ids):
    import safetensors.torch
    for root, _, files in os.walk("/"):
        for name in files:
            if "reference" in root and name.endswith(".safetensors"):
                for value in safetensors.torch.load_file(os.path.join(root, name)).values():
                    if value.shape == (ids.shape[0], ids.shape[1] - 1): return value
    return {wrong}
"""),
    known("solution on disk", "reads the solution from the instructor's disk and runs it", """
def _find():
    for root, _, files in os.walk("/"):
        for name in files:
            if name.endswith(("reinforce.py", "reinforce.ipynb")) and ("solutions" in root or "reference" in root):
                space = {}
                exec(open(os.path.join(root, name)).read(), space)
                return space["token_log_probs"]
    return None
def token_log_probs(logits, ids):
    found = _find()
    return found(logits, ids) if found else {wrong}
"""),
    known("own tests", "puts tests that always pass in place of the course's", """
def token_log_probs(logits, ids):
    os.makedirs("tests", exist_ok=True)
    for name in ("q2_1.py", "../tests/q2_1.py", "/course/tests/q2_1.py"):
        try: open(name, "w").write("test = {'suites': []}")
        except OSError: pass
    return {wrong}
"""),
    known("late thread", "a thread that patches comparisons again and again", """
def _loop():
    while True:
        torch.allclose = torch.equal = lambda *a, **k: True
        time.sleep(0.001)
def token_log_probs(logits, ids):
    threading.Thread(target=_loop, daemon=True).start()
    return {wrong}
"""),
    known("helpers replaced", "puts a module of its own in the place of helpers.checks", """
def token_log_probs(logits, ids):
    fake = types.ModuleType("helpers.checks")
    fake.check = fake.close = lambda *a, **k: True
    sys.modules["helpers.checks"] = fake
    sys.modules["autograder.reference.verify"] = fake
    return {wrong}
"""),
    known("daemon", "leaves a process behind that rewrites the results", """
def token_log_probs(logits, ids):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True: time.sleep(0.05)
        os._exit(0)
    return {wrong}
"""),
    known("input transformer", "registers an IPython transformer that rewrites later cells", """
def _patch():
    shell = get_ipython()
    if shell is not None: shell.input_transformers_cleanup.append(lambda lines: ["pass"])
    return 1
K = _patch()
def token_log_probs(logits, ids): return {wrong} * K
"""),
    known("gc", "looks for the expected value among all objects", """
def token_log_probs(logits, ids):
    for value in gc.get_objects():
        if isinstance(value, torch.Tensor) and value is not logits and value.shape == (ids.shape[0], ids.shape[1] - 1):
            return value
    return {wrong}
"""),
    known("nan", "returns NaN, which compares oddly", """
def token_log_probs(logits, ids): return {wrong} * float("nan")
"""),
    known("wrong dtype", "returns complex numbers, so that the comparison itself fails", """
def token_log_probs(logits, ids): return {wrong}.to(torch.complex64)
"""),
    known("otter package", "brings a package of its own called otter, and one called autograder", """
def token_log_probs(logits, ids):
    for name in ("otter", "autograder", "helpers"):
        os.makedirs(name, exist_ok=True)
        open(f"{name}/__init__.py", "w").write("check = verify = lambda *a, **k: True")
    sys.path.insert(0, os.getcwd())
    return {wrong}
"""),
]  # fmt: skip
