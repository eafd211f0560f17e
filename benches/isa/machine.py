"""Machine code of four compilers as text, in basic blocks; the loop that multiplies, and what stands around it.

All are counts of what is written, not of what runs: both sides of a branch count, and an inner loop counts once unless
it is known how often it runs.
"""
import re
from dataclasses import dataclass, field, fields

#: What a matrix instruction is worth beside a multiply-add of one lane, to find where a program multiplies.
MATRIX = 64


@dataclass
class Block:
    """A basic block: counts of its instructions, and its successors."""
    instructions: float = 0
    fma: float = 0  # multiply-adds
    matrix: float = 0  # matrix instructions
    reads: float = 0  # instructions that read workgroup memory, and the 32-bit words they bring to a lane
    words: float = 0
    loads: float = 0  # instructions that read global memory
    stored: float = 0  # 32-bit words that go to global memory
    barriers: float = 0
    after: list = field(default_factory=list)

    def add(self, other, times=1.0):
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + times * getattr(other, name))
        return self


COUNTS = [f.name for f in fields(Block) if f.name != "after"]


def total(blocks):
    whole = Block()
    for block in blocks:
        whole.add(block)
    return whole


def bits(op, default=32):
    """The width in an operation's name: 64 of `ld.shared.b64`."""
    found = re.search(r"[._][bui](\d+)", op)
    return int(found[1]) if found else default


def nak(text):
    """NVK: `block[.u] INDEX LABEL [predecessors] -> {`, then `DST = OP SRC  // delay`."""
    out, before = [], []
    for line in text[text.index("==== NAK assembly"):].splitlines():
        head = re.match(r"\s*block\S*\s+(\d+)\s+L\d+\s+\[([\d, ]*)\]", line)
        if head:
            out.append(Block())
            before.append([int(x) for x in head[2].replace(" ", "").split(",") if x])
            continue
        line = re.sub(r"//.*", "", line).strip()
        if not out or not line or line.startswith("}"):
            continue
        op = re.sub(r"^@!?\S+\s+", "", line.split("= ", 1)[1].strip() if "= " in line else line).split()[0]
        block = out[-1]
        block.instructions += 1
        block.fma += op.startswith("ffma") + 2 * op.startswith("hfma2")
        block.matrix += op.startswith(("hmma", "imma"))
        block.barriers += op.startswith("bar.")
        if op.startswith(("ld.shared", "lds", "ldsm")):
            block.reads += 1
            block.words += bits(op) / 32
        block.loads += op.startswith(("ld.global", "ldg"))
        if op.startswith(("st.global", "stg")):
            block.stored += max(1, bits(op) / 32)
    for i, predecessors in enumerate(before):
        for p in predecessors:
            out[p].after.append(i)
    return out


def by_label(lines, count, jump):
    """Blocks of lines (label or None, instruction or None): `jump` says of an instruction that ends a block
    to which label it goes, and whether it may fall through."""
    out, ends, labels, is_open = [], [], {}, False
    for label, instruction in lines:
        if label is not None or instruction is not None and not is_open:
            out.append(Block())
            ends.append((None, True))
            is_open = True
        if label is not None:
            labels[label] = len(out) - 1
        if instruction is not None:
            count(out[-1], instruction)
            end = jump(instruction)
            if end:
                ends[-1], is_open = end, False
    for i, (target, through) in enumerate(ends):
        if target in labels:
            out[i].after.append(labels[target])
        if through and i + 1 < len(out):
            out[i].after.append(i + 1)
    return out


