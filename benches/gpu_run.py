"""Runs commands one after the other or side by side within a deadline, and writes down what became of each at once.

A failure, a timeout and a step that no time was left for are results as well. What is written stays within eight files
of at most 16 MiB each.
"""
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

#: What one file may hold: 16 MiB, less some room for a last line.
FILE_BYTES = 15 << 20
#: What one command may print before it is stopped.
PRINT_BYTES = 64 << 20
#: What the objects of one result may take.
RESULT_BYTES = 256 << 10
#: Lines of its end that are kept of a command that failed.
TAIL = 12
#: Seconds between SIGINT, by which training ends and saves, and SIGKILL.
GRACE = 20


class Step:
    """A command with a limit of seconds, and how it should end.

    After `interrupt` seconds it gets SIGINT, if it is not over then. Its output is added to the file `text`, if one is
    named; unless `keep` is true its objects are checks, which have a file of their own. `expect` is the exit code of
    success, and `labels` are part of the result.
    """

    def __init__(self, name, argv, limit, interrupt=None, text=None, keep=True, expect=0, **labels):
        self.name, self.argv, self.limit, self.expect = name, [str(word) for word in argv], limit, expect
        self.interrupt, self.text, self.keep, self.labels = interrupt, text, keep, labels


class Folder:
    """The files of results. Each line is on the disk when its call returns."""

    def __init__(self, path):
        self.path, self.full, self.lock = path, set(), threading.Lock()
        os.makedirs(path, exist_ok=True)

    def file(self, name):
        return os.path.join(self.path, name)

    def add(self, name, text):
        """Appends text to a file, unless the file is full then; says so in it once."""
        with self.lock:
            if name in self.full or not text:
                return
            path = self.file(name)
            size = os.path.getsize(path) if os.path.exists(path) else 0
            data = text.encode("utf-8", "replace")
            if size + len(data) > FILE_BYTES:
                self.full.add(name)
                data = b'{"note": "the file is full"}\n' if name.endswith("jsonl") else b"the file is full\n"
            with open(path, "ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

    def take(self, name, source):
        """Copies a file in, if it is there and small enough; says whether it was."""
        if not os.path.isfile(source) or os.path.getsize(source) > FILE_BYTES:
            return False
        shutil.copyfile(source, self.file(name))
        return True


def outside_group(leader):
    """The processes of a session that left its leader's process group for one of their own, by the system's table of
    processes, where there is such a table."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as file:
                # The name in brackets may hold anything.
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and int(fields[2]) != leader and fields[0] != "Z":
            found.append(int(name))
    return found


def signal_all(child, number):
    """Sends a signal to all processes of a child's session, to each of them once: limn takes a second interrupt for
    the wish to leave without saving."""
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        pass
    for pid in outside_group(child.pid):
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def objects(text):
    """The JSON objects among the lines of a text; other lines are passed over."""
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
    return [value for value in found if isinstance(value, dict)]


def offered(result):
    """The names in limn's answer to a name that it does not know: `there are a, b, c`."""
    for line in result.get("lines", []):
        _, found, names = line.rpartition("; there are")
        if found:
            return [name for name in names.lstrip(": ").split(", ") if re.fullmatch(r"[a-z0-9_+-]+", name)]
    return []


class Running:
    """A step that has been started."""

    def __init__(self, step, limit, env, folder):
        self.step, self.limit, self.start = step, limit, time.monotonic()
        self.interrupted = None
        self.paths = [tempfile.mkstemp(dir=folder)[1] for _ in range(2)]
        self.child, self.error = None, None
        try:
            with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
                self.child = subprocess.Popen(step.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env,
                                              start_new_session=True)
        except OSError as error:
            self.error = str(error)

    def over(self):
        """None while the step runs, else how it ended. What takes too long is stopped."""
        if self.child is None:
            return "failed"
        seconds = time.monotonic() - self.start
        if self.child.poll() is not None:
            signal_all(self.child, signal.SIGKILL)  # what it may have left behind
            return "ok" if self.child.returncode == self.step.expect else "failed"
        if sum(os.path.getsize(path) for path in self.paths) > PRINT_BYTES:
            return self.kill("failed", "it printed more than %d MiB" % (PRINT_BYTES >> 20))
        if seconds > self.limit:
            return self.kill("timeout", "stopped after %.0f s" % seconds)
        if self.step.interrupt and seconds > self.step.interrupt and self.interrupted is None:
            self.interrupted = seconds
            signal_all(self.child, signal.SIGINT)
        return None

    def kill(self, status, why):
        signal_all(self.child, signal.SIGKILL)
        self.child.wait()
        self.error = why
        return status

    def result(self, status):
        """The step as one object; its output is gone after that."""
        texts = []
        for path in self.paths:
            with open(path, "rb") as file:
                texts.append(file.read(PRINT_BYTES).decode("utf-8", "replace"))
            os.unlink(path)
        out, err = texts
        result = {"step": self.step.name, "status": status, "rc": self.child.returncode if self.child else None,
                  "seconds": round(time.monotonic() - self.start, 3), **self.step.labels, "command": self.step.argv}
        if self.interrupted:
            result["interrupted_s"] = round(self.interrupted, 1)
        if self.error:
            result["why"] = self.error
        result["data"] = objects(out)
        # A carriage return is a line of progress that was overwritten.
        lines = [line.rpartition("\r")[2] for line in (out + "\n" + err).split("\n") if line.strip()]
        if status != "ok" or not result["data"]:
            result["tail"] = [line[-300:] for line in lines[-TAIL:]]
        return result, out, lines[-4 * TAIL:]


class Runner:
    """Runs steps until the deadline, or until a signal asks for the end."""

    def __init__(self, folder, deadline, cache, say=print):
        self.folder, self.say, self.cache = folder, say, cache
        self.start = time.monotonic()
        self.deadline, self.end = deadline, self.start + deadline
        self.results, self.stopped, self.now = [], None, "start"
        self.env = dict(os.environ, LIMN_CACHE=os.path.join(cache, "limn"))

    def left(self):
        return self.end - time.monotonic()

    def allow(self, share):
        """What follows has to end when this share of all time is over, so that something is left for other parts."""
        self.end = self.start + share * self.deadline

    def listen(self):
        """The first SIGTERM, SIGINT or SIGHUP ends everything in good order."""
        def ask(number, _):
            self.stopped = self.stopped or signal.Signals(number).name
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, ask)

    def log(self, text):
        line = "%7.1f s  %s" % (time.monotonic() - self.start, text)
        self.say(line, flush=True)
        self.folder.add("log.txt", line + "\n")

    def write(self, result):
        """Keeps a result in memory, in the file, and as a line of the log."""
        # No result is so large that it could fill its file.
        if len(json.dumps(result["data"])) > RESULT_BYTES:
            result = {**result, "data": [], "why": "it printed more than a result may hold"}
        result = {"at_s": round(time.monotonic() - self.start, 1), **result}
        self.results.append(result)
        self.folder.add("results.jsonl", json.dumps(result) + "\n")
        why = result.get("why") or (result.get("tail") or [""])[-1] if result["status"] != "ok" else ""
        self.log("%-8s %-44s %6.1f s  %s" % (result["status"], result["step"], result.get("seconds", 0.0), why[:160]))
        return result

    def skip(self, step, why):
        return self.write({"step": step.name, "status": "skipped", "rc": None, "seconds": 0.0, **step.labels,
                           "command": step.argv, "why": why, "data": []})

    def run(self, step):
        """Runs one step; its result."""
        return self.run_all([step], 1)[0]

    def run_all(self, steps, width):
        """Runs steps, at most `width` at the same time, in order; their results in the order of their ends."""
        waiting, running, results = list(steps), [], []
        while waiting or running:
            while waiting and len(running) < width:
                step = waiting.pop(0)
                if self.stopped:
                    results.append(self.skip(step, "stopped by " + self.stopped))
                elif self.left() < 1.0:
                    results.append(self.skip(step, "no time was left"))
                else:
                    self.now = step.name
                    running.append(Running(step, min(step.limit, self.left()), self.env, self.cache))
            for item in list(running):
                status = item.over()
                if status is None and self.stopped:
                    status = item.kill("stopped", "stopped by " + self.stopped)
                if status is None:
                    continue
                running.remove(item)
                results.append(self.finish(item, status))
            if running:
                time.sleep(0.02)
        return results

    def finish(self, item, status):
        result, out, lines = item.result(status)
        if item.step.text and out.strip():
            self.folder.add(item.step.text, "== %s\n%s\n" % (item.step.name, out.rstrip()))
        if not item.step.keep:
            self.digest(item.step, result)
        # Whole lines are for the program alone.
        return {**self.write(result), "lines": lines}

    def digest(self, step, result):
        """Checks go to a file of their own; their result is how many there were, and which failed."""
        checks = result.pop("data")
        failures = [check for check in checks if check.get("ok") is False]
        worst = max(checks, key=lambda check: check.get("ratio") or 0.0, default=None)
        result["data"] = [{"checks": len(checks), "failures": len(failures), "worst": worst,
                           "failed": failures[:8]}] if checks else []
        precision = step.labels.get("precision", "full")
        self.folder.add("check.jsonl", "".join(json.dumps({"precision": precision, **c}) + "\n" for c in checks))


