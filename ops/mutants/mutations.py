"""The list of mutations, and how each is written into a source file as a switch."""

import re
from dataclasses import dataclass

LIST = "ops/mutants/mutants.tsv"


class Stale(Exception):
    """The list does not fit the sources any more."""


@dataclass(frozen=True)
class Mutation:
    name: str
    path: str
    # The text to find, in which «» enclose what is replaced.
    site: str
    instead: str
    tests: str

    @property
    def original(self):
        found = re.search("«(.*)»", self.site)
        return found.group(1) if found else self.site

    def span(self, text):
        """Where the original stands in a source. White space may be any other: the formatter moves lines."""
        before, _, rest = self.site.partition("«") if "«" in self.site else ("", "", self.site + "»")
        original, _, after = rest.partition("»")
        pattern = f"{_loosely(before)}(?P<original>{_loosely(original)}){_loosely(after)}"
        matches = list(re.finditer(pattern, text))
        if len(matches) != 1:
            raise Stale(f"{self.name}: the text is {len(matches)} times in {self.path}: {self.site}")
        return matches[0].span("original")

    def switched(self, original):
        """The original and what stands in its place, chosen when the program runs."""
        is_on = f'Mutant.isOn("{self.name}")'
        if not self.instead:
            return f"if !{is_on} {{ {original} }}"
        kind, _, text = self.instead.partition(": ")
        if kind == "statement":
            return f"if {is_on} {{ {text} }} else {{ {original} }}"
        if kind == "sql":
            return f'\\(fragment: {is_on} ? "{text}" : "{original}")'
        return f"({is_on} ? ({self.instead}) : ({original}))"


def _loosely(text):
    pieces = [re.escape(piece) for piece in text.split()]
    pattern = r"\s+".join(pieces)
    if text[:1].isspace():
        pattern = r"\s+" + pattern
    if pieces and text[-1:].isspace():
        pattern += r"\s+"
    return pattern


def read_mutations(root):
    mutations = []
    for number, line in enumerate((root / LIST).read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 5:
            raise Stale(f"{LIST}:{number} has {len(fields)} columns and not 5")
        mutations.append(Mutation(*(field.strip() for field in fields)))
    names = [m.name for m in mutations]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise Stale(f"{LIST} has two mutations {sorted(doubled)[0]}")
    problems = []
    for path, text in sources(root, mutations).items():
        try:
            mutated(text, [m for m in mutations if m.path == path])
        except Stale as stale:
            problems.append(str(stale))
    if problems:
        raise Stale(f"{LIST} is stale:\n" + "\n".join(problems))
    return mutations


def sources(root, mutations):
    texts = {}
    for path in dict.fromkeys(m.path for m in mutations):
        if not (root / path).is_file():
            raise Stale(f"{LIST} is stale: there is no file {path}")
        texts[path] = (root / path).read_text()
    return texts


def mutated(text, mutations):
    """A source with all of its mutations as switches. Several may change the very same text, but none a part of another's."""
    sites, problems = {}, []
    for mutation in mutations:
        try:
            sites.setdefault(mutation.span(text), []).append(mutation)
        except Stale as stale:
            problems.append(str(stale))
    if problems:
        raise Stale("\n".join(problems))
    end = len(text)
    for (start, stop), those in sorted(sites.items(), reverse=True):
        if stop > end:
            raise Stale(f"{those[0].name}: it overlaps another mutation of {those[0].path}")
        code = text[start:stop]
        for mutation in those:
            code = mutation.switched(code)
        text, end = text[:start] + code + text[stop:], start
    return text