def aco(text):
    """RADV: `BBn:`, and a tab before each instruction."""
    def lines():
        for line in text[text.rindex("==== Assembly"):].splitlines():
            label = re.match(r"(BB\d+):", line)
            if label:
                yield label[1], None
            elif re.match(r"\s+[a-z]", line):
                yield None, line.split(";")[0].strip()

    def jump(code):
        found = re.match(r"s_c?branch\S*\s+(BB\d+)", code)
        if found:
            return found[1], not code.startswith("s_branch")
        return (None, False) if code.startswith("s_endpgm") else None

    def count(block, code):
        op = code.split()[0]
        block.instructions += 1
        block.fma += len(re.findall(r"v_(?:dual_)?(?:fma|fmac|fmaak|fmamk|mac|mad)_(?:f32|f16|mix)", code))
        block.fma += 2 * ("v_pk_fma" in code)
        block.matrix += op.startswith(("v_wmma", "v_mfma", "v_swmmac"))
        block.barriers += op.startswith("s_barrier")
        twice = 2 if "2addr" in op or "read2" in op else 1
        width = max(1.0, bits(op.replace("2addr", "").replace("read2", "read")) / 32)
        if op.startswith(("ds_load", "ds_read")):
            block.reads += 1
            block.words += twice * width
        block.loads += op.startswith(("buffer_load", "global_load", "flat_load"))
        if op.startswith(("buffer_store", "global_store", "flat_store")):
            dwords = re.search(r"dwordx(\d)", op)
            block.stored += int(dwords[1]) if dwords else width
    return by_label(lines(), count, jump)


def agx(text):
    """Honeykrisp: `ADDRESS: BYTES OP ...`; branches are relative; the program ends at the first `stop`."""
    code = []
    for at, instruction in re.findall(r"^\s*([0-9a-f]+): [0-9a-f]+\s+(\S.*)$", text, re.M):
        code.append((int(at, 16), instruction.strip()))
        if instruction.startswith("stop"):
            break

    def goes_to(at, instruction):
        found = re.match(r"jmp_\w+\s+(-?\d+)", instruction)
        return at + int(found[1]) if found else None
    targets = {goes_to(*pair) for pair in code}

    def jump(pair):
        target = goes_to(*pair)
        if target is not None:
            return target, not pair[1].startswith("jmp_always")
        return (None, False) if pair[1].startswith("stop") else None

    def lanes(instruction):
        mask = re.search(r", ([xyzw]+)(?:,|$)", instruction)
        return len(mask[1]) if mask else 1

    def count(block, pair):
        op, instruction = pair[1].split()[0], pair[1]
        block.instructions += 1
        block.fma += op.startswith(("ffma", "hfma", "fma"))
        block.matrix += op.startswith("simd_matrix")
        block.barriers += op.startswith("barrier")
        if op == "lload":
            block.reads += 1
            block.words += lanes(instruction)
        block.loads += op in ("load", "device_load")
        if op in ("store", "device_store"):
            block.stored += lanes(instruction)
    return by_label(((at if at in targets else None, (at, code)) for at, code in code), count, jump)


def ir3(text):
    """Turnip: `lN:`; (rptN) repeats an instruction and (nopN) waits, which are slots too, as the driver counts them."""
    def lines():
        code = text[text.rindex("==== IR3 Assembly"):]
        if "\nshpe" in code:  # what stands before runs once for a dispatch, not in every invocation
            code = code[code.index("\nshpe"):].split("\n", 2)[2]
        for line in code.splitlines():
            label = re.match(r"(l\d+):", line)
            if label:
                yield label[1], None
            elif re.match(r"(?:\([a-z]+\d*\))*\s*[a-z]", line) and not line.startswith("Native"):
                yield None, line.strip()

    def name(code):
        return re.sub(r"^(\([a-z]+\d*\))*", "", code).split()[0]

    def jump(code):
        found = re.search(r"#(l\d+)", code)
        if found:
            return found[1], name(code) != "jump"
        return (None, False) if name(code) == "end" else None

    def count(block, code):
        op = name(code)
        repeat = 1 + sum(int(n) for n in re.findall(r"\(rpt(\d+)\)", code))
        block.instructions += repeat + sum(int(n) for n in re.findall(r"\(nop(\d+)\)", code))
        block.fma += repeat * op.startswith(("mad.f32", "mad.f16"))
        block.barriers += op.startswith("bar")
        if op.startswith("ldl."):
            block.reads += 1
            block.words += int(code.rsplit(",", 1)[1])
        block.loads += op.startswith(("isam", "ldib", "ldg"))
        if op.startswith(("stib", "stg")):
            width = re.search(r"\.[uf](?:32|16)\.(\d)", op)
            block.stored += int(width[1]) if width else 1
    return by_label(lines(), count, jump)


