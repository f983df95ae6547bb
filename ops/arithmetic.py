#!/usr/bin/env python3
"""Finds what can end the process, or wrap, when a number from outside is larger than anybody thought.

usage: arithmetic.py [--prune | --write]

A number of a request, of a token or of a table lives in a type that bounds it (`Timestamp`, `BillingPeriod`, …), or is
combined with the operators that saturate (`+|`, `-|`, `*|`, `+|=`, `Int64(clamping:)`, `Int64(saturating:)`). Swift's own
operators trap, and so do `!`, `precondition` and conversions. This reads the sources line by line, without types, and so
cannot tell a number of the program's own from one of outside: what stood there before is in arithmetic-allowed.txt, and
anything new is a finding. The list may only become shorter: `--prune` takes out what is gone. `--write` makes it anew,
which is for whoever merges two branches.
"""

import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = Path(__file__).with_name("arithmetic-allowed.txt")
HEADING = ("# {} places, by file, that were there when ops/arithmetic.py came. The number only falls: mend a place, then "
           "`python3 ops/arithmetic.py --prune`.")

NUMBER = r"-?(?:0[xb])?[0-9][0-9A-Fa-f_.]*"
QUANTITY = (r"\w*(?:[mM]icroseconds|[sS]econds|MicroUSD|[aA]mount|[uU]nits|[bB]alance|[rR]equests|[tT]okens\w*|[cC]redits|"
            r"[iI]ncluded\w*|[pP]osition|[vV]ersion)")
RULES = {
    # Traps when the value has no place. Those with a label either fail or clamp.
    "conversion": re.compile(
        r"(?<![\w.])U?Int(?:8|16|32|64)?\((?!\s*(?:clamping|exactly|saturating|truncatingIfNeeded|bitPattern|ascii|bigEndian|"
        r"littleEndian)\s*:)(?!\s*\"\")(?!" + NUMBER + r"\))(?!\))"),
    "multiplication": re.compile(r"(?:(?<!\S)(?!" + NUMBER + r" )\S+ \* \S+|\S+ \* (?!" + NUMBER + r")\S+)|\S \*= "),
    "sum": re.compile(r"\S [+-]= (?!\d|\"|\[|Array\(|\.)"),
    "quantity": re.compile(r"(?:\b" + QUANTITY + r"\)? [+-] \S)|(?:\S [+-] (?:\w+[.?])*" + QUANTITY + r"\b)"),
    "unwrap": re.compile(r"[\w)\]]!(?![=\w])|\btry!|\bas!"),
    "trap": re.compile(r"\b(?:precondition|preconditionFailure|fatalError|assert|assertionFailure)\("),
}
# In SQL: a sum of bigint is numeric, and the cast back fails.
SQL_SUM = re.compile(r"\bsum\((?!\*)", re.IGNORECASE)

SAMPLES = {
    "conversion": ["let a = Int32(status)", "Int64(date.timeIntervalSince1970)", "x = Int(length)"],
    "multiplication": ["seconds * 1_000_000", "let life = days * secondsPerDay", "total *= factor"],
    "sum": ["project.cost += recorded.cost", "left -= right.count"],
    "quantity": ["now.microseconds + grace", "balance + units", "limit - included", "x = used + row.costMicroUSD"],
    "unwrap": ["values.first!", "map[key]!.name", "try! read()", "value as! String"],
    "trap": ["precondition(count > 0)", 'fatalError("no")'],
    "sql sum": ['let q = "SELECT sum(requests)::bigint FROM t"'],
    None: ["Int64(clamping: x)", "Int(exactly: d)", "a +| b", "a *| 1_000_000", "total +|= cost", "count += 1", "a != b",
           "60 * 60", "!isEmpty", '"a * b"', "// a * b", 'text += "x"', "UInt8(ascii: c)", 'Int64("5")'],
}


def lines_of(source):
    """Each line's code without comments and texts, and the texts of the line."""
    code, texts, line_code, line_text = [], [], [], []
    # What is open: a comment's depth, or a text's delimiter with the depth of brackets inside an interpolation.
    place, stack, comment = 0, [], 0
    while place < len(source):
        character = source[place]
        if character == "\n":
            code.append("".join(line_code))
            texts.append("".join(line_text))
            line_code, line_text = [], []
            place += 1
        elif comment:
            step = 2 if source.startswith(("/*", "*/"), place) else 1
            comment += {"/*": 1, "*/": -1}.get(source[place:place + 2], 0)
            place += step
        elif stack and stack[-1][1] is None:
            delimiter, hashes = stack[-1][0], stack[-1][2]
            if source.startswith(delimiter, place):
                stack.pop()
                line_code.append('"')
                place += len(delimiter)
            elif source.startswith(f"\\{hashes}(", place):
                stack[-1][1] = 1
                line_code.append(" (")
                place += 2 + len(hashes)
            elif character == "\\":
                place += 2 if not hashes else 1
            else:
                line_text.append(character)
                place += 1
        elif source.startswith("//", place):
            place = source.find("\n", place)
            place = len(source) if place < 0 else place
        elif source.startswith("/*", place):
            comment, place = 1, place + 2
        elif match := re.compile(r'(#*)("""|")').match(source, place):
            stack.append([match[2] + match[1], None, match[1]])
            line_code.append('"')
            place = match.end()
        else:
            if stack:
                stack[-1][1] += {"(": 1, ")": -1}.get(character, 0)
                if stack[-1][1] == 0:
                    stack[-1][1] = None
            line_code.append(character)
            place += 1
    return list(zip([*code, "".join(line_code)], [*texts, "".join(line_text)]))


def findings_of(source):
    for number, (code, text) in enumerate(lines_of(source), 1):
        line = " ".join(code.split())
        for rule, pattern in RULES.items():
            if pattern.search(line):
                yield number, rule, line
        if SQL_SUM.search(text):
            yield number, "sql sum", " ".join(text.split())


def check_itself():
    """A rule that finds nothing would be no rule."""
    for rule, samples in SAMPLES.items():
        for sample in samples:
            found = {rule for _, rule, _ in findings_of(sample)}
            if (rule not in found) if rule else found:
                sys.exit(f"arithmetic.py is wrong: {sample} is {found or 'no finding'}")


def main(arguments):
    check_itself()
    found, places = Counter(), {}
    for path in sorted((ROOT / "Sources").rglob("*.swift")):
        for number, rule, line in findings_of(path.read_text(encoding="utf-8")):
            entry = f"{path.relative_to(ROOT)}\t{rule}\t{line}"
            found[entry] += 1
            places.setdefault(entry, []).append(number)
    lines = ALLOWED.read_text(encoding="utf-8").splitlines() if ALLOWED.exists() else []
    allowed = Counter(line for line in lines if not line.startswith("#"))
    if arguments in (["--write"], ["--prune"]):
        kept = sorted((found if arguments == ["--write"] else found & allowed).elements())
        ALLOWED.write_text("\n".join([HEADING.format(len(kept)), *kept, ""]), encoding="utf-8")
        print(f"{ALLOWED.name}: {len(kept)} places, {allowed.total() - len(kept)} fewer")
        return 0
    new, gone = found - allowed, allowed - found
    for entry in new:
        path, rule, line = entry.split("\t")
        print(f"{path}:{places[entry][-1]}: {rule}: {line}")
    for entry in gone:
        print(f"{ALLOWED.name}: is not there any more: {entry}")
    if lines[:1] != [HEADING.format(allowed.total())]:
        print(f"{ALLOWED.name}: the heading does not say that there are {allowed.total()} places")
        return 1
    print(f"arithmetic: {len(new)} new places, {allowed.total()} allowed")
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