class Telemetry(threading.Thread):
    """Clock, power, temperature and memory of the first NVIDIA card, once a second, where there is one."""

    QUERY = "clocks.sm,clocks.mem,power.draw,temperature.gpu,memory.used,utilization.gpu"
    NAMES = ["sm_mhz", "memory_mhz", "watts", "celsius", "memory_mib", "busy_percent"]

    def __init__(self, runner):
        super().__init__(daemon=True)
        self.runner, self.ended, self.lines = runner, threading.Event(), 0
        self.read = self.nvml() or self.smi()

    def nvml(self):
        """A function that asks NVIDIA's library, or None."""
        try:
            library = ctypes.CDLL("libnvidia-ml.so.1")
            card = ctypes.c_void_p()
            if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(card)):
                return None
        except (OSError, AttributeError):
            return None

        def number(function, *before):
            value = ctypes.c_uint()
            failed = getattr(library, function)(card, *before, ctypes.byref(value))
            return None if failed else value.value

        def read():
            memory, busy = (ctypes.c_ulonglong * 3)(), (ctypes.c_uint * 2)()
            watts = number("nvmlDeviceGetPowerUsage")
            return [number("nvmlDeviceGetClockInfo", 1), number("nvmlDeviceGetClockInfo", 2),
                    None if watts is None else watts / 1e3, number("nvmlDeviceGetTemperature", 0),
                    None if library.nvmlDeviceGetMemoryInfo(card, memory) else memory[2] >> 20,
                    None if library.nvmlDeviceGetUtilizationRates(card, busy) else busy[0]]
        return read

    def smi(self):
        """A function that asks nvidia-smi, or None."""
        if not shutil.which("nvidia-smi"):
            return None

        def read():
            argv = ["nvidia-smi", "--query-gpu=" + self.QUERY, "--format=csv,noheader,nounits", "--id=0"]
            line = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5).stdout.decode()
            return [float(word) if word.strip().replace(".", "", 1).isdigit() else None for word in line.split(",")]
        return read

    def run(self):
        if self.read is None:
            self.runner.folder.add("telemetry.jsonl", '{"note": "neither NVML nor nvidia-smi is here"}\n')
            return
        while not self.ended.wait(1.0):
            try:
                figures = dict(zip(self.NAMES, self.read()))
            except Exception as error:  # a driver's fault must not end the run
                figures = {"error": str(error)[:200]}
            line = {"s": round(time.monotonic() - self.runner.start, 1), "step": self.runner.now, **figures}
            self.runner.folder.add("telemetry.jsonl", json.dumps(line) + "\n")
