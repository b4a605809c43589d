"""Nothing hangs and nothing aborts: callbacks that render, threads, forks, ends of processes, subinterpreters.

Each case is a script of its own with a time limit, so that one that hangs fails.
"""

import subprocess
import sys
import textwrap

import pytest

import diffrt_aot as dr

DEVICES = [name for name in dr.devices() if name.endswith(":0") or name == "cpu"]
on_vulkan = pytest.mark.skipif("vulkan:0" not in DEVICES, reason="no Vulkan device here")

PROLOGUE = """
import os, signal, sys, threading, time, traceback
import numpy as np
import diffrt_aot as dr

camera = dr.PinholeCamera(40, 30, 35, 35, 19.5, 14.5)
scene = dr.Scene(camera, {"ball": dr.Sphere((0.1, -0.2, 5), 1), "wall": dr.Plane((0, 0, 7), (0.1, 0, -1))})
free = ["ball.center", "ball.radius"]

def make(threads=2, **options):
    return dr.Renderer(scene, free, threads=threads, **options)

def wait_for(child, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    sys.exit("the child hangs")

def in_child(work, leave=os._exit):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        leave(0)
    code = wait_for(child)
    assert code == 0, f"the child ended with {code}"

def forever(work):
    def loop():
        while True:
            work()
    threading.Thread(target=loop, daemon=True).start()
"""


def run(code, *arguments, before="", timeout=60):
    """Runs it after PROLOGUE; returns what it prints."""
    script = PROLOGUE + before + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stdout}{done.stderr}"
    assert done.stderr == ""
    return done.stdout


# --- Callbacks, and threads that share a renderer

FIT = """
device, levels = sys.argv[1], int(sys.argv[2])
renderer = make(device=device, output="depth")
rng = np.random.default_rng(5)
observed = renderer.render(renderer.theta0) + rng.normal(0, 0.01, (30, 40)).astype(np.float32)
other = renderer.render(renderer.theta0 + 0.3)
start = renderer.theta0 + [0.4, -0.3, 0.5, 0.2]

def fit(callback=None, renderer=renderer):
    result = dr.fit(renderer, observed, start, loss=dr.Huber(0.05), levels=levels, callback=callback)
    history = [[getattr(r, name) for name in ("step", "cost", "count", "gradient_norm", "gain_ratio", "accepted")]
               for r in result.history]
    return [a.tobytes() for a in (result.theta, result.H, result.covariance_sandwich)] + [result.status, str(history)]

def everything(record=None):
    theta = renderer.theta0 if record is None else record.theta
    assert np.isfinite(renderer.render(theta)).all()
    image, J = renderer.jacobian(theta)
    J @ np.ones(4), J.T @ image, J.to_scipy() if "scipy" in sys.modules else J.dense()
    renderer.normal_equations(theta, other), renderer.cost(theta, other), renderer.scene_at(theta)
    dr.fit(renderer, other, renderer.theta0 - 0.1, max_steps=2)
"""


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("device", DEVICES)
def test_a_callback_may_use_its_renderer_and_the_fit_stays_as_it_is(device, levels):
    run(
        """
        alone = fit()
        records = []
        assert fit(records.append) == alone and len(records) > 5
        assert fit(everything) == alone

        def from_another_thread(record):
            thread = threading.Thread(target=everything, args=[record])
            thread.start(), thread.join()

        assert fit(from_another_thread) == alone
        assert fit(lambda record: fit() and None) == alone
        """,
        device,
        levels,
        before=FIT,
    )


def test_what_a_callback_raises_comes_out_and_the_renderer_goes_on():
    run(
        """
        alone = fit()

        def fails(record):
            renderer.render()
            if record.step == 2:
                raise KeyError("mine")

        try:
            fit(fails)
        except KeyError:
            pass
        else:
            sys.exit("nothing was raised")
        assert fit() == alone
        """,
        "cpu",
        1,
        before=FIT,
    )


@pytest.mark.parametrize("device", DEVICES)
def test_threads_take_turns_with_one_renderer(device):
    run(
        """
        alone, image = fit(), renderer.render().tobytes()
        wrong = []

        def work(k):
            for _ in range(3):
                if fit(everything if k == 0 else None) != alone or renderer.render().tobytes() != image:
                    wrong.append(k)

        threads = [threading.Thread(target=work, args=[k]) for k in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert wrong == []
        """,
        device,
        1,
        before=FIT,
    )


def test_ctrl_c_ends_the_wait_for_ones_turn():
    run("""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        balls = {f"ball{k}": dr.Sphere((k % 20 - 10, k // 20 - 10, 30), 0.6) for k in range(400)}
        large = dr.Scene(dr.PinholeCamera(2500, 2500, 2500, 2500, 1250, 1250), balls)
        renderer = dr.Renderer(large, [f"{name}.center" for name in balls], ["normal", "depth"], threads=1)

        def interrupted_while_it_waits():
            begun, ended = threading.Event(), threading.Event()
            call = threading.Thread(target=lambda: (begun.set(), renderer.jacobian(), ended.set()))  # half a second
            interrupt = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
            call.start(), begun.wait(), interrupt.start()
            try:
                renderer.render()
            except KeyboardInterrupt:
                early = not ended.is_set()
            else:
                early = False
            try:
                call.join(), interrupt.join(), time.sleep(0.1)
            except KeyboardInterrupt:
                pass
            return early

        assert any(interrupted_while_it_waits() for _ in range(5))
        renderer.render()
    """)