def blocks(text):
    """The basic blocks of a program; None where the text has no machine code that is known here."""
    if "==== NAK assembly" in text:
        return nak(text)
    if "==== IR3 Assembly" in text:
        return ir3(text)
    if "==== Assembly" in text:
        return aco(text)
    if re.search(r"^\s*[0-9a-f]+: [0-9a-f]+\s+stop", text, re.M):
        return agx(text)
    return None


def reach(start, edges):
    seen, todo = set(start), list(start)
    while todo:
        for n in edges[todo.pop()]:
            if n not in seen:
                seen.add(n)
                todo.append(n)
    return seen


def backwards(code):
    before = [[] for _ in code]
    for i, block in enumerate(code):
        for successor in block.after:
            before[successor].append(i)
    return before


def loops(code):
    """Natural loops: sets of indices of blocks, one for each header."""
    before = backwards(code)
    # Dominators, iterated to a fixed point; blocks that nothing reaches dominate nothing.
    live = sorted(reach([0], [block.after for block in code]))
    above = {i: set(live) for i in live}
    above[0] = {0}
    changed = True
    while changed:
        changed = False
        for i in live[1:]:
            sets = [above[p] for p in before[i] if p in above]
            new = set.intersection(*sets) | {i} if sets else {i}
            changed, above[i] = changed or new != above[i], new
    found = {}
    for i in live:
        for head in code[i].after:
            if head in above[i]:
                body, todo = {head}, [i]
                while todo:
                    x = todo.pop()
                    if x not in body:
                        body.add(x)
                        todo += before[x]
                found.setdefault(head, set()).update(body)
    return list(found.values())


def ratios(block):
    fma = block.fma or None
    return {"instructions": block.instructions, "fma": block.fma, "matrix": block.matrix, "reads": block.reads,
            "per_fma": fma and block.instructions / fma, "words_per_fma": fma and block.words / fma}


def shape(code, step=None):
    """What multiplies in a program, or an empty dict where nothing does in a loop:

    core           the basic block with most multiply-adds, of those in loops
    loop           the smallest loop around it that also synchronises its workgroup: it loads a tile, then
                   multiplies it. Without a barrier in any, as where a workgroup is one warp, the smallest that
                   loads from global memory, or the innermost loop around the core. `per_fma`: its instructions
                   for each of its multiply-adds; `words_per_fma`: what it reads of workgroup memory
    before, after  instructions on the way to the outermost loop around the core, and behind it: the epilogue
    stored         32-bit words that the epilogue writes to global memory
    open           the loop holds a smaller one that the compiler did not unroll, and counts it once. With `step`,
                   the multiply-adds of an invocation in one turn of the loop, it counts as often as those take
                   (`trips`)
    """
    every = loops(code or [Block()])
    inside = sorted(set().union(*every))
    if not any(code[i].fma + code[i].matrix for i in inside):
        return {}
    core = max(inside, key=lambda i: code[i].fma + MATRIX * code[i].matrix)
    around = sorted((loop for loop in every if core in loop), key=len)
    synchronised = (loop for loop in around if total(code[i] for i in loop).barriers)
    loading = (loop for loop in around if total(code[i] for i in loop).loads)
    turn = next(synchronised, None) or next(loading, around[0])
    sums = total(code[i] for i in turn)
    inner = [loop for loop in every if loop < turn and total(code[i] for i in loop).fma >= 4]
    trips, is_open = None, bool(inner)
    if inner and step:
        rolled = total(code[i] for i in set().union(*inner))
        nested = any(a < b for a in inner for b in inner)
        if step <= sums.fma:
            is_open = False
        elif not nested:
            trips, is_open = (step - (sums.fma - rolled.fma)) / rolled.fma, False
            sums.add(rolled, trips - 1)
    outer = around[-1]
    leads = reach(outer, backwards(code)) - outer
    follows = reach(outer, [b.after for b in code]) - outer
    epilogue = total(code[i] for i in follows)
    return {"core": ratios(code[core]), "loop": ratios(sums), "trips": trips, "open": is_open,
            "before": total(code[i] for i in leads - follows).instructions,
            "after": epilogue.instructions, "stored": epilogue.stored}
