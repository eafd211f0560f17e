"""What a module of SPIR-V tells of a kernel before it is compiled: the size of its workgroups, the workgroup memory it
declares, and how many multiply-adds an invocation makes in a turn of the loop that loads tiles and multiplies them.
"""
import struct

#: Instructions by their numbers in the specification.
EXT_INST, EXECUTION_MODE = 12, 16
TYPE_INT, TYPE_FLOAT, TYPE_BOOL, TYPE_VECTOR, TYPE_ARRAY, TYPE_STRUCT, TYPE_POINTER = 21, 22, 20, 23, 28, 30, 32
CONSTANT, FUNCTION, FUNCTION_END, CALL, VARIABLE, LOAD, STORE = 43, 54, 56, 57, 59, 61, 62
I_ADD, F_ADD, F_MUL, VECTOR_TIMES_SCALAR, DOT = 128, 129, 133, 142, 148
LESS = {176: 0, 177: 0, 178: 1, 179: 1}  # unsigned, signed; or equal
BARRIER, LOOP_MERGE, LABEL = 224, 246, 248
LOCAL_SIZE, WORKGROUP, FMA = 17, 4, 50


def instructions(data):
    """(number, operands) of each instruction."""
    words = struct.unpack("<%dI" % (len(data) // 4), data[:len(data) // 4 * 4])
    at = 5
    while at < len(words) and words[at] >> 16:
        length = words[at] >> 16
        yield words[at] & 0xffff, words[at + 1:at + length]
        at += length


class Module:
    """A module's types, constants and functions."""

    def __init__(self, data):
        self.size, self.points, self.width = {}, {}, {}
        self.constants, self.functions, self.local, self.shared = {}, {}, None, 0
        body = None
        for op, a in instructions(data):
            if body is not None:
                body.append((op, a))
                body = None if op == FUNCTION_END else body
            elif op == FUNCTION:
                body = self.functions[a[1]] = [(op, a)]
            else:
                self.declare(op, a)

    def declare(self, op, a):
        size = self.size
        if op == EXECUTION_MODE and a[1] == LOCAL_SIZE:
            self.local = list(a[2:5])
        elif op in (TYPE_INT, TYPE_FLOAT):
            size[a[0]] = a[1] // 8
        elif op == TYPE_BOOL:
            size[a[0]] = 4
        elif op == TYPE_VECTOR:
            self.width[a[0]] = a[2]
            size[a[0]] = size.get(a[1], 4) * (4 if a[2] == 3 else a[2])
        elif op == CONSTANT and len(a) == 3:
            self.constants[a[1]] = a[2]
        elif op == TYPE_ARRAY:
            size[a[0]] = size.get(a[1], 4) * self.constants.get(a[2], 0)
        elif op == TYPE_STRUCT:
            size[a[0]] = sum(size.get(member, 4) for member in a[1:])
        elif op == TYPE_POINTER:
            self.points[a[0]] = a[2]
        elif op == VARIABLE and a[2] == WORKGROUP:
            self.shared += size.get(self.points.get(a[0]), 4)

    @property
    def threads(self):
        """Invocations of a workgroup."""
        return self.local and self.local[0] * self.local[1] * self.local[2]

    def step(self):
        """Multiply-adds of an invocation in one turn of the innermost loop with a barrier that has most of them; None
        where there is no such loop, or one of those in it runs as often as only the device knows. A loop of which that
        is so counts for less than one that has more of them written out."""
        found, memo = [], {}
        for name in self.functions:
            self.work(name, memo, found)
        most = max((adds for adds, _ in found if adds), default=None)
        unknown = max((written for adds, written in found if adds is None), default=0)
        return most if most and most > unknown else None

    def work(self, name, memo, found):
        """A call of a function: multiply-adds or None, whether there is a barrier, whether there is a loop with both,
        and multiply-adds as they are written. What an innermost such loop makes in a turn is added to `found`."""
        if name in memo:
            return memo[name]
        memo[name] = (0, False, False, 0)  # shaders do not recurse
        levels = [Level(None)]
        values = {}  # what products, loads and sums were made from
        stored = {}  # variables: the constant that was stored last, else None
        for op, a in self.functions[name]:
            level = levels[-1]
            if op == LABEL and len(levels) > 1 and a[0] == level.merge:
                levels.pop()
                turn = level.barrier and level.adds != 0
                if turn and not level.turn:
                    found.append((level.adds, level.written))
                levels[-1].take(level.whole(), level.barrier, turn, level.written)
            elif op == LOOP_MERGE:
                levels.append(Level(a[0], dict(stored)))
            elif op in (F_MUL, VECTOR_TIMES_SCALAR):
                values[a[1]] = ("product",)
            elif op == LOAD:
                values[a[1]] = ("load", a[2])
            elif op == I_ADD:
                values[a[1]] = ("sum", *a[2:4])
            elif op == F_ADD and any(values.get(x) == ("product",) for x in a[2:4]):
                level.take(self.width.get(a[0], 1))
            elif op == EXT_INST and a[3] == FMA:
                level.take(self.width.get(a[0], 1))
            elif op == DOT:
                level.take(4)  # limn's dot products are of vec4s
            elif op == BARRIER:
                level.barrier = True
            elif op == CALL and a[2] in self.functions:
                level.take(*self.work(a[2], memo, found))
            elif op in LESS and level.bound is None and len(levels) > 1:
                variable = values.get(a[2], ("",))
                if variable[0] == "load" and a[3] in self.constants:
                    level.bound = (variable[1], self.constants[a[3]] + LESS[op])
            elif op == STORE:
                stored[a[0]] = self.constants.get(a[1])
                for each in levels:
                    each.advance(a[0], values.get(a[1]), self.constants, values)
        memo[name] = levels[0].adds, levels[0].barrier, levels[0].turn, levels[0].written
        return memo[name]


class Level:
    """A loop that is being read, or a function's body."""

    def __init__(self, merge, stored=None):
        self.merge, self.stored = merge, stored
        self.adds, self.barrier, self.turn, self.bound, self.by = 0, False, False, None, None
        self.written = 0  # multiply-adds, those in loops counted once

    def take(self, adds, barrier=False, turn=False, written=None):
        self.written += adds if written is None else written
        self.adds = None if adds is None or self.adds is None else self.adds + adds
        self.barrier, self.turn = self.barrier or barrier, self.turn or turn

    def advance(self, variable, made, constants, values):
        """A store to the variable that the loop is bounded by: by how much it goes on."""
        if self.bound and variable == self.bound[0] and made and made[0] == "sum":
            if values.get(made[1]) == ("load", variable):
                self.by = constants.get(made[2])

    def whole(self):
        """The multiply-adds of all turns; None where their number is not known."""
        if self.adds == 0:
            return 0
        start = self.stored.get(self.bound[0]) if self.bound else None
        if self.adds is None or start is None or not self.by:
            return None
        return self.adds * max(0, -(-(self.bound[1] - start) // self.by))