# --- Forks


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
def test_a_forked_child_goes_on(threads, leave):
    run(
        """
        threads, leave = int(sys.argv[1]), eval(sys.argv[2])
        renderer = make(threads)
        image, J = renderer.jacobian()
        found = dr.fit(renderer, image, renderer.theta0 + 0.1).theta
        time.sleep(0.1)  # the workers sleep by now

        def use(renderer):
            again, J = renderer.jacobian()
            assert (again == image).all() and renderer.threads == threads
            assert (dr.fit(renderer, image, renderer.theta0 + 0.1).theta == found).all()

        def work():
            global renderer, J
            use(renderer), use(make(threads)), in_child(lambda: use(renderer)), in_child(lambda: use(make(threads)))
            del J, renderer

        in_child(work, leave)
        in_child(lambda: None, leave)
        use(renderer)
        """,
        threads,
        leave,
    )


def test_a_child_has_threads_of_its_own():
    run("""
        renderer = make(3)
        renderer.render()

        def work():
            assert len(os.listdir("/proc/self/task")) == 1
            renderer.render()
            assert len(os.listdir("/proc/self/task")) == 3

        in_child(work)
    """)


def test_multiprocessing_with_fork():
    run("""
        import multiprocessing
        renderer = make(3)
        image = renderer.render()

        def work(k):
            return renderer.render(renderer.theta0 + 0.01 * k).sum()

        expected = [work(k) for k in range(20)]
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(work, range(20)) == expected
    """)


def test_a_fork_during_calls_of_other_threads():
    run(
        """
        renderer = make(2)
        image, J = renderer.jacobian()
        forever(renderer.jacobian)
        forever(lambda: make(3).render())
        forever(lambda: dr.fit(renderer, image, max_steps=3))

        def work():
            global J
            J = None
            for one in (renderer, make(3)):
                again, J = one.jacobian()
                assert (again == image).all()
            assert (dr.fit(renderer, image).theta == found).all()

        found = dr.fit(renderer, image).theta
        for _ in range(60):
            in_child(work)
        """,
        timeout=120,
    )


def test_a_fork_inside_a_callback():
    run(
        """
        alone = fit()

        def fork(record):
            if record.step == 1:
                in_child(lambda: everything(record))
            if record.step == 2:
                children.append(os.fork())

        children = []
        forever(renderer.render)
        assert fit(fork) == alone  # in the parent, and in the child
        if children[0] == 0:
            os._exit(0)
        assert wait_for(children[0]) == 0
        """,
        "cpu",
        1,
        before=FIT,
    )


@on_vulkan
def test_a_child_of_a_process_that_opened_vulkan_is_told_so():
    run("""
        renderer, on_cpu = make(device="vulkan"), make()
        image, J = renderer.jacobian(on_device=True)
        observed = on_cpu.render()

        def refused(call):
            try:
                call()
            except dr.DeviceError as error:
                assert "before fork()" in str(error) and "spawn" in str(error), error
            else:
                sys.exit("not refused")

        def work():
            global renderer, image, J
            for call in (
                renderer.render,
                renderer.jacobian,
                lambda: renderer.render(on_device=True),
                lambda: renderer.normal_equations(None, observed),
                lambda: dr.fit(renderer, observed),
                lambda: J @ np.ones(4),
                lambda: J.dense(),
                lambda: image.numpy(),
                lambda: make(device="vulkan"),
                lambda: make(device="vulkan:0"),
            ):
                refused(call)
            assert "vulkan:0" not in dr.devices() and "before fork()" in str(dr.info())
            assert (on_cpu.render() == observed).all() and make(device="auto").device == "cpu"
            del renderer, image, J

        for _ in range(3):
            in_child(work), in_child(lambda: in_child(work)), in_child(lambda: None, sys.exit)
        forever(lambda: renderer.jacobian(on_device=True)[1] @ np.ones(4))
        forever(lambda: dr.devices())
        for _ in range(10):
            in_child(work)
        os._exit(0)
    """)


# --- Ends of processes

CALLS = {
    "render": "renderer.render()",
    "jacobian": "renderer.jacobian()[1] @ np.ones(4)",
    "normal_equations": "renderer.normal_equations(None, observed)",
    "fit": "dr.fit(renderer, observed, start)",
    "fit with a callback": "dr.fit(renderer, observed, start, callback=lambda r: records.append(renderer.render()))",
    "fit with a callback that waits": "dr.fit(renderer, observed, start, callback=lambda r: time.sleep(0.001))",
    "make": "make(3).render()",
    "devices": "dr.devices()",
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("call", CALLS)
def test_a_process_may_end_during_a_daemon_threads_call(call, threads):
    for _ in range(2):
        run(
            f"""
            renderer, records = make({threads}), []
            observed, start = renderer.render(), renderer.theta0 + 0.3
            for _ in range(3):
                forever(lambda: {CALLS[call]})
            time.sleep(0.1)
            """
        )


# --- Others


def test_a_subinterpreter_is_refused():
    said = run("""
        import warnings
        warnings.simplefilter("ignore")
        try:
            import _xxsubinterpreters as subinterpreters
        except ImportError:
            import _interpreters as subinterpreters
        other = subinterpreters.create()
        quiet = "import warnings; warnings.simplefilter('ignore')"
        subinterpreters.run_string(other, quiet + "\\ntry: import diffrt_aot\\nexcept ImportError as e: print(e)")
        make().render()  # here it goes on
    """)
    assert "subinterpreter" in said


def test_threads_that_do_not_start_are_an_error():
    run("""
        import resource
        make(2)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))  # a thread's stack takes 8 MB of it
        try:
            make(1000)
        except dr.InvalidValueError as error:
            assert "threads: the system starts" in str(error), error
        else:
            sys.exit("they did start")
        make(2).render()
    """)
